"""Seeking: a share that a store has is read, though nobody told of it, and no store is asked for it all the time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.spaces import seeking
from ropewalk.spaces.chunk import CHUNK_SIZE
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.reader import ChunkUnreachable
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownPack, State
from ropewalk.spaces.store import Listed
from tests.spaces.making import World, a_space, pack_of, spoil

DATA = random.Random(5).randbytes(2 * CHUNK_SIZE + 300_000)  # in all three columns


async def _filled(tmp_path: Path) -> World:
    """Of the five shares of each pack, three are needed."""
    world = await a_space(tmp_path, 5, {"store": 2})
    async with world.open() as space:
        await space.write("file", DATA)
    return world


async def _forget(space: Space, *stores: str) -> KnownPack:
    """As if the pack had been learnt while these stores were away."""
    pack = await pack_of(space)
    for share in pack.shares:
        if share.store in stores:
            await space.core.ledger.do(State.forget_share, pack.id, share)
    return pack


def _listings(space: Space, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of shares, from now on."""
    seen: list[str] = []
    real = space.core.pool.list

    def listed(store: str, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        if "/packs/" in prefix:
            seen.append(store)
        return real(store, prefix, after)

    monkeypatch.setattr(space.core.pool, "list", listed)
    return seen


async def test_a_share_that_nobody_told_of_is_found_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        before = await _forget(space, "d0")
        listings = _listings(space, monkeypatch)
        world.stores["d1"].gone = world.stores["d2"].gone = True
        assert await space.read("file") == DATA
        assert len(await asyncio.gather(*(space.read("file") for _ in range(3)))) == 3
        assert 0 < len(listings) == len(set(listings)), "each store once"
        assert {share.store for share in (await pack_of(space)).shares} == {share.store for share in before.shares}


async def test_a_share_that_nobody_told_of_stands_in_for_one_that_is_damaged(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        pack = await _forget(space, "d0")
        world.stores["d1"].gone = True
        await spoil(world, space, pack, next(share for share in pack.shares if share.store == "d2"))
        assert await space.read("file") == DATA


async def test_stores_are_asked_for_a_packs_shares_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        pack = await _forget(space, "d0")
        share = next(share for share in pack.shares if share.store == "d0")
        name = ShareName(space.core.space_id, pack.name, share.number, bytes.fromhex(share.object)).encode()
        held = await world.stores["d0"].get(name)
        await world.stores["d0"].lose(name)
        world.stores["d1"].gone = world.stores["d2"].gone = True
        listings = _listings(space, monkeypatch)
        for _ in range(3):
            with pytest.raises(ChunkUnreachable, match="needs 3 of its 5 shares, 2 can be read"):
                await space.read("file")
        assert len(listings) == len(set(listings)) > 0
        await world.stores["d0"].put(name, (held,))
        monkeypatch.setattr(seeking, "EVERY", 0.0)
        assert await space.read("file") == DATA


async def test_only_so_many_names_are_taken_and_packs_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeking, "MOST_SOUGHT", 2)
    monkeypatch.setattr(seeking, "MOST_NAMES", 10)
    world = await _filled(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        for number in range(40):
            name = ShareName(space.core.space_id, pack.name, number % 5, number.to_bytes(16, "big"))
            await world.stores["d0"].put(name.encode(), (b"junk",))
        seeker = seeking.Seeker(space.core.space_id, space.core.pool, space.core.ledger)
        found = await seeker.more(pack)
        assert 5 < sum(share.store == "d0" for share in found) <= 10
        assert not await seeker.more(pack)
        for number in range(9):
            assert seeker._is_time(bytes((number,)))
        assert len(seeker._sought) == 2
        assert not seeker._is_time(bytes((8,)))
