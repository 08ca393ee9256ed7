"""Fault stores misbehave exactly as told.

Flow: FaultStore or StopAfter -> MemoryStore
Never: leaves it to chance which fault a test sees: chances come from a seed.
"""

from __future__ import annotations

import asyncio

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import (
    Listed,
    MemoryStore,
    NoSuchObject,
    Room,
    Store,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    object_name,
)
from ropewalk.testing.faults import Fault, FaultStore, Rule, Stop, StopAfter, storm

A, B, C = object_name("s/a"), object_name("s/b"), object_name("s/c")


async def names(store: Store) -> list[str]:
    return [listed.name async for listed in store.list("")]


async def test_lose_answers_and_forgets() -> None:
    store = FaultStore(MemoryStore(), Rule(Fault.LOSE, times=1))
    await store.put(A, [b"x"])
    assert await names(store) == []
    await store.put(A, [b"x"])
    store.rules = [Rule(Fault.LOSE)]
    await store.delete(A)
    assert await names(store) == [A]
    assert store.struck == [(Fault.LOSE, "put", A), (Fault.LOSE, "delete", A)]


async def test_delay_waits_by_the_clock_it_was_given() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    store = FaultStore(MemoryStore(), Rule(Fault.DELAY, on={"get"}, seconds=7.5), sleep=sleep)
    await store.put(A, [b"x"])
    assert await store.get(A) == b"x"
    assert waited == [7.5]


async def test_corrupt_turns_one_bit_over_on_the_way_in_or_out() -> None:
    memory = MemoryStore()
    held = bytes(100)
    store = FaultStore(memory, Rule(Fault.CORRUPT, on={"get"}))
    await store.put(A, [held])
    assert sum(byte.bit_count() for byte in await store.get(A)) == 1
    assert await memory.get(A) == held
    store.rules = [Rule(Fault.CORRUPT, on={"put"})]
    await store.put(B, [held])
    assert sum(byte.bit_count() for byte in await memory.get(B)) == 1
    await store.put(C, [b""])  # nothing to turn over


async def test_truncate_ends_early_on_the_way_in_or_out() -> None:
    memory = MemoryStore()
    held = bytes(range(100))
    store = FaultStore(memory, Rule(Fault.TRUNCATE, on={"get"}))
    await store.put(A, [held])
    got = await store.get(A)
    assert len(got) < 100
    assert held.startswith(got)
    store.rules = [Rule(Fault.TRUNCATE, on={"put"})]
    await store.put(B, [held])
    assert len(await memory.get(B)) < 100


async def test_hide_leaves_objects_out_of_listings_only() -> None:
    store = FaultStore(MemoryStore(), Rule(Fault.HIDE, name=lambda name: name == B))
    await store.put_many([(A, [b"1"]), (B, [b"2"]), (C, [b"3"])])
    assert await names(store) == [A, C]
    assert await store.get(B) == b"2"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.REFUSE, StoreReadOnly),
        (Fault.FULL, StoreFull),
        (Fault.GONE_BEFORE, StoreGone),
    ],
)
async def test_errors_before_the_effect_keep_nothing(fault: Fault, error: type[RopewalkError]) -> None:
    store = FaultStore(MemoryStore(), Rule(fault, on={"put"}))
    with pytest.raises(error):
        await store.put(A, [b"x"])
    with pytest.raises(NoSuchObject):
        await store.get(A)


async def test_damaged_is_what_a_get_says() -> None:
    store = FaultStore(MemoryStore(), Rule(Fault.DAMAGED))
    await store.put(A, [b"x"])
    with pytest.raises(StoreDamaged):
        await store.get(A)


async def test_gone_after_the_effect_has_it_done() -> None:
    store = FaultStore(MemoryStore(), Rule(Fault.GONE_AFTER, times=1))
    with pytest.raises(StoreGone):
        await store.put(A, [b"x"])
    assert await store.get(A) == b"x"
    store.rules = [Rule(Fault.GONE_AFTER, times=1)]
    with pytest.raises(StoreGone):
        await store.delete(A)
    assert await names(store) == []


async def test_a_store_goes_and_comes_back() -> None:
    store = FaultStore(MemoryStore())
    await store.put(A, [b"x"])
    store.gone = True
    for call in (store.get(A), store.put(B, [b""]), store.put_many([(B, [b""])]), store.delete(A), store.room()):
        with pytest.raises(StoreGone):
            await call
    with pytest.raises(StoreGone):
        await names(store)
    store.gone = False
    assert await names(store) == [A]


async def test_rules_choose_by_call_name_and_count() -> None:
    store = FaultStore(
        MemoryStore(), Rule(Fault.GONE_BEFORE, on={"put"}, name=lambda name: name.endswith("b"), skip=1, times=2)
    )
    outcomes = []
    for name in (A, B, B, A, B, B):
        try:
            await store.put(name, [b"x"])
            outcomes.append("done")
        except StoreGone:
            outcomes.append("gone")
    assert outcomes == ["done", "done", "gone", "done", "gone", "done"]


async def test_a_store_fills_up_and_has_room_again() -> None:
    store = FaultStore(MemoryStore(), capacity=10)
    await store.put(A, [b"123456"])
    assert await store.room() == Room(total=10, free=4)
    with pytest.raises(StoreFull):
        await store.put(B, [b"12345"])
    await store.put(B, [b"1234"])
    await store.put(A, [b"123456"])  # it is there already
    await store.delete(A)
    await store.put(C, [b"12345"])
    store.capacity = None
    await store.put(A, [b"123456"])
    assert await store.room() is None


async def test_objects_are_damaged_cut_lost_and_swapped_where_they_lie() -> None:
    memory = MemoryStore()
    store = FaultStore(memory)
    await store.put_many([(A, [b"\0\0"]), (B, [b"bbbb"])])
    await store.damage(A, bit=9)
    assert await memory.get(A) == b"\0\2"
    await store.damage(A)
    assert await memory.get(A) != b"\0\2"
    await store.cut(B, 3)
    assert await memory.get(B) == b"bbb"
    await store.swap(A, B)
    assert await memory.get(A) == b"bbb"
    assert [listed async for listed in store.list("")] == [Listed(A, 3), Listed(B, 2)]
    await store.lose(A)
    assert await names(store) == [B]


async def test_a_store_rolls_back() -> None:
    store = FaultStore(MemoryStore())
    await store.put_many([(A, [b"1"]), (B, [b"2"])])
    then = await store.snapshot()
    await store.delete(A)
    await store.put(C, [b"3"])
    await store.damage(B)
    await store.roll_back(then)
    assert await store.snapshot() == then == {A: b"1", B: b"2"}


async def test_chance_follows_the_seed() -> None:
    async def outcomes(seed: int) -> list[tuple[Fault, str, str]]:
        store = FaultStore(MemoryStore(), *storm(0.2), seed=seed)
        for index in range(100):
            for call in (store.put(object_name(f"s/{index}"), [bytes(9)]), store.get(object_name(f"s/{index}"))):
                await asyncio.gather(call, return_exceptions=True)
        return store.struck

    assert await outcomes(1) == await outcomes(1) != await outcomes(2)
    assert {fault for fault, _, _ in await outcomes(1)} == set(Fault) - {Fault.HIDE}


# ---- the end of a process --------------------------------------------------------------------------------------------


async def run(one: Store, other: Store) -> None:
    await one.put(A, [b"x"])
    await other.put_many([(A, [b"x"]), (B, [b"x"])])
    await one.get(A)
    await names(other)
    await one.delete(A)
    await other.room()


async def test_stop_ends_at_each_call_in_turn_over_all_stores() -> None:
    whole = StopAfter(1 << 60)
    await run(whole.around(MemoryStore()), whole.around(MemoryStore()))
    assert whole.calls == 6
    assert not whole.stopped
    for call in range(6):
        stop = StopAfter(call)
        one, other = MemoryStore(), MemoryStore()
        with pytest.raises(Stop):
            await run(stop.around(one), stop.around(other))
        assert stop.stopped
        assert (await names(one), await names(other)) == (
            [A] * (1 <= call <= 4),
            [A, B] * (call >= 2),
        )


async def test_stop_may_have_the_fatal_call_done_and_its_answer_unseen() -> None:
    for call, left in enumerate([[A], [A], [A], [A], [], []]):
        one = MemoryStore()
        stop = StopAfter(call, done=True)
        with pytest.raises(Stop):
            await run(stop.around(one), stop.around(MemoryStore()))
        assert await names(one) == left


async def test_a_stopped_process_does_nothing_more_and_raises_what_it_was_given() -> None:
    stop = StopAfter(1, KeyboardInterrupt)
    memory = MemoryStore()
    store = stop.around(memory)
    await store.put(A, [b"x"])
    for call in (lambda: store.put(B, [b"x"]), lambda: store.delete(A), lambda: store.get(A), lambda: names(store)):
        with pytest.raises(KeyboardInterrupt):
            await call()
    assert await names(memory) == [A]
    await store.aclose()
