"""Many small objects in one call: what is peculiar to a folder."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.store import DiskStore, GivesMany, MemoryStore, OsFileSystem, object_name

NAMES = [object_name(f"s/heads/{number}") for number in range(8)]


class _Held(OsFileSystem):
    """Each object is opened once that is let happen."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.held = False

    def open(self, path: str, flags: int) -> int:
        if self.held and "/heads/" in path:
            self.opened.append(path)
            self.begun.release()
            self.go_on.acquire()
        return super().open(path, flags)


async def _store(path: Path, files: OsFileSystem | None = None) -> DiskStore:
    store = await DiskStore.create(path, files=files, threads=1)
    await store.put_many([(name, [name.encode()]) for name in NAMES])
    return store


async def test_a_folder_gives_many_and_memory_leaves_it(tmp_path: Path) -> None:
    store = await _store(tmp_path / "store")
    assert isinstance(store, GivesMany)
    assert not isinstance(MemoryStore(), GivesMany)
    await store.aclose()
    with pytest.raises(Misuse, match="closed"):
        await store.get_many(NAMES, 100)


async def test_what_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    store = await _store(tmp_path / "store")
    path = tmp_path / "store" / NAMES[3]
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    given = await store.get_many(NAMES, 100)
    assert given == [name.encode() if name != NAMES[3] else None for name in NAMES]
    os.rename(tmp_path / "store", tmp_path / "gone")
    assert await store.get_many(NAMES, 100) == [None] * len(NAMES)
    await store.aclose()


async def test_nothing_more_is_read_once_nobody_waits(tmp_path: Path) -> None:
    files = _Held()
    store = await _store(tmp_path / "store", files)
    files.held = True
    call = asyncio.create_task(store.get_many(NAMES, 100))
    await asyncio.to_thread(files.begun.acquire)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    files.go_on.release()
    await store.aclose()
    assert len(files.opened) == 1
