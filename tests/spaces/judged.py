"""Heads that are made up, and a reader that judges them in memory, as `admit` does in the ledger.

Flow: head, FakeState -> Room.come -> what became of each
Never: opens, signs or checks anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ropewalk.spaces.conduct import Branches, Quarantine, Refuse, Wait, fallen, judge, resettled
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Cut, Membership
from ropewalk.spaces.proof import Kind
from ropewalk.spaces.state import ACKED, BROKEN, QUARANTINED, REFUSED, KnownHead
from ropewalk.spaces.vectors import joined

__all__ = ["ALL", "FakeMembers", "FakeState", "Room", "device", "head", "record", "room", "writer"]

Vector = Mapping[bytes, tuple[int, bytes]]


@dataclass
class FakeState:
    """What some records say of devices."""

    writing: frozenset[bytes]
    feature: int = 2
    gone: Mapping[bytes, Cut] = field(default_factory=dict)
    frozen: frozenset[bytes] = frozenset()

    def may_write(self, device: bytes) -> bool:
        return device in self.writing and device not in self.frozen


@dataclass
class FakeMembers:
    """Records in one line: each is a number, and knows all lower ones."""

    states: list[FakeState]

    @property
    def state(self) -> FakeState:
        return self.states[-1]

    @property
    def feature(self) -> int:
        return self.state.feature

    def knows(self, frontier: Iterable[bytes]) -> bool:
        return all(one[0] < len(self.states) for one in frontier)

    def at(self, frontier: Iterable[bytes]) -> FakeState:
        return self.states[max(one[0] for one in frontier)]

    def unseen(self, older: Iterable[bytes], newer: Iterable[bytes]) -> list[bytes]:
        return [record(number) for number in range(max(newer)[0] + 1, max(older)[0] + 1)]


def record(number: int) -> bytes:
    return bytes((number,)) + bytes(31)


def device(name: str) -> bytes:
    return name.encode().ljust(16, b"-")


def writer(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def head(
    by: str,
    sequence: int,
    previous: KnownHead | None = None,
    seen: Iterable[KnownHead] = (),
    *,
    at: int = 0,
    feature: int = 2,
    note: str = "",
    vector: Vector | None = None,
) -> KnownHead:
    before = [previous] if previous else []
    found = dict(joined(one.vector for one in (*before, *seen))) if vector is None else dict(vector)
    digest = hashed("head", repr((by, sequence, sorted(found.items()), at, feature, note, previous)).encode())
    found[writer(by)] = sequence, digest
    return KnownHead(
        name=f"{by}-{sequence}-{digest.hex()[:6]}",
        hash=digest,
        writer=writer(by),
        sequence=sequence,
        previous=previous.hash if previous else bytes(32),
        time=0,
        root=None,
        entries=0,
        note=note,
        vector=found,
        embedded=False,
        state=ACKED,
        device=device(by[0]),
        feature=feature,
        frontier=(record(at),),
    )


class Room:
    """All heads that were judged, as `admit` keeps them."""

    def __init__(self, members: FakeMembers) -> None:
        self.fake = members
        self.heads: dict[bytes, KnownHead] = {}
        self.places: dict[bytes, set[int]] = {}
        self.evidence: set[tuple[Kind, str, str]] = set()
        self.waiting: list[KnownHead] = []

    @property
    def membership(self) -> Membership:
        return cast("Membership", self.fake)

    @property
    def branches(self) -> Branches:
        return Branches({one: sorted(places) for one, places in self.places.items()}, self.heads.get)

    def head(self, digest: bytes) -> KnownHead | None:
        return self.heads.get(digest)

    def place(self, digest: bytes) -> tuple[bytes, int] | None:
        one = self.heads.get(digest)
        return None if one is None else (one.writer, one.sequence)

    def hashes_at(self, writer: bytes, sequence: int) -> Collection[bytes]:
        return [one.hash for one in self.heads_at(writer, sequence)]

    def hashes_after(self, writer: bytes, sequence: int, previous: bytes) -> list[bytes]:
        return [one.hash for one in self.heads_at(writer, sequence) if one.previous == previous]

    def heads_at(self, writer: bytes, sequence: int, last: int | None = None) -> list[KnownHead]:
        last = sequence if last is None else last
        found = [one for one in self.heads.values() if one.writer == writer and sequence <= one.sequence <= last]
        return sorted(found, key=lambda one: (one.sequence, one.hash))

    def writers(self) -> Mapping[bytes, bytes]:
        return {one.writer: one.device for one in self.heads.values()}

    def newest(self, writer: bytes, last: int) -> KnownHead | None:
        kept = [one for one in self.heads_at(writer, 1, last) if one.state in (ACKED, QUARANTINED)]
        return kept[-1] if kept else None

    def quarantined(self) -> Sequence[KnownHead]:
        return [one for one in self.heads.values() if one.state == QUARANTINED]

    def come(self, one: KnownHead) -> None:
        """Judge a head, and those that wait as long as that helps."""
        self.waiting.append(one)
        moved = True
        while moved:
            waiting, self.waiting = self.waiting, []
            for each in waiting:
                self._judge(each)
            moved = len(self.waiting) < len(waiting)

    def _judge(self, one: KnownHead) -> None:
        verdict = judge(one, self)
        if isinstance(verdict, Wait):
            self.waiting.append(one)
            return
        if isinstance(verdict, Refuse):
            one = replace(one, state=BROKEN if verdict.broken else REFUSED)
        elif isinstance(verdict, Quarantine):
            one = replace(one, state=QUARANTINED)
        self.heads[one.hash] = one
        for evidence in verdict.evidence:
            self.evidence.add((evidence.kind, evidence.one, evidence.other))
            if evidence.kind is Kind.FORK:
                self.places.setdefault(one.writer, set()).add(one.sequence)
        for fell in fallen(one, self, broken=one.state == BROKEN):
            self.heads[fell.head.hash] = replace(fell.head, state=BROKEN)
            self.evidence.update((each.kind, each.one, each.other) for each in fell.evidence)

    def settle(self) -> dict[bytes, int]:
        for one, now in resettled(self):
            self.heads[one.hash] = replace(one, state=now)
        assert not list(resettled(self)), "a second look changes nothing"
        return {digest: one.state for digest, one in self.heads.items()}


ALL = frozenset(map(device, "abcd"))


def room(*states: FakeState) -> Room:
    return Room(FakeMembers(list(states) or [FakeState(ALL)]))
