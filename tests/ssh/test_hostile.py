"""Peers that lie, flood, stall, cut and do not read: refused, bounded, counted; the others are unharmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from asyncssh.packet import Boolean, Byte, String, UInt32

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.ssh.limits import SshLimits
from ropewalk.terminal import Host, Limits, Terminal
from tests.ssh.place import WITHIN, Counting, Place, cut_client, gone, parrot, said, served

QUICK = net.Limits(close=0.3)
IGNORE, KEXINIT, GLOBAL_REQUEST, CHANNEL_OPEN, CHANNEL_CLOSE = 2, 20, 80, 90, 97


@pytest.fixture
def registry() -> Any:
    """What is counted in this test."""
    fresh = Registry()
    with using(fresh):
        yield fresh


def ended_by(registry: Registry) -> dict[str, float]:
    """How many connections the listener has ended, by reason."""
    (found,) = [reading for reading in registry.read() if reading.name == "ropewalk_net_ended_total"]
    return {labels[1]: value for labels, value in found.series.items() if value}  # type: ignore[misc]


@asynccontextmanager
async def beside(place: Place) -> AsyncIterator[None]:
    """Somebody whose conversation goes on, whatever the others do."""
    connection = await place.client()
    process = await connection.create_process(term_type=None)
    await said(process, "hello ann\n")
    yield
    process.stdin.write("unharmed\n")
    assert await said(process, "\n") == "unharmed unharmed\n"
    await gone(connection)


@pytest.mark.parametrize("url", ["memory://ssh", "tcp://127.0.0.1:0"])
@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 9000,
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-\xff\xfe\r\n",
        b"SSH-2.0-" + b"x" * 300 + b"\r\n",
        b"x" * 100_000,
        b"SSH-2.0-" + b"x" * 100_000,
        b"SSH-2.0-x\r\n" + b"\xff" * 100,
        b"SSH-2.0-x\r\n" + UInt32(12) + b"\x04\x14" + bytes(14),
        b"SSH-2.0-x\r\n" + UInt32(0) + bytes(12),
        b"SSH-2.0-x\r\n" + UInt32(28) + b"\x04\x1e" + bytes(26) + bytes(40),
        b"\r\n" * 3,
    ],
    ids=range(12),
)
async def test_junk_in_the_place_of_a_greeting_is_refused(junk: bytes, url: str, tmp_path: Path) -> None:
    async with served(tmp_path, url=url, limits=SshLimits(handshake=2.0)) as place, beside(place):
        peer = await place.raw()
        peer.transport.write(junk)
        await peer.ended()


async def test_a_line_without_end_is_not_kept(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path) as place, beside(place):
        peer = await place.raw()
        for _ in range(9):
            peer.transport.write(b"x" * 1024)
            await asyncio.sleep(0)
        await peer.ended()
    assert ended_by(registry) == {"ssh.bad-packet": 1}


async def test_packets_without_end_before_the_login_are_cut_off(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path) as place, beside(place):
        peer = await place.raw()
        peer.transport.write(b"SSH-2.0-flood\r\n")
        packet = UInt32(28) + Byte(4) + Byte(IGNORE) + String(b"x" * 18) + bytes(4)
        sent = 0
        while not peer.lost.is_set() and sent < 1 << 20:
            peer.transport.write(packet * 100)
            sent += 3200
            await asyncio.sleep(0)
        assert b"more than 131,072 bytes before the login" in await peer.ended()
        assert sent < 200_000
    assert ended_by(registry) == {"ssh.too-much": 1}


async def test_nothing_but_an_exchange_of_keys_is_heard_before_it(tmp_path: Path) -> None:
    async with served(tmp_path) as place, beside(place):
        for kind in (5, 50, 80, 90, 94, 98, 255):
            peer = await place.raw()
            peer.transport.write(b"SSH-2.0-early\r\n" + UInt32(28) + Byte(4) + Byte(kind) + bytes(26))
            await peer.until(b"SSH-2.0-Ropewalk\r\n")
            peer.transport.write(b"\xff" * 64)
            await peer.ended()


async def test_what_comes_with_strange_algorithms_only_is_told_so(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path) as place:
        every: list[dict[str, Any]] = [
            {"kex_algs": ["diffie-hellman-group14-sha1"]},
            {"kex_algs": ["diffie-hellman-group14-sha256"]},
            {"encryption_algs": ["aes128-cbc"]},
            {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
            {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha2-256"]},
            {"compression_algs": ["zlib@openssh.com"]},
            {"server_host_key_algs": ["ssh-rsa"]},
        ]
        for options in every:
            with pytest.raises(asyncssh.KeyExchangeFailed):
                await place.client(**options)
    assert ended_by(registry) == {"ssh.no-common-algorithm": 7}


async def test_a_connection_that_is_cut_anywhere_before_its_login_leaves_nothing(tmp_path: Path) -> None:
    """After so many bytes of what an honest client says, the line is cut."""
    async with served(tmp_path) as place, beside(place):
        whole = Counting(10**9)
        connection = await cut_client(place, whole)
        await gone(connection)
        assert 1000 < whole.sent < 10_000
        for bytes_let_through in [*range(0, 60, 7), *range(60, whole.sent - 100, 97)]:
            cutting = Counting(bytes_let_through)
            with pytest.raises((asyncssh.Error, OSError)):
                await cut_client(place, cutting)
        await until(lambda: len(place.server.wires) == 1)


async def test_a_thousand_channels_are_a_few(tmp_path: Path) -> None:
    async with served(tmp_path, limits=SshLimits(channels=5)) as place, beside(place):
        connection = await place.client()
        opening = [connection.create_process(term_type=None) for _ in range(1000)]
        done = await asyncio.gather(*opening, return_exceptions=True)
        open_ = [one for one in done if isinstance(one, asyncssh.SSHClientProcess)]
        refused = [one for one in done if isinstance(one, asyncssh.ChannelOpenError)]
        assert (len(open_), len(refused)) == (5, 995)
        assert {one.code for one in refused} == {asyncssh.OPEN_RESOURCE_SHORTAGE}
        open_[0].stdin.write_eof()
        await open_[0].wait()
        again = await connection.create_process(term_type=None)
        await said(again, "hello ann\n")
        await gone(connection)


async def test_a_channel_with_packets_of_one_byte_is_not_opened(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path) as place, beside(place):
        connection = await place.client()
        (wire,) = [one for one in place.server.wires if not one.sessions]
        connection.send_packet(CHANNEL_OPEN, String("session"), UInt32(0), UInt32(1 << 20), UInt32(1))
        async with asyncio.timeout(WITHIN):
            await connection.wait_closed()
            await wire.lost.wait()
        assert str(wire._fault) == "a channel takes 1 bytes a packet"
    assert ended_by(registry) == {"ssh.bad-packet": 1}


async def chatters(terminal: Terminal) -> None:
    """Writes for ever, as fast as it is taken."""
    while True:
        terminal.write("all work and no play\n" * 100)
        await terminal.drain()


async def heedless(terminal: Terminal) -> None:
    """Writes for ever, and waits for nobody."""
    while terminal.over is None:
        terminal.write("all work and no play\n" * 100)
        await asyncio.sleep(0)


async def shy(terminal: Terminal) -> None:
    """Says nothing, and leaves."""
    await terminal.read_line()


@pytest.mark.parametrize("url", ["memory://ssh", "tcp://127.0.0.1:0"])
@pytest.mark.parametrize("window", [64 * 1024, 1 << 31])
async def test_a_talk_waits_for_who_does_not_read(window: int, url: str, tmp_path: Path) -> None:
    most = 0
    async with served(tmp_path, chatters, url=url, limits=SshLimits(unread=0.5), net_limits=QUICK) as place:
        connection = await place.client()
        await connection.create_process(term_type=None, window=window)
        (wire,) = place.server.wires
        connection._transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(WITHIN):
            while not wire.over and place.server.wires and not (window == 64 * 1024 and most):
                most = max(most, sum(session.unsent() for session in wire.sessions))  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        assert most < 1 << 19  # what fills the transport, the window and the channel
        connection.abort()


@pytest.mark.parametrize("window", [64 * 1024, 1 << 31])
async def test_who_never_reads_what_a_heedless_talk_writes_is_cut_off(window: int, tmp_path: Path) -> None:
    host = Host(heedless, limits=Limits(unsent=300_000), grace=1.0)
    async with served(tmp_path, host, limits=SshLimits(unread=3.0), net_limits=QUICK) as place:
        connection = await place.client()
        await connection.create_process(term_type=None, window=window)
        (wire,) = place.server.wires
        connection._transport.pause_reading()  # type: ignore[union-attr]
        await until(lambda: not host.terminals)
        assert not wire.over
        assert not wire._fault
        await until(lambda: not place.server.channels)
        connection.abort()


@pytest.mark.parametrize("talk", [heedless, shy], ids=["aborted", "closed"])
async def test_a_channel_that_its_peer_never_closes_is_not_kept(talk: Any, tmp_path: Path, registry: Registry) -> None:
    host = Host(talk, limits=Limits(unsent=300_000), grace=1.0)
    async with served(tmp_path, host, limits=SshLimits(unread=0.5)) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None)
        channel = cast(Any, process.channel)
        channel._packet_handlers = {**channel._packet_handlers, CHANNEL_CLOSE: lambda *_: True}
        process.stdin.write("go on\n")
        async with asyncio.timeout(WITHIN):
            await connection.wait_closed()
        await place.empty()
    assert ended_by(registry) == {"ssh.too-slow": 1}


async def test_who_asks_and_never_reads_answers_is_not_listened_to(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path, limits=SshLimits(unread=0.5), net_limits=QUICK) as place, beside(place):
        connection = await place.client()
        (wire,) = [one for one in place.server.wires if not one.sessions]
        connection._transport.pause_reading()  # type: ignore[union-attr]
        asked = most = 0
        async with asyncio.timeout(WITHIN):
            while not wire.over:
                full = connection._transport.get_write_buffer_size() >= 1 << 20  # type: ignore[union-attr]
                if not full:
                    connection.send_packet(GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(True))
                    asked += 1
                if asked % 100 == 0 or full:
                    await asyncio.sleep(0)
                most = max(most, wire.unsent)
        assert asked > 1000
        assert most < 1 << 20
        connection.abort()
    assert ended_by(registry)["ssh.too-slow"] == 1


async def test_an_exchange_of_keys_that_is_begun_and_not_ended_is_cut_off(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path, chatters, limits=SshLimits(handshake=2.0)) as place:
        connection = await place.client()
        await connection.create_process(term_type=None, window=1 << 31)
        (wire,) = place.server.wires
        cast(Any, connection)._packet_handlers = {**connection._packet_handlers, KEXINIT: ignoring}
        connection._send_kexinit()
        most = 0
        async with asyncio.timeout(WITHIN):
            while not wire.over:
                most = max(most, wire.unsent)
                await asyncio.sleep(0.01)
        assert 0 < most < 2 << 20
        connection.abort()
    assert ended_by(registry) == {"ssh.too-slow": 1}


async def test_what_is_asked_while_keys_are_exchanged_is_bounded(tmp_path: Path, registry: Registry) -> None:
    async with served(tmp_path) as place, beside(place):
        connection = await place.client()
        (wire,) = [one for one in place.server.wires if not one.sessions]
        cast(Any, connection)._packet_handlers = {**connection._packet_handlers, KEXINIT: ignoring}
        connection._send_kexinit()
        connection._kex_complete = True  # it goes on as if it had not begun
        async with asyncio.timeout(WITHIN):
            while not wire.over:
                for _ in range(100):
                    connection.send_packet(GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(True))
                await asyncio.sleep(0)
        connection.abort()
    assert ended_by(registry) == {"ssh.too-much": 1}


async def test_keys_are_exchanged_anew_and_nobody_notices(tmp_path: Path) -> None:
    async with served(tmp_path, parrot, limits=SshLimits(rekey_bytes=2000)) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None)
        await said(process, "hello ann\n")
        (wire,) = place.server.wires
        began: list[bool] = []
        exchange = wire.exchange

        def noted(on: bool) -> None:
            began.append(on)
            exchange(on)

        wire.exchange = noted  # type: ignore[method-assign]
        for number in range(100):
            process.stdin.write(f"{number} {'x' * 100}\n")
            await said(process, f"{number} {'x' * 100}\n")
        assert began.count(True) >= 3
        assert began.count(True) - 1 <= began.count(False) <= began.count(True)
        await gone(connection)


async def test_an_address_has_as_many_connections_as_the_listener_says(tmp_path: Path) -> None:
    limits = net.Limits(per_address=2)
    async with served(tmp_path, url="tcp://127.0.0.1:0", net_limits=limits) as place, beside(place):
        second = await place.raw()
        await second.until(b"SSH-2.0-")
        with pytest.raises((net.Unreachable, AssertionError)):
            await (await place.raw()).until(b"SSH-2.0-")
        second.transport.abort()


async def test_what_breaks_on_our_side_is_logged_and_ends_one_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path) as place, beside(place):
        connection = await place.client()
        (wire,) = [one for one in place.server.wires if not one.sessions]
        place.server.host.limits = None  # type: ignore[assignment]  # a terminal cannot be made without
        with pytest.raises((asyncssh.Error, OSError)):
            await connection.create_process("x" * 5000)
        place.server.host.limits = Limits()
        async with asyncio.timeout(WITHIN):
            await wire.lost.wait()
        connection.abort()
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [error.__dict__["code"] for error in errors] == ["ssh.library-broke"]


# ---- hostile hands ----


async def until(come: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not come():  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0.001)


async def ignoring(*_: Any) -> bool:
    return True
