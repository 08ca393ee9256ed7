"""What waits is damaged on its way: it is had from elsewhere, or people are told why it cannot go out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.spaces.later import send_queue
from ropewalk.spaces.offline import QueuedDamaged, QueueFiles
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.status import status
from ropewalk.spaces.waiting import queued
from tests.spaces.making import World
from tests.spaces.test_offline import FEW, LARGE, allow, away, offline, waiting

LATER = random.Random(3).randbytes(400_000)


def files_of(space: Space) -> QueueFiles:
    assert space.core.queue is not None
    return space.core.queue


def pack_file(world: World) -> Path:
    (file,) = (world.folder / "queue").glob("*.pack")
    return file


def turn(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


async def rotten(folder: Path, spoil: Callable[[Path], None], *, cached: bool) -> World:
    """Two changes wait; the pack of the first is not what it was."""
    world = await offline(folder)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("one", LARGE)
        await space.write("two", b"small")
    if not cached:
        allow(world.home, cache=0)
    spoil(pack_file(world))
    return world


async def test_a_pack_that_rotted_is_made_whole_from_the_cache(tmp_path: Path) -> None:
    world = await rotten(tmp_path, lambda file: turn(file, 1000), cached=True)
    async with world.open() as space:
        with pytest.raises(QueuedDamaged, match="column 0"):
            files_of(space).load(bytes.fromhex(pack_file(world).stem))
    away(world)
    async with world.open() as space:
        assert await waiting(space) == []
    allow(world.home, cache=0)
    away(world, "d3", "d4")
    async with world.open() as space:
        assert await space.read("one") == LARGE


async def test_one_of_which_the_stores_have_enough_goes_without_its_file(tmp_path: Path) -> None:
    """Some stores took shares before they went: enough for what lacks."""
    world = await offline(tmp_path, cache=0)
    async with world.open() as space:
        for name in ("d3", "d4"):
            world.stores[name].capacity = 0
        outcome = await space.write("one", LARGE)
        assert outcome is not None
        assert outcome.queued
    turn(pack_file(world), 1000)
    for name in ("d3", "d4"):
        world.stores[name].capacity = None
    away(world)
    async with world.open() as space:
        assert await waiting(space) == []
        assert await space.read("one") == LARGE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: turn(file, 1000),
        lambda file: turn(file, file.stat().st_size - 1),
        lambda file: turn(file, file.stat().st_size - 100),
        lambda file: file.write_bytes(b""),
        Path.unlink,
    ],
    ids=["column", "footer", "directory", "empty", "gone"],
)
async def test_what_nothing_gives_back_is_said_with_the_way_out(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    world = await rotten(tmp_path, spoil, cached=False)
    away(world)
    async with world.open() as space:
        why = await send_queue(space.core)
        assert "queued pack" in why or "shares of pack" in why or "good shares" in why
        assert "neither the stores nor the cache give it back" in why
        assert "`ropewalk space queue SPACE --export FOLDER`" in why
        found = await queued(space.core)
        assert (found.stuck, found.why) == (why, why)
        assert (await status(space.core)).as_dict()["queue"]["stuck"] is True  # type: ignore[index]
        assert any("2 changes wait" in line and "cannot be published: change" in line for line in space.warnings)
        assert await space.drop_queue() == 2
        assert not (await space.write("four", b"4")).queued  # type: ignore[union-attr]
        assert (await queued(space.core)).why == ""
        away(world, *FEW)
        await space.core.pool.try_again()
        assert (await space.write("five", b"5")).queued  # type: ignore[union-attr]
        away(world)
        for name in FEW:
            world.stores[name].capacity = 0
        await space.core.pool.revive()
        await send_queue(space.core)
        found = await queued(space.core)
        assert found.stuck == "", "what nobody could change was dropped"
        assert "2 of 5 stores took the head, the write floor is 4 (d0: " in found.tried


async def test_why_too_few_took_it_is_said_at_once(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        for name in FEW:
            world.stores[name].capacity = 0
        assert (await space.write("a", b"small")).queued  # type: ignore[union-attr]
        assert (await queued(space.core)).tried.startswith("2 of 5 stores took the head, the write floor is 4 (d0: ")


async def test_what_stores_that_are_away_may_give_back_is_waited_for(tmp_path: Path) -> None:
    world = await offline(tmp_path, cache=0)
    async with world.open() as space:
        for name in ("d3", "d4"):
            world.stores[name].capacity = 0
        assert (await space.write("one", LARGE)).queued  # type: ignore[union-attr]
    turn(pack_file(world), 1000)
    for name in ("d3", "d4"):
        world.stores[name].capacity = None
    away(world, "d0")
    async with world.open() as space:
        found = await queued(space.core)
        assert "column 0" in found.tried
        assert found.stuck == ""
    away(world)
    async with world.open() as space:
        assert await waiting(space) == []


async def test_a_pack_of_which_the_cache_has_other_bytes_is_not_taken_for_whole(tmp_path: Path) -> None:
    world = await rotten(tmp_path, lambda file: turn(file, 1000), cached=True)
    async with world.open() as space:
        name = bytes.fromhex(pack_file(world).stem)
        left = files_of(space).load_unchecked(name)
        assert left is not None
        with pytest.raises(QueuedDamaged, match="column 0"):
            left.patched({(0, 500): b"other bytes", (9, 0): b"no such column", (1, 1 << 40): b"beyond its end"})
        assert await space.core.ledger.do(State.queued_names)
