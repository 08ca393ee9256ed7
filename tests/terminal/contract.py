"""What every carrier of terminals must do: `check_terminal`, passed by telnet, SSH and the one for tests alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ropewalk.terminal import Ended, Interrupted, Talk, Terminal

WITHIN = 20.0  # seconds in which anything must happen that happens at all


class Peer(Protocol):
    """A visitor, by a real client where the carrier has one."""

    async def say(self, text: str) -> None:
        """Type it; lines end with LF."""

    async def expect(self, text: str) -> str:
        """Wait until this is shown, after what was expected before; fails where it is not in time."""

    async def interrupt(self) -> None:
        """Press ^C, or send what stands for it."""

    async def resize(self, columns: int, rows: int) -> None:
        """The window has another size."""

    async def end(self) -> None:
        """Type no more: ^D, or half of the connection closed."""

    async def hang_up(self) -> None:
        """Be gone."""


Connect = Callable[[Talk], AbstractAsyncContextManager[Peer]]


async def check_terminal(connect: Connect) -> None:
    """Run each part of the contract against a carrier.

    Args:
        connect: Serves a talk, and gives a visitor of it.
    """
    for part in _PARTS:
        try:
            async with asyncio.timeout(WITHIN * 2):
                await part(connect)
        except BaseException as error:
            error.add_note(f"in {part.__name__} of the contract")
            raise


async def _lines_come_in_order_and_whole(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("welcome\n")
        async for line in terminal:
            terminal.write(f"heard <{line}>\n")

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.say("one\ntwo\n")
        await peer.expect("heard <one>")
        await peer.expect("heard <two>")
        await peer.say("grüße, 世界\n")
        await peer.expect("heard <grüße, 世界>")


async def _who_is_there_is_told(connect: Connect) -> None:
    seen: list[Terminal] = []

    async def talk(terminal: Terminal) -> None:
        seen.append(terminal)
        terminal.write("welcome\n")
        await terminal.read_line()

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.say("\n")
    (terminal,) = seen
    assert terminal.name
    assert terminal.channel is not None
    assert terminal.columns > 0
    assert terminal.rows > 0


async def _a_secret_is_read_and_not_shown(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        secret = await terminal.read_line("password: ", secret=True)
        terminal.write(f"{len(secret)} letters\n")
        terminal.write(f"then <{await terminal.read_line('plain: ')}>\n")

    async with connect(talk) as peer:
        await peer.expect("password:")
        await peer.say("xyzzy\n")
        assert "xyzzy" not in await peer.expect("5 letters")
        await peer.expect("plain:")
        await peer.say("more\n")
        await peer.expect("then <more>")


async def _an_interrupt_is_raised_once(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        try:
            await terminal.read_line("first: ")
        except Interrupted:
            terminal.write("stopped\n")
        terminal.write(f"then <{await terminal.read_line('second: ')}>\n")

    async with connect(talk) as peer:
        await peer.expect("first:")
        await peer.interrupt()
        await peer.expect("stopped")
        await peer.expect("second:")
        await peer.say("on\n")
        await peer.expect("then <on>")


async def _work_is_interrupted(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("working\n")
        try:
            await terminal.interruptible(asyncio.sleep(WITHIN * 10))
        except Interrupted:
            terminal.write("work stopped\n")
        await terminal.read_line()

    async with connect(talk) as peer:
        await peer.expect("working")
        await peer.interrupt()
        await peer.expect("work stopped")


async def _a_window_changes(connect: Connect) -> None:
    changed = asyncio.Event()

    async def talk(terminal: Terminal) -> None:
        terminal.write("welcome\n")
        while (terminal.columns, terminal.rows) != (101, 33):  # noqa: ASYNC110 - a talk looks when it draws
            await asyncio.sleep(0.01)
        changed.set()

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.resize(101, 33)
        await asyncio.wait_for(changed.wait(), WITHIN)


async def _a_line_that_is_too_long_is_dropped(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("welcome\n")
        async for line in terminal:
            terminal.write(f"heard <{line}>\n")

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.say("y" * 5000 + "\n")
        await peer.expect("line is dropped")
        await peer.say("short\n")
        await peer.expect("heard <short>")


async def _what_came_before_the_end_is_read(connect: Connect) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def talk(terminal: Terminal) -> None:
        terminal.write("welcome\n")
        line = await terminal.read_line()
        try:
            await terminal.read_line()
        except Ended as error:
            ended.set_result((line, error.why))
            raise

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.say("last\n")
        await peer.end()
        assert await asyncio.wait_for(ended, WITHIN) == ("last", "closed")


async def _hanging_up_ends_reading_and_writing(connect: Connect) -> None:
    ends = asyncio.Queue[str]()

    async def talk(terminal: Terminal) -> None:
        terminal.write("welcome\n")
        try:
            await terminal.read_line()
        except Ended:
            await ends.put("reading")
        try:
            while True:  # that nobody is there can take a write to find out
                terminal.write("nobody hears this\n")
                await terminal.drain()
                await asyncio.sleep(0.01)
        except Ended:
            await ends.put("writing")

    async with connect(talk) as peer:
        await peer.expect("welcome")
        await peer.hang_up()
        assert await asyncio.wait_for(ends.get(), WITHIN) == "reading"
        assert await asyncio.wait_for(ends.get(), WITHIN) == "writing"


async def _a_talk_that_fails_says_so(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        raise ValueError("a secret of the server")

    async with connect(talk) as peer:
        assert "secret" not in await peer.expect("something went wrong")


async def _a_talk_that_returns_closes(connect: Connect) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("that is all\n" * 100 + "really\n")

    async with connect(talk) as peer:
        await peer.expect("really")


_PARTS: list[Callable[[Connect], Coroutine[Any, Any, None]]] = [
    _lines_come_in_order_and_whole,
    _who_is_there_is_told,
    _a_secret_is_read_and_not_shown,
    _an_interrupt_is_raised_once,
    _work_is_interrupted,
    _a_window_changes,
    _a_line_that_is_too_long_is_dropped,
    _what_came_before_the_end_is_read,
    _hanging_up_ends_reading_and_writing,
    _a_talk_that_fails_says_so,
    _a_talk_that_returns_closes,
]
