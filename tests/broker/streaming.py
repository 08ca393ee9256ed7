"""Streaming: an object that makes streams and takes them, and how tests read them.

Flow: `Desk`, `Source` -> a pair -> `opened`, `listed` -> `nothing_left`
Never: leaves out a number that was not given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from ropewalk import broker as rope
from tests.broker.pair import Pair

__all__ = ["SMALL", "TENTH", "Desk", "Source", "awaited", "listed", "nothing_left", "opened", "within"]

SMALL = rope.Limits(stream_window=20_000)
TENTH = 20_000 // 10 - 64  # bytes of an item that costs a tenth of it


class Desk(rope.Object):
    """Makes streams and takes them."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.ends: list[str] = []
        self.taken: list[Any] = []
        self.traces: list[str | None] = []
        self.wait = asyncio.Event()

    @rope.remote
    async def items(self, *items: Any) -> AsyncIterator[Any]:
        try:
            for item in items:
                self.made.append(item)
                yield item
            self.ends.append("done")
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise

    @rope.remote
    async def count(self, most: int, size: int = 0) -> AsyncIterator[Any]:
        try:
            for number in range(most):
                self.made.append(number)
                yield bytes(size) if size else number
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise

    @rope.remote
    async def broken(self) -> AsyncIterator[int]:
        yield 1
        raise rope.NoPath("there is no more")

    @rope.remote
    async def buggy(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("a secret")

    @rope.remote
    async def forever(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise

    @rope.remote
    async def desks(self, count: int) -> AsyncIterator[Any]:
        for number in range(count):
            yield {"desk": Desk(), "number": number}

    @rope.remote
    async def nested(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield self.count(number)

    @rope.remote
    async def traced(self) -> AsyncIterator[Any]:
        yield rope.trace()
        yield rope.remaining()

    @rope.remote
    async def take(self, items: AsyncIterator[Any], most: int = 1 << 30) -> list[Any]:
        taken = []
        async for item in items:
            taken.append(item)
            self.taken.append(item)
            if len(taken) == most:
                break
        return taken

    @rope.remote
    async def hold(self, items: AsyncIterator[Any]) -> str:
        """Never reads."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ends.append("let go")
        return ""

    @rope.remote
    def keep(self, items: AsyncIterator[Any]) -> None:
        self.taken.append(items)

    @rope.remote
    def name(self) -> str:
        return "a desk"

    @rope.remote
    def back(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return items


class Source:
    """An iterator that notes what is done with it."""

    def __init__(self, items: list[Any], *, then: BaseException | None = None, waits: bool = False) -> None:
        self.items, self.then, self.waits = list(items), then, waits
        self.given = self.closed = 0

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> Any:
        if self.given == len(self.items):
            if self.waits:
                await asyncio.get_running_loop().create_future()
            raise self.then or StopAsyncIteration
        self.given += 1
        return self.items[self.given - 1]

    async def aclose(self) -> None:
        self.closed += 1


async def within(pair: Pair, work: Awaitable[Any]) -> Any:
    """What comes of something while bytes move."""
    return await pair.got(work)


async def listed(pair: Pair, stream: AsyncIterator[Any]) -> list[Any]:
    async def read() -> list[Any]:
        return [item async for item in stream]

    got: list[Any] = await within(pair, read())
    return got


def nothing_left(pair: Pair) -> None:
    """No stream, no blob and no reference is in use at either end."""
    for end in (pair.client, pair.server):
        assert end.error is None
        assert len(end.broker.streams) == 0
        assert not end.broker.lanes
        assert len(end.broker.objects.shown) == 1  # the door
        streams = end.broker.streams
        assert sorted(streams._free) == list(range(1, streams._next)), "a number is lost, or free twice"
        lanes = end.broker.lanes
        assert sorted(lanes._free) == list(range(1, lanes._next))


async def opened(pair: Pair, call: Any) -> Any:
    stream = await pair.got(call)
    assert isinstance(stream, rope.Stream)
    return stream


async def awaited(promise: Any) -> Any:
    """For a task of its own."""
    return await promise
