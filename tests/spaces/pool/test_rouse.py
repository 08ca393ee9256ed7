"""Stores that are left alone for a while are asked again where the others are too few."""

from __future__ import annotations

import pytest

from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import StoreGone, hint_name
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import Clock, KeptStore

HINT = hint_name(f"{'0' * 64}/hints/{'0' * 32}")


async def resting(clock: Clock) -> tuple[Pool, dict[str, KeptStore]]:
    """Three stores, two of which have just failed a call."""
    stores = {name: KeptStore() for name in ("a", "b", "c")}
    pool = Pool([PoolStore(StoreDomains(name), store) for name, store in stores.items()], clock)
    for name in ("a", "b"):
        stores[name].rules.append(Rule(Fault.GONE_BEFORE))
        with pytest.raises(StoreGone):
            await pool.hint(name, HINT)
    return pool, stores


async def test_who_is_back_is_used_at_once_where_he_is_needed() -> None:
    clock = Clock()
    pool, stores = await resting(clock)
    stores["a"].rules.clear()
    await pool.want(1)
    assert not pool.up("a"), "nobody needed it"
    await pool.want(2)
    assert pool.up("a")
    assert not pool.up("b")


async def test_who_is_not_back_rests_again() -> None:
    clock = Clock()
    pool, _ = await resting(clock)
    assert not await pool.rouse()
    assert not pool.up("a")
