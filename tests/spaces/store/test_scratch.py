"""Temporary files: those of the dead are swept, those of the living are not.

Flow: DiskStore -> Scratch -> a temporary folder, shared with another process or store
Never: waits for anyone: a rival strikes inside the call it races with.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

from ropewalk.spaces.store import DiskStore, OsFileSystem, object_name

NAME = object_name("s/packs/1")


def die_writing(path: Path) -> None:
    """Let a process end in the middle of a put."""
    script = """
import os, sys
from ropewalk.spaces.store.filesystem import OsFileSystem
from ropewalk.spaces.store.scratch import Scratch
open(Scratch(OsFileSystem(), sys.argv[1]).fresh(), "w").write("half")
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)


async def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    living = await DiskStore.create(path)
    await living.put(NAME, [b"x"])  # takes the lock
    being_written = Path(living._folder._scratch.fresh())
    await asyncio.to_thread(being_written.write_bytes, b"half")
    await asyncio.to_thread(die_writing, path)
    (path / ".tmp/0123-7").write_bytes(b"its lock file went first")
    assert len(os.listdir(path / ".tmp")) == 5
    other = await DiskStore.open(path)
    assert sorted(os.listdir(path / ".tmp")) == sorted(
        [being_written.name, being_written.name.partition("-")[0] + ".lock"]
    )
    os.unlink(being_written)
    await living.put(object_name("more"), [b"x"])
    await living.aclose()
    await other.aclose()
    assert os.listdir(path / ".tmp") == []


async def test_a_lock_file_swept_before_it_was_locked_is_made_again(tmp_path: Path) -> None:
    class Sweeping(OsFileSystem):
        rivals = 2

        def lock(self, fd: int) -> bool:
            if self.rivals:
                self.rivals -= 1
                for name in os.listdir(tmp_path / "a/.tmp"):
                    (tmp_path / "a/.tmp" / name).unlink()
                return bool(self.rivals)  # once it was locked too late, once not at all
            return super().lock(fd)

    store = await DiskStore.create(tmp_path / "a", files=Sweeping())
    await store.put(NAME, [b"x"])
    assert len(os.listdir(tmp_path / "a/.tmp")) == 1
    await store.aclose()


class NoLocks(OsFileSystem):
    def lock(self, fd: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


async def test_a_file_system_without_locks_is_written_and_never_swept(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a", files=NoLocks())
    await store.put(NAME, [b"x"])
    other = await DiskStore.open(tmp_path / "a", files=NoLocks())
    assert len(os.listdir(tmp_path / "a/.tmp")) == 1
    await other.aclose()
    await store.aclose()
