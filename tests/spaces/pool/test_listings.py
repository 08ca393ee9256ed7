"""Listings through a pool: names come a few at once, none is lost by what follows it, and a late store is just late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ropewalk.spaces.pool import pool as pool_module
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore, StoreLate
from ropewalk.spaces.store import Listed, ObjectName, StoreGone
from tests.spaces.making import Clock, KeptStore


class _Broken(KeptStore):
    """Lists so many names, and then is gone."""

    def __init__(self, names: int) -> None:
        super().__init__()
        self.names_before, self.asked = names, 0

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        for number in range(self.names_before):
            self.asked += 1
            yield Listed(ObjectName(f"{prefix}{number:04}"), 1)
        raise StoreGone("it went")


def _pool(store: KeptStore) -> Pool:
    return Pool([PoolStore(StoreDomains("d0"), store)], Clock())


@pytest.mark.parametrize("names", [0, 1, 2, 6, 700])
async def test_names_that_came_before_a_store_went_are_listed(names: int) -> None:
    pool = _pool(_Broken(names))
    seen: list[str] = []

    async def take() -> None:
        async for listed in pool.list("d0", "a/"):
            seen.append(listed.name)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(StoreGone):
        await take()
    assert seen == [f"a/{number:04}" for number in range(names)]
    assert not pool.up("d0")


async def test_no_more_names_are_taken_ahead_than_came_before_and_never_very_many() -> None:
    store = _Broken(5000)
    pool = _pool(store)
    seen = 0
    async for _ in pool.list("d0", "a/"):
        seen += 1
        assert store.asked < 2 * seen + 1
        assert store.asked < seen + pool_module.MOST_AHEAD
        if seen == 3000:
            break


async def test_a_store_that_others_can_stand_in_for_is_not_left_alone_for_being_late() -> None:
    store = KeptStore()
    name = ObjectName("a/b")
    await store.put(name, (b"1",))
    pool = _pool(store)
    store.hang("get")
    with pytest.raises(StoreLate, match="within 0 s"):
        await pool.get("d0", name, within=0.0)
    assert pool.up("d0")
    store.release()
    await asyncio.sleep(0)
    assert await pool.get("d0", name, within=60.0) == b"1"
