"""Reseal: all live content sealed anew, in the epoch that is current (docs/spec/groups.md 3.5).

Flow: newest version -> Estimate; entries by key -> content read, sealed, stored -> a version for each batch
Never: deletes what was there before, or does again what an acknowledged batch has done.

Each entry has a mark of the epoch in which it was sealed again, that only who has the epoch's keys can make.  So the
tree itself is the record of how far this has come: a job that was stopped anywhere, on this device or another, goes on
where the last acknowledged batch ended; and who was put out before the epoch began can have marked nothing as done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ropewalk.errors import Damaged, Missing, Misuse
from ropewalk.spaces.change import Change
from ropewalk.spaces.chunk import ChunkType, Reference, Sealed, padme, seal
from ropewalk.spaces.content import store_cuts
from ropewalk.spaces.core import Core
from ropewalk.spaces.keys import TAG_SIZE
from ropewalk.spaces.publish import Outcome
from ropewalk.spaces.state import State
from ropewalk.spaces.survey import Progress, silent
from ropewalk.spaces.tree.anew import is_marked, with_mark
from ropewalk.spaces.tree.entry import (
    Chunks,
    Entry,
    EntryDamaged,
    Inline,
    Offsets,
    decode_entry,
    encode_entry,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.version import Version

__all__ = ["Changing", "Estimate", "Resealed", "estimate", "reseal"]

BATCH = 256 * 1024 * 1024  # bytes sealed in one version: what a stop may cost
MOST_ENTRIES = 100_000  # in one version: they are sorted on disk
MOST_PASSES = 8  # over the tree: others may write with older keys while we go through it
MOST_NAMED = 1000  # entries that cannot be sealed anew and are kept by name; the others are counted
AT_ONCE = 8  # cuts, so MiB, read and sealed together
_ITEM, _CUT = 8, 113  # bytes that msgpack adds to an item; of an item in an offset map
_DIRECTORY = 45  # bytes of a chunk in a directory, of which each share has one


class Changing(Protocol):
    """What is needed of an open space."""

    core: Core
    outcome: Outcome | None

    async def current(self) -> Version:
        """The newest version."""
        ...

    def change(self, note: str = "") -> AbstractAsyncContextManager[Change]:
        """Make another one."""
        ...


@dataclass(slots=True)
class Estimate:
    """What is to be sealed again.

    Attributes:
        entries: Files, folders and links, also those that will turn out to be damaged.
        chunks: Of their content.
        plain: Bytes of files.
        sealed: Bytes of chunks, those of the tree too.
        stored: Bytes in all stores together.
    """

    entries: int = 0
    chunks: int = 0
    plain: int = 0
    sealed: int = 0
    stored: int = 0

    def seconds(self, rate: float) -> float:
        """How long it takes at so many stored bytes a second."""
        return self.stored / rate if rate > 0 else float("inf")


@dataclass(slots=True)
class Resealed:
    """What came of it.

    Attributes:
        entries: Sealed again, in this run.
        sealed: New bytes of chunks.
        versions: Acknowledged.
        kept: Entries of kinds or contents that this version does not know; they stay as they are.
        failed: Keys of entries that are damaged or whose content could not be read, and why; the first of them.
        unnamed: How many more there are.
        left: Whether entries came up as fast as they were done; run it again.
        former: Bytes in the stores of packs that only the history needs: what former members can read there.
    """

    entries: int = 0
    sealed: int = 0
    versions: int = 0
    kept: int = 0
    failed: dict[bytes, str] = field(default_factory=dict)
    unnamed: int = 0
    left: bool = False
    former: int = 0


async def estimate(space: Changing) -> Estimate:
    """What `reseal` would have to do now; reads the tree, and no content."""
    core = space.core
    found, nodes, keys = Estimate(), 0, core.keys.members
    async for batch in (await space.current()).tree.scan():
        for key, value in batch:
            nodes += len(key) + len(value) + _ITEM
            if is_marked(value, keys):
                continue
            found.entries += 1
            try:
                content = decode_entry(value).content
                if isinstance(content, Chunks):
                    _count(found, core, [Reference.decode(ref) for ref in content.refs])
                elif isinstance(content, Offsets):
                    async for cuts in core.maps.at(content.root).scan():
                        _count(found, core, [Reference.decode(value[:73]) for _, value in cuts])
                        nodes += _CUT * len(cuts)
            except (Damaged, Missing):
                continue  # it is named when its turn comes
    if found.entries:
        found.sealed += padme(nodes) if core.padded else nodes
    policy = core.membership.policy
    found.stored = -(-found.sealed * policy.n // policy.k) + found.chunks * _DIRECTORY * policy.n
    return found


def _count(found: Estimate, core: Core, references: Sequence[Reference]) -> None:
    for reference in references:
        found.chunks += 1
        found.plain += reference.size
        found.sealed += (padme(reference.body) if core.padded else reference.body) + TAG_SIZE


async def reseal(space: Changing, *, batch: int = BATCH, progress: Progress = silent) -> Resealed:
    """Seal all live content of the newest version in the current epoch, which was rotated to before.

    It may be stopped at any point and run again; others may go on writing.

    Args:
        space: Open, and a member's.
        batch: Bytes sealed in one version.
        progress: Told after each leaf of the tree how many entries are done, and how many were looked at.

    Raises:
        BelowFloor, Busy, Unavailable: What was acknowledged until then stays; run it again.
    """
    job = _Job(space, batch, progress)
    begun = await space.core.ledger.do(State.newest_pack)
    for _ in range(MOST_PASSES):
        if not await job.once_through():
            break
    else:
        job.made.left = True
    job.made.former = await _of_history_alone(space.core, (await space.current()).tree, begun)
    return job.made


class _Job:
    def __init__(self, space: Changing, batch: int, progress: Progress) -> None:
        self._space, self._core, self._batch, self._progress = space, space.core, batch, progress
        self.made = Resealed()
        self._seen = 0

    async def once_through(self) -> bool:
        """From the first entry to the last, in as many versions as it takes; whether anything was to be done."""
        after: bytes | None = b""
        before = self.made.entries
        self._seen = self.made.kept = self.made.unnamed = 0
        while after is not None:
            async with self._space.change("sealed again") as change:
                after = await self._fill(change, after)
            if self._space.outcome is not None:
                self.made.versions += 1
        return self.made.entries > before

    async def _fill(self, change: Change, after: bytes) -> bytes | None:
        """Seal entries above a key until the batch is full; the last key, or None where there are no more."""
        begun, sealed = self.made.entries, self.made.sealed
        async for items in change.base.tree.scan(after + b"\0" if after else b""):
            for key, value in items:
                self._seen += 1
                if not is_marked(value, self._core.keys.members) and key not in self.made.failed:
                    await self._one(change, key, value)
                    self.made.sealed = sealed + change.writer.new_bytes
                full = change.writer.new_bytes >= self._batch or self.made.entries - begun >= MOST_ENTRIES
                if full:
                    self._progress(self.made.entries, self._seen)
                    return key
            self._progress(self.made.entries, self._seen)
        return None

    async def _one(self, change: Change, key: bytes, value: bytes) -> None:
        try:
            entry = decode_entry(value)
            if not isinstance(entry.content, Inline | Chunks | Offsets | None):
                self.made.kept += 1
                return
            change.put_value(key, encode_entry(await self._sealed(change, entry)))
        except (Damaged, Missing, Misuse) as error:
            if len(self.made.failed) < MOST_NAMED:
                self.made.failed[key] = str(error)
            else:
                self.made.unnamed += 1
            return
        self.made.entries += 1

    async def _sealed(self, change: Change, entry: Entry) -> Entry:
        keys = self._core.keys.members
        if not isinstance(entry.content, Chunks | Offsets):
            return with_mark(entry, keys)
        stored = await store_cuts(self._cuts(entry), change.writer, self._core.maps, self._core.keys)
        if (stored.size, stored.content_id) != (entry.size, entry.content_id):
            raise EntryDamaged(f"file of {entry.size} bytes has other content than its id says")
        resealed = msgspec.structs.replace(entry, content=stored.content)
        # An epoch that began meanwhile sealed some of it or all: without a good mark it is done again.
        return with_mark(resealed, keys) if self._core.keys.members is keys else resealed

    async def _cuts(self, entry: Entry) -> AsyncIterator[Sequence[Sealed]]:
        core, loop = self._core, asyncio.get_running_loop()
        async for cuts in core.content.references(entry):
            for at in range(0, len(cuts), AT_ONCE):
                references = [reference for _, reference in cuts[at : at + AT_ONCE]]
                plains = await core.reader.read(references, ChunkType.DATA)
                yield await loop.run_in_executor(core.cpu, _seal_all, plains, core)


def _seal_all(plains: Sequence[bytes], core: Core) -> list[Sealed]:
    return [seal(plain, ChunkType.DATA, core.keys, padded=core.padded) for plain in plains]


async def _of_history_alone(core: Core, tree: Tree, begun: int) -> int:
    """Stored bytes of packs that were there before, and hold no content of the newest version."""
    live: set[int] = set()
    async for items in tree.scan():
        for _, value in items:
            try:
                content = decode_entry(value).content
                if isinstance(content, Chunks):
                    live |= await _packs_of(core, content.refs)
                elif isinstance(content, Offsets):
                    async for cuts in core.maps.at(content.root).scan():
                        live |= await _packs_of(core, [value for _, value in cuts])
            except (Damaged, Missing):
                continue  # it was named
    return await core.ledger.do(_stored_without, begun, live)


async def _packs_of(core: Core, refs: Sequence[bytes]) -> set[int]:
    located = await core.ledger.do(State.locate, [ref[:32] for ref in refs])
    return {place.pack for place in located.values()}


def _stored_without(state: State, begun: int, live: set[int]) -> int:
    return sum(pack.stored for pack in state.packs() if pack.id <= begun and pack.id not in live)
