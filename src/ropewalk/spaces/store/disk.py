"""The disk store: objects as files of one folder, kept by a few threads so that the event loop never waits for a disk.

Flow: pool -> DiskStore -> folder, in a thread
Never: touches the file system from the event loop's thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from ropewalk.errors import Misuse
from ropewalk.spaces.store.aside import Aside
from ropewalk.spaces.store.examined import Examined
from ropewalk.spaces.store.examining import examine_folder
from ropewalk.spaces.store.filesystem import FileSystem, OsFileSystem
from ropewalk.spaces.store.folder import Folder
from ropewalk.spaces.store.interface import Listed, ObjectName, Parts, Room
from ropewalk.spaces.store.opening import create_folder, open_folder
from ropewalk.spaces.store.parts import checked_range
from ropewalk.spaces.store.receiving import Receiving
from ropewalk.spaces.store.threads import Threads, ThreadsClosed

__all__ = ["DiskStore", "Incoming"]

_T = TypeVar("_T")
Sleep = Callable[[float], Awaitable[None]]

THREADS = 4  # a disk's queue is kept busy by a few; each holds one object at most
TELLS_EVERY = 0.25  # seconds between two looks at a hint that somebody waits for: four calls of stat a second
TELLS_OFTEN = 8  # looks, after which they are half as many: changes come together, and a second is not missed
_PAGE = 1024  # objects; a listing takes one turn of a thread for so many
_FIRST_PAGE = 16


class DiskStore:
    """A store in a folder.  Made by ``create`` once, and by ``open`` from then on.

    Attributes:
        identity: 16 random bytes, the same for the life of the store.
        root: The folder.
    """

    def __init__(self, folder: Folder, pool: Threads, threads: int, sleep: Sleep = asyncio.sleep) -> None:
        self.identity, self.root = folder.identity, folder.root
        self._folder = folder
        self._aside = Aside(folder)
        self._pool = pool
        self._threads = threads
        self._sleep = sleep

    @classmethod
    async def create(
        cls,
        path: str | os.PathLike[str],
        *,
        files: FileSystem | None = None,
        threads: int = THREADS,
        sleep: Sleep = asyncio.sleep,
    ) -> DiskStore:
        """Make an empty folder, or one whose parent is there, a store, and open it.

        Args:
            path: The folder.
            files: The file system.
            threads: How many do the work.
            sleep: Waits so many seconds, between two looks at a hint.

        Raises:
            Misuse: The folder is a store, or is not empty.
            StoreGone: The parent is not there.
            StoreFull, StoreReadOnly: The folder cannot be written, or its file system has no hard links.
        """
        return await cls._made(partial(create_folder, files or OsFileSystem(), _absolute(path)), threads, sleep)

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        expect: bytes | None = None,
        *,
        files: FileSystem | None = None,
        threads: int = THREADS,
        sleep: Sleep = asyncio.sleep,
    ) -> DiskStore:
        """The store in a folder, which must be ``expect`` where that is given.

        Raises:
            StoreGone: There is no store in the folder, or it is another one.
            StoreDamaged, UnknownStoreFormat: The folder's marker cannot be understood.
        """
        return await cls._made(partial(open_folder, files or OsFileSystem(), _absolute(path), expect), threads, sleep)

    @classmethod
    async def _made(cls, make: Callable[[], Folder], threads: int, sleep: Sleep) -> DiskStore:
        pool = Threads(threads, "ropewalk-disk")
        try:
            return cls(await pool.run(make), pool, threads, sleep)
        except BaseException:
            pool.stop()
            raise

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self.put_many([(name, parts)])

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        abandoned = threading.Event()
        try:
            await self._run(self._folder.put, list(objects), self._spread, abandoned.is_set)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    @asynccontextmanager
    async def receive(self, name: ObjectName, size: int) -> AsyncIterator[Incoming]:
        """A put whose bytes come piece by piece; nothing is kept unless it is finished inside.

        Raises:
            Misuse: The name is not fit, or the object too large.
        """
        receiving = Receiving(self._folder, name, size)
        try:
            yield Incoming(self._run, receiving)
        finally:
            # Not waited for: the one who waits may have been cancelled, and nothing depends on it.
            with suppress(ThreadsClosed):
                self._pool.submit(receiving.close)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        abandoned = threading.Event()
        try:
            await self._run(self._folder.replace, name, parts, abandoned.is_set)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        # Not by inotify or the like: that is blind on network disks, where a second machine's writes matter most.
        looks = 1
        while (now := await self._run(self._folder.mark, name)) == mark:
            await self._sleep(TELLS_EVERY if looks <= TELLS_OFTEN else 2 * TELLS_EVERY)
            looks += 1
        return now

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        checked_range(offset, length)
        return await self._run(self._folder.get, name, offset, length)

    async def get_many(self, names: Sequence[ObjectName], most: int) -> list[bytes | None]:
        """As `GivesMany.get_many`, in one turn of a thread: to hand a call over takes longer than to read so little."""
        checked_range(0, most)
        abandoned = threading.Event()
        try:
            return await self._run(self._folder.get_many, list(names), most, abandoned.is_set)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        found = self._folder.walk(prefix, after)
        size = _FIRST_PAGE  # whoever lists may only want to know what comes first
        while page := await self._run(self._folder.page, found, size):
            for listed in page:
                yield listed
            size = min(4 * size, _PAGE)

    async def delete(self, name: ObjectName) -> None:
        await self._run(self._folder.delete, name)

    async def set_aside(self, name: ObjectName, label: str) -> int:
        """``delete`` that can be undone: the object is kept under a label.  Its bytes.

        Raises:
            NoSuchObject, StoreFull, StoreReadOnly, StoreGone.
        """
        return await self._run(self._aside.put, name, label)

    async def take_back(self, label: str, name: ObjectName) -> None:
        """Undo `set_aside`.

        Raises:
            NoSuchObject, NameTaken, StoreFull, StoreReadOnly, StoreGone.
        """
        await self._run(self._aside.take_back, label, name)

    async def drop_aside(self, label: str) -> None:
        """Forget what was set aside, durably; what is not there is a success."""
        await self._run(self._aside.drop, label)

    async def aside(self) -> set[str]:
        """The labels of all that is set aside."""
        return await self._run(self._aside.labels)

    async def stamp(self, prefix: str) -> bytes:
        """Another whenever an object came to those right below a prefix that ends in a slash, or left them.

        Of two changes within the same moment of the file system's clock the second may not show.

        Raises:
            StoreGone.
        """
        return await self._run(self._folder.stamp, prefix)

    async def room(self) -> Room | None:
        return await self._run(self._folder.room)

    async def examine(self) -> Examined:
        """As `Examines.examine`."""
        return await self._run(examine_folder, self._folder)

    async def aclose(self) -> None:
        await self._pool.close(self._folder.close)

    async def _run(self, work: Callable[..., _T], *args: object) -> _T:
        try:
            return await self._pool.run(partial(work, *args))
        except ThreadsClosed:
            raise Misuse(f"store at {self._folder.root} is closed") from None

    def _spread(self, work: Callable[[int], None], count: int) -> None:
        """``Spread`` over the idle threads; this one takes part, so it never waits for a thread to be free."""
        left = deque(range(count))

        def take() -> None:
            try:
                while True:
                    try:
                        index = left.popleft()
                    except IndexError:
                        return
                    work(index)
            except BaseException:
                left.clear()  # the others need not go on
                raise

        others: list[Future[None]] = []
        with suppress(ThreadsClosed):  # closing: what is under way ends, in this thread alone
            others += [self._pool.submit(take) for _ in range(min(self._threads, count) - 1)]
        try:
            take()
        finally:
            begun = [other for other in others if not other.cancel()]
            failures = [error for other in begun if (error := other.exception())]
        if failures:
            raise failures[0]


class Incoming:
    """An object on its way into a `DiskStore`.  One call at a time."""

    def __init__(self, run: Callable[..., Awaitable[Any]], receiving: Receiving) -> None:
        self._run, self._receiving = run, receiving

    async def write(self, piece: bytes) -> None:
        """The next bytes.

        Raises:
            Misuse: There are more than were announced.
            StoreFull, StoreReadOnly, StoreGone.
        """
        await self._run(self._receiving.write, piece)

    async def finish(self) -> bool:
        """Keep it, as ``put`` does; whether it is new.

        Raises:
            Misuse: There are fewer bytes than were announced.
            NameTaken, StoreFull, StoreReadOnly, StoreGone, StoreDamaged.
        """
        return bool(await self._run(self._receiving.finish))


def _absolute(path: str | os.PathLike[str]) -> str:
    # Not resolved: a path may lead through a link to where the disk is mounted today.
    return os.path.abspath(path)
