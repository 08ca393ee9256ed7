"""WebSocket as a byte stream, against bytes that no library of ours wrote."""

from __future__ import annotations

import asyncio
import base64
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ropewalk import net
from ropewalk.metrics import Registry
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, answer, counted, echoed, raw, until

FAILED = "ropewalk_net_handshake_failures_total"
BINARY, TEXT, CONTINUED, CLOSE, PING, PONG = 2, 1, 0, 8, 9, 10


def hello(path: str = "/", *more: str) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *more,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, size: int | None = None) -> bytes:
    length = len(payload) if size is None else size
    first = bytes([fin << 7 | opcode])
    mask = os.urandom(4) if masked else b""
    flag = 0x80 if masked else 0
    if length < 126:
        head = first + bytes([flag | length])
    elif length < 65536:
        head = first + bytes([flag | 126]) + struct.pack("!H", length)
    else:
        head = first + bytes([flag | 127]) + struct.pack("!Q", length)
    if masked:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def closing_code(got: bytes) -> int:
    """The code of the close frame, short and unmasked, that these bytes end with."""
    at = got.rindex(b"\x88")
    return int.from_bytes(got[at + 2 : at + 4], "big")


@each_loop
async def test_messages_are_joined_and_answered_as_bytes() -> None:
    async with await net.listen("ws://127.0.0.1:0", Echo) as listener:
        reader, writer = await raw(listener.endpoint)
        writer.write(hello())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"ICX+Yqv66kxgM0FcWaLWlFLwTAI=" in head  # of the key of zeros
        writer.write(frame(BINARY, b"one") + frame(BINARY, b"tw", fin=False) + frame(PING, b"?"))
        writer.write(frame(CONTINUED, b"o") + frame(PONG, b"unasked"))
        expected = {frame(BINARY, part, masked=False) for part in (b"one", b"tw", b"o")}
        expected.add(frame(PONG, b"?", masked=False))
        got = await reader.readexactly(sum(map(len, expected)))
        assert got == (
            frame(BINARY, b"one", masked=False)
            + frame(BINARY, b"tw", masked=False)
            + frame(PONG, b"?", masked=False)
            + frame(BINARY, b"o", masked=False)
        ) or all(part in got for part in expected)
        writer.write(frame(CLOSE, struct.pack("!H", 1000)))
        assert closing_code(await reader.read()) == 1000
        writer.close()
        await writer.wait_closed()


@each_loop
async def test_frames_that_break_the_rules_end_the_connection() -> None:
    served: list[Recorder] = []

    def factory() -> Recorder:
        served.append(Recorder())
        return served[-1]

    async with await net.listen("ws://127.0.0.1:0?max_message=1000", factory) as listener:
        for bad, code in (
            (frame(TEXT, b"text"), 1003),
            (frame(BINARY, b"", size=1001), 1009),
            (frame(BINARY, b"", size=2**62), 1009),
            (frame(BINARY, b"", size=2**63 + 5), 1009),
            (frame(BINARY, b"x" * 600, fin=False) + frame(CONTINUED, b"x" * 600), 1009),
            (frame(BINARY, b"plain", masked=False), 1002),
            (frame(CONTINUED, b"of nothing"), 1002),
            (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), 1002),
            (frame(3, b"reserved"), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(PING, b"x", fin=False), 1002),
            (frame(CLOSE, b"x"), 1002),
            (bytes([0xC2, 0x80, 0, 0, 0, 0]), 1002),
        ):
            got = await answer(listener.endpoint, hello() + frame(BINARY, b"good") + bad)
            assert closing_code(got) == code, bad
            error = await served[-1].until_lost()
            assert isinstance(error, net.WebSocketFault), bad
            assert error.code == "net.websocket"
            assert served[-1].received.startswith(b"good"), bad
        assert await echoed_by(listener, served) == b"hello"


async def echoed_by(listener: net.Listener, served: list[Recorder]) -> bytes:
    transport, _ = await net.connect(listener.endpoint.peer(), Recorder)
    transport.write(b"hello")
    got = await served[-1].until_received(5)
    transport.abort()
    await served[-1].until_lost()
    return got


@each_loop
async def test_end_without_a_close_frame_is_an_error() -> None:
    served: list[Recorder] = []

    def factory() -> Recorder:
        served.append(Recorder())
        return served[-1]

    async with await net.listen("ws://127.0.0.1:0", factory) as listener:
        await answer(listener.endpoint, hello() + frame(BINARY, b"half of", size=100), end=True)
        assert isinstance(await served[-1].until_lost(), ConnectionResetError)
        assert "eof_received" not in served[-1].calls
        await answer(listener.endpoint, hello() + frame(CLOSE, struct.pack("!H", 1011)), end=True)
        assert isinstance(await served[-1].until_lost(), ConnectionResetError)
        await answer(listener.endpoint, hello() + frame(CLOSE, b""), end=True)
        assert await served[-1].until_lost() is None
        assert "eof_received" in served[-1].calls


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /path HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (hello("/other"), b"404"),
        (hello("/path").replace(b"GET", b"POST"), b"405"),
        (b"\x16\x03\x01\x02\x00" + bytes(600) + b"\r\n", b""),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n", b"414"),
        (b"GET /path HTTP/1.1\r\n" + (b"A: " + b"x" * 4000 + b"\r\n") * 5, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n", b"431"),
        (hello("/path", "Origin: https://evil.example"), b"403"),
    ],
)
async def test_requests_that_are_none_are_refused(request_bytes: bytes, status: bytes, registry: Registry) -> None:
    url = "ws://127.0.0.1:0/path?origin=https://good.example"
    async with await net.listen(url, Echo, name="w") as listener:
        got = await answer(listener.endpoint, request_bytes)
        assert got[9:12] == status
        assert counted(registry, FAILED, listener="w", reason="websocket") == 1
        assert counted(registry, "ropewalk_net_connections_total", listener="w") == 0
        assert await echoed(listener.endpoint.peer()) == b"hello"
        for origin in ("", "Origin: https://good.example"):
            reader, writer = await raw(listener.endpoint)
            writer.write(hello("/path?query=is-theirs", *([origin] if origin else [])))
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
            writer.close()


async def test_subprotocol_is_agreed_on() -> None:
    async with await net.listen("ws+memory://x?subprotocol=b,a", Echo) as listener:
        transport, _ = await net.connect("ws+memory://x?subprotocol=a", Recorder)
        assert transport.get_extra_info("ropewalk.subprotocol") == "a"
        transport.abort()
        with pytest.raises(net.HandshakeFailed):
            await net.connect("ws+memory://x?subprotocol=c", Recorder)
        assert await echoed(listener.endpoint.peer()) == b"hello"


async def test_client_hears_why_it_is_refused() -> None:
    async with await net.listen("ws+memory://x?path=/here", Echo):
        with pytest.raises(net.HandshakeFailed, match="404"):
            await net.connect("ws+memory://x?path=/there", Recorder)
    async with await net.listen("memory://x", Echo):
        with pytest.raises(net.HandshakeFailed, match="valid HTTP response"):
            await net.connect("ws+memory://x", Recorder)


async def test_peer_that_pings_and_never_reads_is_cut_off() -> None:
    served = Recorder()
    async with await net.listen("ws+memory://x", lambda: served):
        transport, protocol = await net.connect("memory://x", Recorder)
        transport.write(hello())
        await protocol.until(lambda: b"\r\n\r\n" in protocol.received)
        transport.pause_reading()
        pings = frame(PING, b"x" * 125) * 100
        for _ in range(1000):
            if served.lost:
                break
            transport.write(pings)
            await asyncio.sleep(0)
        assert isinstance(served.lost[0], net.WebSocketFault)
        transport.abort()


async def test_peer_that_never_closes_is_left_behind() -> None:
    served = Recorder()
    async with await net.listen("ws+memory://x", lambda: served, limits=net.Limits(close=0.05)):
        transport, protocol = await net.connect("memory://x", Recorder)
        transport.write(hello())
        await served.until(lambda: served.calls)
        served.transport.write(b"last words")
        served.transport.close()
        assert await served.until_lost() is None
        await protocol.until_lost()
        assert closing_code(bytes(protocol.received)) == 1000


frames = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=200),
    fin=st.booleans(),
    masked=st.booleans(),
    size=st.none() | st.integers(0, 2**63),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(frames | st.binary(max_size=20), max_size=6), st.integers(1, 50))
def test_fuzz_any_frames_in_any_pieces_end_well(junk: list[bytes], cut: int) -> None:
    """Whatever comes after the handshake, the protocol hears a beginning and one end; the loop hears nothing."""

    async def run() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        served = Recorder()
        async with asyncio.timeout(20), await net.listen("ws+memory://x", lambda: served):
            transport, _ = await net.connect("memory://x", Recorder)
            transport.write(hello())
            await served.until(lambda: served.calls)
            stream = b"".join(junk)
            for at in range(0, len(stream), cut):
                transport.write(stream[at : at + cut])
                await asyncio.sleep(0)
            transport.write_eof()
            await served.until_lost()
        assert len(served.lost) == 1
        assert not told

    asyncio.run(run())


heads = st.lists(
    st.sampled_from(hello().split(b"\r\n"))
    | st.sampled_from(
        [b"", b"GET / HTTP/1.0", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Upgrade: h2c", b"\0"]
    )
    | st.binary(max_size=30),
    max_size=12,
).map(b"\r\n".join)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(heads | st.binary(max_size=200), st.binary(max_size=30), st.integers(1, 50))
def test_fuzz_any_request_in_any_pieces_is_answered_or_refused(head: bytes, rest: bytes, cut: int) -> None:
    """Whatever comes in the place of a handshake, the connection ends and leaves nothing; the loop hears nothing."""

    async def run() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        served: list[Recorder] = []

        def factory() -> Recorder:
            served.append(Recorder())
            return served[-1]

        async with asyncio.timeout(20), await net.listen("ws+memory://x", factory) as listener:
            transport, protocol = await net.connect("memory://x", Recorder)
            stream = head + b"\r\n\r\n" + rest
            for at in range(0, len(stream), cut):
                transport.write(stream[at : at + cut])
                await asyncio.sleep(0)
            transport.write_eof()
            await protocol.until_lost()
            await until(lambda: not listener._admission.inside and not listener._tasks)
        assert all(len(each.lost) == 1 for each in served)
        answered = bytes(protocol.received)
        if answered:
            assert answered[9:12] in ({b"101"} if served else {b"400", b"405", b"413", b"414", b"426", b"431", b"505"})
        assert not told

    asyncio.run(run())


@pytest.mark.parametrize("carrier", ["memory", "tcp"])
@each_loop
async def test_a_flood_of_frames_lets_others_have_their_turn(carrier: str) -> None:
    served: list[Recorder] = []

    def factory() -> Recorder:
        served.append(Recorder())
        return served[-1]

    async with await net.listen("ws+memory://x" if carrier == "memory" else "ws://127.0.0.1:0", factory) as listener:
        below = f"tcp://127.0.0.1:{listener.endpoint.port}" if carrier == "tcp" else "memory://x"
        transport, protocol = await net.connect(below, Recorder)
        transport.write(hello())
        await protocol.until(lambda: b"\r\n\r\n" in protocol.received)
        many = 256 * 1024 // len(frame(BINARY, b"x"))
        transport.write(b"".join(frame(BINARY, bytes([at % 251])) for at in range(many)))
        turns = 0
        while len(served[0].received) < many:
            turns += 1
            if turns == 4:
                served[0].transport.pause_reading()
                served[0].transport.resume_reading()
            await asyncio.sleep(0)
        assert turns >= 256 // 64
        assert served[0].received == bytes(at % 251 for at in range(many))
        transport.write(frame(BINARY, b"last") * 50_000)
        transport.write_eof()
        assert isinstance(await served[0].until_lost(), ConnectionResetError)
        assert served[0].received.count(b"last") == 50_000
        assert await echoed_by(listener, served) == b"hello"
