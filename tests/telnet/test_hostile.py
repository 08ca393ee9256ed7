"""Clients that mean harm, or do not know better: each is ended or borne with, and the others do not notice."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk import net
from ropewalk.telnet import Telnet
from ropewalk.terminal import Host, Limits, Terminal
from tests.telnet.clients import (
    CHARSET,
    DO,
    ECHO,
    ENVIRON,
    IAC,
    LINEMODE,
    NAWS,
    SB,
    SE,
    TTYPE,
    WILL,
    WITHIN,
    WONT,
    Raw,
    raw,
    serving,
)


async def hear(terminal: Terminal) -> None:
    """Says back what it reads."""
    terminal.write("ready\n")
    async for line in terminal:
        terminal.write(f"<{line}>\n")


async def ended_for(reason: str, caplog: pytest.LogCaptureFixture, *pieces: bytes) -> None:
    """Send this; the connection is closed for that reason, and another one, in the middle of a line, does not notice:
    nothing is left behind, a third is served, and the line that was half sent is read as a whole."""
    caplog.set_level(logging.INFO)
    async with serving(hear) as listener, raw(listener.endpoint) as other:
        await other.expect(b"ready")
        other.send(b"half a line, ")
        tasks = asyncio.all_tasks()
        async with raw(listener.endpoint) as client:
            await client.expect(b"ready")
            client.send(*pieces)
            await client.wait_lost()
        async with asyncio.timeout(WITHIN):
            while listener.connections != 1 or not asyncio.all_tasks() <= tasks:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        async with raw(listener.endpoint) as third:
            third.send(b"new here\n")
            await third.expect(b"<new here>")
        other.send(b"and the rest\n")
        await other.expect(b"<half a line, and the rest>")
    assert reason in {getattr(record, "reason", "") for record in caplog.records}


@pytest.mark.parametrize(
    "option", [TTYPE + b"\0", NAWS, CHARSET + b"\x02", ENVIRON + b"\0", LINEMODE, b"\xee", b"\xff\xff"]
)
@pytest.mark.parametrize("what", [b"x", IAC + IAC, b"\r\n", b"\0"])
async def test_a_subnegotiation_without_end(option: bytes, what: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await ended_for("telnet.subnegotiation-too-long", caplog, IAC, SB, option, what * 500_000)


async def test_a_subnegotiation_that_comes_byte_by_byte_and_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """It has as few bytes as any other, whatever they come in."""
    caplog.set_level(logging.INFO)
    async with serving(hear, "memory://drips") as listener, raw(listener.endpoint) as other:
        other.send(b"half a line, ")
        async with raw(listener.endpoint) as client:
            await client.expect(b"ready")
            client.send(IAC, SB, TTYPE)
            sent = 0
            while not client.lost:
                client.send(b"x")
                sent += 1
                assert sent < 100_000
                await asyncio.sleep(0)
        other.send(b"and the rest\n")
        await other.expect(b"<half a line, and the rest>")
    assert "telnet.subnegotiation-too-long" in {getattr(record, "reason", "") for record in caplog.records}


@pytest.mark.parametrize("option", [b"\x01", b"\x06", b"\x18", b"\xee"])
@pytest.mark.parametrize("verb", [b"\xfb", b"\xfc", b"\xfd", b"\xfe"])
async def test_a_storm_of_options(verb: bytes, option: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await ended_for("telnet.too-many-commands", caplog, (IAC + verb + option) * 10_000)


@pytest.mark.parametrize("command", [b"\xf6", b"\xf1", b"\xf4", b"\xfa\xff\xf0", b"\xfa\x18\x00x\xff\xf0", b"\xfa"])
async def test_a_storm_of_commands(command: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await ended_for("telnet.too-many-commands", caplog, (IAC + command) * 10_000)


async def test_each_option_off_and_on_again_as_people_do_it_is_borne_with() -> None:
    async with serving(hear) as listener, raw(listener.endpoint) as client:
        await client.expect(b"ready")
        for option in range(100):
            client.send(IAC, DO, bytes((option,)), IAC, WILL, bytes((option,)))
        client.send(b"on\n")
        await client.expect(b"<on>")


async def test_a_mirror_is_not_talked_to_for_ever() -> None:
    class Mirror(Raw):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if len(self.heard) < 100_000:
                self.transport.write(data)

    async with serving(hear) as listener:
        transport, client = await net.connect(listener.endpoint, Mirror)
        async with asyncio.timeout(20):
            before = -1
            while not client.lost and before != len(client.heard):
                before = len(client.heard)
                await asyncio.sleep(0.2)
        transport.abort()


async def test_a_line_without_end() -> None:
    async with serving(hear) as listener, raw(listener.endpoint) as client:
        await client.expect(b"ready")
        for _ in range(100):
            client.send(b"x" * 10_000)
        client.send(b"\r\nshort\r\n")
        await client.expect(b"line is dropped, it has more than 4096 characters")
        await client.expect(b"<short>")


async def test_who_sends_and_never_reads_is_held_back_and_then_cut_off() -> None:
    async def talk(terminal: Terminal) -> None:
        async for line in terminal:
            terminal.write(line * 100 + "\n")
            try:
                await terminal.drain()
            finally:
                left.append(transport.get_write_buffer_size())

    why: list[str] = []
    left: list[int] = []  # bytes that the client could not send
    over = asyncio.Event()
    limits = Limits(untaken=0.5)
    host = Host(talk, limits=limits)

    async def visit(terminal: Terminal) -> None:
        await host.visit(terminal)
        assert terminal.over is not None
        why.append(terminal.over.why)
        over.set()

    async with (
        asyncio.TaskGroup() as tasks,
        await net.listen("memory://deaf", lambda: Telnet(host, lambda one: tasks.create_task(visit(one)))) as listener,
    ):
        transport, client = await net.connect(listener.endpoint, Raw)
        transport.pause_reading()
        for _ in range(2000):
            client.send(b"y" * 1000 + b"\r\n")
        await asyncio.wait_for(over.wait(), 20)
        transport.abort()
    assert why == ["unread"]
    assert left[-1] > 1_000_000


async def test_who_talks_tls_to_a_plain_port_gets_no_harm_done() -> None:
    async with serving(hear) as listener, raw(listener.endpoint) as client:
        client.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)) * 2 + b"\n")
        await client.expect(b"ready")
        await client.wait_lost()  # its version has a ^C in it


async def test_a_password_that_is_cut_off_is_nobodys() -> None:
    async with serving(hear) as listener:
        for cut in (IAC, IAC + WILL, IAC + SB, IAC + SB + TTYPE + IAC, b"half"):
            async with raw(listener.endpoint) as client:
                await client.expect(b"ready")
                client.send(cut)
                client.transport.write_eof()
                assert b"<" not in await client.wait_lost()


JUNK = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                IAC,
                IAC + WILL + TTYPE,
                IAC + DO + ECHO,
                IAC + WONT + TTYPE,
                IAC + SB + b"\x1f\0" + IAC + SE,
                IAC + SB + b"\x2a\x01" + IAC + SE,
                IAC + SB + b"\x2a\x04\x01 a" + IAC + SE,
                IAC + SB + b"\x27\0\xff\xff\x01\x02\x03" + IAC + SE,
                IAC + SB + b"\x27\x01" + IAC + SE,
                IAC + SB + TTYPE + b"\x01" + IAC + SE,
                IAC + SB + TTYPE + b"\0mtts 99999999999999999999999999999" + IAC + SE,
                IAC + SB + TTYPE + b"\0\x80" + IAC + SE,
                IAC + SB + TTYPE + b"\0xterm" + IAC + SE,
                IAC + SB + b"\x2a\x02base64" + IAC + SE,
                IAC + SB + b"\x22\x03\x01\x02\x03" + IAC + SE,
                IAC + SB + b"\x56" + IAC + SE,
            ]
        ),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(JUNK)
def test_junk_is_borne_with(pieces: list[bytes]) -> None:
    caught: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
        async with serving(hear, "memory://junk", keys=False) as listener, raw(listener.endpoint) as client:
            for piece in pieces:
                client.send(piece)
                await asyncio.sleep(0)
            # Out of whatever was begun: a command, a subnegotiation, a line, an end.
            client.send(IAC + b"\xf1" + IAC + SE + b"\x15\r\n")
            await asyncio.sleep(0)
            async with raw(listener.endpoint) as other:
                other.send(b"on\n")
                await other.expect(b"<on>")

    asyncio.run(main())
    assert caught == []
