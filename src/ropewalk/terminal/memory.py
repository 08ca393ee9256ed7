"""Memory: a scripted visitor, so that talks can be tried without a network.

Flow: visiting(talk) -> Visitor.say, press -> Terminal -> the talk -> what it shows -> Visitor.expect
Never: waits without a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ropewalk.auth import Channel, Identity
from ropewalk.terminal.host import Host
from ropewalk.terminal.interface import Limits, Talk
from ropewalk.terminal.terminal import Terminal

__all__ = ["Visitor", "visiting"]

_SHOWN = 400  # characters of what was heard that an error shows
_WITHIN = 10.0  # seconds in which what is expected is there


class Visitor:
    """The other side of a terminal.

    Attributes:
        terminal: What the talk has.
        heard: All that was shown.
        takes: Whether it takes what is written; what it does not take waits.
        paused: Whether it was asked to say no more.
        hidden: Whether its own side was asked not to show what is typed.
        closed: Whether the talk is over.
    """

    newline = "\n"

    def __init__(
        self,
        *,
        channel: Channel,
        keys: bool,
        columns: int,
        rows: int,
        colour: bool,
        limits: Limits | None,
        within: float,
    ) -> None:
        self.heard = ""
        self.takes = True
        self.paused = self.hidden = self.closed = False
        self.prompts = 0
        self._waiting = ""  # written, and not taken
        self._read = 0  # characters of what was heard that were expected before
        self._news = asyncio.Event()
        self._within = within
        self.terminal = Terminal(
            self, name="memory", channel=channel, keys=keys, columns=columns, rows=rows, colour=colour, limits=limits
        )

    # ---- what a test does ----

    def say(self, line: str) -> None:
        """Type a line and Enter."""
        self.terminal.feed(f"{line}\r\n")

    def press(self, text: str) -> None:
        """Type this, and nothing more."""
        self.terminal.feed(text)

    def interrupt(self) -> None:
        """Press ^C."""
        self.terminal.interrupt()

    def end(self) -> None:
        """Type no more, and go on listening."""
        self.terminal.end()

    def hang_up(self) -> None:
        """Be gone."""
        self.terminal.lost()

    def take(self) -> None:
        """Take what waits, and what comes."""
        self.takes = True
        waiting, self._waiting = self._waiting, ""
        self.write(waiting)

    async def expect(self, text: str) -> str:
        """Wait for this after what was expected before; gives all that was shown up to its end.

        Raises:
            AssertionError: It does not come in time, or at all.
        """
        try:
            async with asyncio.timeout(self._within):
                while (at := self.heard.find(text, self._read)) < 0:
                    if self.closed:
                        raise AssertionError(f"{text!r} was not shown after {self.heard[self._read :][-_SHOWN:]!r}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{text!r} was not shown in time after {self.heard[self._read :][-_SHOWN:]!r}"
            ) from None
        begun, self._read = self._read, at + len(text)
        return self.heard[begun : self._read]

    async def wait_closed(self) -> None:
        """Wait until the talk is over."""
        async with asyncio.timeout(self._within):
            while not self.closed:
                self._news.clear()
                await self._news.wait()

    # ---- as a carrier ----

    def write(self, text: str) -> None:
        """Hear it."""
        if self.takes:
            self.heard += text
        else:
            self._waiting += text
        self._news.set()

    async def drain(self) -> None:
        """Wait until it is taken."""
        while self._waiting and not self.closed and self.terminal.over is None:
            self._news.clear()
            await self._news.wait()

    def unsent(self) -> int:
        """What was not taken."""
        return len(self._waiting.encode())

    def echo(self, on: bool) -> None:
        """Show what is typed, or do not."""
        self.hidden = not on

    def prompted(self) -> None:
        """Count it."""
        self.prompts += 1

    def pause_reading(self) -> None:
        """Say no more."""
        self.paused = True

    def resume_reading(self) -> None:
        """Say more."""
        self.paused = False

    def close(self) -> None:
        """The talk is over."""
        self.closed = True
        self._news.set()

    def abort(self) -> None:
        """The talk is over."""
        self.close()
        self.terminal.lost()


@asynccontextmanager
async def visiting(
    talk: Talk | Host,
    *,
    identity: Identity | None = None,
    perspective: object | None = None,
    channel: Channel | None = None,
    keys: bool = False,
    columns: int = 80,
    rows: int = 24,
    colour: bool = False,
    limits: Limits | None = None,
    within: float = _WITHIN,
) -> AsyncIterator[Visitor]:
    """Visit a talk, or a host; who is still there at the end hangs up, and the talk's end is waited for.

    Args:
        identity: Who it is, where the carrier knows; else a host with a portal asks.
        keys: In character mode.
        within: Seconds in which what is expected must be there.
    """
    host = talk if isinstance(talk, Host) else Host(talk, grace=0.1)
    visitor = Visitor(
        channel=channel or Channel(verified=True),
        keys=keys,
        columns=columns,
        rows=rows,
        colour=colour,
        limits=limits or host.limits,
        within=within,
    )
    if identity is not None:
        visitor.terminal.identity, visitor.terminal.perspective = replace(identity), perspective
    task = asyncio.create_task(host.visit(visitor.terminal, known=identity is not None))
    try:
        yield visitor
    finally:
        visitor.hang_up()
        await asyncio.wait((task,), timeout=within)
        task.cancel()
        await asyncio.wait((task,))
    assert not task.cancelled(), "the talk went on without its visitor"
