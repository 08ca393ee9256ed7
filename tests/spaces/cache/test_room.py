"""The cache takes none of the room on the disk that others need."""

from __future__ import annotations

import os
from pathlib import Path

from ropewalk.spaces.cache import CACHE_FILE, LEAST, Cache, cache


class Disk:
    """How much it has left."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, folder: Path) -> int:
        assert (folder / "state.db").exists()
        if self.left < 0:
            raise OSError(5, "it does not say")
        return self.left


async def opened(folder: Path, disk: Disk) -> Cache:
    (folder / "state.db").touch()
    made = Cache(folder / CACHE_FILE, LEAST, disk)
    await made.open()
    return made


def chunk(number: int) -> tuple[bytes, bytes]:
    return number.to_bytes(32, "big"), bytes([number]) * 3000


async def keep(folder: Path, disk: Disk, number: int) -> None:
    made = await opened(folder, disk)
    made.offer(*chunk(number))
    await made.aclose()


async def found(folder: Path, disk: Disk, *numbers: int) -> list[int]:
    made = await opened(folder, disk)
    there = await made.get([chunk(number)[0] for number in numbers])
    await made.aclose()
    return [number for number in numbers if chunk(number)[0] in there]


async def test_nothing_is_taken_in_below_the_reserve_and_what_is_there_stays(tmp_path: Path) -> None:
    disk = Disk(cache.SPARE)
    await keep(tmp_path, disk, 1)
    assert await found(tmp_path, disk, 1) == []
    disk.left += 5000  # there is room for one and what is noted of it
    await keep(tmp_path, disk, 2)
    assert await found(tmp_path, disk, 1, 2) == [2]
    disk.left = cache.SPARE - 1
    assert await found(tmp_path, disk, 1, 2) == [2]
    await keep(tmp_path, disk, 3)
    assert await found(tmp_path, disk, 1, 2, 3) == [3]  # it took the place of another one
    disk.left = -1
    assert await found(tmp_path, disk, 1, 2, 3) == [3]


async def test_where_hardly_any_is_left_when_it_is_opened_it_goes(tmp_path: Path) -> None:
    disk = Disk(2 * cache.SPARE)
    await keep(tmp_path, disk, 1)
    disk.left = cache.LOW
    assert await found(tmp_path, disk, 1) == [1]
    disk.left = cache.LOW - 1
    await keep(tmp_path, disk, 2)
    assert os.listdir(tmp_path) == ["state.db"]


async def test_where_hardly_any_is_left_when_it_is_written_it_goes(tmp_path: Path) -> None:
    disk = Disk(2 * cache.SPARE)
    made = await opened(tmp_path, disk)
    made.offer(*chunk(1))
    disk.left = cache.LOW - 1
    await made.aclose()
    assert os.listdir(tmp_path) == ["state.db"]


async def test_it_gives_way_before_the_disk_is_full_and_after_something_found_no_room(tmp_path: Path) -> None:
    disk = Disk(2 * cache.SPARE)
    made = await opened(tmp_path, disk)
    made.offer(*chunk(1))
    disk.left = cache.LOW
    made.make_room(False)
    assert (tmp_path / CACHE_FILE).exists()
    disk.left -= 1
    made.make_room(False)
    assert os.listdir(tmp_path) == ["state.db"]
    made.make_room(False)
    made.make_room(True)
    await made.aclose()
    made.make_room(True)  # too late

    disk.left = 2 * cache.SPARE  # a quota may be less than what is free
    made = await opened(tmp_path, disk)
    made.make_room(False)
    assert (tmp_path / CACHE_FILE).exists()
    made.make_room(True)
    assert os.listdir(tmp_path) == ["state.db"]
    await made.aclose()
