"""An object that comes piece by piece: whole or not at all, whatever fails and whenever it is given up."""

from __future__ import annotations

import asyncio
import errno
import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    DiskStore,
    NameTaken,
    NoSuchObject,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    object_name,
)
from tests.spaces.store.test_disk import Failing, left_in_scratch, names

NAME = object_name("s/packs/1")
DATA = random.Random(5).randbytes(3_000_001)


async def _received(store: DiskStore, data: bytes, piece: int, size: int | None = None) -> bool:
    async with store.receive(NAME, len(data) if size is None else size) as incoming:
        for at in range(0, len(data), piece):
            await incoming.write(data[at : at + piece])
        return await incoming.finish()


@pytest.mark.parametrize("piece", [1, 1000, 1 << 20, len(DATA)])
async def test_what_comes_in_pieces_is_kept_whole(tmp_path: Path, piece: int) -> None:
    data = DATA[: min(len(DATA), piece * 3000)]
    store = await DiskStore.create(tmp_path / "store")
    assert await _received(store, data, piece)
    assert await store.get(NAME) == data
    assert not await _received(store, data, piece), "it was there already"
    await store.aclose()
    assert left_in_scratch(tmp_path / "store") == []


async def test_it_is_not_there_before_it_is_finished(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    async with store.receive(NAME, len(DATA)) as incoming:
        await incoming.write(DATA)
        with pytest.raises(NoSuchObject):
            await store.get(NAME)
    with pytest.raises(NoSuchObject):
        await store.get(NAME)
    await store.aclose()
    assert left_in_scratch(tmp_path / "store") == []


@given(st.integers(0, 40), st.integers(0, 40))
def test_fewer_or_more_bytes_than_announced_are_refused(announced: int, came: int) -> None:
    async def body(path: Path) -> None:
        store = await DiskStore.create(path / "store")
        if announced == came:
            assert await _received(store, DATA[:came], 7, announced)
        else:
            with pytest.raises(Misuse, match="announced"):
                await _received(store, DATA[:came], 7, announced)
            assert await names(store) == []
        await store.aclose()
        assert left_in_scratch(path / "store") == []

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(body(Path(folder)))


@pytest.mark.parametrize("size", [-1, LARGEST_OBJECT + 1])
async def test_a_size_that_no_object_has_is_refused(tmp_path: Path, size: int) -> None:
    store = await DiskStore.create(tmp_path / "store")
    with pytest.raises(Misuse, match="too large"):
        await _received(store, b"", 1, size)
    await store.aclose()


async def test_a_name_that_is_taken_keeps_its_bytes(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    await store.put(NAME, [DATA])
    other = DATA[:-1] + bytes((DATA[-1] ^ 1,))
    for wrong in (other, DATA[:-1], DATA + b"x"):
        with pytest.raises(NameTaken):
            await _received(store, wrong, 1 << 20)
    assert await store.get(NAME) == DATA
    await store.aclose()
    assert left_in_scratch(tmp_path / "store") == []


async def test_of_two_that_come_at_once_one_is_new_and_the_other_compared(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    assert sorted(await asyncio.gather(*(_received(store, DATA, 1 << 20) for _ in range(2)))) == [False, True]
    await store.aclose()


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("writev", errno.ENOSPC, StoreFull),
        ("writev", errno.EIO, StoreGone),
        ("fsync", errno.EIO, StoreGone),
        ("create", errno.EROFS, StoreReadOnly),
        ("link", errno.ENOSPC, StoreFull),
    ],
)
async def test_one_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, call: str, number: int, error: type[RopewalkError]
) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "store", files=files)
    files.errors[call] = number
    with pytest.raises(error):
        await _received(store, DATA, 1 << 20)
    files.errors.clear()
    assert await names(store) == []
    assert await _received(store, DATA, 1 << 20)
    await store.aclose()
    assert left_in_scratch(tmp_path / "store") == []


async def test_one_that_is_given_up_in_the_middle_of_a_write_leaves_nothing(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Failing):
        def writev(self, fd: int, parts: object) -> int:
            begun.set()
            go_on.wait(60)
            return super().writev(fd, parts)  # type: ignore[arg-type]

    files = Failing()
    store = await DiskStore.create(tmp_path / "store", files=files)
    files.__class__ = Slow
    task = asyncio.create_task(_received(store, DATA, 1 << 20))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await store.aclose()
    assert left_in_scratch(tmp_path / "store") == []
    assert not (tmp_path / "store" / NAME).exists()


async def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    async with store.receive(NAME, 3) as incoming:
        await incoming.write(b"abc")
    with pytest.raises(Misuse):
        await incoming.finish()
    await store.aclose()
    with pytest.raises(Misuse, match="closed"):
        await _received(store, b"abc", 3)
