"""Get: a file or tree of a version into local files.

Flow: Version.walk -> folders and links made, files in batches -> references -> Reader -> written where they are opened
Never: writes through a symbolic link, replaces a file before its successor is whole, or leaves half a file behind.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ropewalk.errors import Refused, RopewalkError, first_of
from ropewalk.spaces.chunk import CHUNK_SIZE, ChunkType, Reference
from ropewalk.spaces.core import Core
from ropewalk.spaces.transfer.report import NoProgress, Progress, Report
from ropewalk.spaces.transfer.scan import absolute, why_not
from ropewalk.spaces.tree.entry import Entry, Inline, Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Version

__all__ = ["TargetRefused", "get_tree"]

BATCH_BYTES, BATCH_FILES = 16 * 1024 * 1024, 1024  # of small files fetched together
TINY = 128 * 1024  # bytes a file; below it two batches would wait for Python's lock: one at a time
AT_ONCE = 2  # batches under way: one is fetched while the other is written
FOLDER_MODE = 0o3777
PLAIN_MODE = 0o1777  # an owner is not kept, so a file that runs as its owner would run as whoever brings it back
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | getattr(os, "O_CLOEXEC", 0)


class TargetRefused(Refused):
    """The local place cannot take what is brought back."""

    code = "transfer.target-refused"


@dataclass(slots=True)
class _Landing:
    """A local file being written, by several threads at once if it is large."""

    path: bytes
    entry: Entry
    missing: int = 0  # cuts
    landed: bytearray = field(default_factory=bytearray)  # for each cut, whether it was written
    opened: bytes = b""  # the name that the file has until it is whole
    descriptor: int = -1
    failed: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.missing = max(-(-self.entry.size // CHUNK_SIZE), 1)

    def write(self, offset: int, data: bytes) -> None:
        """One cut; the last one ends the file.  A failure is kept, not raised: other files go on."""
        cut = offset // CHUNK_SIZE
        with self.lock:
            if self.failed or (cut < len(self.landed) and self.landed[cut]):
                return  # a read that was given up may deliver what is then read again
            try:
                if self.descriptor < 0:
                    self._open()
                _write_all(self.descriptor, data, offset)
                self.landed.extend(bytes(max(cut + 1 - len(self.landed), 0)))
                self.landed[cut] = 1
                self.missing -= 1
                if not self.missing:
                    self._finish()
            except OSError as error:
                self._abandon(why_not(error))

    def fail(self, why: str) -> None:
        """Give the file up and leave nothing of it."""
        with self.lock:
            if not self.failed and self.missing > 0:
                self._abandon(why)

    def _open(self) -> None:
        self.opened = self.path
        try:
            self.descriptor = os.open(self.opened, _NEW, 0o600)
        except FileExistsError:
            self.opened = _beside(self.path)
            self.descriptor = os.open(self.opened, _NEW, 0o600)

    def _finish(self) -> None:
        os.ftruncate(self.descriptor, self.entry.size)
        os.fchmod(self.descriptor, self.entry.mode & PLAIN_MODE)
        os.utime(self.descriptor, ns=(self.entry.mtime, self.entry.mtime))
        if self.opened != self.path:
            os.replace(self.opened, self.path)
        os.close(self.descriptor)
        self.descriptor = -1

    def _abandon(self, why: str) -> None:
        self.failed = why
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            with suppress(OSError):
                os.unlink(self.opened)


async def get_tree(
    version: Version,
    core: Core,
    path: str | bytes,
    target: str | bytes | os.PathLike[str],
    progress: Progress | None = None,
) -> Report:
    """Bring what lies at a path back as ``target``, a name that need not be there yet.

    A folder that is there is filled; a file that is there is replaced once its successor is whole.  What cannot be
    written, or cannot be read, is left out and named in the report.

    Raises:
        NoSuchPath, NotAFolder: Nothing lies at the path.
        TargetRefused: The target cannot be made.
    """
    work = _Get(version, core, absolute(target), progress or NoProgress())
    try:
        async with asyncio.TaskGroup() as group:
            await work.run(path, group)
    except* RopewalkError as several:
        raise first_of(several) from None
    await asyncio.to_thread(work.dress_folders)
    return work.report


class _Get:
    def __init__(self, version: Version, core: Core, target: bytes, progress: Progress) -> None:
        self._version, self._core, self._target, self._progress = version, core, target, progress
        self._folders: list[tuple[bytes, Entry]] = []
        self._refused: tuple[bytes, ...] | None = None  # the last folder that could not be made
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._batch: list[_Landing] = []
        self._size = 0
        self.report = Report()

    async def run(self, path: str | bytes, group: asyncio.TaskGroup) -> None:
        top = await self._version.find(path)
        if top.kind == Kind.FOLDER:
            self._make_folder((), top)
        async for names, shown in self._version.walk(path, self._unreadable):
            if self._refused is not None and names[: len(self._refused)] == self._refused:
                self.report.left_out += 1  # what is in it follows it
                continue
            await self._one(names, shown, group)
        await self._launch(group)

    async def _one(self, names: tuple[bytes, ...], shown: Shown, group: asyncio.TaskGroup) -> None:
        local = b"/".join((self._target, *names))
        if shown.kind == Kind.FOLDER:
            self._make_folder(names, shown)
        elif shown.kind == Kind.SYMLINK:
            self._make_link(local, shown.entry)
        elif shown.kind == Kind.FILE:
            entry = shown.entry
            landing = _Landing(local, entry)
            if entry.size > BATCH_BYTES:
                await self._start(group, [landing])
                return
            self._batch.append(landing)
            self._size += entry.size
            if self._size >= BATCH_BYTES or len(self._batch) >= BATCH_FILES:
                await self._launch(group)
        else:
            self.report.skip(local, f"of kind {shown.kind}, which this version does not know")

    def _unreadable(self, names: tuple[bytes, ...], error: RopewalkError) -> None:
        self.report.skip(b"/".join((self._target, *names)), _told(error))

    def _make_folder(self, names: tuple[bytes, ...], shown: Shown) -> None:
        local = b"/".join((self._target, *names))
        try:
            try:
                os.mkdir(local, 0o700)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(local).st_mode):
                    raise OSError(errno.ENOTDIR, "something else is there, or a link") from None
        except OSError as error:
            if not names:
                raise TargetRefused(
                    f"{os.fsdecode(local)} cannot be made a folder: {why_not(error)}", hint="choose another place"
                ) from None
            self.report.skip(local, why_not(error))
            self._refused = names
            return
        self.report.folders += 1
        if shown.items:
            self._folders.append((local, shown.entry))

    def _make_link(self, local: bytes, entry: Entry) -> None:
        assert isinstance(entry.content, Inline)
        try:
            try:
                os.symlink(entry.content.data, local)
            except FileExistsError:
                _replace_by_link(entry.content.data, local)
            os.utime(local, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
        except OSError as error:
            self.report.skip(local, why_not(error))
            return
        self.report.links += 1

    async def _launch(self, group: asyncio.TaskGroup) -> None:
        if not self._batch:
            return
        batch, size, self._batch, self._size = self._batch, self._size, [], 0
        if size < TINY * len(batch):
            await self._limit.acquire()
            await self._fetch(batch)
        else:
            await self._start(group, batch)

    async def _start(self, group: asyncio.TaskGroup, batch: list[_Landing]) -> None:
        await self._limit.acquire()
        group.create_task(self._fetch(batch))

    async def _fetch(self, batch: list[_Landing]) -> None:
        try:
            if len(batch) == 1 and batch[0].entry.size > BATCH_BYTES:
                await self._fetch_large(batch[0])
            else:
                await self._fetch_small(batch)
            for landing in batch:
                if landing.failed:
                    self.report.skip(landing.path, landing.failed)
                else:
                    self.report.files += 1
                    self.report.size += landing.entry.size
        finally:
            for landing in batch:
                landing.fail("stopped")
            self._limit.release()

    async def _fetch_small(self, batch: list[_Landing]) -> None:
        plan: list[tuple[_Landing, int, Reference]] = []
        inline: list[_Landing] = []
        for landing in batch:
            if isinstance(landing.entry.content, Inline):
                inline.append(landing)
                continue
            try:
                async for cuts in self._version.content.references(landing.entry):
                    plan += [(landing, offset, reference) for offset, reference in cuts]
            except RopewalkError as error:
                landing.fail(str(error))
        if inline:
            await asyncio.get_running_loop().run_in_executor(self._core.cpu, _write_inline, inline)
            self._progress.advance(len(inline), sum(landing.entry.size for landing in inline))
        if plan:
            await self._read(plan)
        self._progress.advance(len(batch) - len(inline), sum(reference.size for _, _, reference in plan))

    async def _fetch_large(self, landing: _Landing) -> None:
        step = BATCH_BYTES // CHUNK_SIZE
        try:
            async with asyncio.TaskGroup() as group:
                limit = asyncio.Semaphore(AT_ONCE)
                async for cuts in self._version.content.references(landing.entry):
                    for at in range(0, len(cuts), step):
                        await limit.acquire()
                        group.create_task(self._block(landing, cuts[at : at + step], limit))
        except* RopewalkError as several:
            landing.fail(str(first_of(several)))
        self._progress.advance(1, 0)

    async def _block(self, landing: _Landing, cuts: Sequence[tuple[int, Reference]], limit: asyncio.Semaphore) -> None:
        try:
            if not landing.failed:
                await self._read([(landing, offset, reference) for offset, reference in cuts])
            self._progress.advance(0, sum(reference.size for _, reference in cuts))
        finally:
            limit.release()

    async def _read(self, plan: list[tuple[_Landing, int, Reference]]) -> None:
        def sink(index: int, data: bytes) -> None:
            landing, offset, _ = plan[index]
            landing.write(offset, data)

        references = [reference for _, _, reference in plan]
        try:
            await self._core.reader.read(references, ChunkType.DATA, sink)
        except RopewalkError as error:
            landings = {id(landing): landing for landing, _, _ in plan}
            if len(landings) == 1:
                next(iter(landings.values())).fail(_told(error))
                return
            for landing in landings.values():  # one by one, so that only what is lost is lost
                if landing.missing and not landing.failed:
                    await self._read([item for item in plan if item[0] is landing])

    def dress_folders(self) -> None:
        """Modes and times of folders, last of all: a folder may be one that cannot be written."""
        for local, entry in reversed(self._folders):
            try:
                os.chmod(local, entry.mode & FOLDER_MODE)
                os.utime(local, ns=(entry.mtime, entry.mtime))
            except OSError as error:
                self.report.skip(local, why_not(error))


def _beside(path: bytes) -> bytes:
    """A name in the same folder that nothing has, for what will replace what is there.

    Raises:
        OSError: A folder is there, which nothing replaces.
    """
    if stat.S_ISDIR(os.lstat(path).st_mode):
        raise OSError(errno.EISDIR, "a folder is there")
    return os.path.join(os.path.dirname(path), b".ropewalk-" + os.urandom(6).hex().encode())


def _replace_by_link(target: bytes, path: bytes) -> None:
    beside = _beside(path)
    os.symlink(target, beside)
    try:
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def _told(error: RopewalkError) -> str:
    return f"{error} ({error.code})"


def _write_inline(landings: list[_Landing]) -> None:
    for landing in landings:
        content = landing.entry.content
        assert isinstance(content, Inline)
        landing.write(0, content.data)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
