"""Many objects of one store through a pool: whoever cannot give them so, or is late, is asked for each alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore, StoreLate
from ropewalk.spaces.store import ObjectName, StoreGone
from tests.spaces.making import Clock, KeptStore

NAMES = [ObjectName(f"a/{number}") for number in range(3)]


class _Giving(KeptStore):
    def __init__(self, error: RopewalkError | None = None, *, hangs: bool = False) -> None:
        super().__init__()
        self.error, self.hangs = error, hangs
        self.asked: list[tuple[Sequence[ObjectName], int]] = []

    async def get_many(self, names: Sequence[ObjectName], most: int) -> list[bytes | None]:
        self.asked.append((names, most))
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return [name.encode() for name in names]


def _pool(store: KeptStore) -> Pool:
    return Pool([PoolStore(StoreDomains("d0"), store)], Clock())


async def test_a_store_that_gives_many_is_asked_once() -> None:
    store = _Giving()
    assert await _pool(store).get_many("d0", NAMES, 9, 60.0) == [b"a/0", b"a/1", b"a/2"]
    assert store.asked == [(NAMES, 9)]
    assert not store.gets


async def test_of_any_other_store_nothing_is_said() -> None:
    store = KeptStore()
    for name in NAMES:
        await store.put(name, (b"1",))
    assert await _pool(store).get_many("d0", NAMES, 9, 60.0) == [None] * 3
    assert not store.gets


async def test_a_store_that_is_late_with_them_is_not_left_alone() -> None:
    pool = _pool(_Giving(hangs=True))
    with pytest.raises(StoreLate, match="within 0 s"):
        await pool.get_many("d0", NAMES, 9, 0.0)
    assert pool.up("d0")


async def test_a_store_that_is_gone_is_left_alone() -> None:
    store = _Giving(StoreGone("it went"))
    pool = _pool(store)
    with pytest.raises(StoreGone, match="it went"):
        await pool.get_many("d0", NAMES, 9, 60.0)
    assert not pool.up("d0")
    with pytest.raises(StoreGone):
        await pool.get_many("d0", NAMES, 9, 60.0)
    assert len(store.asked) == 1
