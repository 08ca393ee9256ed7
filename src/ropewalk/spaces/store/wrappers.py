"""Abilities a store can be given from outside: trying again, a limit on calls at once, counts.

Flow: pool -> Retry, Limit, Count -> any Store
Never: changes what a call means; each is a Store and can stand around another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ropewalk.errors import Unavailable
from ropewalk.spaces.store.interface import Listed, ObjectName, Parts, Room, Store, StoreFull, wait_changed
from ropewalk.spaces.store.parts import size_of

__all__ = ["Count", "Counts", "Limit", "Retry"]

_T = TypeVar("_T")


class Retry:
    """Tries again what was Unavailable, since each call of a store may be repeated; StoreFull does not pass by waiting.

    Waits a random part of ``first`` seconds, then of twice that, and so on up to ``longest``.  No new try begins once
    ``deadline`` seconds are over since the first; then the last error is raised.  A listing goes on after the last
    object it gave, and each object it gives sets its deadline anew.

    Args:
        sleep: Waits so many seconds.
        random: A number from 0 up to 1, evenly spread.
        now: A clock in seconds that only goes forward.
    """

    def __init__(
        self,
        store: Store,
        *,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        now: Callable[[], float],
        deadline: float = 30.0,
        first: float = 0.1,
        longest: float = 5.0,
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._random = random
        self._now = now
        self._deadline = deadline
        self._first = first
        self._longest = longest

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self._tried(lambda: self._store.put(name, parts))

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        await self._tried(lambda: self._store.put_many(objects))

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        await self._tried(lambda: self._store.replace(name, parts))

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return await self._tried(lambda: wait_changed(self._store, name, mark))

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await self._tried(lambda: self._store.get(name, offset, length))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        tries = self._tries()
        while True:
            try:
                async for listed in self._store.list(prefix, after):
                    yield listed
                    after, tries = listed.name, self._tries()
            except Unavailable as error:
                await tries.wait(error)
            else:
                return

    async def delete(self, name: ObjectName) -> None:
        await self._tried(lambda: self._store.delete(name))

    async def room(self) -> Room | None:
        return await self._tried(self._store.room)

    async def aclose(self) -> None:
        await self._store.aclose()

    def _tries(self) -> _Tries:
        return _Tries(self._sleep, self._random, self._now, self._now() + self._deadline, self._first, self._longest)

    async def _tried(self, call: Callable[[], Awaitable[_T]]) -> _T:
        tries = self._tries()
        while True:
            try:
                return await call()
            except Unavailable as error:
                await tries.wait(error)


@dataclass(slots=True)
class _Tries:
    """The waits between the tries of one call."""

    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    now: Callable[[], float]
    end: float
    most: float  # seconds the next wait may take
    longest: float

    async def wait(self, error: Unavailable) -> None:
        """Wait before the next try; or raise ``error`` where there shall be none."""
        pause = self.random() * self.most
        if isinstance(error, StoreFull) or self.now() + pause > self.end:
            raise error
        self.most = min(2 * self.most, self.longest)
        await self.sleep(pause)


class Limit:
    """At most ``most`` calls at once; the others wait their turn.

    A listing takes a turn for each object, so that its reader may make calls in between.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._turns = asyncio.Semaphore(most)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        async with self._turns:
            await self._store.put(name, parts)

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        async with self._turns:
            await self._store.put_many(objects)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        async with self._turns:
            await self._store.replace(name, parts)

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return await wait_changed(self._store, name, mark)  # without a turn: it may take for ever

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        async with self._turns:
            return await self._store.get(name, offset, length)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        listing = aiter(self._store.list(prefix, after))
        while True:
            async with self._turns:
                listed = await anext(listing, None)
            if listed is None:
                return
            yield listed

    async def delete(self, name: ObjectName) -> None:
        async with self._turns:
            await self._store.delete(name)

    async def room(self) -> Room | None:
        async with self._turns:
            return await self._store.room()

    async def aclose(self) -> None:
        await self._store.aclose()


@dataclass(slots=True)
class Counts:
    """What went through a store.  Calls are counted as they begin, bytes and objects as they are done."""

    puts: int = 0  # objects handed over, by put and put_many alike
    put_many: int = 0  # calls of it
    replaces: int = 0
    waits: int = 0  # for a hint to change
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    rooms: int = 0
    bytes_put: int = 0
    bytes_got: int = 0
    listed: int = 0  # objects
    errors: int = 0  # calls that raised, cancellation aside


@dataclass(slots=True)
class Count:
    """Counts the calls of a store, and what they carried, in ``counts``."""

    store: Store
    counts: Counts = field(default_factory=Counts)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        self.counts.puts += 1
        await self._watched(self.store.put(name, parts))
        self.counts.bytes_put += size_of(parts)

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        self.counts.put_many += 1
        self.counts.puts += len(objects)
        await self._watched(self.store.put_many(objects))
        self.counts.bytes_put += sum(size_of(parts) for _, parts in objects)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        self.counts.replaces += 1
        await self._watched(self.store.replace(name, parts))
        self.counts.bytes_put += size_of(parts)

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        self.counts.waits += 1
        return await self._watched(wait_changed(self.store, name, mark))

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        self.counts.gets += 1
        found = await self._watched(self.store.get(name, offset, length))
        self.counts.bytes_got += len(found)
        return found

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        self.counts.lists += 1
        listing = aiter(self.store.list(prefix, after))
        while (listed := await self._watched(anext(listing, None))) is not None:
            self.counts.listed += 1
            yield listed

    async def delete(self, name: ObjectName) -> None:
        self.counts.deletes += 1
        await self._watched(self.store.delete(name))

    async def room(self) -> Room | None:
        self.counts.rooms += 1
        return await self._watched(self.store.room())

    async def aclose(self) -> None:
        await self.store.aclose()

    async def _watched(self, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except Exception:
            self.counts.errors += 1
            raise
