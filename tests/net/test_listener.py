"""Listeners: what one peer does harms no other, what is refused has a reason, and the end is orderly."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.metrics import Registry
from ropewalk.net.accepting import Acceptor
from ropewalk.net.listener import Listener
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, answer, counted, echoed, raw, until

REFUSED = "ropewalk_net_refused_total"
FAILED = "ropewalk_net_handshake_failures_total"


async def lost(endpoint: net.Endpoint) -> Exception | None:
    """Connect, and wait until the other side ends it, be it at once."""
    try:
        _, protocol = await net.connect(endpoint, Recorder)
    except net.Unreachable as error:
        return error
    return await protocol.until_lost()


@each_loop
async def test_every_address_has_the_same_port() -> None:
    async with await net.listen("tcp://*:0", Echo) as listener:
        port = listener.endpoint.port
        assert port
        for host in ("127.0.0.1", "[::1]"):
            assert await echoed(net.Endpoint.parse(f"tcp://{host}:{port}")) == b"hello"
    async with await net.listen("tcp://localhost:0", Echo) as listener:
        for host in ("127.0.0.1", "[::1]"):
            assert await echoed(net.Endpoint.parse(f"tcp://{host}:{listener.endpoint.port}")) == b"hello"


@each_loop
async def test_one_family_alone_can_be_asked_for() -> None:
    async with await net.listen("tcp://*:0?family=6", Echo) as listener:
        port = listener.endpoint.port
        assert await echoed(net.Endpoint.parse(f"tcp://[::1]:{port}")) == b"hello"
        with pytest.raises(net.ConnectionRefused):
            await net.connect(f"tcp://127.0.0.1:{port}", Recorder)


async def test_port_in_use_is_told() -> None:
    async with await net.listen("tcp://127.0.0.1:0", Echo) as listener:
        with pytest.raises(net.AddressInUse) as caught:
            await net.listen(listener.endpoint, Echo)
        assert caught.value.code == "net.address-in-use"
    first = await net.listen("tcp://127.0.0.1:0?reuse_port", Echo)
    async with first, await net.listen(first.endpoint, Echo) as second:
        assert second.endpoint.port == first.endpoint.port


async def test_address_of_another_machine_is_told() -> None:
    with pytest.raises(net.NoSuchSocket):
        await net.listen("tcp://192.0.2.1:0", Echo)


async def test_what_is_known_is_told_in_the_transport() -> None:
    served = Recorder()
    async with await net.listen("memory://x#part", lambda: served, name="m") as listener:
        transport, _ = await net.connect(listener.endpoint, Recorder)
        assert served.transport.get_extra_info("endpoint") == listener.endpoint
        assert served.transport.get_extra_info("listener") == "m"
        assert served.transport.get_extra_info("ropewalk.private") is True
        assert transport.get_extra_info("listener") == ""
    async with await net.listen("tcp://127.0.0.1:0", Recorder, name="web") as listener:
        transport, _ = await net.connect(listener.endpoint, Recorder)
        assert transport.get_extra_info("ropewalk.peer") == f"127.0.0.1:{listener.endpoint.port}"
        assert transport.get_extra_info("ropewalk.private") is False
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert "web" in repr(listener)
        transport.abort()


@each_loop
async def test_connections_over_the_limit_are_refused_and_the_others_unharmed() -> None:
    registry = Registry()
    from ropewalk.metrics import using

    with using(registry):
        limits = net.Limits(connections=3)
        async with await net.listen("tcp://127.0.0.1:0", Echo, name="few", limits=limits) as listener:
            kept = [await net.connect(listener.endpoint, Recorder) for _ in range(3)]
            for _ in range(5):
                error = await lost(listener.endpoint)
                assert error is None or isinstance(error, OSError | net.Unreachable)
            assert counted(registry, REFUSED, listener="few", reason="connections") == 5
            for transport, protocol in kept:
                transport.write(b"still here")
                assert await protocol.until_received(10) == b"still here"
            kept[0][0].close()
            await until(lambda: listener.connections == 2)
            assert await echoed(listener.endpoint) == b"hello"


async def test_connections_of_one_address_have_their_own_limit(registry: Registry) -> None:
    limits = net.Limits(per_address=2)
    async with await net.listen("proxy://127.0.0.1:0", Echo, name="a", limits=limits) as listener:
        kept = []
        for _ in range(2):
            reader, writer = await raw(listener.endpoint)
            writer.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx")
            assert await reader.read(1) == b"x"
            kept.append(writer)
        assert await answer(listener.endpoint, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx") == b""
        assert await answer(listener.endpoint, b"PROXY TCP4 192.0.2.3 192.0.2.2 1 2\r\nx", end=True) == b"x"
        assert counted(registry, REFUSED, listener="a", reason="address") == 1
        for writer in kept:
            writer.close()
        await until(lambda: listener.connections == 0)
        assert await answer(listener.endpoint, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx", end=True) == b"x"
    async with await net.listen("tcp://127.0.0.1:0", Echo, name="b", limits=net.Limits(per_address=1)) as listener:
        transport, _ = await net.connect(listener.endpoint, Recorder)
        await lost(listener.endpoint)
        assert counted(registry, REFUSED, listener="b", reason="address") == 1
        transport.abort()


async def test_rate_is_limited_and_told(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limits = net.Limits(rate=5)
    async with await net.listen("tcp://127.0.0.1:0", Echo, name="r", limits=limits) as listener:
        endpoint = listener.endpoint
        ends = [await answer(endpoint, b"x", end=True) for _ in range(30)]
        served = ends.count(b"x")
        assert 5 <= served < 30
        assert counted(registry, REFUSED, listener="r", reason="rate") == 30 - served
    told = [record for record in caplog.records if getattr(record, "reason", "") == "rate"]
    assert [record.levelno for record in told] == [logging.WARNING, logging.INFO]  # the first, and how many more
    assert f"{30 - served - 1} more" in told[1].getMessage()


@each_loop
async def test_who_sleeps_is_asked_to_go_and_who_does_not_stays() -> None:
    limits = net.Limits(idle=0.2)
    async with await net.listen("tcp://127.0.0.1:0", Echo, limits=limits) as listener:
        asleep, sleeper = await net.connect(listener.endpoint, Recorder)
        awake, worker = await net.connect(listener.endpoint, Recorder)
        turns = 0
        while not sleeper.lost:
            turns += 1
            awake.write(b"x")
            await worker.until_received(turns)
        assert sleeper.lost == [None]
        assert not worker.lost
        asleep.close()
        awake.close()


async def test_idle_limit_holds_where_the_kernel_does_not_count(tmp_path: Path, registry: Registry) -> None:
    limits = net.Limits(idle=0.05)
    for url in (f"unix://{tmp_path}/s", "memory://x", "ws+memory://x"):
        async with await net.listen(url, Echo, name=url, limits=limits) as listener:
            assert await lost(listener.endpoint) is None
            assert counted(registry, "ropewalk_net_ended_total", listener=url, reason="idle") == 1


async def test_handshake_that_never_ends_is_ended(registry: Registry, files: dict[str, str]) -> None:
    limits = net.Limits(handshake=0.1)
    tls = "cert={cert}&key={key}".format(**files)
    for name, url, sent in (
        ("a", f"tls://127.0.0.1:0?{tls}", b""),
        ("b", f"tls://127.0.0.1:0?{tls}", b"\x16\x03\x01\x02\x00\x01"),
        ("c", "ws://127.0.0.1:0", b"GET / HTTP/1.1\r\n"),
        ("d", "proxy://127.0.0.1:0", b"PROXY TCP4"),
        ("e", f"tls+proxy://127.0.0.1:0?{tls}", b"PROXY UNKNOWN\r\n"),
    ):
        async with await net.listen(url, Echo, name=name, limits=limits) as listener:
            before = counted(registry, FAILED, listener=name, reason="timeout")
            assert await answer(listener.endpoint, sent) == b""
            assert counted(registry, FAILED, listener=name, reason="timeout") == before + 1
            await until(lambda: not listener._tasks and not listener._admission.inside)


async def test_ws_handshake_in_memory_that_never_ends_is_ended(registry: Registry) -> None:
    limits = net.Limits(handshake=0.05)
    async with await net.listen("ws+memory://x", Echo, name="m", limits=limits):
        assert await lost(net.Endpoint.parse("memory://x")) is not None
        assert counted(registry, FAILED, listener="m", reason="timeout") == 1


@each_loop
async def test_flood_harms_nobody_who_is_there() -> None:
    limits = net.Limits(connections=20)
    async with await net.listen("tcp://127.0.0.1:0", Echo, limits=limits) as listener:
        transport, protocol = await net.connect(listener.endpoint, Recorder)
        flood = []
        for number in range(300):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((listener.endpoint.host, listener.endpoint.port))
            flood.append(sock)
            if number % 50 == 0:
                size = len(protocol.received) + 4
                transport.write(b"ping")
                await protocol.until_received(size)
        assert listener.connections <= 20
        for sock in flood:
            sock.close()
        await until(lambda: listener.connections == 1)
        assert await echoed(listener.endpoint) == b"hello"
        transport.abort()


async def test_no_descriptors_left_is_survived_without_spinning() -> None:
    """Accepting rests, is told once for each rest, and goes on."""
    loop = asyncio.get_running_loop()
    told: list[OSError] = []
    taken: list[socket.socket] = []

    class Scarce(socket.socket):
        fails = 1

        def accept(self) -> tuple[socket.socket, object]:
            if Scarce.fails:
                Scarce.fails -= 1
                raise OSError(errno.EMFILE, "too many open files")
            return super().accept()

    with Scarce() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        acceptor = Acceptor(loop, [listening], lambda sock, _: taken.append(sock), told.append)
        acceptor.start()
        with socket.create_connection(listening.getsockname()):
            await until(lambda: told)
            assert not taken
            await until(lambda: taken)
            assert len(told) == 1
        acceptor.stop()
        acceptor.stop()
    taken[0].close()


async def test_factory_that_fails_costs_one_connection(registry: Registry) -> None:
    calls = 0

    def factory() -> asyncio.Protocol:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("told to")
        return Echo()

    for url in ("tcp://127.0.0.1:0", "ws://127.0.0.1:0"):
        calls = 0
        async with await net.listen(url, factory, name=url) as listener:
            if url.startswith("tcp"):
                assert await answer(listener.endpoint) == b""
            else:
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it is told, as by any protocol
                with pytest.raises(net.HandshakeFailed):
                    await net.connect(listener.endpoint.peer(), Recorder)
            assert counted(registry, FAILED, listener=url, reason="factory") == 1
            assert await echoed(listener.endpoint.peer()) == b"hello"


async def test_close_takes_no_more_and_keeps_who_is_there() -> None:
    listener = await net.listen("tcp://127.0.0.1:0", Echo)
    transport, protocol = await net.connect(listener.endpoint, Recorder)
    await until(lambda: listener.connections)
    listener.close()
    listener.close()
    with pytest.raises(net.ConnectionRefused):
        await net.connect(listener.endpoint, Recorder)
    transport.write(b"x")
    assert await protocol.until_received(1) == b"x"
    transport.close()
    await listener.wait_closed()
    assert listener.connections == 0


@each_loop
async def test_drain_asks_and_then_cuts_off() -> None:
    class Stubborn(Echo):
        def pause_writing(self) -> None:
            pass

    listener = await net.listen("tcp://127.0.0.1:0", Stubborn)
    polite, easy = await net.connect(listener.endpoint, Recorder)
    clogged, _ = await net.connect(listener.endpoint, Recorder)
    await until(lambda: listener.connections == 2)
    clogged.pause_reading()
    clogged.write(bytes(16 * 1024 * 1024))  # comes back, and is not read
    await until(lambda: any(c.top is not None and c.top.get_write_buffer_size() for c in listener._roll))
    polite.write(b"last words")
    await easy.until_received(10)
    assert await listener.drain(0.1) == 1
    assert easy.lost == [None]
    clogged.abort()
    await listener.wait_closed()


async def test_drain_lets_the_caller_ask_in_their_way() -> None:
    asked = []

    def ask(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        asked.append(protocol)
        transport.write(b"bye")
        transport.close()

    listener = await net.listen("ws+memory://x", Echo)
    _, protocol = await net.connect(listener.endpoint, Recorder)
    assert await listener.drain(5, ask) == 0
    await protocol.until_lost()
    assert protocol.received == b"bye"
    assert isinstance(asked[0], Echo)


async def test_drain_cut_short_leaves_nobody() -> None:
    listener = await net.listen("tcp://127.0.0.1:0", Echo)
    _, protocol = await net.connect(listener.endpoint, Recorder)
    await until(lambda: listener.connections)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await listener.drain(60, lambda *_: None)
    assert listener.connections == 0
    await protocol.until_lost()


@each_loop
async def test_bytes_are_counted_by_the_kernel() -> None:
    from ropewalk.metrics import using

    registry = Registry()
    with using(registry):
        async with await net.listen("tcp://127.0.0.1:0", Echo, name="k") as listener:
            transport, protocol = await net.connect(listener.endpoint, Recorder)
            transport.write(b"x" * 100_000)
            await protocol.until_received(100_000)
            assert counted(registry, "ropewalk_net_received_bytes_total", listener="k") == 100_000
            assert counted(registry, "ropewalk_net_connections_open", listener="k") == 1
            transport.close()
            await until(lambda: listener.connections == 0)
            assert counted(registry, "ropewalk_net_received_bytes_total", listener="k") in (100_000, 100_001)
            assert counted(registry, "ropewalk_net_sent_bytes_total", listener="k") in (100_000, 100_001)
            assert counted(registry, "ropewalk_net_connections_total", listener="k") == 1
            assert counted(registry, "ropewalk_net_connections_open", listener="k") == 0


@each_loop
async def test_bytes_under_tls_are_counted_to_the_last(files: dict[str, str]) -> None:
    from ropewalk.metrics import using

    registry = Registry()
    with using(registry):
        url = "tls://127.0.0.1:0?cert={cert}&key={key}&ca={ca}".format(**files)
        async with await net.listen(url, Echo, name="t") as listener:
            assert await echoed(listener.endpoint.peer(), b"x" * 50_000) == b"x" * 50_000
            await until(lambda: listener.connections == 0)
        assert 50_000 < counted(registry, "ropewalk_net_received_bytes_total", listener="t") < 60_000
        assert 0 < counted(registry, "ropewalk_net_sent_bytes_total", listener="t") < 60_000


async def test_exit_of_the_block_ends_all() -> None:
    listener: Listener
    async with await net.listen("memory://x", Echo) as listener:
        _, protocol = await net.connect(listener.endpoint, Recorder)
    await protocol.until_lost()
    with pytest.raises(net.ConnectionRefused):
        await net.connect("memory://x", Recorder)
