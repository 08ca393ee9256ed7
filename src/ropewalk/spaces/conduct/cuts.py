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
from ropewalk.spaces.vectors import MOST_NUMBER, Vector, joined

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

    name: bytes | None  # of its branch
    head: KnownHead
    vector: Vector | None


def resettled(heads: Heads) -> list[tuple[KnownHead, int]]:
    """Heads that become something else: accepted ones that are to be in quarantine, and the other way round."""
    state = heads.membership.state
    seen: list[Vector] = []
    past: list[_Past] = []
    for writer, device in heads.writers().items():
        if device and not state.may_write(device):
            cut = state.gone.get(device, NO_CUT).heads
            within, beyond = _divided(heads, writer, heads.branches.vector(cut) or {})
            seen += within
            past += beyond
        else:
            seen += _tops(heads, writer)
    accepted = _accepted(joined(seen), past)
    changed = [(one.head, ACKED) for one in past if one.head.name in accepted and one.head.state == QUARANTINED]
    changed += [(one.head, QUARANTINED) for one in past if one.head.name not in accepted and one.head.state == ACKED]
    still = {one.head.name for one in past}
    return changed + [(one, ACKED) for one in heads.quarantined() if one.name not in still]


def _tops(heads: Heads, writer: bytes) -> list[Vector]:
    """What the newest heads of a writer have seen, one of each branch."""
    if writer not in heads.branches.forks:
        newest = heads.newest(writer, MOST_NUMBER)
        found = [newest] if newest is not None else []
    else:
        found = [one for one in heads.heads_at(writer, 1, MOST_NUMBER) if one.state in (ACKED, QUARANTINED)]
    return [vector for one in found if (vector := heads.branches.vector(one.vector)) is not None]


def _divided(heads: Heads, writer: bytes, cut: Vector) -> tuple[list[Vector], list[_Past]]:
    """What the heads within a cut have seen, and the heads past it."""
    branches = heads.branches
    if writer not in branches.forks:
        last = cut.get(writer, (0, b""))[0]
        newest = heads.newest(writer, last) if last else None
        found, within = heads.heads_at(writer, last + 1, MOST_NUMBER), []
        if newest is not None and (vector := branches.vector(newest.vector)) is not None:
            within.append(vector)
    else:
        found, within = heads.heads_at(writer, 1, MOST_NUMBER), []
    past = []
    for head in found:
        if head.state not in (ACKED, QUARANTINED):
            continue
        name, vector = branches.name(head), branches.vector(head.vector)
        if name is not None and vector is not None and cut.get(name, (0, b""))[0] >= head.sequence:
            within.append(vector)
        else:
            past.append(_Past(name, head, vector))
    return within, past


def _accepted(seen: Vector, past: Sequence[_Past]) -> set[str]:
    """Names of the heads past a cut that accepted heads have seen, and of what those have seen in turn."""
    accepted: set[str] = set()
    left = list(past)
    while True:
        taken = [one for one in left if one.name is not None and seen.get(one.name, (0, b""))[0] >= one.head.sequence]
        if not taken:
            return accepted
        accepted |= {one.head.name for one in taken}
        left = [one for one in left if one.head.name not in accepted]
        seen = joined([seen, *(one.vector for one in taken if one.vector is not None)])
