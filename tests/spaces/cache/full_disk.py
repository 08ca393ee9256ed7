"""A program: a space whose home lies on a disk that fills up; run in a mount namespace of its own.

Flow: a folder on that disk -> a cache, no room: closed, then open -> what was read and written all the same
Never: is imported by a test; it runs alone, since a full disk is nothing for others to meet.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import msgspec

from ropewalk.spaces.cache import CACHE_FILE, cache
from ropewalk.spaces.home import Settings
from tests.small_disk import fill
from tests.spaces.making import World, a_space

LARGE = random.Random(1).randbytes(6_000_000)
SPARE, LOW = 4 * 1024 * 1024, 2 * 1024 * 1024  # of the disk, which is small


def _allow(settings: Settings) -> Settings:
    space = msgspec.structs.replace(settings.spaces["photos"], offline=True)
    return msgspec.structs.replace(settings, spaces={"photos": space})


async def _cached(world: World) -> None:
    async with world.open() as space:
        assert await space.read("large") == LARGE
    assert (world.folder / CACHE_FILE).stat().st_size > len(LARGE) // 2


async def _goes_on(world: World, name: str) -> None:
    async with world.open() as space:
        assert await space.read("large") == LARGE
        assert await space.write(name, name.encode())
        assert await space.read(name) == name.encode()
    assert not (world.folder / CACHE_FILE).exists()


async def main(home: Path) -> None:
    cache.SPARE, cache.LOW = SPARE, LOW
    ballast = home / "ballast"
    world = await a_space(home)
    world.home.update(_allow)
    async with world.open() as space:
        await space.write("large", LARGE)
    await _cached(world)
    fill(ballast)
    await _goes_on(world, "closed")

    ballast.unlink()
    await _cached(world)
    async with world.open() as space:
        assert await space.read("large") == LARGE
        fill(ballast)
        assert await space.write("open", LARGE[::-1])
        assert await space.read("open") == LARGE[::-1]
        assert [info.path async for info in space.list()] == ["closed", "large", "open"]
    assert not (world.folder / CACHE_FILE).exists()

    ballast.unlink()
    cache.SPARE = 0  # the cache alone fills it
    async with world.open() as space:
        for number in range(5):
            await space.write(f"more {number}", LARGE + bytes([number]))
        await space.write("last", b"last")
    async with world.open() as space:
        assert await space.read("last") == b"last"
    sys.stdout.write("went on\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
