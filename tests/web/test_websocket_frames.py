"""WebSockets byte by byte: peers that break a rule, vanish, or take too long, and frames cut anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Opcode

from ropewalk.web import WebLimits
from tests.web.sockets import ASKED, Talks, frame
from tests.web.talking import Hosted, Kept, Peer, hosted, simulated


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x85abcd\0\0\0\0\0", None),  # right, to begin with
        (b"\x81\x05hello", 1002),  # not masked
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002),
        (frame(Opcode.CONT, b"b"), 1002),
        (b"\xf1\x80abcd", 1002),  # bits that mean nothing
        (b"\x83\x80abcd", 1002),  # an opcode that means nothing
        (frame(Opcode.PING, b"x" * 125)[:1] + b"\xfe\x00\x7e" + bytes(4), 1009),  # a ping that is too long
        (frame(Opcode.BINARY, bytes(101)), 1009),
        (frame(Opcode.BINARY, bytes(60), fin=False) + frame(Opcode.CONT, bytes(60)), 1009),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(4), 1009),
        (frame(Opcode.CLOSE, b"\x03"), 1002),
        (frame(Opcode.CLOSE, b"\x03\xed"), 1002),  # 1005 must not be sent
    ],
    ids=count(),  # masks are drawn, and all workers must call a case the same
)
async def test_a_peer_that_breaks_a_rule_is_told_which_and_the_app_hears_of_it(sent: bytes, code: int | None) -> None:
    app = Talks()
    async with hosted(app, limits=WebLimits(message=100)) as web:
        peer = await web.peer(ASKED, sent)
        if code is None:
            await peer.until(text=b"\x81\x05")
            peer.transport.write(frame(Opcode.CLOSE))
            await peer.all()
        else:
            got = (await peer.all()).partition(b"\r\n\r\n")[2]
            assert got[0] == 0x88
            assert int.from_bytes(got[2:4], "big") == code
        await app.ended.wait()
    assert app.heard[-1]["type"] == "websocket.disconnect"


async def test_a_peer_that_vanishes_is_1006() -> None:
    app = Talks()
    async with hosted(app) as web:
        peer = await web.peer(ASKED)
        await peer.until(text=b"\r\n\r\n")
        peer.transport.abort()
        await app.ended.wait()
    assert app.heard == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_no_more_is_read_than_an_app_takes() -> None:
    go_on = asyncio.Event()
    count = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal count
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while (await receive())["type"] == "websocket.receive":
            count += 1

    async with hosted(app) as web:
        peer = await web.peer(ASKED)
        await peer.until(text=b"\r\n\r\n")
        for data in (b"", bytes(1000)):
            for _ in range(20_000 // (1 + len(data) // 100)):
                peer.transport.write(frame(Opcode.BINARY, data))
        peer.transport.write(frame(Opcode.CLOSE))
        for _ in range(200):
            await asyncio.sleep(0)
        (socket,) = web.site.connections
        assert len(socket._line) < 1000  # type: ignore[attr-defined]  # it is a WebSocket
        assert peer.transport.get_write_buffer_size() > 0
        go_on.set()
        await peer.all()
    assert count == 20_000 + 20_000 // 11


def _in_time(main: Callable[[Hosted, Talks], Any]) -> Any:
    async def run() -> Any:
        app = Talks()
        limits = WebLimits(ping=20, pong=10, close=5, answer_seconds=30)
        async with hosted(app, limits=limits) as web:
            return await main(web, app)

    return simulated(run())


async def _open(web: Hosted) -> Peer:
    peer = await web.peer(ASKED)
    await peer.until(text=b"\r\n\r\n")
    peer.data = b""
    return peer


def test_a_peer_that_answers_no_ping_is_cut_off() -> None:
    async def main(web: Hosted, app: Talks) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        peer = await _open(web)
        await peer.all()
        assert 30 <= loop.time() - began <= 35
        assert peer.data == b"\x89\x00"
        await app.ended.wait()
        assert app.heard[-1]["code"] == 1006

    _in_time(main)


def test_a_peer_that_answers_pings_is_kept() -> None:
    async def main(web: Hosted, app: Talks) -> None:
        peer = await _open(web)
        for _ in range(10):
            await peer.until(text=b"\x89\x00")
            peer.data = b""
            peer.transport.write(frame(Opcode.PONG))
        assert not app.ended.is_set()

    _in_time(main)


def test_a_peer_that_does_not_answer_a_close_is_cut_off() -> None:
    async def main(web: Hosted, app: Talks) -> None:
        peer = await _open(web)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for connection in list(web.site.connections):
            connection.stop()
        await peer.all()
        assert 5 <= loop.time() - began <= 8
        assert peer.data.startswith(b"\x88\x12\x03\xe9")
        await app.ended.wait()
        assert app.heard[-1]["code"] == 1001

    _in_time(main)


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    async def main(web: Hosted, app: Talks) -> None:
        peer = await _open(web)
        peer.transport.pause_reading()
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def speak() -> None:
            while not app.ended.is_set():
                peer.transport.write(frame(Opcode.BINARY, bytes(10_000)))
                await asyncio.sleep(1)

        speaking = asyncio.create_task(speak())
        await app.ended.wait()
        assert 30 <= loop.time() - began <= 60
        speaking.cancel()
        await peer.lost.wait()

    _in_time(main)


async def test_pings_without_end_from_who_does_not_read_end_the_connection() -> None:
    app = Talks()
    async with hosted(app) as web:
        peer = await _open(web)
        peer.transport.pause_reading()
        for _ in range(2000):
            peer.transport.write(frame(Opcode.PING, bytes(125)))
        await app.ended.wait()
        await peer.lost.wait()


STORY = b"".join(
    [
        ASKED,
        frame(Opcode.TEXT, "h\u00e9llo".encode()),
        frame(Opcode.BINARY, b"in ", fin=False),
        frame(Opcode.PING, b"between"),
        frame(Opcode.CONT, bytes(range(256)), fin=False),
        frame(Opcode.CONT, b"parts"),
        frame(Opcode.BINARY),
        frame(Opcode.CLOSE, b"\x03\xe8bye"),
    ]
)


def _heard(pieces: list[bytes]) -> tuple[list[dict[str, Any]], list[logging.LogRecord]]:
    async def main() -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] in {"websocket", "http"}
            await receive()
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                while not heard or heard[-1]["type"] == "websocket.receive":
                    heard.append(await receive())
            ended.set()

        async with asyncio.timeout(30), hosted(app) as web:
            peer = await web.peer()
            for piece in pieces:
                peer.transport.write(piece)
                await asyncio.sleep(0)
            peer.transport.write_eof()
            await peer.all()
            peer.transport.close()
            while web.site.running:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        return heard

    with Kept() as records:
        return asyncio.run(main()), records


@given(st.lists(st.integers(1, len(STORY) - 1), max_size=12, unique=True))
@example(list(range(1, len(STORY))))
def test_where_frames_are_cut_makes_no_difference(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STORY)]
    heard, _ = _heard([STORY[a:b] for a, b in pairwise(ends)])
    assert heard == [
        {"type": "websocket.receive", "text": "h\u00e9llo"},
        {"type": "websocket.receive", "bytes": b"in " + bytes(range(256)) + b"parts"},
        {"type": "websocket.receive", "bytes": b""},
        {"type": "websocket.disconnect", "code": 1000, "reason": "bye"},
    ]


@given(st.binary(max_size=60), st.integers(0, len(STORY) - len(ASKED)))
def test_junk_in_frames_ends_in_a_disconnect_and_no_error(junk: bytes, at: int) -> None:
    heard, records = _heard([STORY[: len(ASKED) + at], junk, STORY[len(ASKED) + at :]])
    assert heard[-1]["type"] == "websocket.disconnect"
    assert not [one.getMessage() for one in records if one.levelno >= logging.WARNING]
