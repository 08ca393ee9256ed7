"""Heads that come in any order to readers that stop and start: what each makes of them in the end.

Flow: Writing -> sealed heads; these look by look -> a ledger as a device keeps it -> Outcome
Never: asks one head alone: they go through the place where heads are fetched, judged, kept, and judged again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ropewalk.errors import Missing
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import NO_HEAD, HeadName, MemberLayer, StewardLayer, seal_head, take_apart, writer_id
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.learning import settle, standing
from ropewalk.spaces.learning.heads import fetch_heads
from ropewalk.spaces.members import Cut, Membership
from ropewalk.spaces.proof import Kind
from ropewalk.spaces.state import State
from ropewalk.spaces.vectors import Vector
from tests.spaces.making import some_keys

__all__ = ["NAMES", "Made", "Outcome", "Place", "Says", "Writing", "device", "read", "record"]

NAMES = "abc"  # of devices


@cache
def device(name: str) -> DeviceKeys:
    """A device by its name."""
    return DeviceKeys(hashed("test device", name.encode()))


def record(number: int) -> bytes:
    """The hash of a record; each knows all with lower numbers."""
    return hashed("test record", b"%d" % number)


@dataclass(frozen=True)
class Place:
    """A fork that a record proves."""

    writer: bytes
    sequence: int


@dataclass(frozen=True)
class Says:
    """What some records say of devices."""

    writing: frozenset[bytes] = frozenset(device(name).public().id for name in NAMES)
    gone: Mapping[bytes, Cut] = field(default_factory=dict)
    forks: Sequence[Place] = ()
    frozen: frozenset[bytes] = frozenset()
    feature: int = 2

    def may_write(self, one: bytes) -> bool:
        return one in self.writing


class Records:
    """Records in one line, as far as they are known (`Membership`, as learning asks it)."""

    def __init__(self, says: Sequence[Says]) -> None:
        self._says = says
        self.space_id = some_keys().space_id
        self.devices: Mapping[bytes, PublicKeys] = {device(name).public().id: device(name).public() for name in NAMES}
        self.verified = frozenset(map(record, range(len(says))))
        self.frontier = [record(len(says) - 1)]
        self.state, self.feature = says[-1], says[-1].feature
        self.judged = dict(enumerate(place for one in says for place in one.forks))

    def _number(self, frontier: Iterable[bytes]) -> int:
        return max(number for number in range(len(self._says)) if record(number) in frontier)

    def knows(self, frontier: Iterable[bytes]) -> bool:
        return self.verified.issuperset(frontier)

    def at(self, frontier: Iterable[bytes]) -> Says:
        return self._says[self._number(frontier)]

    def unseen(self, older: Iterable[bytes], newer: Iterable[bytes]) -> list[bytes]:
        return [record(number) for number in range(self._number(newer) + 1, self._number(older) + 1)]


@dataclass(frozen=True, repr=False)
class Made:
    """A head as its author has it."""

    name: HeadName
    data: bytes
    hash: bytes
    previous: bytes
    seen: Vector  # with itself
    at: int

    def __repr__(self) -> str:
        seen = ", ".join(f"{one.hex()[:4]}-{last}-{digest.hex()[:4]}" for one, (last, digest) in self.seen.items())
        return f"<{self.hash.hex()[:4]} after {self.previous.hex()[:4]} has seen {seen} at {self.at}>"

    @property
    def writer(self) -> bytes:
        return self.name.writer

    @property
    def sequence(self) -> int:
        return self.name.sequence


class Writing:
    """Heads that are signed one after the other, honestly or not."""

    def __init__(self) -> None:
        self.made: list[Made] = []

    def head(
        self,
        by: str,
        before: Made | None = None,
        seen: Iterable[Made] = (),
        *,
        sequence: int | None = None,
        previous: bytes | None = None,
        vector: Vector | None = None,
        at: int = 0,
        life: bytes = b"1",
        feature: int = 2,
        frontier: list[bytes] | None = None,
    ) -> Made:
        """Sign one.

        Args:
            by: The name of the device.
            before: The head that it follows; None for the first one.
            seen: Heads that its version has joined.
            sequence: Instead of the next one.
            previous: Instead of the hash of the one before.
            vector: Instead of what these come to.
            at: The newest record that it knows.
            life: Its incarnation.
            feature: Its level.
            frontier: What it names as the newest records, instead of this one.
        """
        writer = writer_id(device(by).public().id, life * 16)
        if vector is None:
            found: dict[bytes, tuple[int, bytes]] = {}
            for one in (*([before] if before else ()), *seen):
                for name, item in one.seen.items():
                    found[name] = max(item, found.get(name, item))
            vector = found
        number = sequence or (before.sequence + 1 if before else 1)
        if previous is None:
            previous = before.hash if before else NO_HEAD
        others = {name: item for name, item in vector.items() if name != writer}
        frontier = [record(at)] if frontier is None else frontier
        name, data = seal_head(
            incarnation=life * 16,
            sequence=number,
            previous=previous,
            steward=StewardLayer(),
            member=MemberLayer(1, frontier, others, None, 0, 5 + len(self.made), f"{len(self.made)}"),
            embedded=b"",
            device=device(by),
            keys=some_keys(),
            feature=feature,
        )
        digest = take_apart(data, name).hash
        self.made.append(Made(name, data, digest, previous, {**others, writer: (number, digest)}, at))
        return self.made[-1]


@dataclass(frozen=True)
class Viewed:
    """A head that is joined, and how it is read."""

    hash: bytes
    name: bytes
    vector: Vector
    renames: Mapping[bytes, Sequence[tuple[int, bytes]]]


@dataclass(frozen=True)
class Outcome:
    """What a reader makes of heads."""

    became: Mapping[int, int | None]  # by place among those that were made; None for those that wait
    forks: Mapping[bytes, Sequence[int]]
    accused: frozenset[tuple[bool, bytes]]  # whether of a fork, and the writer
    view: Sequence[Viewed]


class _Pool:
    """Stores, of which one has what was shown."""

    names = takers = ("one",)

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def up(self, store: str) -> bool:
        return True

    def is_late(self, store: str) -> bool:
        return False

    async def get(self, store: str, name: str, offset: int, length: int, patience: float | None) -> bytes:
        if name not in self.objects:
            raise Missing(f"no {name}")
        return self.objects[name]

    async def get_many(self, store: str, names: Sequence[str], most: int, within: float) -> list[bytes | None]:
        """Every other one: the rest comes alone, in whatever order that brings about."""
        return [None if number % 2 else self.objects.get(name) for number, name in enumerate(names)]


class _Ledger:
    def __init__(self, state: State) -> None:
        self.state = state

    async def do(self, what: Callable[..., Any], *args: Any) -> Any:
        return what(self.state, *args)


def read(
    writing: Writing,
    looks: Sequence[Sequence[Made]],
    says: Sequence[Says],
    known: Sequence[int] = (),
    ends: Collection[int] = (),
) -> Outcome:
    """What becomes of heads that come look by look.

    Args:
        writing: Of which they are.
        looks: Heads that come with each.
        says: What the records say, one after the other.
        known: How many of these records are known at each look but the last, at which all are.
        ends: Looks that end with what was fetched: the process is killed there, and another one goes on.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        path.write_bytes(_empty())
        return asyncio.run(_read(writing, looks, says, known, ends, path))


async def _read(
    writing: Writing,
    looks: Sequence[Sequence[Made]],
    says: Sequence[Says],
    known: Sequence[int],
    ends: Collection[int],
    path: Path,
) -> Outcome:
    pool, keys = _Pool(), some_keys()
    state = _opened(path, keys)
    try:
        with ThreadPoolExecutor(1) as cpu:
            for number, look in enumerate(looks):
                few = number < len(looks) - 1 and number < len(known)
                records = Records(says[: known[number]] if few else says)
                pool.objects |= {one.name.encode(): one.data for one in look}
                new = await _look(state, records, keys, pool, cpu)
                if number not in ends:
                    settle(state, cast("Membership", records), new)
                else:
                    state.close()
                    state = _opened(path, keys)
        return _outcome(writing, state)
    finally:
        state.close()


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        State(path := Path(folder) / "state.db").close()
        return path.read_bytes()


def _opened(path: Path, keys: KeyRing) -> State:
    state = State(path)
    state.unlock(keys)
    return state


async def _look(state: State, records: Records, keys: KeyRing, pool: _Pool, cpu: ThreadPoolExecutor) -> bool:
    core = SimpleNamespace(
        ledger=_Ledger(state),
        space_id=records.space_id,
        membership=records,
        keys=keys,
        pool=pool,
        cpu=cpu,
        head_floor=1,
        now=lambda: 5,
        markers={},  # a store is not accused of what a device signed
    )
    names = [HeadName.decode(name) for name in sorted(pool.objects.keys() - state.head_names())]
    wanted = {name: ["one"] for name in names if name is not None}
    return bool((await fetch_heads(cast("Core", core), wanted)).admitted.new)


def _outcome(writing: Writing, state: State) -> Outcome:
    became: dict[int, int | None] = {}
    for number, one in enumerate(writing.made):
        head = state.head_hashed(one.hash)
        became[number] = head.state if head is not None else None
    accused = set()
    for kind, *names in state.evidence(reported=None):
        accused |= {(kind == Kind.FORK, head.writer) for name in names if (head := state.head_named(name)) is not None}
    view = [Viewed(head.hash, head.writer, head.vector, head.branches) for head in standing(state).heads]
    return Outcome(became, state.forks(), frozenset(accused), view)
