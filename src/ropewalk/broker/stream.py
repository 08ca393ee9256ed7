"""Stream: the reader's end of a stream.

Flow: ITEM -> `_take` -> `async for` -> CREDIT; dropped or closed -> CLOSE
Never: decodes an item before it is wanted; takes more than was granted.
Source: docs/spec/broker.md section 5.2.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.broker.errors import OverLimit
from ropewalk.errors import RopewalkError

if TYPE_CHECKING:
    from ropewalk.broker.streams import Streams

__all__ = ["COST", "In", "Item", "Stream", "cost_of"]

COST = 64  # of an item beside its bytes


class In:
    """A stream that the other end fills."""

    __slots__ = ("closed", "ended", "next", "number", "stream")

    def __init__(self, stream: weakref.ref[Stream], number: int) -> None:
        self.stream, self.number = stream, number
        self.closed = False  # which was said
        self.ended = False  # which the other end has said
        self.next: In | None = None  # which has the number when this one has ended


class Stream(AsyncIterator[Any]):
    """Items that the other end sends: use it in ``async for``; close it, or drop it, to want no more.

    An item that cannot be made here is an error in its place; the ones after it come all the same.
    """

    def __init__(self, streams: Streams, number: int, window: int) -> None:
        self._streams, self._number, self._window = streams, number, window
        self._entry: In
        self._items: deque[Item] = deque()
        self._room = window
        self._owed = 0  # consumed and not granted again
        self._waiter: asyncio.Future[None] | None = None
        self._ended = self._closed = False
        self._error: RopewalkError | None = None

    async def __anext__(self) -> Any:
        if self._waiter is not None:
            raise RuntimeError("a stream is awaited twice at once")
        while not self._items:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended or self._closed:
                raise StopAsyncIteration
            if self._owed:  # the next item may be so long that all has to be granted before
                self._grant()
            self._waiter = self._streams.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._items.popleft()
        if self._ended:
            if not self._items:
                self._streams.close_theirs(self._entry)
        else:
            self._owed += cost_of(item)
            if self._owed * 2 >= self._window:
                self._grant()
        return item if isinstance(item, bytes) else self._streams.decode(item[0], item[1])

    async def aclose(self) -> None:
        """Want no more."""
        self._close()

    def _grant(self) -> None:
        owed, self._owed = self._owed, 0
        self._room += owed
        self._streams.grant(self._number, owed)

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._streams.close_theirs(self._entry)
            self._items.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, item: Item) -> None:
        cost = cost_of(item)
        if cost > self._room and self._room != self._window:
            raise OverLimit(f"an item of {cost:,} bytes came where {self._room:,} were granted")
        self._room -= cost
        self._items.append(item)
        self._wake()

    def _end(self, error: RopewalkError | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            if not self._items:
                self._streams.close_theirs(self._entry)
        self._wake()

    def __del__(self) -> None:
        if not self._closed and (self._items or not self._ended):
            self._streams.dropped(self._entry)


# An item as it came: binary; or what it is in MessagePack, and what was found in it that had to be seen to at once.
Item = bytes | tuple[bytes, Sequence[Any]]


def cost_of(item: Item) -> int:
    """What an item takes of the window."""
    return COST + len(item if isinstance(item, bytes) else item[0])
