"""Cache: the file of chunks as the event loop reaches it: one thread reads it, another one writes.

Flow: Reader, Writer -> offer -> a batch at a time -> ChunkFile; Reader -> get -> ChunkFile; Ledger -> make_room
Never: holds up a read: what there is no room to remember is not remembered, and a file that fails has no chunks; or
    takes the room on the disk that the local state and the queue need.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ropewalk.spaces.cache.file import ChunkFile, is_busy, remove

__all__ = ["Cache"]

MOST_OFFERED = 16 * 1024 * 1024  # bytes of nodes that wait to be written, and of others; what comes beyond is not kept
WORTH_WRITING = 256 * 1024  # bytes that wait before they are written; or when the space is closed
MOST_USED = 1024  # ids of chunks that were given out, before it is noted; a batch writes them along
SPARE = 64 * 1024 * 1024  # bytes of the disk that are left to others: two full packs wait in them, and the state's log
LOW = 8 * 1024 * 1024  # bytes; where no more are left, the log of the state may want them: the cache goes
_FAILED = (sqlite3.Error, OSError)


def _free(folder: Path) -> int:
    """Bytes that are free on its disk."""
    return shutil.disk_usage(folder).free


class Cache:
    """Sealed chunks of one space.

    It does not grow where the disk has no more than `SPARE` bytes left, and there is none where it has less than `LOW`.

    Args:
        path: The file.
        limit: Bytes.
        free: How many bytes the disk of a folder has left.
    """

    def __init__(self, path: Path, limit: int, free: Callable[[Path], int] = _free) -> None:
        self._path, self._limit, self._free = path, limit, free
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-cache")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-cache")
        self._read: ChunkFile | None = None
        self._write: ChunkFile | None = None
        self._lock = threading.Lock()
        self._offered: dict[bytes, tuple[bytes, bool]] = {}  # the second: whether it is a node
        self._size = {False: 0, True: 0}  # of what is no node, and of nodes
        self._used: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._failed = False
        self._begun_anew = False
        self.hits = 0  # chunks that were given out, for tests and metrics

    async def open(self) -> None:
        """Open or make the file; where that cannot be done there are no chunks."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._open)

    def _open(self) -> None:
        try:
            if self._left() < LOW:
                self._throw_away()
                return
            self._write = ChunkFile(self._path, self._limit)
            self._read = ChunkFile(self._path, self._limit)
        except _FAILED as error:
            if isinstance(error, sqlite3.Error) and is_busy(error):
                self._failed = True
                return
            self._throw_away()

    def _left(self) -> int:
        """Bytes that the disk has left; where it does not say, there is room until a write fails."""
        try:
            return self._free(self._path.parent)
        except OSError:
            return SPARE

    def _throw_away(self, *, anew: bool = False) -> None:
        """Delete the file; one that was damaged is begun anew, once."""
        self._failed = True
        read, self._read = self._read, None
        if read is not None:
            self._reading.submit(read.close)  # after what it is asked now
        write, self._write = self._write, None
        if write is not None:
            write.close()
        with suppress(OSError):
            remove(self._path)
        if anew and not self._begun_anew:
            self._begun_anew, self._failed = True, False
            self._open()

    async def get(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those of some chunks that are here, unchecked."""
        if self._failed:
            return {}
        found = await asyncio.get_running_loop().run_in_executor(self._reading, self._get, ids)
        if found:
            self.hits += len(found)
            with self._lock:
                self._used |= found.keys()
                due = len(self._used) > MOST_USED
            if due:
                self._submit(self._flush)
        return found

    def _get(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        with self._lock:
            found = {one: self._offered[one][0] for one in ids if one in self._offered}
        if (read := self._read) is None or len(found) == len(ids):
            return found
        try:
            found |= read.get([one for one in ids if one not in found])
        except sqlite3.Error as error:
            if not is_busy(error):
                self._submit(lambda: self._replace(read))
        return found

    def _replace(self, read: ChunkFile) -> None:
        """Begin the file anew, unless that was done since it was found damaged."""
        if self._read is read:
            self._throw_away(anew=True)

    def offer(self, chunk: bytes, sealed: bytes | memoryview, *, node: bool = False) -> None:
        """A chunk that was read or written, and is what its id says; from any thread.

        Args:
            chunk: Its id.
            sealed: Its bytes.
            node: Whether a tree is made of it, which outlasts what is not.
        """
        if self._failed:
            return
        with self._lock:
            if chunk in self._offered or self._size[node] + len(sealed) > MOST_OFFERED:
                return
            self._offered[chunk] = bytes(sealed), node
            before = sum(self._size.values())
            self._size[node] += len(sealed)
            due = before < WORTH_WRITING <= before + len(sealed)
        if due:
            self._submit(self._flush)

    def forget(self, chunk: bytes) -> None:
        """A chunk came out wrong."""
        with self._lock:
            self._gone.add(chunk)
            self._used.discard(chunk)
        self._submit(self._flush)

    def _submit(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it is closed; what comes late is not kept
            self._writing.submit(work)

    def _flush(self) -> None:
        with self._lock:
            offered, used, gone = dict(self._offered), self._used, self._gone
            self._used, self._gone = set(), set()
        try:
            if self._write is not None and (offered or used or gone):
                left = self._left()
                if left < LOW:
                    self._throw_away()
                else:
                    chunks = {one: data for one, (data, _) in offered.items()}
                    nodes = {one for one, (_, node) in offered.items() if node}
                    self._write.add(chunks, nodes, used, gone, max(left - SPARE, 0))
        except _FAILED as error:
            if not isinstance(error, sqlite3.Error) or not is_busy(error):
                self._throw_away(anew=True)
        finally:
            with self._lock:
                for one in offered:
                    data, node = self._offered.pop(one)
                    self._size[node] -= len(data)
                again = sum(self._size.values()) >= WORTH_WRITING  # no offer crosses the mark any more
        if again:
            self._submit(self._flush)

    def make_room(self, failed: bool) -> None:
        """Give way if the disk has hardly any room, or something failed for want of it; from other threads than ours.

        It is asked before the disk is full: what has failed half way can seldom be done again.
        """
        if failed or (not self._failed and self._left() < LOW):
            with suppress(RuntimeError):  # it is closed
                self._writing.submit(self._throw_away).result()

    async def give_way(self) -> None:
        """Free the disk of all of it; nothing is kept from now on, until the space is opened again."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._throw_away)

    async def aclose(self) -> None:
        """Write what waits, and let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._writing.shutdown(wait=False)

    def _close(self) -> None:
        self._flush()
        self._reading.shutdown()
        for one in (self._read, self._write):
            if one is not None:
                one.close()
        self._read = self._write = None
