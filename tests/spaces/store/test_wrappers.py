"""What retry, limit and count add to a store.

Flow: wrapper -> FaultStore -> MemoryStore
Never: waits: time is a list of the pauses that were asked for.
"""

from __future__ import annotations

import asyncio

import pytest

from ropewalk.spaces.store import (
    Count,
    Counts,
    Limit,
    MemoryStore,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    Retry,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    object_name,
)
from ropewalk.testing.faults import Fault, FaultStore, Rule

NAME = object_name("s/1")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def retry(store: FaultStore, clock: Clock, random: float = 1.0, deadline: float = 30.0) -> Retry:
    return Retry(
        store,
        sleep=clock.sleep,
        random=lambda: random,
        now=lambda: clock.now,
        deadline=deadline,
        first=1.0,
        longest=5.0,
    )


# ---- retry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.GONE_BEFORE, Fault.GONE_AFTER])
async def test_retry_tries_each_call_again_until_it_is_done(fault: Fault) -> None:
    clock, memory = Clock(), MemoryStore()
    faulty = FaultStore(memory)
    store = retry(faulty, clock)
    rule = Rule(fault)
    faulty.rules.append(rule)
    calls = [
        lambda: store.put(NAME, [b"held"]),
        lambda: store.put_many([(NAME, [b"held"]), (object_name("s/2"), [b"2"])]),
        lambda: store.get(NAME),
        lambda: store.delete(object_name("s/2")),
        store.room,
    ]
    for call in calls:
        rule.times = 3
        await call()
        assert rule.times == 0
    assert await memory.get(NAME) == b"held"
    assert len(clock.pauses) == 3 * len(calls)


async def test_retry_waits_longer_each_time_up_to_its_longest_and_by_a_random_part() -> None:
    for part in (1.0, 0.5):
        clock = Clock()
        store = retry(FaultStore(MemoryStore(), Rule(Fault.GONE_BEFORE, times=6)), clock, random=part)
        await store.put(NAME, [b"x"])
        assert clock.pauses == [part * most for most in (1.0, 2.0, 4.0, 5.0, 5.0, 5.0)]


async def test_retry_ends_at_its_deadline_with_the_last_error() -> None:
    clock = Clock()
    faulty = FaultStore(MemoryStore())
    faulty.gone = True
    with pytest.raises(StoreGone):
        await retry(faulty, clock, deadline=10.0).get(NAME)
    assert clock.pauses == [1.0, 2.0, 4.0]  # 5 more would end past it


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.FULL, StoreFull), (Fault.REFUSE, StoreReadOnly), (Fault.DAMAGED, StoreDamaged)],
)
async def test_retry_raises_at_once_what_waiting_does_not_mend(fault: Fault, error: type[Exception]) -> None:
    clock, memory = Clock(), MemoryStore()
    store = retry(FaultStore(memory, Rule(fault)), clock)
    await memory.put(NAME, [b"x"])
    with pytest.raises(error):
        await (store.get(NAME) if fault is Fault.DAMAGED else store.put(object_name("new"), [b"x"]))
    assert clock.pauses == []


async def test_retry_leaves_answers_alone() -> None:
    clock = Clock()
    store = retry(FaultStore(MemoryStore()), clock)
    await store.put(NAME, [b"x"])
    with pytest.raises(NoSuchObject):
        await store.get(object_name("none"))
    with pytest.raises(NameTaken):
        await store.put(NAME, [b"y"])
    assert clock.pauses == []


async def test_retry_goes_on_with_a_listing_where_it_broke_off() -> None:
    clock, memory = Clock(), MemoryStore()
    names = [object_name(f"s/{index}") for index in range(9)]
    await memory.put_many([(name, [b""]) for name in names])
    # Each listing gives one object and breaks off: 9 such breaks, and each object starts the waits anew.
    store = retry(FaultStore(memory, Rule(Fault.GONE_AFTER, times=9)), clock, deadline=1.5)
    assert [listed.name async for listed in store.list("s/")] == names
    assert clock.pauses == [1.0] * 9


# ---- limit -----------------------------------------------------------------------------------------------------------


class Crowd(MemoryStore):
    """Knows how many puts were ever under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.most = 0

    async def put(self, name: ObjectName, parts: Parts) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(3):
            await asyncio.sleep(0)
        self.inside -= 1
        await super().put(name, parts)


async def test_limit_lets_so_many_calls_in_at_once() -> None:
    for most in (1, 3):
        crowd = Crowd()
        store = Limit(crowd, most)
        await asyncio.gather(*[store.put(object_name(f"s/{index}"), [b""]) for index in range(20)])
        assert crowd.most == most


async def test_limit_lets_the_reader_of_a_listing_call() -> None:
    store = Limit(MemoryStore(), 1)
    await store.put_many([(object_name(f"s/{index}"), [b"x"]) for index in range(5)])
    async with asyncio.timeout(20):
        held = [await store.get(listed.name) async for listed in store.list("")]
    assert held == [b"x"] * 5


async def test_limit_gives_the_turn_back_after_errors_and_cancellation() -> None:
    store = Limit(FaultStore(MemoryStore(), Rule(Fault.GONE_BEFORE, times=3), sleep=asyncio.sleep), 1)
    for _ in range(3):
        with pytest.raises(StoreGone):
            await store.get(NAME)
    waiting = asyncio.ensure_future(store.put(NAME, [b"x"]))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(20):
        await store.put(NAME, [b"x"])


# ---- count -----------------------------------------------------------------------------------------------------------


async def test_count_counts_calls_bytes_objects_and_errors() -> None:
    store = Count(MemoryStore())
    await store.put(NAME, [b"one", b"two"])
    await store.put_many([(object_name("s/2"), [b"12"]), (object_name("s/3"), [b"345"])])
    await store.get(NAME)
    await store.get(NAME, 4, 1)
    assert len([listed async for listed in store.list("")]) == 3
    await store.room()
    await store.delete(NAME)
    with pytest.raises(NoSuchObject):
        await store.get(NAME)
    assert store.counts == Counts(
        puts=3,
        put_many=1,
        gets=3,
        lists=1,
        deletes=1,
        rooms=1,
        bytes_put=11,
        bytes_got=7,
        listed=3,
        errors=1,
    )
