"""Bad input, one row each: the offender is ended, the reason is in log and metric, and nobody else notices."""

from __future__ import annotations

import asyncio
import logging
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.net.proxy import SIGNATURE, encode_header
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, answer, counted, echoed, until
from tests.net.test_websocket import BINARY, CLOSE, CONTINUED, PING, TEXT, frame, hello

METRICS = {
    "refused": "ropewalk_net_refused_total",
    "handshake": "ropewalk_net_handshake_failures_total",
    "ended": "ropewalk_net_ended_total",
}
TLS = "cert={cert}&key={key}&ca={ca}"
HEADER = encode_header(("192.0.2.1", 4711), ("198.51.100.2", 443))
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # says 512 bytes, and brings eleven
NEVER = 0.1  # seconds for a handshake, where running out of them is the point
AMPLE = 600.0  # where it is not: the test's own deadline is far shorter


@dataclass(frozen=True)
class Row:
    """What is sent to which listener, and what is told of it; `end` closes the sender's direction afterwards."""

    url: str
    name: str
    sent: bytes
    metric: str
    reason: str
    end: bool = False
    handshake: float = AMPLE

    def __str__(self) -> str:
        return f"{self.url.partition(':')[0]}: {self.name}"


def v2(*, command: int = 0x21, family: int = 0x11, body: bytes = bytes(12), length: int | None = None) -> bytes:
    return struct.pack("!12sBBH", SIGNATURE, command, family, len(body) if length is None else length) + body


def rows() -> list[Row]:
    found: list[Row] = []

    def add(urls: tuple[str, ...], metric: str, reason: str, name: str, sent: bytes, *, end: bool = False) -> None:
        found.extend(Row(url, name, sent, metric, reason, end, NEVER if reason == "timeout" else AMPLE) for url in urls)

    tls = (f"tls://127.0.0.1:0?{TLS}", f"wss://127.0.0.1:0?{TLS}", f"tls+unix://{{folder}}/s?{TLS}")
    for name, sent, reason in (
        ("a request in plain text", b"GET / HTTP/1.1\r\n\r\n", "not-tls"),
        ("plain text", b"hello, is anybody there?\r\n", "not-tls"),
        ("a record that lies about its size", b"\x16\x03\x01\xff\xff" + bytes(64), "tls"),
        ("a hello of one byte", b"\x16\x03\x01\x00\x01\x01", "timeout"),
        ("a hello that never ends", CLIENT_HELLO, "timeout"),
        ("nothing", b"", "timeout"),
    ):
        add(tls, "handshake", reason, name, sent)
    add(tls, "handshake", "lost", "half a hello", CLIENT_HELLO, end=True)

    ws = ("ws://127.0.0.1:0", "ws+unix://{folder}/s")
    for name, sent in (
        ("TLS", CLIENT_HELLO + bytes(512) + b"\n"),
        ("no upgrade", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("HTTP/1.0", hello().replace(b"HTTP/1.1", b"HTTP/1.0")),
        ("a request with a body", hello("/", "Content-Length: 5") + b"hello"),
        ("a request in chunks", hello("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
        ("a request behind a request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + hello() + frame(BINARY, b"smuggled")),
        ("a header over two lines", hello("/", "A: b\r\n c")),
        ("a MiB of headers", b"GET / HTTP/1.1\r\n" + (b"A: " + b"x" * 8000 + b"\r\n") * 128),
        ("a line without end", b"GET /" + b"x" * 100_000),
    ):
        add(ws, "handshake", "websocket", name, sent)
    add(ws, "handshake", "websocket", "half a request", hello()[:40], end=True)
    add(ws, "handshake", "timeout", "a request that never ends", hello()[:-2])
    for name, sent in (
        ("text", frame(TEXT, b"text")),
        ("a frame that says 2^62 bytes", frame(BINARY, b"", size=2**62)),
        ("a frame that says 2^63 and more", frame(BINARY, b"", size=2**63 + 5)),
        ("fragments of too long a message", frame(BINARY, b"x" * 600, fin=False) + frame(CONTINUED, b"x" * 600)),
        ("a frame without a mask", frame(BINARY, b"plain", masked=False)),
        ("a continuation of nothing", frame(CONTINUED, b"x")),
        ("a message in a message", frame(BINARY, b"a", fin=False) + frame(BINARY, b"b")),
        ("a ping in fragments", frame(PING, b"x", fin=False)),
        ("a ping that is too long", frame(PING, b"x" * 126)),
        ("a close that lies about its size", frame(CLOSE, b"x")),
        ("a close that is no UTF-8", frame(CLOSE, struct.pack("!H", 1000) + b"\xff")),
        ("bits that are reserved", bytes([0xC2, 0x80, 0, 0, 0, 0])),
    ):
        add(tuple(f"{url}?max_message=1000" for url in ws), "ended", "websocket", name, hello() + sent)

    proxy = ("proxy://127.0.0.1:0", f"tls+proxy://127.0.0.1:0?{TLS}", "proxy+unix://{folder}/s")
    for name, sent in (
        ("no header", b"GET / HTTP/1.1\r\n\r\n"),
        ("TLS at once", CLIENT_HELLO),
        ("version 1 without end", b"PROXY TCP4 " + b"1" * 200),
        ("version 1 with a zone", b"PROXY TCP6 fe80::1%\x1b[2J ::1 1 2\r\n"),
        ("version 2 that is too long", v2(length=0xFFFF)),
        ("version 2 that is too short", v2(body=b"x")),
        ("version 2 whose addition lies", v2(body=bytes(12) + b"\x02\x00\x09abc")),
        ("version 2 with a wrong checksum", v2(body=bytes(12) + b"\x03\x00\x04\0\0\0\0")),
        ("version 9", v2(command=0x91)),
    ):
        add(proxy, "handshake", "proxy-header", name, sent)
    add(proxy, "handshake", "proxy-header", "half a header", HEADER[:-1], end=True)
    add(proxy, "handshake", "timeout", "a header that never ends", HEADER[:-1])
    add(proxy[1:2], "handshake", "not-tls", "plain text behind the header", HEADER + b"GET / HTTP/1.1\r\n\r\n")
    return found


@pytest.mark.parametrize("row", rows(), ids=str)
@each_loop
async def test_bad_input_is_ended_told_and_harms_nobody(
    row: Row, tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    registry, limits = Registry(), net.Limits(handshake=AMPLE, close=0.2)
    url = row.url.format(folder=tmp_path, **files)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with using(registry):
        async with await net.listen(url, Echo, name="it", limits=limits) as listener:
            peer = listener.endpoint.peer()
            transport, protocol = await net.connect(peer, Recorder)
            transport.write(b"before")
            assert await protocol.until_received(6) == b"before"
            before = counted(registry, "ropewalk_net_connections_total", listener="it")

            listener.limits = net.Limits(handshake=row.handshake, close=0.2)  # not for those that are merely slow
            await answer(listener.endpoint, row.sent, end=row.end)
            listener.limits = limits
            await until(lambda: counted(registry, METRICS[row.metric], listener="it", reason=row.reason) == 1)
            await until(lambda: listener._admission.inside == 1)
            assert sum(counted(registry, name, listener="it") for name in METRICS.values()) == 1
            (record,) = [each for each in caplog.records if getattr(each, "reason", None)]
            assert record.__dict__["reason"] == row.reason
            assert record.__dict__["listener"] == "it"
            assert record.getMessage().isprintable()
            opened = counted(registry, "ropewalk_net_connections_total", listener="it") - before
            assert opened == (row.metric == "ended")

            transport.write(b"after")
            assert await protocol.until_received(11) == b"beforeafter"
            assert await echoed(peer) == b"hello"
            transport.close()
            await protocol.until_lost()
    assert not told
