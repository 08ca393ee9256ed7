"""Judging: what one head deserves (docs/spec/groups.md 4.2).

Flow: a head that was checked and opened, what is known -> Accept, Wait, Quarantine or Refuse, with evidence
Never: does I/O, looks at a clock, or lets the order in which heads came decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from ropewalk.spaces.conduct.branches import Branches
from ropewalk.spaces.envelope import NO_HEAD
from ropewalk.spaces.members import NO_CUT, Membership
from ropewalk.spaces.proof import Kind, seen_less
from ropewalk.spaces.state import BROKEN, KnownHead
from ropewalk.spaces.vectors import Vector, first_missing

__all__ = ["Accept", "Evidence", "Fallen", "Known", "Quarantine", "Refuse", "Verdict", "Wait", "fallen", "judge"]


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

    def has(self, digest: bytes) -> bool:
        """Whether there is one."""

    def hashes_at(self, writer: bytes, sequence: int) -> Collection[bytes]:
        """Hashes of a writer's heads with this sequence."""

    def heads_at(self, writer: bytes, sequence: int) -> Sequence[KnownHead]:
        """These heads."""

    def reaches(self, writer: bytes, sequence: int) -> bool:
        """Whether there is a head of this writer with this sequence or a later one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two heads, by their objects' names, that no honest device signs both."""

    kind: Kind
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Accept:
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
    missing: bytes = b""  # the hash of a head that is; else records are
    past: tuple[bytes, int] | None = None  # its writer and sequence, where a later head of the writer would do as well


@dataclass(frozen=True, slots=True)
class Refuse:
    """It does not count, and never will."""

    why: str
    evidence: Sequence[Evidence] = ()
    broken: bool = False  # what follows it in its chain does not count either


Verdict = Accept | Quarantine | Wait | Refuse


@dataclass(frozen=True, slots=True)
class Fallen:
    """A known head that no longer counts, because one before it came to light."""

    head: KnownHead
    why: str
    evidence: Sequence[Evidence]


def judge(head: KnownHead, known: Known) -> Verdict:
    """What a head deserves; one that waits is judged again when more is known."""
    if head.unread:
        return _by_envelope(head, known)
    members = known.membership
    if not members.knows(head.frontier):
        return Wait("it names membership records that are not here")
    twins = _twins(head, known)
    if not head.frontier and members.feature > 1:
        return Refuse("it names no membership record", twins)
    found = _chain(head, known) or _unclear(head, known)
    if isinstance(found, Wait):
        return found
    if found is not None:
        return Refuse(found.why, (*twins, *found.evidence), broken=True)
    state = members.at(head.frontier) if head.frontier else members.state
    if head.feature != state.feature:
        why = f"it has feature level {head.feature}, the records that it names say {state.feature}"
        return Refuse(why, twins)
    if not state.may_write(head.device):
        return Refuse("by the records that it names its device may not write", twins)
    if (unseen := _unseen(head, known)) is not None:
        writer, sequence, missing = unseen
        forked = bool(known.hashes_at(writer, sequence))  # then the chain has to say which branch is meant
        why = f"it has seen {writer.hex()[:8]}-{sequence}, which no store shows"
        return Wait(why, missing, None if forked else (writer, sequence))
    return _within(head, known, twins)


def _by_envelope(head: KnownHead, known: Known) -> Verdict:
    """What a steward can say of a head (docs/spec/groups.md 4.5)."""
    twins = _twins(head, known)
    if (found := _chain(head, known)) is not None:
        assert isinstance(found, Refuse)  # who sees no vector misses no branch
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
        for after in known.heads_at(before.writer, before.sequence + 1):
            if after.previous != before.hash or after.state == BROKEN:
                continue
            refused = _after_broken(before, after, known) if was_broken else _gone_back(before, after, known)
            if isinstance(refused, Refuse):
                found.append(Fallen(after, refused.why, refused.evidence))
                waiting.append((after, True))
    return found


_FOLLOWS = "it follows one that has gone back"


def _twins(head: KnownHead, known: Known) -> tuple[Evidence, ...]:
    if all(one == head.hash for one in known.hashes_at(head.writer, head.sequence)):
        return ()
    others = [one for one in known.heads_at(head.writer, head.sequence) if one.hash != head.hash]
    return tuple(Evidence(Kind.FORK, *sorted((head.name, one.name))) for one in others[:1])


def _chain(head: KnownHead, known: Known) -> Refuse | Wait | None:
    before = known.head(head.previous) if head.previous != NO_HEAD else None
    if before is None:
        return None  # a gap, which some store may fill
    if (before.writer, before.sequence + 1) != (head.writer, head.sequence):
        return Refuse("it does not follow the head that it names as the one before")
    follows = _after_broken if before.state == BROKEN else _gone_back
    return follows(before, head, known)


def _after_broken(before: KnownHead, after: KnownHead, known: Known) -> Refuse:
    found = _gone_back(before, after, known)
    return Refuse(_FOLLOWS, found.evidence if isinstance(found, Refuse) else ())


def _unclear(head: KnownHead, known: Known) -> Wait | None:
    """Whether it cannot be told yet if a known head that follows has gone back."""
    if not known.membership.state.forks:
        return None
    for after in known.heads_at(head.writer, head.sequence + 1):
        if after.previous == head.hash and isinstance(found := _gone_back(head, after, known), Wait):
            return found
    return None


def _gone_back(before: KnownHead, after: KnownHead, known: Known) -> Refuse | Wait | None:
    """Whether a head has forgotten what the one before it knew.

    Of forks only those are asked that the later one knew of by its own records: what comes to light after it was
    signed must not change what is thought of it.
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
    if (writer := first_missing(after.vector, before.vector)) is None:
        return None
    if after.frontier and (forks := members.at(after.frontier).forks):
        places: dict[bytes, list[int]] = {}
        for fork in sorted(forks, key=lambda one: one.sequence):
            places.setdefault(fork.writer, []).append(fork.sequence)
        branches = Branches(places, known.head)
        earlier, later = branches.vector(before.vector), branches.vector(after.vector)
        if earlier is None or later is None:
            return Wait("it names a branch, and heads of it are missing")
        if (writer := first_missing(later, earlier)) is None:
            return None
    pair = _others(after), _others(before)
    proves = after.feature > 1 and seen_less(*pair)
    evidence = (Evidence(Kind.WENT_BACK, before.name, after.name),) if proves else ()
    return Refuse(f"it has seen less of {writer.hex()[:8]} than the one before it", evidence)


def _others(head: KnownHead) -> Vector:
    return {writer: item for writer, item in head.vector.items() if writer != head.writer}


def _unseen(head: KnownHead, known: Known) -> tuple[bytes, int, bytes] | None:
    """A head that this one has seen, and that is not known."""
    before = known.head(head.previous) if head.previous != NO_HEAD else None
    items = head.vector.items() - before.vector.items() if before is not None else head.vector.items()
    for writer, (sequence, digest) in sorted(items):
        if writer == head.writer or known.has(digest):
            continue
        if known.hashes_at(writer, sequence) or not known.reaches(writer, sequence):
            return writer, sequence, digest
    return None


def _within(head: KnownHead, known: Known, twins: tuple[Evidence, ...]) -> Verdict:
    now = known.membership.state
    if now.may_write(head.device):
        return Accept(twins)
    cut = known.branches.vector(now.gone.get(head.device, NO_CUT).heads)
    name = known.branches.name(head)
    if cut is not None and name is not None and cut.get(name, (0, b""))[0] >= head.sequence:
        return Accept(twins)
    why = "is frozen" if head.device in now.frozen else "may no longer write"
    return Quarantine(f"its device {why}, and it is past the last head that counts", twins)
