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

from ropewalk.broker.errors import Busy, OverLimit
from ropewalk.errors import RopewalkError

if TYPE_CHECKING:
    from ropewalk.broker.streams import Streams

__all__ = ["COST", "In", "Sight", "Stream"]

COST = 64  # of an item beside its bytes
_BINARY: Any = object()  # before an item that is not encoded


class In:
    """A stream that the other end fills."""

    __slots__ = ("closed", "ended", "next", "number", "stream", "unread")

    def __init__(self, stream: weakref.ref[Stream], number: int) -> None:
        self.stream, self.number = stream, number
        self.closed = False  # which was said
        self.ended = False  # which the other end has said
        self.unread = 0, 0  # of one that nobody holds any more: bytes and items
        self.next: In | None = None  # which has the number when this one has ended


class Sight:
    """An item in which something was found that had to be seen to at once.

    Args:
        content: The item as it came.
        seen: What is held for it.
        size: Bytes of memory that it takes until it is read.
        gone: Who is to know when it is.
    """

    __slots__ = ("content", "gone", "seen", "size")

    def __init__(self, content: bytes, seen: Sequence[Any], size: int, gone: list[int]) -> None:
        self.content, self.seen, self.size, self.gone = content, seen, size, gone

    def __del__(self) -> None:
        self.gone.append(self.size)


class Stream(AsyncIterator[Any]):
    """Items that the other end sends: use it in ``async for``; close it, or drop it, to want no more.

    An item that cannot be made here is an error in its place; the ones after it come all the same.
    """

    def __init__(self, streams: Streams, number: int, window: int) -> None:
        self._streams, self._number, self._window = streams, number, window
        self._entry: In
        self._items: deque[Any] = deque()  # each as `_take` has it
        self._room = window
        self._unread = 0, 0  # bytes, and items
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
        binary = item is _BINARY
        if binary:
            item = self._items.popleft()
        kind = item.__class__
        size = item if kind is int else len(item if kind is bytes else item.content)
        self._drop(size, 1)
        if self._ended:
            if not self._items:
                self._streams.close_theirs(self._entry)
        else:
            self._owed += COST + size
            if self._owed * 2 >= self._window:
                self._grant()
        if kind is int:
            raise Busy(f"an item of {size:,} bytes came when there was no room for what is shown in it")
        if kind is bytes:
            return item if binary else self._streams.decode(item, ())
        return self._streams.decode(item.content, item.seen)

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
            self._drop(*self._unread)
        self._wake()

    def _drop(self, size: int, items: int) -> None:
        """So much is here no more that was not read."""
        (has, count), streams = self._unread, self._streams
        self._unread = has - size, count - items
        streams.bytes -= size
        streams.items -= items

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, content: bytes, *, binary: bool, sight: Sight | int | None = None) -> None:
        size = len(content)
        cost = COST + size
        if cost > self._room and self._room != self._window:
            raise OverLimit(f"an item of {cost:,} bytes came where {self._room:,} were granted")
        self._room -= cost
        self._drop(-size, -1)
        # Items may be many and short: what most are like has nothing around it.
        if binary:
            self._items.append(_BINARY)
        self._items.append(content if sight is None else sight)
        self._wake()

    def _end(self, error: RopewalkError | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            if not self._items:
                self._streams.close_theirs(self._entry)
        self._wake()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return f"<stream {self._number}, {state}, {len(self._items) - self._items.count(_BINARY)} items to read>"

    def __del__(self) -> None:
        if not self._closed and (self._items or not self._ended):
            self._entry.unread = self._unread
            self._streams.dropped(self._entry)
