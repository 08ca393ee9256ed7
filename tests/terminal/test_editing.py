"""Lines edited in character mode."""

from __future__ import annotations

import asyncio
import signal
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.terminal import Ended, Interrupted, Limits, Terminal
from ropewalk.terminal.memory import Visitor, visiting

WORDS = ("status", "start", "stop", "stop", "restart")


async def edit(terminal: Terminal) -> None:
    """Says back what it reads."""
    history = deque(["first", "second"], maxlen=10)
    while True:
        try:
            line = await terminal.read_line("> ", complete=lambda _: WORDS, history=history)
        except Interrupted:
            terminal.write("stopped\n")
        else:
            terminal.write(f"<{line}>\n")


async def turns() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("pressed", "line"),
    [
        ("plain\r", "plain"),
        ("ad\x1b[Dnd\x05!\r", "andd!"),
        ("bc\x01a\r", "abc"),
        ("tyop\x7f\x7fpo\r", "typo"),
        ("gone\x15new\r", "new"),
        ("one two\x17three\r", "one three"),
        ("\x1b[A\r", "second"),
        ("\x1b[A\x1b[A\x1b[B!\r", "second!"),
        ("sta\t\t\r", "status"),
        ("re\t\r", "restart"),
        ("世界\x7f!\r", "世!"),
        ("\x12fir\r\r", "first"),
    ],
)
async def test_keys_edit_the_line(pressed: str, line: str) -> None:
    async with visiting(edit, keys=True, colour=True) as visitor:
        await visitor.expect(">")
        for key in pressed.replace("\t", "\0\t\0").split("\0"):
            visitor.press(key)
            await turns()  # words are offered by a task of the library's
        await visitor.expect(f"<{line}>")


async def test_where_keys_are_cut_makes_no_difference() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        for key in "ac\x1b[Db\x1b[C\x1b[1;5Dx\r":
            visitor.press(key)
            await asyncio.sleep(0)
        await visitor.expect("<xabc>")


@pytest.mark.parametrize("pressed", ["\x1b999999x\r", "\x18(xx\x18)\x18e\x18e\r", "\x1b-\x1b9x\x1a\x1c\r"])
async def test_few_keys_do_not_make_much(pressed: str) -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press(pressed)
        assert len(await visitor.expect(">\n")) < 2000


async def test_an_end_or_an_interrupt_ends_the_line() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press("half\x04\x03")
        await visitor.expect("stopped")
        visitor.press("\x04")
        await visitor.wait_closed()


async def test_what_others_say_stands_above_the_line() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press("be")
        await visitor.expect("be")
        visitor.terminal.write("somebody ")
        visitor.terminal.write("came\nand ")
        assert "\x1b[J" in await visitor.expect("somebody came\n")
        await visitor.expect("be")
        visitor.press("gun\r")
        await visitor.expect("and ")
        await visitor.expect("<begun>")


async def test_lines_that_are_pasted_are_lines() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press("one\r\ntwo\r\nthree\r\n")
        for line in ("one", "two", "three"):
            await visitor.expect(f"<{line}>")
        assert "\x1b[?2004h" not in visitor.heard


@pytest.mark.parametrize("pressed", ["x" * 300 + "\r", "\x1b[200~" + "x\r" * 2000, "x\x02" * 1500 + "\r"])
async def test_a_line_that_is_too_long_or_endless_is_given_up(pressed: str) -> None:
    async with visiting(edit, keys=True, limits=Limits(longest_line=200)) as visitor:
        await visitor.expect(">")
        visitor.press(pressed)
        await visitor.expect("line is dropped, it has more than 200 characters")
        visitor.press("\x03")
        await visitor.expect("stopped")
        visitor.press("short\r")
        await visitor.expect("<short>")


async def test_what_a_line_was_is_kept_within_a_bound() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        for _ in range(100):
            visitor.press("x")
            visitor.press("\x02")
            await asyncio.sleep(0)
        editor = visitor.terminal._editor
        assert editor is not None
        assert len(editor._session.default_buffer._undo_stack) <= 50


async def test_the_process_is_left_alone() -> None:
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGWINCH), signal.getsignal(signal.SIGINT), loop.slow_callback_duration
    tasks = len(asyncio.all_tasks())
    async with visiting(edit, keys=True) as one, visiting(edit, keys=True) as two:
        for visitor in (one, two):
            await visitor.expect(">")
        await turns()
        assert len(asyncio.all_tasks()) == tasks + 2
        for visitor, word in ((one, "uno"), (two, "due")):
            visitor.press(word)
        one.press("!\r")
        await one.expect("<uno!>")
        now = signal.getsignal(signal.SIGWINCH), signal.getsignal(signal.SIGINT), loop.slow_callback_duration
        assert now == before
        two.press("?\r")
        await two.expect("<due?>")


async def test_a_line_is_drawn_anew_for_another_window() -> None:
    async with visiting(edit, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press("begun")
        await visitor.expect("begun")
        visitor.terminal.resize(20, 10)
        await visitor.expect("begun")


async def test_who_hangs_up_in_a_line_ends_it() -> None:
    ends: list[str] = []

    async def talk(terminal: Terminal) -> None:
        try:
            await edit(terminal)
        except Ended as error:
            ends.append(error.why)

    async with visiting(talk, keys=True) as visitor:
        await visitor.expect(">")
        visitor.press("beg")
        visitor.hang_up()
        await visitor.wait_closed()
    assert ends == ["closed"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(st.one_of(st.sampled_from("\x1b[O~;19ABx\t \x0f\x11\x12\x18\x7f\x19"), st.characters()), max_size=30)
    )
)
def test_no_keys_break_it(pieces: list[str]) -> None:
    async def main() -> None:
        async with visiting(edit, keys=True) as visitor:
            await visitor.expect(">")
            for piece in pieces:
                visitor.press(piece.replace("\x04", ""))
                await asyncio.sleep(0)
            await settle(visitor)
            assert visitor.terminal.over is None
            assert "something went wrong" not in visitor.heard

    asyncio.run(main())


async def settle(visitor: Visitor) -> None:
    """Get out of whatever was begun, and have a line read."""
    visitor.press("\x03")
    await visitor.expect("stopped")
    visitor.press("end\r")
    await visitor.expect("<end>")
