"""Put: a local file or tree into a change.

Flow: scan -> read and seal in threads, many small files or one block of a large one at a time -> Change, in order
Never: holds more than a few MiB of a file, or keeps a file that it read while it changed without saying so.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import chain

import msgspec

from ropewalk.errors import Missing, Misuse, RopewalkError
from ropewalk.spaces.change import Change
from ropewalk.spaces.chunk import CHUNK_SIZE, Sealed
from ropewalk.spaces.content import Stored, seal_cuts, seal_small, store_cuts
from ropewalk.spaces.core import Core
from ropewalk.spaces.transfer.report import NoProgress, Progress, Report
from ropewalk.spaces.transfer.scan import Scanned, absolute, measure, open_found, scan, why_not
from ropewalk.spaces.tree.entry import LARGEST_TARGET, MOST_CHUNKS, Entry, Kind, check_name

__all__ = ["put_tree"]

SMALL = MOST_CHUNKS * CHUNK_SIZE  # bytes; files up to this are read and sealed by one job
BLOCK = 4 * CHUNK_SIZE  # bytes of a large file that one job reads
ONE_JOB_FILES, ONE_JOB_BYTES = 256, 4 * 1024 * 1024
JOBS_AHEAD = 3  # jobs given to the threads before the first is waited for
TINY = 128 * 1024  # bytes a file; below it a thread holds Python's lock most of its time, and two wait for each other
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class _Read(msgspec.Struct, frozen=True):
    """What a job made of one thing."""

    found: Scanned
    stored: Stored | None = None
    cuts: Sequence[Sealed] = ()
    why: str = ""  # it is left out
    note: str = ""  # it is kept, and this should be said
    mtime: int = 0
    mode: int = 0


class _Buffer(threading.local):
    # One for each thread, used again: memory fresh from the system costs more than reading into it.
    def __init__(self) -> None:
        self.data = bytearray(BLOCK)


_buffer = _Buffer()


async def put_tree(
    change: Change,
    core: Core,
    source: str | bytes | os.PathLike[str],
    target: tuple[bytes, ...],
    progress: Progress | None = None,
) -> Report:
    """Put a local file, link or tree at a path of the change.

    What cannot be read is left out and named in the report; all else is put.

    Args:
        change: Being made.
        core: Its space.
        source: A local path.
        target: The names of the path that it will have.
        progress: Told how far it is.

    Raises:
        Missing: There is nothing at ``source``.
        Misuse: A pipe, socket or device, or a place in the space that is taken by something else.
        BelowFloor: Too few stores could keep it.
    """
    top = absolute(source)
    work = _Put(change, core, target, progress or NoProgress())
    counting = asyncio.create_task(_count(top, progress)) if progress is not None else None
    try:
        await work.run(top)
    finally:
        if counting is not None:
            counting.cancel()
    return work.report


async def _count(top: bytes, progress: Progress) -> None:
    progress.expect(*await asyncio.to_thread(measure, top))


class _Put:
    def __init__(self, change: Change, core: Core, target: tuple[bytes, ...], progress: Progress) -> None:
        self._change, self._core, self._target, self._progress = change, core, target, progress
        self._refused: tuple[bytes, ...] | None = None  # the last folder that could not be made; its items follow it
        self.report = Report()

    async def run(self, top: bytes) -> None:
        await self._change.catch_up()
        found = scan(top)
        first = next(found)
        if first.why:
            kind = Missing if first.kind == 0 else Misuse
            raise kind(f"{os.fsdecode(top)} cannot be put: {first.why}")
        jobs: deque[asyncio.Future[list[_Read]]] = deque()
        try:
            for batch in _batches([first], found):
                if len(batch) == 1 and _is_large(batch[0]):
                    while jobs:
                        await self._take(await jobs.popleft())
                    await self._large(batch[0])
                    continue
                jobs.append(self._submit(batch))
                ahead = 0 if sum([found.size for found in batch]) < TINY * len(batch) else JOBS_AHEAD
                while len(jobs) > ahead:
                    await self._take(await jobs.popleft())
            while jobs:
                await self._take(await jobs.popleft())
        finally:
            for job in jobs:
                job.cancel()

    def _submit(self, batch: list[Scanned]) -> asyncio.Future[list[_Read]]:
        core = self._core
        return asyncio.get_running_loop().run_in_executor(core.cpu, _read_all, batch, core)

    async def _take(self, batch: list[_Read]) -> None:
        await self._change.add_chunks([(cut, None) for read in batch for cut in read.cuts])
        for read in batch:
            try:
                await self._place(read)
            except RopewalkError as error:
                if not read.found.names:
                    raise
                self._refuse(read.found, str(error))

    def _refuse(self, found: Scanned, why: str) -> None:
        self.report.skip(found.path, why)
        if found.kind == stat.S_IFDIR:
            self._refused = found.names

    async def _place(self, read: _Read) -> None:
        found, report = read.found, self.report
        if self._refused is not None and found.names[: len(self._refused)] == self._refused:
            report.left_out += 1
            return
        if read.why:
            report.skip(found.path, read.why)
            return
        if read.note:
            report.skip(found.path, read.note)
        parts = (*self._target, *found.names)
        if found.kind == stat.S_IFDIR:
            if parts:
                await self._change.folder(parts, mode=found.mode, mtime=found.mtime)
            report.folders += 1
            return
        assert read.stored is not None
        kind = Kind.SYMLINK if found.kind == stat.S_IFLNK else Kind.FILE
        stored = read.stored
        entry = Entry(kind, stored.size, read.mtime, read.mode, stored.content_id, stored.content)
        if not await self._change.put_entry(parts, entry, once=True):
            report.unchanged += 1
        if kind == Kind.SYMLINK:
            report.links += 1
        else:
            report.files += 1
            report.size += stored.size
            self._progress.advance(1, 0 if _is_large(found) else stored.size)

    async def _large(self, found: Scanned) -> None:
        core = self._core
        try:
            descriptor, before = _open(found)
        except OSError as error:
            self._refuse(found, why_not(error))
            return
        try:
            async with aclosing(_blocks(descriptor, core, self._progress)) as cuts:
                stored = await store_cuts(cuts, self._change.writer, core.maps, core.keys)
            after = os.fstat(descriptor)
        except OSError as error:
            self._refuse(found, why_not(error))
            return
        finally:
            os.close(descriptor)
        note = "" if _same(before, after) else "it changed while it was read"
        await self._take([_Read(found, stored, (), "", note, after.st_mtime_ns, stat.S_IMODE(after.st_mode))])


async def _blocks(descriptor: int, core: Core, progress: Progress) -> AsyncGenerator[Sequence[Sealed], None]:
    loop = asyncio.get_running_loop()
    jobs: deque[asyncio.Future[list[Sealed]]] = deque()
    offset = 0
    try:
        while True:
            while len(jobs) < JOBS_AHEAD:
                jobs.append(loop.run_in_executor(core.cpu, _read_block, descriptor, offset, core))
                offset += BLOCK
            block = await jobs.popleft()
            if not block:
                return
            yield block
            size = sum(cut.reference.size for cut in block)
            progress.advance(0, size)
            if size < BLOCK:
                return
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)  # they read from the descriptor


def _read_block(descriptor: int, offset: int, core: Core) -> list[Sealed]:
    size = _fill(descriptor, offset, BLOCK)
    return seal_cuts(memoryview(_buffer.data)[:size], core.keys, padded=core.padded)


def _fill(descriptor: int, offset: int, limit: int) -> int:
    """Read into the thread's buffer until it is full or the file ends; how many bytes."""
    view = memoryview(_buffer.data)
    size = 0
    while size < limit and (got := os.preadv(descriptor, [view[size:limit]], offset + size)):
        size += got
    return size


def _is_large(found: Scanned) -> bool:
    return found.kind == stat.S_IFREG and found.size > SMALL


def _batches(first: list[Scanned], rest: Iterator[Scanned]) -> Iterator[list[Scanned]]:
    """What is read by one job; a large file stands alone."""
    batch: list[Scanned] = []
    size = 0
    for found in chain(first, rest):
        large = _is_large(found)
        if batch and (large or len(batch) >= ONE_JOB_FILES or size + found.size > ONE_JOB_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(found)
        size += found.size if found.kind == stat.S_IFREG else 0
        if large:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _open(found: Scanned) -> tuple[int, os.stat_result]:
    descriptor = open_found(found, _OPEN)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no longer a file")
    return descriptor, facts


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns


def _read_all(batch: list[Scanned], core: Core) -> list[_Read]:
    return [_read_one(found, core) for found in batch]


def _read_one(found: Scanned, core: Core) -> _Read:
    if found.why:
        return _Read(found, why=found.why)
    try:
        for name in found.names[-1:]:
            check_name(name)
        if found.kind == stat.S_IFDIR:
            return _Read(found)
        if found.kind == stat.S_IFLNK:
            return _read_link(found, core)
        return _read_small(found, core)
    except OSError as error:
        return _Read(found, why=why_not(error))
    except Misuse as error:
        return _Read(found, why=str(error))


def _read_link(found: Scanned, core: Core) -> _Read:
    if found.folder is None:
        target = os.readlink(found.path)
    else:
        target = os.readlink(found.names[-1], dir_fd=found.folder.descriptor)
    if len(target) > LARGEST_TARGET:
        return _Read(found, why=f"a link to {len(target)} bytes, expected at most {LARGEST_TARGET}")
    stored, _ = seal_small(target, core.keys, padded=core.padded, inline=LARGEST_TARGET)
    return _Read(found, stored, (), mtime=found.mtime, mode=found.mode)


def _read_small(found: Scanned, core: Core) -> _Read:
    descriptor, before = _open(found)
    try:
        size, after = _read_whole(descriptor)
        changed = not (_same(before, after) and size == after.st_size)
        if changed:  # under our hands: once more
            before = after
            size, after = _read_whole(descriptor)
            changed = not (_same(before, after) and size == after.st_size)
        if size == SMALL and os.pread(descriptor, 1, SMALL):
            return _Read(found, why=f"it grew to over {SMALL} bytes while it was read; put it again")
        return _sealed(found, size, after, core, "it changed while it was read" if changed else "")
    finally:
        os.close(descriptor)


def _read_whole(descriptor: int) -> tuple[int, os.stat_result]:
    size = os.preadv(descriptor, [_buffer.data], 0)
    facts = os.fstat(descriptor)
    if 0 < size != facts.st_size:  # a short read, or a file that grows
        size = _fill(descriptor, 0, SMALL)
    return size, facts


def _sealed(found: Scanned, size: int, facts: os.stat_result, core: Core, note: str) -> _Read:
    stored, cuts = seal_small(memoryview(_buffer.data)[:size], core.keys, padded=core.padded)
    return _Read(found, stored, cuts, "", note, facts.st_mtime_ns, stat.S_IMODE(facts.st_mode))
