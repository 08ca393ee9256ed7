"""What a space keeps of what it reads: nodes of its tree outlast content, and no change fails for the cache's sake."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.cache import CACHE_FILE, LEAST
from ropewalk.spaces.home import Settings
from ropewalk.spaces.reader import ChunkUnreachable
from ropewalk.spaces.state import KnownHead, State
from tests.spaces.making import World, a_space

FILES = 400  # in one folder, whose nodes are more than a head embeds
SMALL = random.Random(1).randbytes(600)
LARGE = random.Random(2).randbytes(4_000_000)


async def offline(tmp_path: Path) -> World:
    world = await a_space(tmp_path)

    def change(settings: Settings) -> Settings:
        space = msgspec.structs.replace(settings.spaces["photos"], offline=True, cache=LEAST)
        return msgspec.structs.replace(settings, spaces={"photos": space})

    world.home.update(change)
    return world


async def fill(world: World) -> None:
    async with world.open() as space, space.change() as change:
        for number in range(FILES):
            await change.write(f"folder/{number}", SMALL + bytes([number % 256]))
        for number in range(3):
            await change.write(f"large/{number}", LARGE + bytes([number]))


async def look(world: World) -> None:
    for store in world.stores.values():
        store.gone = True
    world.clock.seconds += 100
    async with world.open() as space:
        assert len([info async for info in space.list("folder")]) == FILES
        outcome = await space.write("folder/new", b"new")
        assert outcome is not None
        assert outcome.queued
        assert await space.read("folder/new") == b"new"


@pytest.mark.slow
async def test_after_large_files_were_written_there_is_still_a_tree_without_stores(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    await fill(world)
    async with world.open() as space:
        for number in range(3, 6):
            await space.write(f"large/{number}", LARGE + bytes([number]))
    await look(world)


@pytest.mark.slow
async def test_after_large_files_were_read_there_is_still_a_tree_without_stores(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    await fill(world)
    for file in world.folder.glob("cache.db*"):
        file.unlink()
    async with world.open() as space:
        assert len([info async for info in space.list("folder")]) == FILES
        for number in (0, 1, 2, 0, 1, 2):
            assert len(await space.read(f"large/{number}")) == len(LARGE) + 1
    await look(world)
    async with world.open() as space:
        with pytest.raises(ChunkUnreachable):
            [await space.read(f"large/{number}") for number in range(3)]


@pytest.mark.parametrize("queued", [False, True])
async def test_a_head_that_finds_no_room_in_the_journal_is_written_once_the_cache_made_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queued: bool
) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        await space.write("before", b"before")
    add_head = State.add_head

    def full(self: State, head: KnownHead, data: bytes) -> None:
        if (world.folder / CACHE_FILE).exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        add_head(self, head, data)

    for store in world.stores.values():
        store.gone = queued
    world.clock.seconds += 100
    async with world.open() as space:
        assert (world.folder / CACHE_FILE).exists()
        assert await space.read("before") == b"before"
        monkeypatch.setattr(State, "add_head", full)
        outcome = await space.write("after", b"after")
        assert outcome is not None
        assert outcome.queued is queued
        assert not (world.folder / CACHE_FILE).exists()
        if not queued:
            assert await space.read("after") == b"after"
