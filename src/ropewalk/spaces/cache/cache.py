"""Cache: the file of chunks as the event loop reaches it: one thread reads it, another one writes.

Flow: Reader, Writer -> offer -> a batch at a time -> ChunkFile; Reader -> get -> ChunkFile
Never: holds up a read: what there is no room to remember is not remembered, and a file that fails has no chunks.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ropewalk.spaces.cache.file import ChunkFile

__all__ = ["Cache"]

MOST_OFFERED = 16 * 1024 * 1024  # bytes that wait to be written; what comes beyond is not kept
WORTH_WRITING = 256 * 1024  # bytes that wait before they are written; or when the space is closed
MOST_USED = 1024  # ids of chunks that were given out, before it is noted; a batch writes them along
_FAILED = (sqlite3.Error, OSError)


class Cache:
    """Sealed chunks of one space.

    Args:
        path: The file.
        limit: Bytes.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-cache")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-cache")
        self._read: ChunkFile | None = None
        self._write: ChunkFile | None = None
        self._lock = threading.Lock()
        self._offered: dict[bytes, bytes] = {}
        self._size = 0
        self._used: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._failed = False
        self.hits = 0  # chunks that were given out, for tests and metrics

    async def open(self) -> None:
        """Open or make the file; where that cannot be done there are no chunks."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._open)

    def _open(self) -> None:
        try:
            self._write = ChunkFile(self._path, self._limit)
            self._read = ChunkFile(self._path, self._limit)
        except _FAILED:
            self._fail()

    def _fail(self) -> None:
        self._failed = True
        read, self._read = self._read, None
        if read is not None:
            self._reading.submit(read.close)  # after what it is asked now
        if self._write is not None:
            self._write.throw_away()
            self._write = None

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
                self._writing.submit(self._flush)
        return found

    def _get(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        with self._lock:
            found = {one: self._offered[one] for one in ids if one in self._offered}
        try:
            if (read := self._read) is not None and len(found) < len(ids):
                found |= read.get([one for one in ids if one not in found])
        except sqlite3.OperationalError:
            pass  # it is busy, or the disk fails: as good as not there
        except sqlite3.Error:
            self._failed = True
        return found

    def offer(self, chunk: bytes, sealed: bytes | memoryview) -> None:
        """A chunk that was read or written, and is what its id says; from any thread."""
        if self._failed:
            return
        with self._lock:
            if chunk in self._offered or self._size + len(sealed) > MOST_OFFERED:
                return
            self._offered[chunk] = bytes(sealed)
            before, self._size = self._size, self._size + len(sealed)
            due = before < WORTH_WRITING <= self._size
        if due:
            self._submit()

    def forget(self, chunk: bytes) -> None:
        """A chunk came out wrong."""
        with self._lock:
            self._gone.add(chunk)
            self._used.discard(chunk)
        self._submit()

    def _submit(self) -> None:
        with suppress(RuntimeError):  # it is closed; what comes late is not kept
            self._writing.submit(self._flush)

    def _flush(self) -> None:
        with self._lock:
            offered, used, gone = dict(self._offered), self._used, self._gone
            self._used, self._gone = set(), set()
        try:
            if self._write is not None and (offered or used or gone):
                self._write.add(offered, used, gone)
        except sqlite3.OperationalError:
            pass  # no room, or another process writes: these are not kept
        except _FAILED:
            self._fail()
        finally:
            with self._lock:
                for one in offered:
                    self._size -= len(self._offered.pop(one))
                again = self._size >= WORTH_WRITING  # no offer crosses the mark any more
        if again:
            self._submit()

    async def give_way(self) -> None:
        """Free the disk of all of it; nothing is kept from now on, until the space is opened again."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._fail)

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
