"""The wire alone: slices, back-pressure, deadlines, without the library's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ropewalk import loops, net
from ropewalk.loops.simulated import Simulated
from ropewalk.ssh.errors import LibraryBroke, NoCommonAlgorithm, TooMuch, TooSlow, of_library
from ropewalk.ssh.limits import BadLimit, SshLimits
from ropewalk.ssh.wire import Wire
from tests.ssh.place import WITHIN, Raw


class Engine:
    """Remembers what it is given."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.got, self.said = wire, [], []  # type: ignore[var-annotated]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got.append(data)

    def connection_lost(self, exc: Exception | None = None) -> None:
        self.said.append("lost")

    def disconnect(self, code: int, reason: str, lang: str = "") -> None:
        self.said.append(reason)
        self.transport.abort()


class Session:
    """Waits when it is told to."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def hold(self, on: bool) -> None:
        self.told.append(on)

    def waits(self) -> bool:
        return self.told[-1]


async def pair(**limits: Any) -> tuple[Wire, Engine, Raw, net.Listener]:
    wires: list[Wire] = []
    make = lambda: Wire(SshLimits(**limits), Engine, wires.append, lambda _: None)  # noqa: E731
    listener = await net.listen("memory://wire", make, name="wire", limits=net.Limits(close=0.2))
    _, client = await net.connect("memory://wire", Raw)
    engine = wires[0]._connection
    assert isinstance(engine, Engine)
    return wires[0], engine, client, listener


def simulated(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test by a clock that no other process delays."""

    def run() -> None:
        loops.run(test(), loop=Simulated(0))

    run.__name__ = test.__name__
    return run


async def ticks(number: int = 50) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_comes_is_given_in_slices_one_in_each_turn() -> None:
    _, engine, client, listener = await pair(login_bytes=1 << 20)
    async with listener:
        data = bytes(range(256)) * 800
        client.transport.write(data)
        seen = set()
        while sum(map(len, engine.got)) < len(data):
            await asyncio.sleep(0)
            seen.add(len(engine.got))
        assert b"".join(engine.got) == data
        assert max(map(len, engine.got)) == 16 * 1024
        assert seen >= set(range(1, 13))
        client.transport.write(b"after")
        await ticks()
        assert engine.got[-1] == b"after"


async def test_the_rest_of_what_came_is_dropped_when_the_connection_ends() -> None:
    wire, engine, client, listener = await pair(login_bytes=1 << 20)
    async with listener:
        client.transport.write(bytes(100_000))
        while not engine.got:  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0)
        given = len(engine.got)
        wire.close("enough")
        await ticks()
        assert len(engine.got) == given
        await client.ended()


async def test_what_a_transport_gives_although_it_is_paused_is_not_lost() -> None:
    wire, engine, _, listener = await pair(login_bytes=1 << 20)
    async with listener:
        pieces = [bytes([number]) * 50_000 for number in range(4)]
        for piece in pieces:
            wire.data_received(piece)
        while sum(map(len, engine.got)) < 200_000:  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0)
        assert b"".join(engine.got) == b"".join(pieces)


async def test_a_full_transport_makes_the_peer_and_all_sessions_wait() -> None:
    wire, engine, client, listener = await pair(login_bytes=1 << 20)
    async with listener:
        session, later = Session(), Session()
        wire.opened(session)
        client.transport.pause_reading()
        engine.transport.write(bytes(200_000))
        await ticks()
        assert session.waits()
        wire.opened(later)
        assert later.waits()
        client.transport.write(b"not heard")
        await ticks()
        assert engine.got == []
        assert wire.unsent > 100_000
        client.transport.resume_reading()
        await ticks()
        assert not session.waits()
        assert not later.waits()
        assert engine.got == [b"not heard"]


@simulated
async def test_who_takes_some_in_each_span_may_go_on() -> None:
    wire, engine, client, listener = await pair(unread=0.2, login_within=100.0, handshake=100.0)
    async with listener:
        took = 0
        client.transport.pause_reading()
        engine.transport.write(bytes(8_000_000))
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 1.0:
            client.transport.resume_reading()
            before = took
            while took == before:
                await asyncio.sleep(0)
                took = len(client.got)
            client.transport.pause_reading()
            await asyncio.sleep(0.1)
        assert not wire.over
        assert engine.said == []
        async with asyncio.timeout(WITHIN):
            await wire.lost.wait()
        assert engine.said[0] == "took nothing of what was sent for 0.2 s"


async def test_sessions_wait_while_keys_are_exchanged() -> None:
    wire, _, _, listener = await pair()
    async with listener:
        session = Session()
        wire.opened(session)
        wire.exchange(True)
        assert session.waits()
        wire.sent(1000)
        assert wire.unsent == 1000
        wire.exchange(False)
        assert not session.waits()
        assert wire.unsent == 0
        wire.sent(1000)
        assert wire.unsent == 0


@pytest.mark.parametrize(("packets", "size"), [(5000, 1), (10, 1 << 20)])
async def test_what_waits_for_the_end_of_an_exchange_is_bounded(packets: int, size: int) -> None:
    wire, engine, client, listener = await pair()
    async with listener:
        wire.exchange(True)
        for _ in range(packets):
            wire.sent(size)
        assert engine.said == ["too much to be sent while keys are exchanged"]
        assert isinstance(wire._fault, TooMuch)
        await client.ended()


@simulated
async def test_each_exchange_has_its_own_deadline() -> None:
    wire, engine, client, listener = await pair(handshake=0.1)
    async with listener:
        wire.exchange(True)
        wire.exchange(False)
        await asyncio.sleep(0.2)
        assert engine.said == []
        wire.exchange(True)
        await client.ended()
        assert engine.said[0] == "exchange of keys took longer than 0.1 s"
        assert isinstance(wire._fault, TooSlow)


async def test_the_library_sees_addresses_as_pairs_or_not_at_all() -> None:
    _, engine, _, listener = await pair()
    async with listener:
        assert engine.transport.get_extra_info("peername") is None
        assert engine.transport.get_extra_info("socket", "none") == "none"
        assert engine.transport.get_extra_info("listener") == "wire"
        assert not engine.transport.is_closing()


@pytest.mark.parametrize("name", SshLimits.__slots__)
def test_a_limit_that_nobody_could_keep_is_refused(name: str) -> None:
    with pytest.raises(BadLimit, match=f"limit {name} is 0, expected more than 0"):
        SshLimits(**{name: 0})


def test_errors_of_the_library_are_ours(caplog: pytest.LogCaptureFixture) -> None:
    import asyncssh

    assert of_library(None) is None
    assert of_library(ConnectionResetError()) is None
    assert of_library(asyncssh.ConnectionLost("x")) is None
    assert of_library(asyncssh.DisconnectError(11, "bye")) is None
    ours = TooSlow("x")
    assert of_library(ours) is ours
    assert isinstance(of_library(asyncssh.KeyExchangeFailed("x")), NoCommonAlgorithm)
    for error in (asyncssh.ProtocolError("x"), asyncssh.MACError("x"), UnicodeDecodeError("ascii", b"x", 0, 1, "x")):
        told = of_library(error)
        assert told is not None
        assert told.code == "ssh.bad-packet"
        assert "x" not in str(told).split()
    assert not caplog.records
    assert isinstance(of_library(ZeroDivisionError()), LibraryBroke)
    assert caplog.records[0].levelname == "ERROR"
