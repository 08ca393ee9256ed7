"""Get: a file or tree of a version into local files.

Flow: Version.walk -> `Folders`, files in batches -> references -> Reader -> `Landing`, in the thread that opened a cut
Never: writes through a symbolic link, or shows a file before it is whole.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from ropewalk.errors import Refused, RopewalkError, first_of
from ropewalk.spaces.chunk import CHUNK_SIZE, ChunkType, Reference
from ropewalk.spaces.content import few_references
from ropewalk.spaces.core import Core
from ropewalk.spaces.transfer.folders import Folders, Names
from ropewalk.spaces.transfer.landing import Landing
from ropewalk.spaces.transfer.report import NoProgress, Progress, Report
from ropewalk.spaces.transfer.scan import absolute, why_not
from ropewalk.spaces.tree.entry import Chunks, Entry, Inline, Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Version

__all__ = ["TargetRefused", "get_tree"]

BATCH_BYTES, BATCH_FILES = 16 * 1024 * 1024, 1024  # of small files fetched together
TINY = 128 * 1024  # bytes a file; below it two batches would wait for Python's lock: one at a time
AT_ONCE = 2  # batches under way: one is fetched while the other is written


class TargetRefused(Refused):
    """The local place cannot take what is brought back."""

    code = "transfer.target-refused"


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
        await asyncio.to_thread(work.dress_folders)
    except* RopewalkError as several:
        raise first_of(several) from None
    finally:
        work.close()
    return work.report


class _Get:
    def __init__(self, version: Version, core: Core, target: bytes, progress: Progress) -> None:
        self._version, self._core, self._target, self._progress = version, core, target, progress
        self._folders = Folders(target)
        self._made: list[tuple[Names, Entry]] = []
        self._refused: Names | None = None  # the last folder that could not be made
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._batch: list[Landing] = []
        self._size = 0
        self.report = Report()

    async def run(self, path: str | bytes, group: asyncio.TaskGroup) -> None:
        top = await self._version.find(path)
        if top.kind == Kind.FOLDER:
            self._make_folder((), top)
        else:
            self._folders.sweep(())
        async for names, shown in self._version.walk(path, self._unreadable):
            if self._refused is not None and names[: len(self._refused)] == self._refused:
                self.report.left_out += 1  # what is in it follows it
                continue
            await self._one(names, shown, group)
        await self._launch(group)

    async def _one(self, names: Names, shown: Shown, group: asyncio.TaskGroup) -> None:
        if shown.kind == Kind.FILE:
            entry = shown.entry
            landing = Landing(self._folders, (*self._folders.top, *names), entry, self._core.keys)
            if entry.size > BATCH_BYTES:
                await self._start(group, [landing])
                return
            self._batch.append(landing)
            self._size += entry.size
            if self._size >= BATCH_BYTES or len(self._batch) >= BATCH_FILES:
                await self._launch(group)
        elif shown.kind == Kind.FOLDER:
            self._make_folder(names, shown)
        elif shown.kind == Kind.SYMLINK:
            self._make_link(names, shown.entry)
        else:
            self.report.skip(self._local(names), f"of kind {shown.kind}, which this version does not know")

    def _local(self, names: Names) -> bytes:
        return b"/".join((self._target, *names))

    def _unreadable(self, names: Names, error: RopewalkError) -> None:
        self.report.skip(self._local(names), _told(error))

    def _make_folder(self, names: Names, shown: Shown) -> None:
        place = (*self._folders.top, *names)
        try:
            self._folders.make(place)
        except OSError as error:
            if not names:
                raise TargetRefused(
                    f"{os.fsdecode(self._target)} cannot be made a folder: {why_not(error)}",
                    hint="choose another place",
                ) from None
            self.report.skip(self._local(names), why_not(error))
            self._refused = names
            return
        self.report.folders += 1
        if shown.items:
            self._made.append((place, shown.entry))

    def _make_link(self, names: Names, entry: Entry) -> None:
        if not isinstance(entry.content, Inline):
            self.report.skip(self._local(names), "it is damaged: no link that this version can read")
            return
        try:
            self._folders.make_link((*self._folders.top, *names), entry, entry.content.data)
        except OSError as error:
            self.report.skip(self._local(names), why_not(error))
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

    async def _start(self, group: asyncio.TaskGroup, batch: list[Landing]) -> None:
        await self._limit.acquire()
        group.create_task(self._fetch(batch))

    async def _fetch(self, batch: list[Landing]) -> None:
        try:
            if len(batch) == 1 and batch[0].entry.size > BATCH_BYTES:
                await self._fetch_large(batch[0])
            else:
                await self._fetch_small(batch)
            for landing in batch:
                if landing.failed:
                    self.report.skip(self._local(landing.names[1:]), landing.failed)
                else:
                    self.report.files += 1
                    self.report.size += landing.entry.size
        finally:
            for landing in batch:
                landing.fail("stopped")
            self._limit.release()

    async def _fetch_small(self, batch: list[Landing]) -> None:
        plan: list[tuple[Landing, int, Reference]] = []
        inline: list[Landing] = []
        for landing in batch:
            content = landing.entry.content
            try:
                if isinstance(content, Inline):
                    inline.append(landing)
                elif isinstance(content, Chunks):
                    plan += [(landing, offset, reference) for offset, reference in few_references(landing.entry)]
                else:
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

    async def _fetch_large(self, landing: Landing) -> None:
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

    async def _block(self, landing: Landing, cuts: Sequence[tuple[int, Reference]], limit: asyncio.Semaphore) -> None:
        try:
            if not landing.failed:
                await self._read([(landing, offset, reference) for offset, reference in cuts])
            self._progress.advance(0, sum(reference.size for _, reference in cuts))
        finally:
            limit.release()

    async def _read(self, plan: list[tuple[Landing, int, Reference]]) -> None:
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
        for place, entry in reversed(self._made):
            try:
                self._folders.dress(place, entry)
            except OSError as error:
                self.report.skip(self._local(place[1:]), why_not(error))

    def close(self) -> None:
        """Let go of the folders."""
        self._folders.close()


def _told(error: RopewalkError) -> str:
    return f"{error} ({error.code})"


def _write_inline(landings: list[Landing]) -> None:
    for landing in landings:
        content = landing.entry.content
        assert isinstance(content, Inline)
        landing.write(0, content.data)
