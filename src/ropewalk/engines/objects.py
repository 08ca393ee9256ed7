"""The object store: objects in a bucket of an engine that others run, called in a few threads.

Flow: pool -> ObjectStore -> Keeper, in a thread
Never: calls an engine from the event loop's thread, or waits in one for longer than its call may take.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

from ropewalk.engines.examining import examine_bucket
from ropewalk.engines.keeping import Keeper
from ropewalk.errors import Misuse, RopewalkError, first_of
from ropewalk.spaces.store import Examined, Listed, ObjectName, Parts, Room
from ropewalk.spaces.store.parts import checked_range
from ropewalk.spaces.store.threads import Threads, ThreadsClosed

__all__ = ["THREADS", "ObjectStore"]

_T = TypeVar("_T")

THREADS = 16  # calls at once, each with one object in memory; an engine far away answers each late, and many together
_PAGE = 1000  # names; a listing takes one turn of a thread for so many
_FIRST_PAGE = 16


class ObjectStore:
    """A store in a bucket.  Made by ``create_engine`` once, and by ``open_engine`` from then on.

    A put has returned once the engine has acknowledged it and the bucket was found to be this store afterwards.  What
    that outlasts is the engine's to say; what an engine without conditions may do to two writers, `keeping` says.

    A call that is given up goes on in its thread until the engine answers, three minutes at most; closing waits for it.

    Attributes:
        identity: 16 random bytes, the same for the life of the store.
    """

    def __init__(self, keeper: Keeper, threads: Threads) -> None:
        self.identity = keeper.identity
        self._keeper = keeper
        self._threads = threads

    def __repr__(self) -> str:
        return f"<ObjectStore {self._keeper.bucket.where}>"

    async def conditional(self) -> bool:
        """Whether the engine keeps to the condition that a name be free; found out by trying, once an hour.

        Raises:
            StoreFull, StoreReadOnly, StoreGone.
        """
        return await self._run(self._keeper.conditional)

    async def examine(self) -> Examined:
        """As `Examines.examine`; what was found out about conditions before counts no more."""
        self._keeper.doubt()
        return await examine_bucket(self._keeper.bucket, self._run)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self.put_many([(name, parts)])

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        abandoned = threading.Event()
        left = iter(objects)

        async def some() -> None:
            for name, parts in left:
                await self._run(self._keeper.put, name, parts, abandoned.is_set)

        try:
            await self._run(self._keeper.conditional)  # once, and not by each of them
            async with asyncio.TaskGroup() as group:
                for _ in range(min(THREADS, len(objects))):
                    group.create_task(some())
            await self._run(self._keeper.confirm)
        except BaseExceptionGroup as errors:
            abandoned.set()
            told, others = errors.split(RopewalkError)
            if told is None or others is not None:
                raise
            raise first_of(told) from None
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        abandoned = threading.Event()
        try:
            await self._run(self._keeper.replace, name, parts, abandoned.is_set)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        checked_range(offset, length)
        return await self._run(self._keeper.get, name, offset, length)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        found = self._keeper.walk(prefix, after)
        size = _FIRST_PAGE  # whoever lists may only want to know what comes first
        while page := await self._run(self._keeper.page, found, size):
            for listed in page:
                yield listed
            size = min(4 * size, _PAGE)

    async def delete(self, name: ObjectName) -> None:
        await self._run(self._keeper.delete, name)

    async def room(self) -> Room | None:
        await self._run(lambda: None)  # which says whether it is closed
        return None

    async def aclose(self) -> None:
        await self._threads.close(lambda: None)

    async def _run(self, work: Callable[..., _T], *args: object) -> _T:
        try:
            return await self._threads.run(partial(work, *args))
        except ThreadsClosed:
            raise Misuse(f"store at {self._keeper.bucket.where} is closed") from None
