"""PROXY headers on the wire: who may send them, what they change, and where they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.net.proxy import SIGNATURE, encode_header
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, answer, counted, raw, until

HEADER = encode_header(("192.0.2.1", 4711), ("198.51.100.2", 443))
FAILED = "ropewalk_net_handshake_failures_total"


@each_loop
async def test_names_are_the_headers() -> None:
    served = Recorder()
    async with await net.listen("proxy://127.0.0.1:0", lambda: served) as listener:
        _, writer = await raw(listener.endpoint)
        extra = b"\x02\x00\x04name"
        header = bytearray(HEADER + extra)
        header[14:16] = (len(HEADER) - 16 + len(extra)).to_bytes(2, "big")
        for byte in header:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(b"then bytes")
        assert await served.until_received(10) == b"then bytes"
        assert served.transport.get_extra_info("peername") == ("192.0.2.1", 4711)
        assert served.transport.get_extra_info("sockname") == ("198.51.100.2", 443)
        assert served.transport.get_extra_info("ropewalk.peer") == "192.0.2.1:4711"
        assert served.transport.get_extra_info("ropewalk.proxy").extras == ((2, b"name"),)
        assert served.transport.get_extra_info("ropewalk.private") is False
        writer.close()
        await writer.wait_closed()
        await served.until_lost()


@each_loop
async def test_who_does_not_say_keeps_the_proxys_name() -> None:
    served = Recorder()
    async with await net.listen("proxy://127.0.0.1:0", lambda: served) as listener:
        _, writer = await raw(listener.endpoint)
        writer.write(b"PROXY UNKNOWN\r\nx")
        await served.until_received(1)
        assert served.transport.get_extra_info("peername") == writer.get_extra_info("sockname")
        writer.close()
        await writer.wait_closed()
        await served.until_lost()


@each_loop
async def test_headers_from_elsewhere_are_refused_unread() -> None:
    registry = Registry()
    with using(registry):
        for url in ("proxy://127.0.0.1:0?from=192.0.2.0/24", "proxy://127.0.0.1:0?from=::1/128"):
            served = Recorder()
            async with await net.listen(url, lambda served=served: served, name=url) as listener:  # type: ignore[misc]
                assert await answer(listener.endpoint, HEADER + b"x") == b""
                await until(lambda: not listener._tasks)
                assert counted(registry, "ropewalk_net_refused_total", listener=url, reason="proxy-address") == 1
            assert served.calls == []


async def test_unix_sockets_are_guarded_by_their_mode(tmp_path: Path) -> None:
    async with await net.listen(f"proxy+unix://{tmp_path}/s?from=192.0.2.0/24", Echo) as listener:
        assert await answer(listener.endpoint, HEADER + b"x", end=True) == b"x"


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE + b"\x21\x11\x00\x01x",
        SIGNATURE + b"\x99\x11\x00\x0c" + bytes(12),
        HEADER[:-1],
        b"",
    ],
)
async def test_headers_that_are_none_are_refused(stream: bytes, registry: Registry) -> None:
    served = Recorder()
    async with await net.listen("proxy://127.0.0.1:0", lambda: served, name="p") as listener:
        assert await answer(listener.endpoint, stream, end=True) == b""
        await until(lambda: counted(registry, FAILED, listener="p", reason="proxy-header"))
        assert served.calls == []
        await until(lambda: not listener._admission.inside)
