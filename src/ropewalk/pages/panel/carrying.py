"""Carrying: a terminal over one WebSocket of the console's page.

Flow: messages of the page -> Terminal; what the talk writes -> a bounded line of messages -> the page
Never: keeps more for a page that does not read than its terminal's limits and one answer; hears more than one types.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from starlette.types import Receive, Send

from ropewalk.auth import Channel
from ropewalk.errors import PeerFault
from ropewalk.pages.panel import saying
from ropewalk.terminal import Limits, Terminal

__all__ = ["BURST", "RATE", "Carrying", "TooManyMessages"]

BURST, RATE = 100, 20.0  # messages at once, and a second for ever: nobody presses keys faster
_OFFERED = 200  # words for a Tab
_PIECE = 32 * 1024  # characters of a message to the page
_ENDS_WITHIN = 5.0  # seconds in which the page takes what is left, and then the end
_NORMAL, _NOT_TEXT, _BAD, _LARGE = 1000, 1003, 1008, 1009  # RFC 6455, 7.4.1


class TooManyMessages(PeerFault):
    """The page of the console sends more than anybody types."""

    code = "pages.too-many-messages"

    def __init__(self) -> None:
        super().__init__(f"more than {BURST} messages at once, or {RATE:g} a second")


class Carrying:
    """One WebSocket that is open; a carrier.

    Args:
        receive, send: ASGI's.
        channel: How the browser is connected.
        limits: Of the terminal.
        typed: Called for each line.

    Attributes:
        terminal: What is carried.
        over: Set once the WebSocket is to be closed, or is.
    """

    newline = "\n"

    def __init__(
        self, receive: Receive, send: Send, channel: Channel, limits: Limits, typed: Callable[[], None]
    ) -> None:
        self._receive, self._send, self._typed = receive, send, typed
        self._out: deque[str] = deque()
        self._unsent = self._before = 0
        self._written = ""  # the last of what is to be sent, if that is text
        self._stirred, self._empty, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._empty.set()
        self._last = False  # nothing is written any more
        self._end: tuple[int, str] | None = (_NORMAL, "")  # None where the page has closed it
        self._loop = asyncio.get_running_loop()
        self._budget, self._refilled = float(BURST), self._loop.time()
        self.terminal = Terminal(self, name="web", channel=channel, limits=limits)

    async def hear(self) -> None:
        """Give to the terminal what the page says, until there is no more."""
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            try:
                self._pay()
                self._take(saying.heard(text or ""))
            except (TooManyMessages, saying.BadMessage) as error:
                large = len(text or "") > saying.LONGEST_MESSAGE
                self.finish(_NOT_TEXT if text is None else _LARGE if large else _BAD, str(error))
                return
        self._end = None
        self.over.set()

    async def tell(self) -> None:
        """Send what was written, until nothing is any more."""
        with suppress(OSError):  # nobody is there; `hear` is told so, too
            while True:
                while self._out:
                    message = self._out.popleft()
                    await self._send({"type": "websocket.send", "text": message})
                    self._unsent -= len(message)
                self._empty.set()
                if self._last:
                    self.over.set()
                    return
                self._stirred.clear()
                await self._stirred.wait()

    async def hang_up(self) -> None:
        """Close the WebSocket, and say why; a page that does not take that is cut off by the web server."""
        self._last = True
        self._empty.set()
        self.terminal.lost()
        if self._end is not None:
            code, reason = self._end
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_ENDS_WITHIN):
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def finish(self, code: int, reason: str) -> None:
        """End it now, whatever is unsent; the first reason counts."""
        if not self.over.is_set():
            self._end = (code, reason)
            self._last = True
            self.over.set()

    # ---- as a carrier ----

    def write(self, text: str) -> None:
        """Send text."""
        self._written, self._before = "", self._unsent
        for at in range(0, len(text), _PIECE):
            self._written = text[at : at + _PIECE]
            self._put(saying.text(self._written))

    async def drain(self) -> None:
        """Wait until all is sent."""
        await self._empty.wait()

    def unsent(self) -> int:
        """Characters that waited when the last was written: one answer may be longer than what may wait."""
        return self._before

    def echo(self, on: bool) -> None:
        """Nothing secret is asked for here: who comes is known."""

    def prompted(self) -> None:
        """What was written last, and is no whole line, goes before the field for one."""
        if self._last:
            return
        before, end, prompt = self._written.rpartition("\n")
        if self._written:
            self._unsent -= len(self._out.pop())  # written within this turn of the loop, so it is still there
            self._written = ""
        self._put(saying.text(before + end) if end else "")
        self._put(saying.prompt(prompt))

    def pause_reading(self) -> None:
        """So much typed ahead is no person's."""
        self.finish(_BAD, "more was typed ahead than is kept")

    def resume_reading(self) -> None:
        """It was not paused."""

    def close(self) -> None:
        """End it once all is sent."""
        if self.over.is_set():
            return
        self._last = True
        over = self.terminal.over
        self._end = (_NORMAL, f"the conversation has ended{f': {over.why}' if over is not None else ''}")
        self._stirred.set()
        self._loop.call_later(_ENDS_WITHIN, self.over.set)

    def abort(self) -> None:
        """End it now: the terminal does so with who does not read."""
        self.finish(_BAD, "what was written was not read")

    # ---- inside ----

    def _put(self, message: str) -> None:
        if message and not self._last:
            self._out.append(message)
            self._unsent += len(message)
            self._empty.clear()
            self._stirred.set()

    def _take(self, said: saying.Said) -> None:
        match said:
            case saying.Line(text):
                self._typed()
                self.terminal.feed(f"{text}\n")
            case saying.Interrupt():
                self.terminal.interrupt()
            case saying.Complete(text, number):
                before = text.rpartition(" ")[2]
                offered = (one for one in self.terminal.completions(text) if one.startswith(before))
                self._written = ""
                self._put(saying.words(number, list(islice(offered, _OFFERED))))
            case saying.Columns(number):
                self.terminal.resize(number, 0)

    def _pay(self) -> None:
        now = self._loop.time()
        self._budget = min(BURST, self._budget + (now - self._refilled) * RATE) - 1
        self._refilled = now
        if self._budget < 0:
            raise TooManyMessages
