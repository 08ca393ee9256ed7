"""Conversations: at a terminal of any kind, and the Python prompt for those who may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ropewalk.auth import Channel, Identity
from ropewalk.console import Operator, Right
from ropewalk.console.conversation import Conversation
from ropewalk.console.python import PythonPrompt
from ropewalk.service import Application
from ropewalk.terminal import Terminal
from ropewalk.terminal.memory import Visitor, visiting
from ropewalk.threads import Watchdog
from tests.console.stage import ALL, EVERYTHING, shop


@asynccontextmanager
async def visit(
    application: Application,
    *,
    by: str = "ssh",
    operator: Operator = EVERYTHING,
    keys: bool = False,
    channel: Channel | None = None,
) -> AsyncIterator[Visitor]:
    async def talk(terminal: Terminal) -> None:
        await Conversation(application.control, ALL, terminal, "ssh").go_on()

    made = visiting(talk, identity=Identity("ann"), perspective=operator, keys=keys, channel=channel, columns=100)
    async with made as visitor:
        visitor.terminal.name = by  # before its talk begins
        await visitor.expect(">")
        yield visitor


async def test_a_conversation_from_hello_to_quit(audit: list[dict[str, str]]) -> None:
    async with shop() as application, visit(application) as visitor:
        assert "shop: 3 services" in visitor.heard
        assert "hello ann" in visitor.heard
        visitor.say("services")
        await visitor.expect("data")
        visitor.say("who")
        await visitor.expect("ann")
        visitor.say("bogus")
        await visitor.expect("error: no command 'bogus'")
        visitor.say("quit")
        await visitor.wait_closed()
        assert application.control.presence.all() == []
    assert [one["line"] for one in audit] == ["services", "who", "bogus", "quit"]


async def test_completion_and_history_of_keys() -> None:
    async with shop() as application, visit(application, keys=True) as visitor:
        visitor.press("upti\t")
        await visitor.expect("me")
        visitor.press("\r")
        await visitor.expect("shop: for")
        visitor.press("\x1b[A\r")
        await visitor.expect("shop: for")


async def test_interrupt_ends_a_command_and_not_the_conversation(audit: list[dict[str, str]]) -> None:
    async with shop() as application, visit(application) as visitor:
        real = application.control.restart
        waits = asyncio.Event()

        async def never(*_: object, **__: object) -> list[object]:
            waits.set()
            await asyncio.Event().wait()
            return []

        application.control.restart = never  # type: ignore[assignment,method-assign]
        visitor.say("restart data")
        await waits.wait()
        visitor.interrupt()
        await visitor.expect("interrupted")
        application.control.restart = real  # type: ignore[method-assign]
        visitor.say("restart data")
        await visitor.expect("data is up")
        visitor.interrupt()
        await visitor.expect("interrupted")
    assert [one["outcome"] for one in audit] == ["interrupted", "done"]


@pytest.mark.parametrize("by", ["telnet", "web", "memory"])
async def test_no_python_but_by_ssh_and_the_unix_socket(by: str) -> None:
    async with shop() as application, visit(application, by=by) as visitor:
        visitor.say("python")
        await visitor.expect(f"error: no right to run Python here by {by}")
        visitor.say("restart data")
        await visitor.expect("data is up")


@pytest.mark.parametrize("channel", [Channel(verified=False), Channel(verified=True, at_proxy=True)])
async def test_who_comes_by_a_way_that_others_can_change_only_looks(channel: Channel) -> None:
    async with shop() as application, visit(application, channel=channel) as visitor:
        visitor.say("stop data")
        await visitor.expect("error: no right to change anything here")
        visitor.say("python")
        await visitor.expect("error: no right to run Python here")
        visitor.say("uptime")
        await visitor.expect("shop: for")


async def test_who_has_no_right_gets_nothing() -> None:
    async with shop() as application, visit(application, operator=Operator(frozenset())) as visitor:
        for line in ("services", "python", "stop data", "config"):
            visitor.say(line)
            await visitor.expect("error: no right")


@asynccontextmanager
async def prompt(application: Application, operator: Operator = EVERYTHING) -> AsyncIterator[Visitor]:
    async with visit(application, operator=operator, by="unix") as visitor:
        visitor.say("python")
        await visitor.expect(">>>")
        yield visitor


async def test_python_in_the_live_loop(audit: list[dict[str, str]]) -> None:
    async with shop() as application, prompt(application) as visitor:
        visitor.say("1 + 1")
        await visitor.expect("2\n")
        visitor.say("application.name, sorted(services), registry is application.registry, await asyncio.sleep(0, 7)")
        await visitor.expect("('shop', ['data', 'web'], True, 7)")
        for line in ("async def twice(x):", "    await asyncio.sleep(0)", "    return 2 * x", ""):
            visitor.say(line)
        visitor.say("y = await twice(4)")
        visitor.say("print('y is', y, sep='=')")
        await visitor.expect("y is=8")
        visitor.say("_")
        visitor.say("y; x = y")
        visitor.say("x + 1")
        await visitor.expect("9")
        visitor.say("exit()")
        await visitor.expect("shop>")
    told = [(one["line"], one["outcome"]) for one in audit]
    assert ("1 + 1", "begins") in told
    assert ("1 + 1", "done") in told
    assert any("async def twice(x):\\n" in line for line, _ in told)


async def test_python_errors_end_the_statement_alone(audit: list[dict[str, str]]) -> None:
    async with shop() as application, prompt(application) as visitor:
        for line, said in (
            ("1 / 0", "ZeroDivisionError"),
            ("f = = 3", "SyntaxError"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise asyncio.CancelledError", "CancelledError"),
            ("raise GeneratorExit", "GeneratorExit"),
            ("await 3", "TypeError"),
            ("nothing", "NameError"),
            ("'\\x1b[2J' + chr(27)", "'\\x1b[2J"),
            ("print(chr(27) + 'x')", "\ufffdx"),
        ):
            visitor.say(line)
            await visitor.expect(said)
            await visitor.expect(">>>")
        assert "\x1b[2J" not in visitor.heard
        assert "ropewalk/console" not in visitor.heard  # the stack is the statement's own
        visitor.say("raise SystemExit")
        await visitor.expect("shop>")
        visitor.say("uptime")
        await visitor.expect("shop: for")
    assert ("1 / 0", "ZeroDivisionError") in [(one["line"], one["outcome"]) for one in audit]


async def test_interrupt_ends_what_python_awaits(audit: list[dict[str, str]]) -> None:
    async with shop() as application, prompt(application) as visitor:
        visitor.say("print('on'); await asyncio.Event().wait()")
        await visitor.expect("on")
        visitor.interrupt()
        await visitor.expect("KeyboardInterrupt")
        await visitor.expect(">>>")
        visitor.say("for one in (1, 2):")
        await visitor.expect("...")
        visitor.interrupt()
        await visitor.expect("KeyboardInterrupt")
        visitor.say("3 + 4")
        await visitor.expect("7")
    assert "interrupted" in [one["outcome"] for one in audit]


@pytest.mark.parametrize(
    "line",
    ["while True: print(999 * 'more')", "while True: print(999 * 'more'); await asyncio.sleep(0)", "'x' * 5_000_000"],
)
async def test_endless_output_ends(line: str) -> None:
    async with shop() as application, prompt(application) as visitor:
        visitor.say(line)
        visitor.say("")
        await visitor.expect("TooMuchOutput")
        assert len(visitor.heard) < 400_000
        visitor.say("2 + 3")
        await visitor.expect("5")


async def test_a_statement_that_blocks_the_loop_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with Watchdog(0.05) as dog:
        async with shop() as application, prompt(application) as visitor:
            before = dog.stalls
            visitor.say("import time; time.sleep(1)")
            await visitor.expect(">>>")
            visitor.say("'on', 'again'")
            await visitor.expect("('on', 'again')")
            assert dog.stalls > before
    assert 'File "<console>", line 1' in caplog.text


async def test_who_hangs_up_takes_the_statement_along() -> None:
    async with shop() as application, prompt(application) as visitor:
        visitor.say("print('on'); await asyncio.Event().wait()")
        await visitor.expect("on")
        visitor.hang_up()
        await visitor.wait_closed()
        assert application.control.presence.all() == []


class Trap:
    """What must not be run for a completion."""

    fine = 3
    __slots__ = ("__dict__", "slot")

    def __init__(self) -> None:
        self.own = 4
        self.slot = self

    @property
    def boom(self) -> object:
        raise AssertionError("run for a completion")

    def __getattr__(self, name: str) -> object:
        raise AssertionError("run for a completion")

    def __dir__(self) -> list[str]:
        raise AssertionError("run for a completion")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trap.f", ["trap.fine"]),
        ("trap.o", ["trap.own"]),
        ("trap.slot.o", ["trap.slot.own"]),
        ("print(trap.b", ["print(trap.boom"]),
        ("trap.boom.x", []),
        ("trap.nothing.x", []),
        ("1 + tra", ["trap"]),
        ("awai", ["await"]),
        ("nowhere.x", []),
        ("isinst", ["isinstance"]),
        (".x", []),
        ("trap._", None),
    ],
)
def test_completion_of_names_runs_nobodys_code(line: str, words: list[str] | None) -> None:
    found = PythonPrompt({"trap": Trap()}, lambda _: None).completions(line)
    assert found == words if words is not None else "trap.__init__" in found


async def test_what_a_statement_shows_is_bounded_even_where_it_will_not_hear_of_it() -> None:
    shown: list[str] = []
    prompt = PythonPrompt({}, shown.append)
    lines = ("for _ in range(1000):", "    try: print(9999 * 'x')", "    except Exception: pass", "")
    source = "".join(prompt.take(line) for line in lines)
    assert await prompt.run(source) == "done"
    assert len("".join(shown)) <= 256 * 1024


def test_a_statement_has_a_bound() -> None:
    shown: list[str] = []
    prompt = PythonPrompt({}, shown.append)
    assert prompt.take("x = [") == ""
    for _ in range(20):
        prompt.take(" " * 4_000)
    assert "at most" in "".join(shown)
    assert prompt.take("1") == "1"


def test_rights_stand_in_a_row() -> None:
    assert set(Right) == EVERYTHING.rights
