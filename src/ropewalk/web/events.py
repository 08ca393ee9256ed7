"""Events: server-sent events: text to a browser for as long as it listens.

Flow: an async iterator of Event -> EventStream, an ASGI app -> `text/event-stream`, flushed one by one
Never: outlives the listener, or the site's stop; leaves a silent stream for longer than a proxy waits.
Source: WHATWG HTML, section 9.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from ropewalk.web.errors import BrokenAnswer, Disconnected
from ropewalk.web.quick import Receive, Scope, Send

__all__ = ["Event", "EventStream"]

_ALIVE = 15.0  # seconds; proxies cut a connection on which nothing comes for 30 or 60
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: Text; each of its lines is a line of the event.
        event: What kind; "" is a message.
        id: What the browser sends again when it reconnects; "" leaves the last one.
        retry: Milliseconds until it reconnects; None leaves that.
    """

    data: str
    event: str = ""
    id: str = ""
    retry: int | None = None

    def encode(self) -> bytes:
        """As it is sent.

        Raises:
            BrokenAnswer: Kind or id have a line end.
        """
        lines = []
        for name, value in (("event", self.event), ("id", self.id)):
            if any(sign in value for sign in "\r\n\0"):
                raise BrokenAnswer(f"{name} of an event has a line end in it")
            if value:
                lines.append(f"{name}: {value}\n")
        if self.retry is not None:
            lines.append(f"retry: {self.retry:d}\n")
        text = self.data.replace("\r\n", "\n").replace("\r", "\n")
        lines += [f"data: {line}\n" for line in text.split("\n")]
        return f"{''.join(lines)}\n".encode()


class EventStream:
    """An answer that is an endless stream; call it as an ASGI app.

    Args:
        events: Closed when the stream ends, whoever ends it.
        alive: Seconds without an event after which a comment is sent.
    """

    def __init__(self, events: AsyncIterator[Event], *, alive: float = _ALIVE) -> None:
        self._events, self._alive = events, alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the shape of an app
        """Send events until they end, the listener goes, or the site stops."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        gone = asyncio.create_task(_gone(receive))
        try:
            async with aclosing(_closable(self._events)) as events:
                await self._send_all(events, gone, send)
        except Disconnected:
            return
        finally:
            gone.cancel()
            await asyncio.wait([gone])
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, events: AsyncIterator[Event], gone: asyncio.Task[None], send: Send) -> None:
        await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
        coming: asyncio.Task[Event] | None = None
        try:
            while not gone.done():
                coming = coming or asyncio.ensure_future(anext(events))
                await asyncio.wait([coming, gone], timeout=self._alive, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                body = b":\n\n"
                if coming.done():
                    try:
                        body = coming.result().encode()
                    except StopAsyncIteration:
                        return
                    coming = None
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait([coming])


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _closable(events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    try:
        async for event in events:
            yield event
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
