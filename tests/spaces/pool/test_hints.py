"""Hints through the pool: best effort, within a bound, and what they show of a store's health."""

from __future__ import annotations

import asyncio

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.patience import DEADLINE, LINGER
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import REST, Pool, PoolStore
from ropewalk.spaces.store import LARGEST_HINT, NameTaken, StoreGone, hint_name, object_name
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import Clock, KeptStore

HINT = hint_name("5a" * 32 + "/hints/" + "0" * 32)


class Made:
    def __init__(self, count: int = 3) -> None:
        self.stores = {f"d{at}": KeptStore() for at in range(count)}
        members = [PoolStore(StoreDomains(name), store) for name, store in self.stores.items()]
        loop = asyncio.get_running_loop()
        self.pool = Pool([*members, PoolStore(StoreDomains("away"), None, "not mounted")], loop.time)


async def test_a_hint_is_replaced_in_every_store_that_is_there_and_read_from_each() -> None:
    made = Made()
    made.stores["d1"].gone = True
    assert await made.pool.replace_hint(HINT, b"one") == {"d0", "d2"}
    assert await made.pool.hint("d0", HINT) == b"one"
    with pytest.raises(StoreGone):
        await made.pool.hint("d1", HINT)
    assert not made.pool.up("d1")
    made.stores["d1"].gone = False
    assert await made.pool.replace_hint(HINT, b"two") == {"d0", "d2"}, "it is left alone for a while"
    assert await made.pool.hint("d2", HINT) == b"two"


async def test_a_store_without_the_hint_answers_all_the_same() -> None:
    made = Made()
    assert await made.pool.hint("d0", HINT) is None
    assert made.pool.up("d0")


async def test_no_more_is_read_than_a_hint_may_have() -> None:
    made = Made()
    await made.stores["d0"].put(HINT, [bytes(3 * LARGEST_HINT)])
    found = await made.pool.hint("d0", HINT)
    assert found is not None
    assert len(found) == LARGEST_HINT + 1
    assert made.stores["d0"].gets == [(HINT, 0, LARGEST_HINT + 1)]


def test_a_store_that_hangs_is_not_waited_for_beyond_the_bound() -> None:
    async def main() -> None:
        made, loop = Made(), asyncio.get_running_loop()
        made.stores["d1"].hang("replace", "get", "room")
        assert await made.pool.replace_hint(HINT, b"one") == {"d0", "d2"}
        assert loop.time() == LINGER
        assert not made.pool.up("d1"), "a call of it is under way: it is left alone"
        made.stores["d2"].hang("get", "room")
        with pytest.raises(StoreGone, match="did not answer"):
            await made.pool.hint("d2", HINT)
        assert loop.time() == LINGER + DEADLINE
        assert not made.pool.up("d2")
        for store in made.stores.values():
            store.release()
        await made.pool.aclose()

    run(main(), loop=Simulated(1))


async def test_a_store_that_refuses_hints_takes_other_things() -> None:
    made = Made(1)
    for fault in (Fault.REFUSE, Fault.FULL):
        made.stores["d0"].rules = [Rule(fault, on={"replace"})]
        assert await made.pool.replace_hint(HINT, b"one") == frozenset()
        assert (await made.pool.put_copies(object_name(f"s/{fault.name.lower()}"), b"x")).kept == {"d0"}
    made.stores["d0"].rules = []
    await made.stores["d0"].put(object_name(f"{HINT}/below"), [b"x"])
    assert await made.pool.replace_hint(HINT, b"one") == frozenset()
    with pytest.raises(NameTaken):
        await made.stores["d0"].replace(HINT, [b"one"])


async def test_small_reads_of_hints_do_not_make_reads_of_shares_look_late() -> None:
    made = Made(1)
    large = object_name("s/large")
    await made.stores["d0"].put(large, [b"x"])
    await made.pool.get("d0", large)
    before = list(made.pool._health["d0"]._times)
    await made.pool.hint("d0", HINT)
    assert list(made.pool._health["d0"]._times) == before
    assert made.pool._health["d0"].heard(made.pool._clock(), 1.0), "that it answered counts"


async def test_a_store_tells_through_the_pool_and_rests_when_it_is_gone() -> None:
    made = Made(1)
    mark = await made.pool.wait_changed("d0", HINT, b"")
    waiting = asyncio.ensure_future(made.pool.wait_changed("d0", HINT, mark))
    await asyncio.sleep(0)
    await made.pool.replace_hint(HINT, b"one")
    assert await waiting != mark
    made.stores["d0"].gone = True
    with pytest.raises(StoreGone):
        await made.pool.wait_changed("d0", HINT, mark)
    assert not made.pool.up("d0")


async def test_a_store_that_rests_is_not_kept_resting_by_those_who_ask_for_it() -> None:
    clock = Clock()
    store = KeptStore()
    pool = Pool([PoolStore(StoreDomains("d0"), store)], clock)
    store.gone = True
    with pytest.raises(StoreGone):
        await pool.hint("d0", HINT)
    clock.seconds += REST / 2
    for call in (pool.hint("d0", HINT), pool.wait_changed("d0", HINT, b"")):
        with pytest.raises(StoreGone, match="is not there"):
            await call
    assert await pool.replace_hint(HINT, b"x") == frozenset()
    clock.seconds += REST / 2
    assert pool.up("d0")
