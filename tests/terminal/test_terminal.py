"""What a talk uses of a terminal, with a scripted visitor."""

from __future__ import annotations

import asyncio

import pytest

from ropewalk import loops
from ropewalk.terminal import BadTerminal, Ended, Interrupted, Limits, Terminal
from ropewalk.terminal.memory import visiting


async def hear(terminal: Terminal) -> None:
    """Says back what it reads."""
    terminal.write("ready\n")
    async for line in terminal:
        terminal.write(f"<{line}>\n")


async def press(terminal: Terminal) -> None:
    """Names keys."""
    terminal.write("ready\n")
    while True:
        terminal.write(f"<{await terminal.read_key()}>\n")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\0"])
async def test_lines_end_as_they_do_anywhere(end: str) -> None:
    async with visiting(hear) as visitor:
        for piece in (f"one{end}two{end}", *f"three{end}four{end}"):
            visitor.press(piece)
        for word in ("one", "two", "three", "four"):
            assert await visitor.expect(f"<{word}>") in (f"ready\n<{word}>", f"\n<{word}>")


async def test_what_is_typed_ahead_is_read_in_its_turn() -> None:
    async def talk(terminal: Terminal) -> None:
        await asyncio.sleep(0)
        terminal.write(f"{await terminal.read_line()} {await terminal.read_line(secret=True)}\n")

    async with visiting(talk) as visitor:
        visitor.say("one")
        visitor.say("two")
        await visitor.expect("one two\n")


async def test_the_visitors_own_side_hides_a_secret_in_line_mode() -> None:
    async def talk(terminal: Terminal) -> None:
        await terminal.read_line("name: ")
        await terminal.read_line("word: ", secret=True)
        await terminal.read_line("more: ")

    async with visiting(talk) as visitor:
        hidden = [visitor.hidden]
        await visitor.expect("name: ")
        visitor.say("ann")
        await visitor.expect("word: ")
        hidden.append(visitor.hidden)
        visitor.say("xyzzy")
        await visitor.expect("more: ")
        assert [*hidden, visitor.hidden] == [False, True, False]
        assert visitor.prompts == 3


async def test_a_secret_is_neither_shown_nor_kept_in_character_mode() -> None:
    history = ["before"]

    async def talk(terminal: Terminal) -> None:
        secret = await terminal.read_line("word: ", secret=True, history=history)
        terminal.write(f"{len(secret)} letters\n")

    async with visiting(talk, keys=True) as visitor:
        await visitor.expect("word: ")
        visitor.press("xyz\x7fzzy\r")
        await visitor.expect("5 letters")
        assert "x" not in visitor.heard
    assert history == ["before"]


async def test_lines_are_kept_where_somebody_keeps_them() -> None:
    history = ["one"]

    async def talk(terminal: Terminal) -> None:
        for _ in range(4):
            await terminal.read_line(history=history)
        terminal.write("done\n")

    async with visiting(talk) as visitor:
        for line in ("one", "two", "  ", "one"):
            visitor.say(line)
        await visitor.expect("done")
    assert history == ["one", "two", "one"]


async def test_keys_have_names_and_an_escape_is_one_after_a_while() -> None:
    async with visiting(press, keys=True) as visitor:
        await visitor.expect("ready")
        visitor.press("a\x1b[A\r")
        await visitor.expect("<a>\n<up>\n<enter>")
        visitor.press("\x1b")
        await visitor.expect("<escape>")
        visitor.press("\x1b[1;")
        visitor.press("5D")
        await visitor.expect("<left>")


async def test_there_are_no_keys_in_line_mode() -> None:
    async def talk(terminal: Terminal) -> None:
        with pytest.raises(BadTerminal, match="memory terminal in line mode") as raised:
            await terminal.read_key()
        terminal.write(raised.value.hint)

    async with visiting(talk) as visitor:
        await visitor.expect("read_line")


async def test_two_do_not_read_at_once() -> None:
    async def talk(terminal: Terminal) -> None:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(terminal.read_line())
            await asyncio.sleep(0)
            with pytest.raises(BadTerminal, match="by two at once"):
                await terminal.read_line()
            terminal.write("now\n")
            terminal.write(f"<{await first}>\n")

    async with visiting(talk) as visitor:
        await visitor.expect("now")
        visitor.say("one")
        await visitor.expect("<one>")


@pytest.mark.parametrize("keys", [False, True])
async def test_an_interrupt_drops_what_was_typed_before_it(keys: bool) -> None:
    async def talk(terminal: Terminal) -> None:
        while True:
            try:
                terminal.write(f"<{await terminal.read_line('say: ')}>\n")
            except Interrupted:
                terminal.write("stopped\n")

    async with visiting(talk, keys=keys) as visitor:
        await visitor.expect("say:")
        visitor.press("begun")
        await asyncio.sleep(0)
        visitor.press(" and on\x03ne")
        await visitor.expect("stopped")
        visitor.press("w\r")
        await visitor.expect("<new>")


async def test_an_interrupt_is_kept_for_who_reads_next() -> None:
    go = asyncio.Event()

    async def talk(terminal: Terminal) -> None:
        terminal.write("busy\n")
        await go.wait()
        with pytest.raises(Interrupted):
            await terminal.read_line()
        terminal.write(f"<{await terminal.read_line()}>")

    async with visiting(talk) as visitor:
        await visitor.expect("busy")
        visitor.say("dropped")
        visitor.interrupt()
        go.set()
        visitor.say("kept")
        await visitor.expect("<kept>")


async def test_work_that_is_not_interrupted_gives_its_result_or_its_error() -> None:
    async def six() -> int:
        await asyncio.sleep(0)
        return 6

    async def wrong() -> None:
        raise LookupError("what I lost")

    async def talk(terminal: Terminal) -> None:
        assert await terminal.interruptible(six()) == 6
        with pytest.raises(LookupError):
            await terminal.interruptible(wrong())
        terminal.write("right\n")

    async with visiting(talk) as visitor:
        await visitor.expect("right")


async def test_work_ends_before_its_visitor_is_told_that_it_was_interrupted_or_gone() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("work")

    async def talk(terminal: Terminal) -> None:
        for expected in (Interrupted, Ended, Ended):
            terminal.write("at work\n")
            with pytest.raises(expected):
                await terminal.interruptible(work())
            steps.append(expected.__name__)

    async with visiting(talk) as visitor:
        await visitor.expect("at work")
        visitor.interrupt()
        await visitor.expect("at work")
        visitor.hang_up()
        await visitor.wait_closed()
    assert steps == ["work", "Interrupted", "work", "Ended", "work", "Ended"]


async def test_who_is_cancelled_at_work_cancels_it() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("work")

    async def talk(terminal: Terminal) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await terminal.interruptible(work())
        assert steps == ["work"]
        terminal.write("right\n")

    async with visiting(talk) as visitor:
        await visitor.expect("right")


async def test_who_says_nothing_is_sent_away() -> None:
    async with visiting(hear, limits=Limits(idle=0.02)) as visitor:
        await visitor.expect("nothing was typed for 0.02 s: good-bye")
        await visitor.wait_closed()
        assert visitor.terminal.over is not None
        assert visitor.terminal.over.why == "idle"


def test_waiting_for_one_who_types_slowly_is_not_idle() -> None:
    async def main() -> None:
        async with visiting(hear, limits=Limits(idle=60), within=600) as visitor:
            await visitor.expect("ready")
            for letter in "abcd":
                await asyncio.sleep(50)
                visitor.press(letter)
            visitor.press("\r")
            await visitor.expect("<abcd>")
            await asyncio.sleep(61)
            await visitor.expect("nothing was typed for 60 s")

    loops.run(main(), loop="simulated")


async def test_who_types_faster_than_is_read_is_asked_to_pause() -> None:
    go = asyncio.Event()

    async def talk(terminal: Terminal) -> None:
        await go.wait()
        await hear(terminal)

    async with visiting(talk, limits=Limits(waiting=1000)) as visitor:
        for _ in range(11):
            visitor.say("x" * 99)
        assert visitor.paused
        go.set()
        for _ in range(11):
            await visitor.expect("<" + "x" * 99 + ">")
        assert not visitor.paused


async def test_who_has_typed_much_ahead_does_not_keep_the_others_waiting() -> None:
    async with visiting(hear, limits=Limits(waiting=100_000)) as visitor:
        await visitor.expect("ready")
        visitor.press("\n" * 100_000)
        turns = 0
        while "<>\n" * 1000 not in visitor.heard:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 50
        assert "<>\n" * 2000 not in visitor.heard
        visitor.interrupt()


async def test_keys_and_lines_lie_across_pieces_of_what_waits() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("ready\n")
        await terminal.read_line()
        keys = [await terminal.read_key() for _ in range(1500)]
        assert set(keys) == {"up"}
        terminal.write(f"<{len(await terminal.read_line())}>")

    async with visiting(talk, keys=True, limits=Limits(idle=5)) as visitor:
        visitor.press("\n" + "\x1b[1;5A" * 1500 + "x" * 3000 + "\n")
        await visitor.expect("<3000>")


async def test_a_carrier_that_does_not_pause_loses_its_visitor() -> None:
    async def talk(terminal: Terminal) -> None:
        await asyncio.Event().wait()

    async with visiting(talk, limits=Limits(waiting=1000)) as visitor:
        await asyncio.sleep(0)
        for _ in range(70):
            visitor.press("x" * 1000)
        assert visitor.closed
        assert visitor.terminal.over is not None
        assert not visitor.terminal._waiting.amount


async def test_who_takes_nothing_is_cut_off_at_the_bound() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("ready\n")
        await terminal.read_line()
        for _ in range(1000):
            terminal.write("y" * 100)
        with pytest.raises(Ended) as raised:
            await terminal.read_line()
        assert raised.value.why == "unread"

    async with visiting(talk, limits=Limits(unsent=10_000)) as visitor:
        await visitor.expect("ready")
        visitor.takes = False
        visitor.say("go on")
        await visitor.wait_closed()
        assert visitor.unsent() <= 10_100


async def test_waiting_for_one_who_takes_nothing_has_a_deadline() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("ready\n")
        await terminal.read_line()
        terminal.write("more\n")
        with pytest.raises(Ended) as raised:
            await terminal.drain()
        assert raised.value.why == "unread"

    async with visiting(talk, limits=Limits(untaken=0.02)) as visitor:
        await visitor.expect("ready")
        visitor.takes = False
        visitor.say("go on")
        await visitor.wait_closed()


async def test_draining_waits_until_it_is_taken() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("ready\n")
        await terminal.drain()
        await terminal.read_line()
        terminal.write("much\n")
        await terminal.drain()
        terminal.write("more\n")

    async with visiting(talk) as visitor:
        await visitor.expect("ready")
        visitor.takes = False
        visitor.say("")
        await asyncio.sleep(0.01)
        visitor.take()
        await visitor.expect("much\nmore")


async def test_a_window_is_neither_nothing_nor_endless() -> None:
    async with visiting(hear) as visitor:
        visitor.terminal.resize(0, 65535)
        assert (visitor.terminal.columns, visitor.terminal.rows) == (80, 500)
        visitor.terminal.resize(132, 0)
        assert (visitor.terminal.columns, visitor.terminal.rows) == (132, 500)


async def test_nothing_comes_of_what_is_done_when_it_is_over() -> None:
    async with visiting(hear) as visitor:
        await visitor.expect("ready")
        terminal = visitor.terminal
        terminal.end()
        terminal.end()
        await visitor.wait_closed()
        terminal.lost()
        terminal.feed("more\n")
        terminal.interrupt()
        terminal.write("more")
        terminal.dismiss("stopped", "good-bye")
        assert "more" not in visitor.heard
        assert "good-bye" not in visitor.heard


async def test_the_mode_can_change_while_a_line_is_typed() -> None:
    async with visiting(hear) as visitor:
        await visitor.expect("ready")
        visitor.press("on")
        await asyncio.sleep(0)
        visitor.terminal.use_keys(True)
        visitor.press("e\r")
        await visitor.expect("<one>")
        visitor.press("two\r")
        await visitor.expect("<two>")
