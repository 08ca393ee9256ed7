"""Rooms: which stores a plan counts on, and how each of them stands."""

from __future__ import annotations

from collections import Counter

import pytest

from ropewalk.spaces.pool.placement import Reason, StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import ObjectName, Room, StoreFull, StoreReadOnly, Terms
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import Clock, KeptStore

NAME = ObjectName("an/object")


class Roomy(KeptStore):
    """Says how much room it has, or that it cannot."""

    def __init__(self, free: int | None) -> None:
        super().__init__()
        self.free = free

    async def room(self) -> Room | None:
        await super().room()
        return None if self.free is None else Room(1 << 40, self.free)


def made(**free: int | None) -> tuple[Pool, dict[str, Roomy]]:
    stores = {name: Roomy(one) for name, one in free.items()}
    return Pool([PoolStore(StoreDomains(name), store) for name, store in stores.items()], Clock()), stores


def drawn(pool: Pool, n: int) -> Counter[str]:
    plans = (pool.plan(at.to_bytes(32, "big"), n, 1, {}) for at in range(2000))
    return Counter(name for plan in plans for name in plan.where.values())


async def test_a_store_with_twice_the_room_is_drawn_twice_as_often() -> None:
    pool, _ = made(a=4 << 30, b=2 << 30, c=2 << 30, d=2 << 30, e=2 << 30)
    await pool.weigh()
    held = drawn(pool, 2)
    assert 1.85 < 4 * held["a"] / (held["b"] + held["c"] + held["d"] + held["e"]) < 2.15


async def test_one_that_cannot_say_is_drawn_like_the_roomiest() -> None:
    pool, _ = made(a=4 << 30, b=1 << 30, c=None)
    await pool.weigh()
    held = drawn(pool, 1)
    assert 0.85 < held["c"] / held["a"] < 1.15
    assert held["b"] > 150


async def test_a_store_stands_as_what_became_of_its_last_put() -> None:
    pool, stores = made(a=1, b=1, c=1, d=1, e=1)
    stores["a"].rules.append(Rule(Fault.FULL, on={"put"}))
    stores["b"].rules.append(Rule(Fault.REFUSE, on={"put"}))
    for name, error in (("a", StoreFull), ("b", StoreReadOnly)):
        with pytest.raises(error):
            await pool.put(name, NAME, (b"data",))
    pool.draining = frozenset({"c"})
    stores["d"].gone = True
    await pool.weigh()
    with pytest.raises(StoreFull):
        await pool.put("a", NAME, (b"data",))
    with pytest.raises(StoreReadOnly):
        await pool.put("b", NAME, (b"data",))
    assert [pool.standing(name) for name in pool.names] == ["full", "read-only", "draining", "away", "up"]
    assert pool.takers == ["a", "b", "d", "e"]
    plan = pool.plan(b"p", 3, 1, {}, {0: "a", 1: "c", 2: "d"})
    assert plan.where == {0: "a", 1: "c", 2: "e"}
    assert plan.why["c"].reason is Reason.KEPT
    assert "d" not in plan.why
    await pool.try_again()
    assert pool.standing("a") == "up"


async def test_what_is_full_holds_its_share_against_the_limits() -> None:
    """It takes nothing more, and what it has counts all the same when others are chosen."""
    labels = {"a": "x", "b": "x", "c": "y"}
    stores = {name: Roomy(1 << 30) for name in labels}
    pool = Pool(
        [PoolStore(StoreDomains(name, {"machine": labels[name]}), one) for name, one in stores.items()], Clock()
    )
    stores["a"].rules.append(Rule(Fault.FULL, on={"put"}))
    with pytest.raises(StoreFull):
        await pool.put("a", NAME, (b"data",))
    plan = pool.plan(b"p", 2, 1, {"machine": 1}, {0: "a"})
    assert plan.where == {0: "a", 1: "c"}


async def test_a_share_that_is_too_large_for_a_store_is_not_planned_there() -> None:
    store = Roomy(1 << 30)
    pool = Pool([PoolStore(StoreDomains("a"), store, terms=Terms(largest=100))], Clock())
    assert pool.plan(b"p", 1, 1, {}, size=100).where == {0: "a"}
    assert pool.plan(b"p", 1, 1, {}, size=101).owed == (0,)


async def test_hints_and_copies_go_past_what_drains() -> None:
    pool, stores = made(a=1 << 30, b=1 << 30)
    pool.draining = frozenset({"a"})
    hint = ObjectName(f"{'0' * 64}/hints/{'0' * 32}")
    assert await pool.replace_hint(hint, b"beat") == {"b"}
    assert (await pool.put_copies(NAME, b"data")).kept == {"b"}
    assert (await pool.put_copies(NAME, b"data", among=["a"])).kept == {"a"}
    assert await stores["a"].names() == [NAME]
    await pool.aclose()


async def test_a_store_that_joins_is_opened_and_one_that_parts_is_closed_with_the_rest() -> None:
    closed = []

    class Closing(Roomy):
        async def aclose(self) -> None:
            closed.append(self)

    first, second = Closing(1), Closing(2)

    async def opened() -> Closing:
        return second

    pool = Pool([PoolStore(StoreDomains("a"), first)], Clock())
    pool.join(PoolStore(StoreDomains("b"), None, "it was not opened", opened))
    assert pool.standing("b") == "away"
    await pool.revive(2)
    assert pool.standing("b") == "up"
    pool.part("a")
    assert (pool.names, pool.up("a")) == (["b"], False)
    assert closed == []
    await pool.aclose()
    assert closed == [first, second]
