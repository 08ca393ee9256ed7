"""Attacks that are more than one bad message: floods, resets, peers that do not read, a system that gives no more."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import os
import resource
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.net.connection import Connection
from ropewalk.net.kernel import CountedSocket
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, certificate, counted, echoed, raw, until
from tests.net.test_websocket import BINARY, CONTINUED, PING, frame, hello

REFUSED = "ropewalk_net_refused_total"
FAILED = "ropewalk_net_handshake_failures_total"
ENDED = "ropewalk_net_ended_total"
TLS = "cert={cert}&key={key}&ca={ca}"
URLS = ("tcp://127.0.0.1:0", f"tls://127.0.0.1:0?{TLS}", "ws://127.0.0.1:0", "proxy://127.0.0.1:0", "unix://{folder}/s")
RESET = struct.pack("ii", 1, 0)
MUCH = 24 * 1024 * 1024  # bytes; more than all buffers below us hold


class Flooding(Recorder):
    """Says much, and hangs up."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(bytes(MUCH))
        self.transport.close()


class Answering(Recorder):
    """Says much to whoever has said all."""

    def eof_received(self) -> bool:
        self.transport.write(bytes(MUCH))
        return super().eof_received()


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["reason"] for record in caplog.records if getattr(record, "reason", None)]


@pytest.mark.parametrize("url", [*URLS, "memory://x", "ws+memory://x"])
@each_loop
async def test_who_does_not_read_after_the_close_is_cut_off(
    url: str, tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    registry, limits = Registry(), net.Limits(close=0.1)
    url = url.format(folder=tmp_path, **files)
    for factory in (Flooding, Answering) if url.startswith(("tcp", "unix", "memory")) else (Flooding,):
        with using(registry):
            served = factory()
            async with await net.listen(url, lambda served=served: served, name="it", limits=limits) as listener:  # type: ignore[misc]
                before = counted(registry, ENDED, listener="it", reason="unread")
                transport, _ = await net.connect(listener.endpoint.peer(), Recorder)
                transport.pause_reading()
                transport.write(b"go on")
                if factory is Answering:
                    transport.write_eof()
                await served.until_lost()
                assert counted(registry, ENDED, listener="it", reason="unread") == before + 1
                await until(lambda: listener.connections == 0)
                transport.abort()
    assert set(reasons(caplog)) == {"unread"}


@pytest.mark.parametrize("url", URLS)
@each_loop
async def test_who_reads_slowly_after_the_close_gets_all(url: str, tmp_path: Path, files: dict[str, str]) -> None:
    limits = net.Limits(close=0.2)
    async with await net.listen(url.format(folder=tmp_path, **files), Flooding, limits=limits) as listener:
        transport, protocol = await net.connect(listener.endpoint.peer(), Recorder)
        loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()

        def slowly() -> None:
            if loop.time() - begun < 5 * limits.close:
                transport.pause_reading()
                loop.call_later(0.02, transport.resume_reading)

        protocol.on_data = slowly
        transport.write(b"go on")
        assert await protocol.until_lost() is None
        assert len(protocol.received) == MUCH


@each_loop
async def test_who_sleeps_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    async with await net.listen("tcp://127.0.0.1:0", Echo, name="it", limits=net.Limits(idle=0.1)) as listener:
        _, protocol = await net.connect(listener.endpoint, Recorder)
        await protocol.until_lost()
    assert reasons(caplog) == ["idle"]


@pytest.mark.parametrize("writes", [True, False], ids=["server", "client"])
@each_loop
async def test_one_way_traffic_is_no_sleep(writes: bool, tmp_path: Path) -> None:
    for url in ("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "memory://x"):
        served = Recorder()
        async with await net.listen(url, lambda served=served: served, limits=net.Limits(idle=0.2)) as listener:  # type: ignore[misc]
            transport, protocol = await net.connect(listener.endpoint, Recorder)
            await served.until(lambda served=served: served.calls)  # type: ignore[misc]
            loop, sender = asyncio.get_running_loop(), served.transport if writes else transport
            end = loop.time() + 0.7
            reader, size = (protocol if writes else served), 0
            while loop.time() < end:
                sender.write(b"x")
                size += 1
                await reader.until_received(size)
            assert len(reader.received) == size
            transport.abort()


@pytest.mark.parametrize("url", URLS)
@each_loop
async def test_connections_that_are_reset_at_once_leave_nothing(
    url: str, tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with await net.listen(url.format(folder=tmp_path, **files), Echo) as listener:
        endpoint = listener.endpoint
        family = socket.AF_UNIX if endpoint.carrier == "unix" else socket.AF_INET
        place = endpoint.path if endpoint.carrier == "unix" else (endpoint.host, endpoint.port)
        for number in range(100):
            with socket.socket(family) as sock:
                sock.connect(place)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if number % 2:
                    sock.send(b"\x16\x03")
            if number % 10 == 0:
                await asyncio.sleep(0)
        assert await echoed(endpoint.peer()) == b"hello"
        await until(lambda: not listener._admission.inside and not listener._tasks)
    assert not told
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def alive() -> int:
    gc.collect()
    return sum(isinstance(each, Connection | CountedSocket) for each in gc.get_objects())


async def come_and_go(url: str, count: int) -> tuple[int, int]:
    """How many connections and sockets there are before and after so many have come and gone."""
    async with await net.listen(url, Echo, limits=net.Limits(per_address=count)) as listener:
        assert await echoed(listener.endpoint.peer()) == b"hello"
        await until(lambda: not listener._admission.inside)
        before = alive()
        for begun in range(0, count, 250):
            socks = [socket.create_connection((listener.endpoint.host, listener.endpoint.port)) for _ in range(250)]
            await until(lambda begun=begun: listener.counts.accepted.value > begun + 250)  # type: ignore[misc]
            for sock in socks:
                sock.close()
            await until(lambda: not listener._admission.inside)
        assert listener._admission._by_address == {}
        return before, alive()


@each_loop
async def test_connections_that_come_and_go_leave_nothing() -> None:
    before, after = await come_and_go("tcp://127.0.0.1:0", 500)
    assert after <= before


@pytest.mark.slow
@each_loop
async def test_ten_thousand_connections_that_come_and_go_leave_nothing() -> None:
    before, after = await come_and_go("tcp://127.0.0.1:0", 10_000)
    assert after <= before


@contextlib.contextmanager
def few_descriptors() -> Iterator[Callable[[], None]]:
    """No descriptor is left until what is given is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@each_loop
async def test_no_descriptor_left_is_told_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    registry = Registry()
    with using(registry):
        async with await net.listen("tcp://127.0.0.1:0", Echo, name="it") as listener:
            transport, protocol = await net.connect(listener.endpoint, Recorder)
            with socket.create_connection((listener.endpoint.host, listener.endpoint.port)) as waiting:
                with few_descriptors() as enough:
                    await until(lambda: counted(registry, REFUSED, listener="it", reason="scarce"))
                    transport.write(b"still here")
                    assert await protocol.until_received(10) == b"still here"
                    enough()
                await until(lambda: listener.connections == 2)
                waiting.send(b"x")
                assert await asyncio.to_thread(waiting.recv, 1) == b"x"
            assert 1 <= counted(registry, REFUSED, listener="it", reason="scarce") < 50
            transport.abort()
    assert "scarce" in reasons(caplog)


@each_loop
async def test_socket_that_somebody_shut_down_does_not_spin(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever else has an inherited socket can shut it down; it is then readable for ever."""
    registry, turns = Registry(), 0
    with using(registry), socket.create_server(("127.0.0.1", 0)) as shared:
        async with await net.listen(f"fd://{shared.fileno()}", Echo, name="it") as listener:
            shared.shutdown(socket.SHUT_RDWR)
            await until(lambda: counted(registry, REFUSED, listener="it", reason="accept"))
            for _ in range(100):
                turns += 1
                await asyncio.sleep(0)
            assert counted(registry, REFUSED, listener="it", reason="accept") < turns / 2
            assert listener.connections == 0
    assert reasons(caplog) == ["accept"]


@each_loop
async def test_handshakes_that_are_cut_off_before_they_begin_leave_nothing() -> None:
    listener = await net.listen("tcp://127.0.0.1:0", Echo)
    near, far = socket.socketpair()
    with far:
        listener._taken(CountedSocket(near.family, near.type, near.proto, near.detach()), "")
        listener.close()
        await listener._cut_off()
        assert listener._admission.inside == 0
        far.settimeout(10)
        assert far.recv(1) == b""


async def test_a_silent_peer_is_looked_for_by_the_kernel() -> None:
    served = Recorder()
    async with await net.listen("tcp://127.0.0.1:0", lambda: served) as listener:
        transport, _ = await net.connect(listener.endpoint, Recorder)
        await served.until(lambda: served.calls)
        for end in (transport, served.transport):
            sock = end.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        transport.abort()


@each_loop
async def test_clients_whose_certificate_is_not_good_are_told_of(
    files: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    registry, authority = Registry(), trustme.CA()
    good, other, old = (tmp_path / name for name in ("good", "other", "old"))
    for folder in (good, other, old):
        folder.mkdir()
    right, stranger = certificate(good, "client.example", ca=authority), certificate(other, "client.example")
    expired = authority.issue_cert("client.example", not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
    expired.private_key_and_cert_chain_pem.write_to_path(str(old / "both.pem"))
    url = f"tls://127.0.0.1:0?{TLS}&client_ca={{right}}".format(right=right["ca"], **files)
    with using(registry):
        async with await net.listen(url, Echo, name="it") as listener:
            peer = listener.endpoint.peer()
            transport, protocol = await net.connect(peer.within(cert=right["cert"], key=right["key"]), Recorder)
            for number, bad in enumerate(
                (peer, peer.within(cert=stranger["cert"], key=stranger["key"]), peer.within(cert=str(old / "both.pem")))
            ):
                with contextlib.suppress(net.HandshakeFailed, net.Unreachable):
                    _, refused = await net.connect(bad, Recorder)
                    await refused.until_lost()
                    assert not refused.received
                await until(
                    lambda number=number: (  # type: ignore[misc]
                        counted(registry, FAILED, listener="it", reason="certificate") == number + 1
                    )
                )
            transport.write(b"still here")
            assert await protocol.until_received(10) == b"still here"
            assert counted(registry, "ropewalk_net_connections_total", listener="it") == 1
            transport.abort()
    assert "certificate" in reasons(caplog)


@each_loop
async def test_clients_that_name_no_server_are_served(files: dict[str, str]) -> None:
    async with await net.listen(f"tls://127.0.0.1:0?{TLS}".format(**files), Echo) as listener:
        context = ssl.create_default_context(cafile=files["ca"])
        context.check_hostname = False
        reader, writer = await asyncio.open_connection(
            listener.endpoint.host, listener.endpoint.port, ssl=context, server_hostname=""
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()


async def test_renegotiation_is_not_offered(files: dict[str, str]) -> None:
    listener = await net.listen(f"tls://127.0.0.1:0?{TLS}".format(**files), Echo)
    assert listener.certificates is not None
    assert listener.certificates.context().options & ssl.OP_NO_RENEGOTIATION
    await listener.drain(1)


@each_loop
async def test_fragments_and_pings_without_end_cost_nothing_that_stays() -> None:
    served = Recorder()
    async with await net.listen("ws://127.0.0.1:0", lambda: served) as listener:
        reader, writer = await raw(listener.endpoint)
        writer.write(hello() + frame(BINARY, b"begun", fin=False))
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            writer.write(frame(CONTINUED, b"", fin=False) * 500 + frame(PING, b"?"))
            pong = await reader.readexactly(3)
            assert pong == b"\x8a\x01?"
        side = served.transport._side  # type: ignore[attr-defined]
        assert len(side.machine.reader.buffer) < 1000
        assert not side._pending
        writer.write(frame(CONTINUED, b" and ended"))
        assert await served.until_received(15) == b"begun and ended"
        writer.transport.abort()
        await served.until_lost()


@each_loop
async def test_a_hello_that_comes_byte_by_byte_is_answered(files: dict[str, str]) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=files["ca"])
    client.set_alpn_protocols([f"protocol-{number:03}" for number in range(200)])  # which makes it long
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    said = outgoing.read()
    assert len(said) > 2000
    async with await net.listen(f"tls://127.0.0.1:0?{TLS}".format(**files), Echo) as listener:
        reader, writer = await raw(listener.endpoint)
        for byte in said:
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readexactly(3) == b"\x16\x03\x03"
        writer.transport.abort()
