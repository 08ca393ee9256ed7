"""Judging: what one head deserves (docs/spec/groups.md 4.2).

Flow: a head that was checked and opened, what is known -> Counted, Wait, Quarantine or Refuse, with evidence
Never: does I/O, looks at a clock, or lets the order in which heads came decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from ropewalk.spaces.conduct.branches import Branches, before_of
from ropewalk.spaces.members import NO_CUT, Membership
from ropewalk.spaces.proof import Kind, seen_less
from ropewalk.spaces.state import BROKEN, KnownHead
from ropewalk.spaces.vectors import Vector, first_missing

__all__ = ["Counted", "Evidence", "Fallen", "Known", "Quarantine", "Refuse", "Verdict", "Wait", "fallen", "judge"]


class Known(Protocol):
    """What is known when a head is judged: all heads that were checked, whatever became of them."""

    @property
    def membership(self) -> Membership:
        """What all known records come to."""

    @property
    def branches(self) -> Branches:
        """How heads are read."""

    def head(self, digest: bytes) -> KnownHead | None:
        """A head by its hash."""

    def place(self, digest: bytes) -> tuple[bytes, int] | None:
        """The writer and sequence of a head by its hash; None where there is none."""

    def hashes_at(self, writer: bytes, sequence: int) -> Collection[bytes]:
        """Hashes of a writer's heads with this sequence; two of them will do."""

    def hashes_after(self, writer: bytes, sequence: int, previous: bytes) -> Collection[bytes]:
        """Of the heads with this sequence those that name this hash as the one before, in order."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two heads, by their objects' names, that no honest device signs both."""

    kind: Kind
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Counted:
    """It counts."""

    evidence: Sequence[Evidence] = ()  # against its author all the same: it may be one branch of a fork


@dataclass(frozen=True, slots=True)
class Quarantine:
    """It is past what counts of its device; unless an accepted head of somebody else has seen it (`resettled`)."""

    why: str
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """It names what is not here yet."""

    why: str
    missing: bytes = b""  # the hash of a head that is not known; else records, or more of a branch
    past: tuple[bytes, int] | None = None  # its writer and sequence: the next one, if it follows it, would do as well


@dataclass(frozen=True, slots=True)
class Refuse:
    """It does not count, and never will."""

    why: str
    evidence: Sequence[Evidence] = ()
    broken: bool = False  # what follows it in its chain does not count either


Verdict = Counted | Quarantine | Wait | Refuse


@dataclass(frozen=True, slots=True)
class Fallen:
    """A known head that no longer counts, because one before it came to light."""

    head: KnownHead
    why: str
    evidence: Sequence[Evidence]


def judge(head: KnownHead, known: Known) -> Verdict:
    """What a head deserves; one that waits is judged again when more is known.

    Whether it waits is asked before all else, and what it waits for never goes once it is there.  So it depends on the
    set of heads alone which of them are judged at all.
    """
    if head.unread:
        return _by_envelope(head, known)
    members = known.membership
    if not members.knows(head.frontier):
        return Wait("it names membership records that are not here")
    if (wait := _unseen(head, known)) is not None:
        return wait
    twins = _twins(head, known)
    if (found := _chain(head, known)) is not None:  # before what is asked of it alone: more hangs on it
        return Refuse(found.why, (*twins, *found.evidence), broken=True)
    state = members.at(head.frontier)
    if head.feature != state.feature:
        why = f"it has feature level {head.feature}, the records that it names say {state.feature}"
        return Refuse(why, twins)
    if not state.may_write(head.device):
        return Refuse("by the records that it names its device may not write", twins)
    return _within(head, known, twins)


def _by_envelope(head: KnownHead, known: Known) -> Verdict:
    """What a steward can say of a head (docs/spec/groups.md 4.5)."""
    twins = _twins(head, known)
    if (found := _chain(head, known)) is not None:
        return Refuse(found.why, (*twins, *found.evidence), broken=True)
    verdict = _within(head, known, twins)
    if isinstance(verdict, Quarantine):
        return Quarantine(f"{verdict.why}, as far as a steward can tell", twins)
    return verdict


def fallen(head: KnownHead, known: Known, *, broken: bool) -> list[Fallen]:
    """Known heads that follow a new one, and that it shows to have gone back.

    Args:
        head: The new one, which is known by now.
        known: With it.
        broken: Whether it was found to have gone back itself.
    """
    found: list[Fallen] = []
    waiting = [(head, broken)]
    while waiting:
        before, was_broken = waiting.pop()
        for digest in known.hashes_after(before.writer, before.sequence + 1, before.hash):
            after = known.head(digest)
            if after is None or after.state == BROKEN:
                continue
            refused = _after_broken(before, after, known) if was_broken else _gone_back(before, after, known)
            if refused is not None:
                found.append(Fallen(after, refused.why, refused.evidence))
                waiting.append((after, True))
    return found


_FOLLOWS = "it follows one that has gone back"


def _twins(head: KnownHead, known: Known) -> tuple[Evidence, ...]:
    others = sorted(one for one in known.hashes_at(head.writer, head.sequence) if one != head.hash)
    one = known.head(others[0]) if others else None
    return () if one is None else (Evidence(Kind.FORK, *sorted((head.name, one.name))),)


def _chain(head: KnownHead, known: Known) -> Refuse | None:
    before = before_of(head, known.head)
    if before is None:
        return None  # a gap, which some store may fill
    return _after_broken(before, head, known) if before.state == BROKEN else _gone_back(before, head, known)


def _after_broken(before: KnownHead, after: KnownHead, known: Known) -> Refuse:
    found = _gone_back(before, after, known)
    return Refuse(_FOLLOWS, found.evidence if found is not None else ())


def _gone_back(before: KnownHead, after: KnownHead, known: Known) -> Refuse | None:
    """Whether a head has forgotten what the one before it knew.

    Nothing is asked but the two and the records that both knew: what comes to light after they were signed must not
    change what is thought of them.
    """
    if after.feature < before.feature:
        lowered = Evidence(Kind.DOWNGRADE, before.name, after.name)
        return Refuse("it has a lower feature level than the one before it", (lowered,))
    if after.unread:
        return None
    members = known.membership
    if (
        after.frontier != before.frontier
        and members.knows(before.frontier)
        and members.knows(after.frontier)
        and members.unseen(before.frontier, after.frontier)
    ):
        return Refuse("it does not know membership records that the one before it knew")
    if not seen_less(now := _others(after), was := _others(before)):
        return None  # a fork may have come to light in between, and a branch is named in its writer's place
    evidence = (Evidence(Kind.WENT_BACK, before.name, after.name),) if after.feature > 1 else ()
    writer = first_missing(now, was) or b""
    return Refuse(f"it has seen less of {writer.hex()[:8]} than the one before it", evidence)


def _others(head: KnownHead) -> Vector:
    return {writer: item for writer, item in head.vector.items() if writer != head.writer}


def _unseen(head: KnownHead, known: Known) -> Wait | None:
    """Whether it has seen something that is not known.

    A head that the next one of its writer names as the one before is as good as known: the device has signed both.
    """
    place, itself = known.place, head.writer
    unknown = [
        (writer, sequence, digest)
        for writer, (sequence, digest) in head.vector.items()
        if place(digest) != (writer, sequence) and writer != itself
    ]
    for writer, sequence, digest in sorted(unknown):
        if known.hashes_after(writer, sequence + 1, digest):
            continue
        there = known.place(digest)
        if there is None:
            why = f"it has seen {writer.hex()[:8]}-{sequence}, which no store shows"
            return Wait(why, digest, (writer, sequence))
        if there[1] != sequence:
            why = f"it has seen {writer.hex()[:8]}-{sequence}, and names another head for it"
            return Wait(why, past=(writer, sequence))
        if (one := known.head(digest)) is not None and not known.branches.may_mean(writer, one):
            return Wait(f"it has seen {writer.hex()[:8]}-{sequence}, and no branch that leads there is called so")
    return None


def _within(head: KnownHead, known: Known, twins: tuple[Evidence, ...]) -> Verdict:
    now = known.membership.state
    if now.may_write(head.device):
        return Counted(twins)
    cut = known.branches.vector(now.gone.get(head.device, NO_CUT).heads)
    if cut.get(known.branches.name(head), (0, b""))[0] >= head.sequence:
        return Counted(twins)
    why = "is frozen" if head.device in now.frozen else "may no longer write"
    return Quarantine(f"its device {why}, and it is past the last head that counts", twins)
