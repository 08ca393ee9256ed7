"""Sight: what is known while heads are judged, out of the ledger, and where judged heads go.

Flow: State, Membership -> Sight -> judge, fallen, resettled; a head and its verdict -> admit -> State
Never: leaves the thread of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.spaces.conduct import (
    Branches,
    Counted,
    Evidence,
    Quarantine,
    Refuse,
    Wait,
    fallen,
    judge,
    resettled,
)
from ropewalk.spaces.head import Head
from ropewalk.spaces.learning.standing import Embedded, keep_embedded, known_head
from ropewalk.spaces.members import Membership
from ropewalk.spaces.proof import Kind
from ropewalk.spaces.state import ACKED, BROKEN, QUARANTINED, REFUSED, KnownHead, State
from ropewalk.spaces.warnings import Grave

__all__ = ["Admitted", "Opened", "Sight", "Waiting", "admit", "settle", "take_back"]

_SETTLED = "settled by"  # in meta: by which records all heads that are known were settled
_MARKED = 16  # of the newest records, in what says by which heads were settled


@dataclass(frozen=True, slots=True)
class Opened:
    """A head that was checked and opened, with the pack that it embeds."""

    head: Head
    embedded: Embedded | None
    stores: Collection[str] = ()  # that have it, as far as that is known
    data: bytes | None = None  # where these are few
    seen: int = 0  # when it came, nanoseconds

    @property
    def packs(self) -> list[tuple[bytes, bytes, bytes]]:
        """The packs that it names, as `State.name_packs` takes them."""
        return [(pack.name, pack.manifest, pack.directory) for pack in self.head.steward.packs]


@dataclass(slots=True)
class Admitted:
    """What became of some heads."""

    new: int = 0
    writers: set[bytes] = field(default_factory=set)  # of those that are kept
    forked: set[bytes] = field(default_factory=set)  # writers of which two heads of one sequence are there
    gaps: set[bytes] = field(default_factory=set)  # writers of heads whose previous one is not known
    told: list[str] = field(default_factory=list)  # for people
    raised: set[str] = field(default_factory=set)  # names that were put aside until one of these came


class Sight:
    """What is known of heads (`Known` and `Heads` of conduct).

    Args:
        state: The ledger's, in its thread.
        membership: What the known records come to.
        floor: Stores on which a head must lie before another one names it.
    """

    def __init__(self, state: State, membership: Membership, floor: int = 0) -> None:
        self._state, self.membership, self.floor = state, membership, floor
        self._kept: list[tuple[Opened, KnownHead]] = []  # heads that are known and not written yet
        self._raised: set[str] = set()
        self._places = state.head_places()
        self._last = state.last_sequences()  # sequence of each writer: beyond it nothing needs to be looked up
        self._as_of = (-1, -1)  # what had been written when that was read
        self._newest: dict[bytes, KnownHead] = {}  # by writer, of those added since
        self._by_hash: dict[bytes, KnownHead] = {}  # the same
        self.branches = Branches(self._forks(), self.head)

    @property
    def state(self) -> State:
        """The ledger's, with all that is kept."""
        self._write()
        return self._state

    def _forks(self) -> Mapping[bytes, Sequence[int]]:
        for fork in self.membership.judged.values():  # a fork stays one, whatever became of who has shown it
            if fork is not None and fork.writer:
                self.state.add_fork(fork.writer, fork.sequence)
        return self.state.forks()

    def renew(self) -> None:
        """A transaction begins: others may have written heads since the one before."""
        if self._as_of != self._state.written():
            self._last, self._places = self._state.last_sequences(), self._state.head_places()
            self._newest.clear()
            self._by_hash.clear()
            self.branches = Branches(self._state.forks(), self.head)

    def keep(self, one: Opened, head: KnownHead) -> None:
        """A head is known now, and is written before anything else is read, together with others."""
        self._kept.append((one, head))
        self.add(head)

    def end(self) -> set[str]:
        """The transaction ends; the names that were put aside until a head came that is kept now."""
        self._write()
        self._as_of = self._state.written()
        raised, self._raised = self._raised, set()
        return raised

    def _write(self) -> None:
        if not self._kept:
            return
        kept, self._kept = self._kept, []
        state = self._state
        state.add_heads([(head, one.packs) for one, head in kept])
        keep_embedded(state, [(head.name, one.embedded) for one, head in kept if one.embedded is not None])
        for one, head in kept:
            if len(one.stores) < self.floor:
                state.keep_head(head.name, one.data)
                state.doubt_head(head.name, one.stores)
        self._raised |= state.take_up((head.hash, head.writer, head.sequence) for _, head in kept)

    def add(self, head: KnownHead) -> None:
        """A head is known now."""
        self._places[head.hash] = head.writer, head.sequence
        self.branches.came(head.hash)
        self._last[head.writer] = max(self._last.get(head.writer, 0), head.sequence)
        before = self._newest.get(head.writer)
        if before is not None:
            self._by_hash.pop(before.hash, None)
        self._newest[head.writer] = self._by_hash[head.hash] = head

    def changed(self, head: KnownHead, state: int) -> None:
        """What became of a head is another thing now."""
        self.state.reconsider_head(head.name, state)
        if (held := self._by_hash.get(head.hash)) is not None:
            self._by_hash[head.hash] = self._newest[head.writer] = replace(held, state=state)

    def fork(self, writer: bytes, sequence: int) -> None:
        """A writer has two heads of a sequence."""
        self.state.add_fork(writer, sequence)
        self.branches.forked(writer, sequence)

    def head(self, digest: bytes) -> KnownHead | None:
        """A head by its hash."""
        if digest not in self._places:
            return None
        return self._by_hash.get(digest) or self.state.head_hashed(digest)

    def has(self, digest: bytes) -> bool:
        """Whether there is one."""
        return digest in self._places

    def place(self, digest: bytes) -> tuple[bytes, int] | None:
        """The writer and sequence of a head by its hash; None where there is none."""
        return self._places.get(digest)

    def hashes_at(self, writer: bytes, sequence: int) -> list[bytes]:
        """Hashes of a writer's heads with this sequence; of more than two, two."""
        return self.state.hashes_at(writer, sequence) if self._may_reach(writer, sequence) else []

    def hashes_after(self, writer: bytes, sequence: int, previous: bytes) -> list[bytes]:
        """Of the heads with this sequence those that name this hash as the one before, in order."""
        return self.state.hashes_after(writer, sequence, previous) if self._may_reach(writer, sequence) else []

    def heads_at(self, writer: bytes, sequence: int, last: int | None = None) -> list[KnownHead]:
        """A writer's heads from one sequence to another, in order."""
        return self.state.heads_at(writer, sequence, last) if self._may_reach(writer, sequence) else []

    def is_kept(self, head: Head) -> bool:
        """Whether it is, under this name or another, whatever became of it."""
        if self.has(head.hash):
            return True
        envelope = head.envelope
        there = self._may_reach(envelope.writer, envelope.sequence)
        return there and self.state.head_named(head.name.encode()) is not None

    def _may_reach(self, writer: bytes, sequence: int) -> bool:
        return sequence <= self._last.get(writer, 0)

    def writers(self) -> Mapping[bytes, bytes]:
        """Each writer with its device."""
        return self.state.writers()

    def newest(self, writer: bytes, last: int) -> KnownHead | None:
        """The newest that is not refused, up to a sequence."""
        return self.state.newest_kept(writer, last)

    def quarantined(self) -> Sequence[KnownHead]:
        """Those that are in quarantine now."""
        return [head for head in self.state.set_aside() if head.state == QUARANTINED]


@dataclass(slots=True)
class Waiting:
    """Heads that wait, by the hash of a head that each waits for, or by its place where the next one alone would do."""

    by_hash: dict[bytes, list[tuple[Opened, Wait]]] = field(default_factory=dict)
    count: int = 0

    def add(self, one: Opened, wait: Wait) -> None:
        """One more."""
        self.by_hash.setdefault(wait.missing or _place(wait.past), []).append((one, wait))
        self.count += 1

    def take(self, digest: bytes) -> list[Opened]:
        """Those that wait for a head."""
        found = [one for one, _ in self.by_hash.pop(digest, ())]
        self.count -= len(found)
        return found

    def take_next(self, head: Head) -> list[Opened]:
        """Those that wait for the head that another one follows, and that this one settles in its place."""
        before = (head.envelope.writer, head.envelope.sequence - 1)
        found = self.take(_place(before))
        there = self.by_hash.get(head.envelope.previous, [])
        settled = [one for one, wait in there if wait.past == before]
        if settled and len(settled) == len(there):
            del self.by_hash[head.envelope.previous]
        elif settled:
            self.by_hash[head.envelope.previous] = [each for each in there if each[1].past != before]
        self.count -= len(settled)
        return found + settled

    def take_all(self) -> list[Opened]:
        """All of them."""
        return [one for digest in list(self.by_hash) for one in self.take(digest)]


def _place(past: tuple[bytes, int] | None) -> bytes:
    return b"" if past is None else past[0] + past[1].to_bytes(8)


def admit(state: State, sight: Sight, heads: Sequence[Opened], waiting: Waiting) -> Admitted:
    """Judge heads and keep those that need not wait, in one transaction.

    Args:
        state: The ledger's.
        sight: What is known.
        heads: New ones.
        waiting: Heads that wait: more are added, and those are taken out that one of the new ones was missing for.
    """
    done = Admitted()
    with state.transaction():
        sight.renew()
        left = sorted(heads, key=_age, reverse=True)  # what a head has seen comes before it
        while left:
            _admit(sight, one := left.pop(), done, waiting)
            if waiting.count and sight.has(one.head.hash):
                left += waiting.take(one.head.hash) + waiting.take_next(one.head)
        if done.new:  # until these are settled and their packs learnt too, whatever stops this process before that
            state.set_meta(_SETTLED, b"")
            state.set_behind(True)
        done.raised = sight.end()
    return done


def take_back(
    state: State, sight: Sight, one: Opened, data: bytes, stores: Collection[str], waiting: Waiting
) -> Admitted:
    """Have a head of our own count that was given up, or not sent yet: others' heads rest on it (space.md 6.5).

    Args:
        state: The ledger's.
        sight: What is known.
        one: The head.
        data: Its bytes.
        stores: All of them; it is owed to each.
        waiting: Heads that wait; those that it was missing for are judged.
    """
    head = known_head(one.head, ACKED, one.seen)
    with state.transaction(durable=True):
        state.take_back_head(head.name, stores, data)
        state.doubt_head(head.name, ())
        names = {pack.name for pack in one.head.steward.packs}
        state.name_packs(head.name, one.packs)
        state.announce(pack.id for pack in state.unannounced() if pack.name in names)
        if one.embedded is not None:
            keep_embedded(state, [(head.name, one.embedded)])
        state.set_meta(_SETTLED, b"")
        state.set_behind(True)
        raised = state.take_up([(head.hash, head.writer, head.sequence)])
    sight.add(head)
    done = admit(state, sight, waiting.take(head.hash), waiting)
    done.raised |= raised
    done.told.append(
        f"a change of this device that was not acknowledged (head {head.writer.hex()[:8]}-{head.sequence}) counts after"
        " all: another device has seen it and built on it"
    )
    return done


def _age(one: Opened) -> int:
    return sum(sequence for sequence, _ in one.head.vector.values())


def _admit(sight: Sight, one: Opened, done: Admitted, waiting: Waiting) -> None:
    if sight.is_kept(one.head):
        return  # another process of this device wrote it just now, or it came under another name
    head = known_head(one.head, ACKED, one.seen)
    what = f"head {head.writer.hex()[:8]}-{head.sequence}"
    verdict = judge(head, sight)
    if isinstance(verdict, Wait):
        waiting.add(one, verdict)
        return
    if isinstance(verdict, Refuse):
        head = replace(head, state=BROKEN if verdict.broken else REFUSED)
        done.told.append(f"{what} was left out: {verdict.why}")
    elif isinstance(verdict, Quarantine):
        head = replace(head, state=QUARANTINED)
        done.told.append(f"{what} is in quarantine: {verdict.why}")
    sight.keep(one, head)
    done.new += 1
    done.writers.add(head.writer)
    if head.sequence > 1 and not sight.has(head.previous):
        done.gaps.add(head.writer)
    _accuse(sight, head, verdict, done)
    for fell in fallen(head, sight, broken=head.state == BROKEN):
        sight.changed(fell.head, BROKEN)
        done.told.append(f"head {fell.head.writer.hex()[:8]}-{fell.head.sequence} was left out: {fell.why}")
        _note(sight, fell.evidence)


def _accuse(sight: Sight, head: KnownHead, verdict: Counted | Quarantine | Refuse, done: Admitted) -> None:
    _note(sight, verdict.evidence)
    if any(evidence.kind is Kind.FORK for evidence in verdict.evidence):
        sight.fork(head.writer, head.sequence)
        done.forked.add(head.writer)
        done.told.append(
            Grave(
                f"device {head.device.hex()[:8]} signed two heads {head.writer.hex()[:8]}-{head.sequence}: a fork; both"
                " branches are kept, each as a writer of its own"
            )
        )


def _note(sight: Sight, evidence: Sequence[Evidence]) -> None:
    for one in evidence:
        sight.state.add_evidence(one.kind, one.one, one.other)


def settle(state: State, membership: Membership, again: bool = True) -> list[str]:
    """Have cuts and freezes of the newest records take effect on all known heads; what changed, for people.

    Args:
        state: The ledger's.
        membership: What all known records come to.
        again: Also where that was done with these records before, since there are new heads.
    """
    mark = b"%d " % len(membership.verified) + b"".join(membership.frontier[:_MARKED])
    with state.transaction():
        if not again and state.get_meta(_SETTLED) == mark:
            return []  # a process that ended in between has not
        told = []
        if membership.state.gone or membership.state.frozen or membership.judged or state.set_aside():
            for head, now in resettled(Sight(state, membership)):
                state.reconsider_head(head.name, now)
                what = f"head {head.writer.hex()[:8]}-{head.sequence}"
                told.append(f"{what} counts again" if now == ACKED else f"{what} is in quarantine")
        state.set_meta(_SETTLED, mark)
        return told
