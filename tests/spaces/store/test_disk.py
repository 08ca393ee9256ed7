"""The disk store on a real file system: what is peculiar to folders, and every way one can fail.

Flow: DiskStore -> a temporary folder, or a file system that fails as told
Never: fills a real disk or needs another user.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    DiskStore,
    Facts,
    NameTaken,
    NoSuchObject,
    ObjectName,
    OsFileSystem,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    object_name,
)

NAME = object_name("s/packs/1")
MARKER_READ = 4096  # bytes; by this a file system here knows a look at the marker, which is not to fail


class Failing(OsFileSystem):
    """Fails with ``errors[call]`` (an errno) where that is set; writes and reads at most ``most`` bytes at once."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.most = 1 << 30
        self.dropped = 0

    def fail(self, call: str) -> None:
        if call in self.errors:
            raise OSError(self.errors[call], os.strerror(self.errors[call]))

    def open(self, path: str, flags: int) -> int:
        if not path.endswith("ropewalk-store"):
            self.fail("create" if flags & os.O_CREAT else "open")
        return super().open(path, flags)

    def writev(self, fd: int, parts: Sequence[memoryview]) -> int:
        self.fail("writev")
        return super().writev(fd, [parts[0][: self.most]])

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        if length == MARKER_READ:
            return super().pread(fd, length, offset)
        self.fail("pread")
        return super().pread(fd, min(length, self.most), offset)

    def fsync(self, fd: int) -> None:
        self.fail("fsync")
        super().fsync(fd)

    def drop_cached(self, fd: int) -> None:
        self.dropped += 1
        super().drop_cached(fd)

    def link(self, old: str, new: str) -> None:
        self.fail("link")
        super().link(old, new)

    def unlink(self, path: str) -> None:
        self.fail("unlink")
        super().unlink(path)


def left_in_scratch(path: Path) -> list[str]:
    return [name for name in os.listdir(path / ".tmp") if not name.endswith(".lock")]


async def names(store: DiskStore) -> list[str]:
    return [listed.name async for listed in store.list("")]


# ---- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("writev", errno.ENOSPC, StoreFull),
        ("writev", errno.EDQUOT, StoreFull),
        ("writev", errno.EIO, StoreGone),
        ("fsync", errno.ENOSPC, StoreFull),
        ("fsync", errno.EIO, StoreGone),
        ("create", errno.ENOSPC, StoreFull),
        ("create", errno.EROFS, StoreReadOnly),
        ("create", errno.EACCES, StoreReadOnly),
        ("create", errno.EMFILE, StoreGone),
        ("link", errno.ENOSPC, StoreFull),
        ("link", errno.EPERM, StoreReadOnly),
    ],
)
async def test_a_put_that_fails_says_why_keeps_nothing_and_leaves_no_temporary_file(
    tmp_path: Path, call: str, number: int, error: type[RopewalkError]
) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "a", files=files)
    await store.put(object_name("before"), [b"x"])
    files.errors[call] = number
    for _ in range(2):
        with pytest.raises(error):
            await store.put(NAME, [b"held"])
        with pytest.raises(error):
            await store.put_many([(object_name(f"many/{index}"), [b"x"]) for index in range(9)])
    files.errors.clear()
    assert left_in_scratch(tmp_path / "a") == []
    assert await names(store) == ["before"]
    await store.put(NAME, [b"held"])
    assert await store.get(NAME) == b"held"
    await store.aclose()


async def test_a_folder_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    await store.put(NAME, [b"held"])
    await store.aclose()
    files = Failing()
    files.errors = dict.fromkeys(("create", "link", "unlink"), errno.EROFS)
    store = await DiskStore.open(tmp_path / "a", files=files)
    assert await store.get(NAME) == b"held"
    assert await names(store) == [NAME]
    with pytest.raises(StoreReadOnly) as caught:
        await store.put(object_name("new"), [b"x"])
    assert caught.value.hint
    with pytest.raises(StoreReadOnly):
        await store.delete(NAME)
    await store.put(NAME, [b"held"])  # it is there already
    await store.aclose()


async def test_an_object_the_disk_cannot_read_is_damaged(tmp_path: Path) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "a", files=files)
    await store.put(NAME, [b"held"])
    for call in ("pread", "open"):
        files.errors = {call: errno.EIO}
        with pytest.raises(StoreDamaged, match="s/packs/1"):
            await store.get(NAME)
        with pytest.raises(StoreDamaged):
            await store.put(NAME, [b"held"])
    files.errors = {"open": errno.EACCES}
    with pytest.raises(StoreGone):
        await store.get(NAME)
    await store.aclose()


async def test_a_file_shorter_than_it_says_is_damaged(tmp_path: Path) -> None:
    class Boasting(OsFileSystem):
        def facts(self, file: int | str) -> Facts:
            real = super().facts(file)
            return Facts(real.regular, real.size + 5, real.links)

    await (await DiskStore.create(tmp_path / "a")).put(NAME, [b"held"])
    store = await DiskStore.open(tmp_path / "a", files=Boasting())
    with pytest.raises(StoreDamaged, match="want 9 bytes from 0, got 4"):
        await store.get(NAME)
    assert await store.get(NAME, 1, 2) == b"el"
    await store.aclose()


async def test_a_file_larger_than_any_object_is_not_read_into_memory(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    with (tmp_path / "a/huge").open("wb") as huge:
        huge.truncate(LARGEST_OBJECT + 1)
    with pytest.raises(StoreDamaged, match="too large"):
        await store.get(object_name("huge"))
    assert await store.get(object_name("huge"), LARGEST_OBJECT) == b"\0"
    await store.aclose()


async def test_short_writes_and_reads_are_gone_on_with(tmp_path: Path) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "a", files=files)
    held = bytes(range(200))
    files.most = 7
    await store.put(NAME, [held[:3], held[3:50], b"", held[50:]])
    files.most = 64
    assert await store.get(NAME) == held
    assert await store.get(NAME, 3, 100) == held[3:103]
    await store.aclose()


async def test_only_large_objects_leave_the_cache(tmp_path: Path) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "a", files=files)
    await store.put(NAME, [bytes(1024 * 1024 - 1)])
    assert files.dropped == 0
    await store.put(object_name("large"), [bytes(1024 * 1024)])
    assert files.dropped == 1
    await store.aclose()


# ---- what else may lie in a folder -----------------------------------------------------------------------------------


async def test_what_is_no_object_is_not_listed_read_or_followed(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    await store.put(NAME, [b"held"])
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "a/link").symlink_to(tmp_path / "secret")
    (tmp_path / "a/out").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "a/pipe")
    for name in ("README", ".hidden", "ä", "x" * 201):
        (tmp_path / "a" / name).write_bytes(b"x")
    (tmp_path / "a/Trash").mkdir()
    (tmp_path / "a/Trash/x").write_bytes(b"x")
    assert await names(store) == [NAME]
    for name in ("link", "pipe", "s"):
        with pytest.raises(NoSuchObject):
            await store.get(object_name(name))
        with pytest.raises(NameTaken):
            await store.put(object_name(name), [b"secret"])
    await store.aclose()


async def test_the_marker_is_no_object(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    for name in ("ropewalk-store", "ropewalk-store/x"):
        with pytest.raises(Misuse):
            await store.put(object_name(name), [b"x"])
        with pytest.raises(Misuse):
            await store.get(object_name(name))
        with pytest.raises(Misuse):
            await store.delete(object_name(name))
    assert await names(store) == []
    await store.aclose()


async def test_a_folder_that_someone_removed_is_made_again(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    await store.put(NAME, [b"x"])
    await store.delete(NAME)
    (tmp_path / "a/s/packs").rmdir()
    with pytest.raises(StoreGone):
        await store.put(NAME, [b"x"])
    await store.put(NAME, [b"x"])
    assert await names(store) == [NAME]
    await store.aclose()


async def test_a_folder_of_more_names_than_are_held_at_once_is_listed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.spaces.store.listing._HELD", 3)
    store = await DiskStore.create(tmp_path / "a")
    held = sorted([f"f/{index:02}" for index in range(13)] + [f"f/{index:02}-x/y" for index in range(7)])
    await store.put_many([(object_name(name), [b""]) for name in held])
    assert await names(store) == held
    assert [listed.name async for listed in store.list("f/0", "f/03")] == [n for n in held if "f/03" < n < "f/1"]
    await store.aclose()


# ---- threads, cancellation, the end ----------------------------------------------------------------------------------


class Gate(OsFileSystem):
    """Holds each sync of a temporary file until told."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self.armed = False

    def drop_cached(self, fd: int) -> None:
        if self.armed:
            self.reached.set()
            assert self.go.wait(20)


async def test_a_cancelled_put_ends_at_once_and_keeps_nothing_its_caller_may_have_changed(tmp_path: Path) -> None:
    files = Gate()
    store = await DiskStore.create(tmp_path / "a", files=files)
    files.armed = True
    held = bytearray(2 * 1024 * 1024)
    putting = asyncio.ensure_future(store.put(NAME, [held]))
    await asyncio.to_thread(files.reached.wait, 20)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting  # while its thread still waits
    held[:] = b"\1" * len(held)
    closing = asyncio.ensure_future(store.aclose())
    await asyncio.sleep(0)
    assert not closing.done()  # it waits for the thread
    files.go.set()
    await closing
    assert not (tmp_path / "a" / NAME).exists()
    assert os.listdir(tmp_path / "a/.tmp") == []


async def test_closing_lets_calls_under_way_end(tmp_path: Path) -> None:
    files = Gate()
    store = await DiskStore.create(tmp_path / "a", files=files)
    files.armed = True
    many = [(object_name(f"m/{index}"), [bytes([index]) * 1024 * 1024]) for index in range(6)]
    putting = asyncio.ensure_future(store.put_many(many))
    await asyncio.to_thread(files.reached.wait, 20)
    closing = asyncio.ensure_future(store.aclose())
    files.go.set()
    await asyncio.gather(putting, closing)
    for name, parts in many:
        assert (tmp_path / "a" / name).read_bytes() == parts[0]
    with pytest.raises(Misuse, match="closed"):
        await names(store)


@pytest.mark.parametrize("threads", [1, 2, 8])
async def test_many_batches_at_once_never_wait_for_each_other(tmp_path: Path, threads: int) -> None:
    store = await DiskStore.create(tmp_path / "a", threads=threads)
    batches = [[(object_name(f"{batch}/{index}"), [b"x"]) for index in range(10)] for batch in range(12)]
    async with asyncio.timeout(20):
        await asyncio.gather(*[store.put_many(batch) for batch in batches])
    assert len(await names(store)) == 120
    await store.aclose()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not tell what a number stands for")
async def test_a_batch_syncs_each_folder_once(tmp_path: Path) -> None:
    synced: list[str] = []

    class Counting(OsFileSystem):
        def fsync(self, fd: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))
            super().fsync(fd)

    store = await DiskStore.create(tmp_path / "a", files=Counting())
    synced.clear()
    objects: list[tuple[ObjectName, list[bytes]]] = [(object_name(f"f/{index}"), [b"x"]) for index in range(50)]
    await store.put_many([(name, list(parts)) for name, parts in objects])
    assert synced.count(str(tmp_path / "a/f")) == 1
    assert synced.count(str(tmp_path / "a")) == 1
    assert len(synced) == 52
    await store.put(object_name("f/more"), [b"x"])
    assert len(synced) == 54  # the file and its folder; those above are known to be durable
    await store.aclose()
