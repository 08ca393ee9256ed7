"""Streams: items one after another, as fast as they are consumed.

Flow: asynchronous iterator -> `open`, `start` -> ITEM while there is credit, END; ITEM, END -> Stream -> CREDIT, CLOSE
Never: sends more than was granted; leaves an iterator open when nobody listens.
Source: docs/spec/broker.md section 5.2.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Protocol

from ropewalk.broker.about import CURRENT
from ropewalk.broker.errors import BadMessage, Busy, OverLimit, wire_form
from ropewalk.broker.lanes import Job, Lanes
from ropewalk.broker.limits import Limits
from ropewalk.broker.outbox import Outbox, encode
from ropewalk.broker.packing import Packing, Shows, lasting
from ropewalk.broker.stream import COST, In, Sight, Stream
from ropewalk.errors import RopewalkError

__all__ = ["Stream", "Streams"]

_log = logging.getLogger("ropewalk.broker")


class Tasks(Protocol):
    """What streams ask of who drives the session."""

    def spawn(self, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Run something for the session, no longer than it lasts."""


class _Out:
    """A stream that we fill."""

    __slots__ = ("begun", "closed", "context", "ended", "items", "owed", "task", "waiter", "window")

    def __init__(self, items: AsyncIterator[Any], window: int) -> None:
        self.items = items
        self.window = window  # as it was when the other end was told of the stream, or less
        self.owed = 0  # sent and not granted again
        self.begun = self.ended = self.closed = False
        self.context = copy_context()  # that of the call which it is part of, but for how long its answer is of use
        current = CURRENT.get()
        if current is not None and current.until is not None:
            self.context.run(CURRENT.set, current._replace(until=None))
        self.task: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Something has changed."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Streams:
    """The streams of one end of a session.

    Args:
        decode: An item that came in its encoded form; with what `seen` gave.
        seen: What is shown in an item that came, and has to be held from now on.
        late: Something is to be said, not at once.
    """

    def __init__(
        self,
        loop: Any,
        outbox: Outbox,
        lanes: Lanes,
        shows: Shows,
        tasks: Tasks,
        ours: Limits,
        theirs: Limits,
        decode: Callable[[bytes, Sequence[Any]], Any],
        seen: Callable[[bytes], Sight | int | None],
        late: Callable[[], None],
    ) -> None:
        self.loop, self.ours, self.theirs, self.decode = loop, ours, theirs, decode
        self._seen = seen
        self._outbox, self._lanes, self._shows, self._tasks, self._late = outbox, lanes, shows, tasks, late
        self._out: dict[int, _Out] = {}
        self._in: dict[int, In] = {}
        self.gone: list[In] = []  # dropped without being closed
        self.bytes = self.items = 0  # that came and were not read
        self._free: list[int] = []
        self._next = 1
        self._over = False

    def __len__(self) -> int:
        return len(self._out) + len(self._in)

    @property
    def coming_in(self) -> int:
        """Streams to us."""
        return len(self._in)

    @property
    def going_out(self) -> int:
        """Streams that we fill."""
        return len(self._out)

    @property
    def used_in(self) -> int:
        """Bytes that came and that we have not granted again. This may be asked in any thread."""
        streams = [entry.stream() for entry in list(self._in.values())]
        return sum(one._window - one._room for one in streams if one is not None)

    def unread(self) -> tuple[int, int]:
        """About what items take that came and were not read; and their bytes."""
        return self.bytes + COST * self.items, self.bytes

    @property
    def used_out(self) -> int:
        """Bytes that were sent and not granted again. This may be asked in any thread."""
        return sum(out.owed for out in list(self._out.values()))

    # Ours.

    def open(self, items: AsyncIterator[Any]) -> int:
        """A number for a stream of these items.

        Raises:
            Busy: The other end takes no more streams.
        """
        if len(self._out) >= self.theirs.streams:
            raise Busy(f"{len(self._out)} streams are open, which is the most that the other end takes")
        number = self._free.pop() if self._free else self._next
        self._next += number == self._next
        self._out[number] = _Out(items, self.theirs.stream_window)
        return number

    def unopen(self, number: int) -> None:
        """It was not shown after all."""
        out = self._out.pop(number, None)
        if out is not None:
            self._free.append(number)
            self._tasks.spawn(_quietly_closed(out.items), out.context)

    def start(self, number: int) -> None:
        """The message that shows it is sent: send its items."""
        out = self._out.get(number)
        if out is not None:
            out.task = self._tasks.spawn(self._fill(number, out), out.context)

    async def _fill(self, number: int, out: _Out) -> None:
        told: tuple[Any, ...] = ()
        out.begun = True
        try:
            if not (out.closed or self._over):
                async for item in out.items:
                    await self._send(number, out, item)
        except asyncio.CancelledError as error:
            if self._over:
                raise
            told = wire_form(error)
        except Exception as error:
            told = wire_form(error, traces=self.ours.traces)
            if told[0] == "failed" and not self._over:
                _log.error("a stream failed: %s", error, exc_info=error, extra={"code": told[1]})
        finally:
            self._say_end(number, out, told)
            await _quietly_closed(out.items)

    def _say_end(self, number: int, out: _Out, told: tuple[Any, ...]) -> None:
        out.ended = True
        if not self._over:
            if told and not out.closed:
                self._outbox.say_error((7, number), told)
            else:
                self._outbox.say((7, number))
            self._settle(number, out)

    async def _send(self, number: int, out: _Out, item: Any) -> None:
        binary = isinstance(item, bytes | bytearray | memoryview)
        packing = Packing(self._shows, self.theirs.depth, inline=not binary)
        try:
            content = lasting(item) if binary else encode(packing.swap(item))
            cost = COST + len(content)
            message = encode((6, number, packing.swap(content) if binary else [content]))
            self._outbox.check(message, packing.segments)
            if packing.blobs:
                self._lanes.check(packing.blobs)
            while out.owed and out.owed + cost > out.window and not out.closed:
                out.waiter = self.loop.create_future()
                await out.waiter
            if out.closed:
                raise asyncio.CancelledError  # noqa: TRY301 - the same way out as when it comes while this waits
        except BaseException:
            if not self._over:
                packing.undo()
            raise
        out.owed += cost
        if packing.blobs:
            await self._send_blob(number, packing, message)
        else:
            self._outbox.add(message, packing.segments)
        packing.sent()

    async def _send_blob(self, number: int, packing: Packing, message: bytes) -> None:
        done = self.loop.create_future()

        def sent() -> None:
            self._outbox.add(message, packing.segments)
            if not done.done():
                done.set_result(None)

        job = Job(packing.blobs, sent)
        self._lanes.put(("stream", number), job)
        try:
            await done
        except asyncio.CancelledError:
            if self._lanes.drop(("stream", number), job):
                packing.undo()
            raise

    def granted(self, number: object, size: object) -> None:
        """CREDIT.

        Raises:
            BadMessage: It is for no stream of ours, or for more than was sent.
        """
        out = self._out.get(number) if type(number) is int else None
        if out is None or type(size) is not int or not 0 < size <= out.owed:
            raise BadMessage(f"credit of {size!r:.40} for stream {number!r:.40}, which was not owed")
        out.owed -= size
        out.wake()

    def close(self, number: object) -> None:
        """CLOSE.

        Raises:
            BadMessage: It is for no stream of ours, or came before.
        """
        out = self._out.get(number) if type(number) is int else None
        if out is None or out.closed or type(number) is not int:
            raise BadMessage(f"stream {number!r:.40} is closed, which is not open")
        out.closed = True
        if out.task is not None and out.begun and not out.ended:
            out.task.cancel()
        self._settle(number, out)

    def _settle(self, number: int, out: _Out) -> None:
        if out.ended and out.closed and self._out.pop(number, None) is not None:
            self._free.append(number)

    # Theirs.

    def coming(self, number: int) -> Stream:
        """A stream that the other end will fill.

        Raises:
            OverLimit: It opens more than we take.
            BadMessage: The number is in use.
        """
        there = self._in.get(number)
        if there is not None and (not there.closed or there.ended or there.next is not None):
            raise BadMessage(f"stream {number} is in use")
        if there is None and len(self._in) >= self.ours.streams:
            raise OverLimit(f"more than {self.ours.streams} streams")
        stream = Stream(self, number, self.ours.stream_window)
        stream._entry = In(weakref.ref(stream), number)
        if there is None:
            self._in[number] = stream._entry
        else:
            # Values are decoded before the messages of their frame are taken: the END of the one that had the number
            # is among those before it.
            there.next = stream._entry
        return stream

    def item(self, number: object, item: Any) -> None:
        """ITEM.

        Raises:
            BadMessage: It is for no stream that is open.
            OverLimit: It is more than was granted.
        """
        kind = item.__class__
        if kind is not bytes and not (kind is list and len(item) == 1 and item[0].__class__ is bytes):
            raise BadMessage("an item is neither binary nor an array of one")
        stream = self._entry(number).stream()
        # What is shown in an item that nobody wants is released with the value that this gives.
        binary = kind is bytes
        content = item if binary else item[0]
        sight = None if binary else self._seen(content)
        if stream is not None and not stream._closed:
            stream._take(content, binary=binary, sight=sight)

    def end(self, number: object, error: RopewalkError | None) -> None:
        """END.

        Raises:
            BadMessage: It is for no stream that is open, or came before.
        """
        entry = self._entry(number)
        entry.ended = True
        stream = entry.stream()
        if stream is not None and not stream._closed:
            stream._end(error)
        else:
            self.close_theirs(entry)

    def _entry(self, number: object) -> In:
        entry = self._in.get(number) if type(number) is int else None
        if entry is None or entry.ended:
            raise BadMessage(f"stream {number!r:.40} is not open")
        return entry

    def close_theirs(self, entry: In) -> None:
        """Say once that no more of a stream is wanted, or that it was consumed to its end."""
        if self._over:
            return
        if not entry.closed:
            entry.closed = True
            self._outbox.say((8, entry.number))
        if entry.ended and self._in.get(entry.number) is entry:
            if entry.next is None:
                del self._in[entry.number]
            else:
                self._in[entry.number] = entry.next

    def grant(self, number: int, size: int) -> None:
        """The reader has consumed so many bytes."""
        if not self._over:
            self._outbox.say((5, number, size))

    def dropped(self, entry: In) -> None:
        """Nobody holds a stream any more that was not closed. This may run in any thread."""
        if not self._over:
            self.gone.append(entry)
            self._late()

    def sweep(self) -> None:
        """Close what was dropped."""
        gone, self.gone = self.gone, []
        for entry in gone:
            size, items = entry.unread
            self.bytes -= size
            self.items -= items
            self.close_theirs(entry)

    def stop(self, error: RopewalkError) -> None:
        """The session is over."""
        self._over = True
        for entry in self._in.values():
            stream = entry.stream()
            if stream is not None:
                stream._end(error)
        self._in.clear()
        for out in self._out.values():
            if out.task is None:  # nobody was told of it
                self._tasks.spawn(_quietly_closed(out.items), out.context)
            elif out.begun and not (out.ended or out.closed):  # else it is stopping already, and is left to clean up
                out.task.cancel()
        self._out.clear()


async def _quietly_closed(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        with suppress(Exception):
            await close()
