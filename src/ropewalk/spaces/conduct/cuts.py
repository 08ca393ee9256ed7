"""Cuts: which heads of devices that are gone or frozen count (docs/spec/groups.md 4.4).

Flow: all known heads, the newest state of the records -> what becomes of each that is past a cut
Never: asks what became of a head before: the same heads and records give the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ropewalk.spaces.conduct.branches import Branches
from ropewalk.spaces.members import NO_CUT, Membership
from ropewalk.spaces.state import ACKED, QUARANTINED, KnownHead
from ropewalk.spaces.vectors import MOST_NUMBER, Vector

__all__ = ["Heads", "resettled"]


class Heads(Protocol):
    """All heads that were checked."""

    @property
    def membership(self) -> Membership:
        """What all known records come to."""

    @property
    def branches(self) -> Branches:
        """How they are read."""

    def writers(self) -> Mapping[bytes, bytes]:
        """Each writer with its device."""

    def heads_at(self, writer: bytes, sequence: int, last: int) -> Sequence[KnownHead]:
        """A writer's heads from one sequence to another, in order."""

    def newest(self, writer: bytes, last: int) -> KnownHead | None:
        """The newest that is not refused, up to a sequence."""

    def quarantined(self) -> Sequence[KnownHead]:
        """Those that are in quarantine now."""


@dataclass(frozen=True, slots=True)
class _Past:
    """A head past the cut of its device."""

    name: bytes  # of its branch
    head: KnownHead


def resettled(heads: Heads) -> list[tuple[KnownHead, int]]:
    """Heads that become something else: accepted ones that are to be in quarantine, and the other way round."""
    state = heads.membership.state
    seen: dict[bytes, int] = {}
    past: list[_Past] = []
    for writer, device in heads.writers().items():
        if device and not state.may_write(device):
            cut = state.gone.get(device, NO_CUT).heads
            past += _divided(heads, writer, heads.branches.vector(cut), seen)
        else:
            for head in _tops(heads, writer):
                _see(seen, heads.branches.vector(head.vector))
    accepted = _accepted(seen, past, heads.branches)
    changed = [(one.head, ACKED) for one in past if one.head.name in accepted and one.head.state == QUARANTINED]
    changed += [(one.head, QUARANTINED) for one in past if one.head.name not in accepted and one.head.state == ACKED]
    still = {one.head.name for one in past}
    return changed + [(one, ACKED) for one in heads.quarantined() if one.name not in still]


def _tops(heads: Heads, writer: bytes) -> list[KnownHead]:
    """The newest head of a writer; of one that forked all, for each branch has one."""
    if writer not in heads.branches.forks:
        newest = heads.newest(writer, MOST_NUMBER)
        return [newest] if newest is not None else []
    return [one for one in heads.heads_at(writer, 1, MOST_NUMBER) if one.state in (ACKED, QUARANTINED)]


def _divided(heads: Heads, writer: bytes, cut: Vector, seen: dict[bytes, int]) -> list[_Past]:
    """The heads past a cut; what those within it have seen is added."""
    branches = heads.branches
    last = 0
    if writer not in branches.forks:
        last = cut.get(writer, (0, b""))[0]
        if last and (newest := heads.newest(writer, last)) is not None:
            _see(seen, branches.vector(newest.vector))
    past = []
    for head in heads.heads_at(writer, last + 1, MOST_NUMBER):
        if head.state not in (ACKED, QUARANTINED):
            continue
        name = branches.name(head)
        if cut.get(name, (0, b""))[0] >= head.sequence:
            _see(seen, branches.vector(head.vector))
        else:
            past.append(_Past(name, head))
    return past


def _accepted(seen: dict[bytes, int], past: Sequence[_Past], branches: Branches) -> set[str]:
    """Names of the heads past a cut that accepted heads have seen, and of what those have seen in turn."""
    left: dict[bytes, list[_Past]] = {}  # by branch, the oldest last
    for one in sorted(past, key=lambda one: one.head.sequence, reverse=True):
        left.setdefault(one.name, []).append(one)
    accepted: set[str] = set()
    grown = set(left)
    while grown:
        name = grown.pop()
        while left[name] and left[name][-1].head.sequence <= seen.get(name, 0):
            head = left[name].pop().head
            accepted.add(head.name)
            grown |= _see(seen, branches.vector(head.vector)) & left.keys()
    return accepted


def _see(seen: dict[bytes, int], vector: Vector) -> set[bytes]:
    """Add what a vector says; the writers of which it says more."""
    more = {writer: last for writer, (last, _) in vector.items() if last > seen.get(writer, 0)}
    seen.update(more)
    return set(more)
