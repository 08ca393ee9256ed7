"""A terminal: what a program talks through with one person, whatever carries it.

Flow: carrier -> feed, resize, interrupt, end, lost -> what waits -> read_line, read_key; write -> carrier
Never: keeps more of what is typed or written than its limits say; gives a talk a control character in a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, MutableSequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ropewalk.auth import Channel, Identity
from ropewalk.terminal.cooked import Cooked
from ropewalk.terminal.interface import BadTerminal, Carrier, Complete, Ended, Interrupted, Limits, LineTooLong
from ropewalk.terminal.keys import next_key
from ropewalk.terminal.typed import Typed
from ropewalk.terminal.work import Work

if TYPE_CHECKING:
    from ropewalk.terminal.editing import Editor

__all__ = ["Terminal"]

_LARGEST = 500  # columns and rows: what is drawn for a visitor costs by them
_ESCAPE = 0.05  # seconds after which an escape is a key, and no beginning of one
_RUN = 16  # lines or keys that are read in one turn of the loop
_TOO_MUCH = 64  # times what may wait, from a carrier that goes on reading

T = TypeVar("T")


class Terminal:
    """A conversation with one visitor. It belongs to one event loop, and one task reads from it at a time.

    Args:
        carrier: What moves the text.
        name: What kind of carrier that is: telnet, ssh, unix, web, memory.
        channel: How the visitor is connected.
        columns, rows: Of its window.
        colour: Whether it shows colours and obeys escape sequences.
        keys: Whether it is in character mode: each key is sent as it is pressed, and is ours to show.
        term: What it calls itself, as in TERM; "" where it does not.
        limits: What it may take.

    Attributes:
        identity: Who is there, once that is known.
        perspective: What the realm of the portal gave to them, if there was one.
        may_edit: Says whether there may be one more editor of lines, which takes a megabyte.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        name: str,
        channel: Channel,
        columns: int = 80,
        rows: int = 24,
        colour: bool = False,
        keys: bool = False,
        term: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.carrier, self.name, self.channel = carrier, name, channel
        self.columns, self.rows, self.colour, self.keys, self.term = 80, 24, colour, keys, term
        self.limits = limits or Limits()
        self.identity = Identity("")
        self.perspective: object | None = None
        self.may_edit: Callable[[], bool] = lambda: True
        self._loop = asyncio.get_running_loop()
        self._heard, self._turns = self._loop.time(), 0  # turns: lines and keys that were read
        self._waiting = Typed()
        self._paused = self._reading = self._interrupted = False
        self._at_end: Ended | None = None  # raised once all that was typed is read
        self._over: Ended | None = None  # raised at once
        self._waiter: asyncio.Future[None] | None = None
        self._work = Work()
        self._told: Callable[[], None] | None = None
        self._cooked = Cooked(self.limits.longest_line)
        self._editor: Editor | None = None
        self._complete: Complete | None = None  # of the line that is read now
        self.resize(columns, rows)

    # ---- what a talk uses ----

    @property
    def over(self) -> Ended | None:
        """Why nobody is there any more; None while somebody is."""
        return self._over

    @property
    def editing(self) -> bool:
        """Whether its lines are edited here."""
        return self._editor is not None

    def write(self, text: str) -> None:
        """Show text; where nobody is left to see it, nothing happens.

        What others have written goes through `plain` first. A visitor who takes nothing of it is cut off at a limit.
        """
        if self._over is not None or not text:
            return
        if self._editor is not None and self._editor.active:
            self._editor.write_above(text)
        else:
            self._show(text)

    async def drain(self) -> None:
        """Wait until the visitor has taken enough of what was written.

        Raises:
            Ended: Nobody is there, or somebody who takes nothing.
        """
        try:
            async with asyncio.timeout(self.limits.untaken):
                await self.carrier.drain()
        except TimeoutError:
            self._cut()
        if self._over is not None:
            raise self._over

    async def read_line(
        self,
        prompt: str = "",
        *,
        secret: bool = False,
        complete: Complete | None = None,
        history: MutableSequence[str] | None = None,
    ) -> str:
        """The next line that the visitor types, without its end.

        Args:
            prompt: Shown before it, in one line.
            secret: It is not to be seen, nor kept.
            complete: Knows what could be meant, where lines are edited.
            history: Earlier lines, oldest first, which the visitor can go back to; the new one is appended.

        Raises:
            Interrupted: By ^C.
            Ended: There is no more line.
            BadTerminal: Somebody else is reading.
        """
        with self._reads(None if secret else complete):
            if self.keys and not secret and (editor := self._edits()):
                line = await self._edited(editor, prompt, complete, history)
            else:
                line = await self._plainly(prompt, secret)
        if history is not None and not secret and line.strip() and (not history or history[-1] != line):
            history.append(line)
        return line

    async def read_key(self) -> str:
        """The next key: its character, or a name such as "enter", "up", "page-down", "ctrl-a".

        Raises:
            Interrupted, Ended: As by `read_line`.
            BadTerminal: It is not in character mode, or somebody else is reading.
        """
        if not self.keys:
            raise BadTerminal(f"keys are asked for of a {self.name} terminal in line mode", hint="read_line() works")
        with self._reads():
            whole = False
            while True:
                await self._typed()
                key, rest = next_key(self._waiting.first, whole=whole)
                if key:
                    self._left_over(rest)
                    await self._be_fair()
                    return key
                if not self._waiting.lengthen():
                    seen = self._waiting.amount
                    await self._news(_ESCAPE)
                    whole = self._waiting.amount == seen

    async def __aiter__(self) -> AsyncIterator[str]:
        """Lines, until there are no more; ^C raises Interrupted."""
        with suppress(Ended):
            while True:
                yield await self.read_line()

    async def interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work that the visitor can stop: it is cancelled by ^C, and when nobody is there any more.

        Raises:
            Interrupted, Ended: It was, and its own end was waited for.
        """
        return await self._work.run(work, self._over)

    # ---- what a carrier calls, and a host ----

    def feed(self, text: str) -> None:
        """Take what was typed; lines end as they do anywhere: CR, LF, CR LF, CR NUL; ^C is an interrupt."""
        if self._over is not None or self._at_end is not None or not text:
            return
        self._heard = self._loop.time()
        if self._waiting.add(text):
            self._interrupt()
        if self._waiting.amount > self.limits.waiting:
            if self._waiting.amount > self.limits.waiting * _TOO_MUCH:
                self._cut()
            elif not self._paused:
                self._paused = True
                self.carrier.pause_reading()
        self._wake()

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size; 0 says that it is not known."""
        self.columns = min(columns, _LARGEST) if columns > 0 else self.columns
        self.rows = min(rows, _LARGEST) if rows > 0 else self.rows
        if self._editor is not None and self._editor.active:
            self._editor.resized()

    def use_keys(self, on: bool) -> None:
        """It is in character mode from now on, or no longer."""
        self.keys = on

    def completions(self, line: str) -> Iterable[str]:
        """Words that could stand where the last one of a line does; for a carrier whose own side edits lines."""
        return self._complete(line) if self._complete is not None else ()

    def interrupt(self) -> None:
        """The visitor pressed ^C: what was typed before is dropped."""
        self._waiting.clear()
        self._interrupt()

    def end(self) -> None:
        """Nothing more will come; what came is still read."""
        if self._at_end is None:
            self._at_end = Ended()
            self._wake()

    def lost(self) -> None:
        """The connection is gone."""
        self._leave(Ended())

    def dismiss(self, why: str, farewell: str) -> None:
        """End the conversation from our side: reading raises Ended, and the carrier is closed after the talk."""
        if self._over is None:
            self.write(f"{farewell}\n")
            self._leave(Ended(why))

    def when_over(self, call: Callable[[], None] | None) -> None:
        """Call this when it is over."""
        self._told = call
        if call is not None and self._over is not None:
            call()

    # ---- reading ----

    @contextmanager
    def _reads(self, complete: Complete | None = None) -> Iterator[None]:
        if self._reading:
            raise BadTerminal("a terminal is read by two at once")
        self._reading, self._complete = True, complete
        self._heard = self._loop.time()
        try:
            yield
        finally:
            self._reading, self._complete = False, None

    async def _typed(self) -> None:
        """Wait until something typed waits to be read."""
        while True:
            if self._over is not None:
                raise self._over
            if self._interrupted:
                self._interrupted = False
                raise Interrupted
            if self._waiting.first:
                return
            if self._at_end is not None:
                raise self._at_end
            if self._loop.time() >= self._heard + self.limits.idle:
                self.dismiss("idle", f"nothing was typed for {self.limits.idle:g} s: good-bye")
            else:
                await self._news(self._heard + self.limits.idle - self._loop.time())

    async def _news(self, seconds: float) -> None:
        """Wait until there is something new, so many seconds at most."""
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._wake)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    async def _plainly(self, prompt: str, secret: bool) -> str:
        while True:
            self._show(prompt)
            self.carrier.prompted()
            if secret:
                self.carrier.echo(False)
            try:
                line = await self._cooked_line(secret)
            finally:
                if secret:
                    self._show("\n")
                    self.carrier.echo(True)
            if isinstance(line, str):
                return line
            self._show(f"{line}\n")

    async def _cooked_line(self, secret: bool) -> str | LineTooLong:
        while True:
            try:
                await self._typed()
                line, rest = self._cooked.take(self._waiting.first, self._show if self.keys and not secret else None)
            except Ended as error:
                self._at_end = self._at_end or error
                raise
            self._left_over(rest)
            if line is not None:
                await self._be_fair()
                return line

    async def _edited(
        self, editor: Editor, prompt: str, complete: Complete | None, history: MutableSequence[str] | None
    ) -> str:
        while True:
            done = editor.start(prompt, complete, history or ())
            try:
                while not done.done():
                    await self._typed()
                    self._left_over(editor.feed(self._waiting.first))
                    await asyncio.sleep(0)  # the others' turn
                return done.result()
            except LineTooLong as error:
                told = error
            finally:
                await editor.finish()
            self._show(f"{told}\n")

    def _edits(self) -> Editor | None:
        """What edits lines here; None where that is not installed, or too many are edited already."""
        if self._editor is None:
            if not self.may_edit():
                return None
            try:
                from ropewalk.terminal.editing import Editor
            except ModuleNotFoundError:
                return None
            longest, size = self.limits.longest_line, lambda: (self.columns, self.rows)
            self._editor = Editor(self._show, size, colour=self.colour, term=self.term, longest=longest)
        return self._editor

    def _left_over(self, rest: str) -> None:
        """So much was not read."""
        self._waiting.left(rest)
        self._make_room()

    def _make_room(self) -> None:
        if self._paused and self._waiting.amount <= self.limits.waiting // 2:
            self._paused = False
            self.carrier.resume_reading()

    async def _be_fair(self) -> None:
        """Give the others their turn now and then: what was typed ahead is read without waiting."""
        self._turns += 1
        if self._turns % _RUN == 0:
            await asyncio.sleep(0)

    # ---- inside ----

    def _interrupt(self) -> None:
        self._cooked.drop()
        self._make_room()
        if not self._work.stop(Interrupted()):
            self._interrupted = True
            self._wake()

    def _show(self, text: str) -> None:
        if self._over is not None:
            return
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        self.carrier.write(text.replace("\n", self.carrier.newline))
        if self.carrier.unsent() > self.limits.unsent:
            self._cut()

    def _cut(self) -> None:
        """Give up a visitor that does not read."""
        self._leave(Ended("unread"))
        self.carrier.abort()

    def _leave(self, why: Ended) -> None:
        if self._over is not None:
            return
        self._over = why
        self._waiting.clear()
        self._work.stop(why)
        self._wake()
        if self._told is not None:
            self._told()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
