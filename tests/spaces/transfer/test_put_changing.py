"""Put: files that are another thing, or change, while they are read are named, and never kept in part."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spaces.making import World
from tests.spaces.transfer.trees import put, skipped

MIB = 1024 * 1024


def _swap_when_opened(monkeypatch: pytest.MonkeyPatch, file: Path, swap: Callable[[Path], None]) -> None:
    """Do something to a file just before it is opened."""
    real = os.open

    def swapped(path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fsencode(path) == os.fsencode(file.name):
            swap(file)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("size", [10, 5 * MIB])
@pytest.mark.parametrize(
    ("swap", "why"),
    [
        (Path.unlink, "no such file or directory"),
        (_to_link, "too many levels of symbolic links"),
        (_to_pipe, "it is no longer a file"),
    ],
)
async def test_a_file_that_is_something_else_when_it_is_opened_is_named(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None], why: str, size: int
) -> None:
    (tree / "a").write_bytes(b"a")
    (tree / "swapped").write_bytes(bytes(size))
    (tree / "z").write_bytes(b"z")
    _swap_when_opened(monkeypatch, tree / "swapped", swap)
    async with world.open() as space:
        report = await put(space, tree)
        assert [info.path async for info in space.list()] == ["a", "z"]
    assert skipped(report) == {"swapped": why}
    assert (report.files, report.left_out) == (2, 1)


@pytest.mark.parametrize("size", [10, 5 * MIB])
async def test_a_folder_swapped_for_a_link_while_its_files_are_read_is_not_followed(
    world: World, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    for folder, byte in ((tmp_path / "elsewhere", b"s"), (tree / "folder", b"o")):
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).write_bytes(byte * size)

    def swap(_: Path) -> None:
        if not (tree / "folder").is_symlink():
            (tree / "folder").rename(tmp_path / "moved")
            (tree / "folder").symlink_to(tmp_path / "elsewhere")

    _swap_when_opened(monkeypatch, tree / "folder" / "a", swap)
    async with world.open() as space:
        assert (await put(space, tree)).files == 2
        assert [await space.read(f"folder/{name}") for name in ("a", "b")] == [b"o" * size] * 2


@pytest.mark.parametrize("size", [10, 5 * MIB])
async def test_a_file_that_may_not_be_read_is_named(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tree / "closed").write_bytes(bytes(size))
    (tree / "open").write_bytes(b"kept")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    _swap_when_opened(monkeypatch, tree / "closed", refuse)
    async with world.open() as space:
        report = await put(space, tree)
        assert [info.path async for info in space.list()] == ["open"]
    assert skipped(report) == {"closed": "permission denied"}


class _Reads:
    """Does something to a file after a read of it, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, then: Callable[[int], None]) -> None:
        self._real, self._left, self._then = os.preadv, times, then
        monkeypatch.setattr(os, "preadv", self)

    def __call__(self, descriptor: int, views: list[memoryview], offset: int) -> int:
        got = self._real(descriptor, views, offset)
        if self._left and got:
            self._left -= 1
            self._then(self._left)
        return got


async def test_a_file_that_grows_once_while_it_is_read_is_read_again(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "log").write_bytes(b"x" * 2000)

    def grow(_: int) -> None:
        with open(tree / "log", "ab") as file:
            file.write(b"y" * 1000)

    _Reads(monkeypatch, 1, grow)
    async with world.open() as space:
        report = await put(space, tree)
        assert await space.read("log") == b"x" * 2000 + b"y" * 1000
    assert report.left_out == 0


@pytest.mark.parametrize("size", [2000, 5 * MIB])
async def test_a_file_that_goes_on_growing_is_kept_and_named(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tree / "log").write_bytes(b"x" * size)

    def grow(_: int) -> None:
        with open(tree / "log", "ab") as file:
            file.write(b"y")

    _Reads(monkeypatch, 100, grow)
    async with world.open() as space:
        report = await put(space, tree)
        kept = await space.read("log")
        assert kept.startswith(b"x" * size)
        assert set(kept[size:]) <= {ord("y")}
        assert (await (await space.current()).file("log")).size == len(kept)
    assert skipped(report) == {"log": "it changed while it was read"}
    assert (report.files, report.left_out) == (1, 1)


@pytest.mark.parametrize("size", [2000, 9 * MIB])
@pytest.mark.parametrize("left", [0, 700])
async def test_a_file_that_shrinks_while_it_is_read_is_kept_as_it_then_was(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch, size: int, left: int
) -> None:
    data = random.Random(size).randbytes(size)
    (tree / "file").write_bytes(data)
    _Reads(monkeypatch, 1, lambda _: os.truncate(tree / "file", left))
    async with world.open() as space:
        report = await put(space, tree)
        kept = await space.read("file")
        assert data.startswith(kept)
        assert len(kept) < size
        if size > 4 * MIB:
            assert skipped(report) == {"file": "it changed while it was read"}
        else:
            assert (kept, report.left_out) == (data[:left], 0)


async def test_a_file_that_is_rewritten_in_place_is_named(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_bytes(b"x" * 2000)

    def rewrite(left: int) -> None:
        os.utime(tree / "file", ns=(left, left))

    _Reads(monkeypatch, 100, rewrite)
    async with world.open() as space:
        assert skipped(await put(space, tree)) == {"file": "it changed while it was read"}
        assert await space.read("file") == b"x" * 2000


async def test_a_small_file_that_grows_large_is_left_out(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_bytes(b"x")
    _Reads(monkeypatch, 1, lambda _: os.truncate(tree / "file", 5 * MIB))
    async with world.open() as space:
        report = await put(space, tree)
        assert [info.path async for info in space.list()] == []
    assert skipped(report) == {"file": "it grew to over 4194304 bytes while it was read; put it again"}


@pytest.mark.parametrize("size", [2000, 5 * MIB])
async def test_a_file_that_cannot_be_read_to_its_end_is_left_out(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tree / "bad disk").write_bytes(bytes(size))
    (tree / "good").write_bytes(b"kept")

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    _Reads(monkeypatch, 1, fail)
    async with world.open() as space:
        report = await put(space, tree)
        assert [info.path async for info in space.list()] == ["good"]
    assert skipped(report) == {"bad disk": "input/output error"}


def _ignore(_: object) -> None:
    pass


async def test_a_put_that_is_stopped_leaves_nothing_to_see(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "large").write_bytes(bytes(9 * MIB))
    async with world.open() as space:
        stop = asyncio.current_task()
        assert stop is not None
        loop = asyncio.get_running_loop()
        _Reads(monkeypatch, 1, lambda _: _ignore(loop.call_soon_threadsafe(stop.cancel)))
        with pytest.raises(asyncio.CancelledError):
            await put(space, tree)
        stop.uncancel()
        assert await space.log() == []
        assert (await put(space, tree)).files == 1
