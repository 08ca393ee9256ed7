"""Who is let in to a talk, and how conversations end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ropewalk.auth import AnonymousChecker, Channel, Identity
from ropewalk.metrics import Registry, using
from ropewalk.terminal import Ended, Host, Terminal
from ropewalk.terminal.memory import Visitor, visiting
from tests.terminal.houses import Desk, Words, portal


async def hello(terminal: Terminal) -> None:
    """Says who it is, and goes on."""
    desk = terminal.perspective.name if isinstance(terminal.perspective, Desk) else None
    terminal.write(f"hello {terminal.identity.name!r} at {desk!r}\n")
    async for line in terminal:
        terminal.write(f"<{line}>\n")


async def give(visitor: Visitor, name: str, password: str) -> None:
    """Log in."""
    await visitor.expect("login: ")
    visitor.say(name)
    await visitor.expect("password: ")
    visitor.say(password)


async def test_who_knows_the_password_is_let_in_and_logged_out() -> None:
    left: list[str] = []
    async with visiting(Host(hello, portal(left=left), wanted=Desk, greeting="welcome\n")) as visitor:
        await visitor.expect("welcome\n")
        await give(visitor, "ann", "nna")
        await visitor.expect("hello 'ann' at 'ann'")
        assert left == []
    assert left == ["ann"]


async def test_wrong_passwords_are_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with visiting(Host(hello, portal(), wanted=Desk, tries=2)) as visitor:
        await give(visitor, "ann", "wrong-word")
        await visitor.expect("login failed\n")
        await give(visitor, "ann", "wrong-word")
        await visitor.expect("too many logins failed\n")
        await visitor.wait_closed()
        assert "wrong-word" not in visitor.heard
    assert "wrong-word" not in caplog.text


async def test_the_portals_own_limits_hold() -> None:
    host = Host(hello, portal(), wanted=Desk, tries=100)
    async with visiting(host, channel=Channel(verified=True, address="192.0.2.1")) as visitor:
        for _ in range(5):
            await give(visitor, "ann", "wrong")
            await visitor.expect("login failed\n")
        await give(visitor, "ann", "nna")
        await visitor.expect("too many logins failed: try again in ")
        await visitor.wait_closed()


async def test_a_realm_tells_why_somebody_may_not_enter() -> None:
    async with visiting(Host(hello, portal(), wanted=Desk)) as visitor:
        await give(visitor, "eve", "eve")
        await visitor.expect("not today: come tomorrow\n")
        await visitor.wait_closed()


async def test_a_password_is_not_even_asked_for_where_others_may_read_it() -> None:
    async with visiting(Host(hello, portal(), wanted=Desk), channel=Channel(verified=False)) as visitor:
        await visitor.expect("a password is not taken by this connection: use TLS, SSH or a Unix socket\n")
        await visitor.wait_closed()
        assert "password: " not in visitor.heard


@pytest.mark.parametrize("verified", [False, True])
async def test_guests_come_in_where_they_may(verified: bool) -> None:
    house = portal(Words(), AnonymousChecker())
    async with visiting(Host(hello, house, wanted=Desk), channel=Channel(verified=verified)) as visitor:
        if verified:
            await visitor.expect("login (none for guests): ")
            visitor.say("")
        await visitor.expect("hello '' at ''")


async def test_who_is_known_already_is_not_asked() -> None:
    async with visiting(Host(hello, portal()), identity=Identity("ann"), perspective=None) as visitor:
        await visitor.expect("hello 'ann' at None")


async def test_a_login_has_a_deadline() -> None:
    async with visiting(Host(hello, portal(), wanted=Desk, login_within=0.05)) as visitor:
        await visitor.expect("no login within 0.05 s")
        await visitor.wait_closed()


@pytest.mark.parametrize("gone", [False, True])
async def test_a_login_can_be_left(gone: bool) -> None:
    async with visiting(Host(hello, portal(), wanted=Desk)) as visitor:
        await visitor.expect("login: ")
        if gone:
            visitor.hang_up()
        else:
            visitor.interrupt()
        await visitor.wait_closed()
        assert "wrong" not in visitor.heard


async def test_there_is_a_bound_on_visitors() -> None:
    host = Host(hello, visitors=1)
    async with visiting(host) as first:
        await first.expect("hello")
        async with visiting(host) as second:
            await second.expect("there are too many visitors now, try again later")
            await second.wait_closed()
        first.say("still here")
        await first.expect("<still here>")
    async with visiting(host) as third:
        await third.expect("hello")


async def test_lines_are_edited_for_so_many_and_typed_as_they_are_by_the_others() -> None:
    host = Host(hello, editors=1)
    async with visiting(host, keys=True) as first, visiting(host, keys=True) as second:
        for visitor in (first, second):
            await visitor.expect("hello")
            visitor.press("abc\x1b[DX\x7fY\r")
        await first.expect("<abYc>")
        await second.expect("abcX\b \bY\n<abcY>")


async def test_a_talk_that_fails_ends_its_own_conversation_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(terminal: Terminal) -> None:
        async for line in terminal:
            terminal.write(f"<{1 / int(line)}>\n")

    host = Host(talk)
    async with visiting(host) as one, visiting(host) as two:
        one.say("0")
        await one.expect("something went wrong here, so this conversation ends")
        await one.wait_closed()
        assert "division" not in one.heard
        two.say("2")
        await two.expect("<0.5>")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError
    caplog.clear()


async def test_at_stop_each_is_told_and_ends() -> None:
    ends: list[str] = []

    async def talk(terminal: Terminal) -> None:
        try:
            await hello(terminal)
            await terminal.read_line()
        except Ended as error:
            ends.append(error.why)

    host = Host(talk)
    async with visiting(host) as one, visiting(host) as two:
        await one.expect("hello")
        await two.expect("hello")
        await host.close(10)
        for visitor in (one, two):
            await visitor.expect("the server stops: good-bye\n")
            await visitor.wait_closed()
        assert ends == ["stopped", "stopped"]
        async with visiting(host) as late:
            await late.expect("too many visitors")
    await host.close(10)


async def test_a_talk_that_goes_on_is_cancelled_at_stop() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("deaf\n")
        await asyncio.Event().wait()

    host = Host(talk)
    async with visiting(host) as visitor:
        await visitor.expect("deaf")
        await host.close(0.1)
        assert visitor.closed
        assert not host.terminals


async def test_a_talk_that_does_not_notice_that_its_visitor_is_gone_is_cancelled() -> None:
    undone: list[str] = []

    async def talk(terminal: Terminal) -> None:
        terminal.write("deaf\n")
        try:
            await asyncio.Event().wait()
        finally:
            undone.append("cancelled")

    registry = Registry()
    with using(registry):
        host = Host(talk, grace=0.02)
    async with visiting(host) as visitor:
        await visitor.expect("deaf")
        visitor.hang_up()
        await visitor.wait_closed()
    assert undone == ["cancelled"]
    ended = registry.counter(
        "ropewalk_terminal_visits_total", "conversations that have ended, by carrier and why", ("carrier", "why")
    )
    assert ended.of("memory", "closed").value == 1


async def test_a_talk_may_time_out_by_itself() -> None:
    async def talk(terminal: Terminal) -> None:
        try:
            async with asyncio.timeout(0.01):
                await terminal.read_line()
        except TimeoutError:
            terminal.write("too slow\n")
        raise TimeoutError

    async with visiting(talk) as visitor:
        await visitor.expect("too slow\n")
        await visitor.expect("something went wrong")
