"""Calls to several stores at once: whom a write waits for, what becomes of the others, and what that may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.health import MOST_BEHIND, MOST_BEHIND_BYTES, REST
from ropewalk.spaces.pool.patience import GRACE, LINGER
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import ObjectName
from tests.spaces.pool.timed import TimedStore, a_pack


class Made:
    """Five stores, of which four would do; each call of one takes its time."""

    def __init__(self) -> None:
        self.stores = {f"d{at}": TimedStore(0.01) for at in range(5)}
        self.loop = asyncio.get_running_loop()
        self.pool = Pool([PoolStore(StoreDomains(name), one) for name, one in self.stores.items()], self.loop.time)
        self.told: list[tuple[str, float]] = []
        self.count = 0

    async def put(self, size: int = 4) -> tuple[float, set[str]]:
        """How long it took, and which stores failed."""
        self.count += 1
        began = self.loop.time()
        copies = await self.pool.put_copies(
            ObjectName(f"an/object-{self.count}"), bytes(size), enough=4, later=self.later
        )
        return round(self.loop.time() - began, 6), set(copies.failed)

    async def later(self, name: str) -> None:
        self.told.append((name, self.loop.time()))


def _run(main: Coroutine[Any, Any, None]) -> None:
    run(main, loop=Simulated(3))


def test_stores_that_are_a_little_slower_are_waited_for_and_owe_nothing() -> None:
    async def main() -> None:
        made = Made()
        made.stores["d4"].seconds = 0.06
        made.stores["d1"].seconds = 0.2
        for _ in range(10):
            took, failed = await made.put()
            assert (took, failed) == (0.2, set())

    _run(main())


def test_a_slow_store_is_waited_for_briefly_and_once_that_is_known_not_at_all() -> None:
    async def main() -> None:
        made = Made()
        made.stores["d2"].seconds = 0.5
        took = [(await made.put())[0] for _ in range(10)]
        assert took[0] == 0.01 + GRACE
        assert took[1:] == [0.01] * 9
        await asyncio.sleep(10)  # nothing is under way any more
        assert (await made.put())[0] == 0.01, "it is remembered"

    _run(main())


def test_what_a_slow_store_does_after_all_is_told_and_it_is_given_what_is_new_meanwhile() -> None:
    async def main() -> None:
        made = Made()
        await made.pool.weigh()
        made.stores["d2"].seconds = 0.5
        for _ in range(3):
            assert (await made.put())[1] == {"d2"}
            assert made.pool.up("d2")
        await made.pool.caught_up(1.0)
        assert [name for name, _ in made.told] == ["d2"] * 3
        assert made.told[0][1] == pytest.approx(0.51)
        assert len(made.stores["d2"].puts) == 3

    _run(main())


def test_a_store_that_is_quick_again_is_waited_for_again() -> None:
    async def main() -> None:
        made = Made()
        await made.pool.weigh()
        made.stores["d2"].seconds = 0.5
        for _ in range(5):
            await made.put()
        await made.pool.caught_up(1.0)
        made.stores["d2"].seconds = 0.05
        assert (await made.put())[1] == {"d2"}, "nobody knows yet"
        await made.pool.caught_up(1.0)
        assert await made.put() == (0.05, set())

    _run(main())


def test_a_slow_store_that_is_needed_is_waited_for() -> None:
    async def main() -> None:
        made = Made()
        made.stores["d2"].seconds = 0.5
        for _ in range(5):
            await made.put()
        await made.pool.caught_up(1.0)
        made.stores["d0"].gone = True
        assert await made.put() == (0.5, {"d0"})

    _run(main())


def test_no_more_goes_on_in_the_background_than_the_bounds_say() -> None:
    async def main() -> None:
        made = Made()
        await made.pool.weigh()
        made.stores["d2"].seconds = 1.5
        for _ in range(2 * MOST_BEHIND):
            await made.put()
        assert len(made.stores["d2"].puts) == MOST_BEHIND
        await made.pool.caught_up(5.0)
        await made.put(MOST_BEHIND_BYTES - 4)
        await made.put(5)
        await made.put(4)
        assert len(made.stores["d2"].puts) == MOST_BEHIND + 2
        assert sum(len(data) for data in made.stores["d2"].puts[MOST_BEHIND:]) == MOST_BEHIND_BYTES
        await made.pool.aclose()

    _run(main())


def test_a_black_hole_is_waited_for_once_and_then_left_alone_until_it_answers() -> None:
    async def main() -> None:
        made = Made()
        made.stores["d2"].seconds = 1e6
        took = [(await made.put())[0] for _ in range(3)]
        assert took == [0.01 + GRACE, 0.01, 0.01]
        assert made.pool.up("d2"), "it may be slow"
        assert made.pool.is_late("d2"), "and is not read from where others can do"
        await asyncio.sleep(LINGER)
        assert not made.pool.up("d2"), "it hangs"
        await made.put()
        assert len(made.stores["d2"].puts) == 3
        began = made.loop.time()
        await made.pool.aclose()
        assert made.loop.time() == began, "nothing is to be hoped for from it at the end"

    _run(main())


def test_what_a_slow_store_has_to_do_is_waited_for_at_the_end_and_not_for_long() -> None:
    async def main() -> None:
        for seconds, told in ((0.5, ["d2"]), (1.9, [])):
            made = Made()
            await made.put()
            made.stores["d2"].seconds = seconds
            await made.put()
            began = made.loop.time()
            await made.pool.aclose()
            assert [name for name, _ in made.told] == told
            assert made.loop.time() - began <= 1.0

    _run(main())


def test_a_share_of_a_slow_store_goes_nowhere_else_but_that_of_one_that_is_gone_does() -> None:
    async def main() -> None:
        for gone, stores in ((False, 4), (True, 5)):
            made = Made()
            made.pool.join(PoolStore(StoreDomains("spare"), spare := TimedStore(0.01)))
            made.stores["spare"] = spare
            pack = a_pack()
            plan = made.pool.plan(pack.name, 5, 3, {"store": 2})
            slow = made.stores[plan.where[0]]
            slow.seconds, slow.gone = 0.5, gone
            kept, _ = await made.pool.put_shares(pack, {"store": 2}, enough=4)
            assert len(kept) == stores
            await made.pool.caught_up(1.0)
            assert sum(len(one.puts) for one in made.stores.values()) == 5

    _run(main())


def test_a_store_that_went_is_left_alone_and_costs_nothing() -> None:
    async def main() -> None:
        made = Made()
        made.stores["d2"].gone = True
        for _ in range(3):
            assert await made.put() == (0.01, {"d2"})
        made.stores["d2"].gone = False
        await asyncio.sleep(REST)
        assert (await made.put())[1] == set()

    _run(main())


async def _put_shares(made: Made, free: dict[str, TimedStore], late: list[float]) -> tuple[float, dict[int, str]]:
    """How long it takes to put four of five shares with stores to spare, where stores that get some are late."""
    for name, store in free.items():
        made.pool.join(PoolStore(StoreDomains(name), store))
    pack = a_pack()
    everything = {**made.stores, **free}
    where = made.pool.plan(pack.name, 5, 3, {"store": 2}).where
    for number, seconds in enumerate(late):
        everything[where[number]].seconds = seconds
    began = made.loop.time()
    kept, _ = await made.pool.put_shares(pack, {"store": 2}, enough=4)
    return made.loop.time() - began, kept


@pytest.mark.parametrize("late", [[1e6] * 2, [1e6] * 3, [3.0] * 2])
def test_shares_of_stores_that_are_late_go_to_those_that_are_free_where_the_floor_would_wait(late: list[float]) -> None:
    async def main() -> None:
        made = Made()
        free = {f"free{at}": TimedStore(0.01) for at in range(3)}
        took, kept = await _put_shares(made, free, late)
        assert took < (1.0 if len(late) < 3 else LINGER + 1.0)
        assert len(kept) == 4
        puts = sum(bool(one.puts) for one in (*made.stores.values(), *free.values()))
        assert puts == 5 + len(late) - 1, "and no more than the floor lacks"

    _run(main())


def test_stores_that_are_late_are_waited_for_where_those_that_are_free_are_no_better() -> None:
    async def main() -> None:
        for free in (TimedStore(1e6), TimedStore(20.0)):
            made = Made()
            took, kept = await _put_shares(made, {"free": free}, [10.0, 10.0])
            assert 10.0 <= took < 11.0
            assert len(kept) >= 4

    _run(main())
