"""Get: a disk that is full, a call that fails and a get that is stopped leave no half file."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from tests.spaces.making import World
from tests.spaces.transfer.trees import get, look, skipped, some

MIB = 1024 * 1024


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_no_space_left_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch, there: bool, writes: int
) -> None:
    if there:
        os.mkdir(back)
        for name in ("a small", "b cuts", "c large"):
            (back / name).write_bytes(b"old")
    async with world.open() as space:
        async with space.change() as change:
            await change.write("a small", b"small")
            await change.write("b cuts", bytes(3 * MIB))
            await change.write("c large", bytes(17 * MIB))
        full = _Full(writes)
        monkeypatch.setattr(os, "pwrite", full)
        report = await get(space, "", back)
        monkeypatch.undo()
        left = look(back)
        assert {facts[0] for facts in left.values()} <= {"file"}
        if there:
            assert len(left) == 3
        contents = {facts[1] for facts in left.values()}
        assert contents <= {b"old", b"small", bytes(3 * MIB), bytes(17 * MIB)}
        assert report.files == len(contents - {b"old"})
        assert set(skipped(report).values()) == {"no space left on device"}
        assert report.left_out == 3 - report.files
        assert (await get(space, "", back)).left_out == 0
        assert {facts[1] for facts in look(back).values()} == {b"small", bytes(3 * MIB), bytes(17 * MIB)}


class _Full:
    """A disk that takes some writes, half of the next and no more."""

    def __init__(self, writes: int) -> None:
        self._real, self._left = os.pwrite, writes

    def __call__(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        self._left -= 1
        if self._left >= 0:
            return self._real(descriptor, data, offset)
        if self._left == -1 and len(data) > 1:
            return self._real(descriptor, memoryview(data)[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fchmod", "utime", "replace"])
async def test_what_fails_in_the_end_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    os.mkdir(back)
    (back / "file").write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    async with world.open() as space:
        await space.write("file", b"new")
        monkeypatch.setattr(os, call, fail)
        report = await get(space, "", back)
    assert skipped(report)["file"] == "operation not permitted"
    assert (back / "file").read_bytes() == b"old"
    assert os.listdir(back) == ["file"]


async def test_a_link_that_cannot_be_made_leaves_what_was_there(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(back)
    (back / "link").write_bytes(b"old")
    real = os.symlink

    def full(source: bytes, target: bytes, *, dir_fd: int) -> None:
        if os.path.lexists(back / os.fsdecode(target)):
            real(source, target, dir_fd=dir_fd)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", full)
    async with world.open() as space:
        await some(space)
        assert skipped(await get(space, "", back)) == {"link": "no space left on device"}
    assert (back / "link").read_bytes() == b"old"


async def test_a_link_that_cannot_take_its_place_leaves_nothing_beside_it(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(back)
    (back / "link").write_bytes(b"old")

    def fail(source: bytes, target: bytes, **_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "replace", fail)
    async with world.open() as space:
        await some(space)
        await get(space, "link", back / "link")
    assert os.listdir(back) == ["link"]
    assert (back / "link").read_bytes() == b"old"


async def test_a_get_that_is_stopped_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open() as space:
        await space.write("large", bytes(40 * MIB))
        me, loop, real = asyncio.current_task(), asyncio.get_running_loop(), os.pwrite
        assert me is not None

        def stop(descriptor: int, data: bytes, offset: int) -> int:
            loop.call_soon_threadsafe(me.cancel)
            return real(descriptor, data, offset)

        monkeypatch.setattr(os, "pwrite", stop)
        with pytest.raises(asyncio.CancelledError):
            await get(space, "", back)
        me.uncancel()
    assert os.listdir(back) == []
