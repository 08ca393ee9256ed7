"""WebSockets of apps: with a real client, and byte by byte with peers that mean harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
import websockets
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from ropewalk.web import Disconnected, WebLimits
from tests.net.loops import each_loop
from tests.web.talking import Hosted, Kept, Peer, answers, hosted, simulated

ASK = (
    b"GET /socket?q HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)
ASKED = ASK + b"\r\n"


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


class Talks:
    """An app that says back what it hears, and keeps what it was told."""

    def __init__(self, *, subprotocol: str | None = None, headers: Any = ()) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.ended = asyncio.Event()
        self._accept = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        self.scopes.append(scope)
        try:
            assert (await receive())["type"] == "websocket.connect"
            await send(self._accept)
            while True:
                message = await receive()
                self.heard.append(message)
                if message["type"] == "websocket.disconnect":
                    return
                await send({**message, "type": "websocket.send"})
        except OSError as error:
            self.errors.append(error)
        finally:
            self.ended.set()


def _url(web: Hosted) -> str:
    return f"ws://127.0.0.1:{web.port}/socket"


@each_loop
async def test_a_real_client_talks_with_an_app() -> None:
    app = Talks(subprotocol="two", headers=[(b"x-one", b"1"), (b"Upgrade", b"dropped")])
    async with hosted(app, "tcp://127.0.0.1:0") as web:
        async with connect(_url(web), subprotocols=[websockets.Subprotocol(word) for word in ("one", "two")]) as client:
            assert client.subprotocol == "two"
            assert client.response is not None
            assert client.response.headers["x-one"] == "1"
            await client.send("h\u00e9llo")
            await client.send(b"\0\xff" * 100_000)
            await client.send(["in ", "parts"])
            assert [await client.recv() for _ in range(3)] == ["h\u00e9llo", b"\0\xff" * 100_000, "in parts"]
            await asyncio.wait_for(await client.ping(), 10)
        await app.ended.wait()
    assert app.heard[-1] == {"type": "websocket.disconnect", "code": 1000, "reason": ""}
    (scope,) = app.scopes
    assert (scope["scheme"], scope["path"], scope["subprotocols"]) == ("ws", "/socket", ["one", "two"])
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert "method" not in scope


async def test_an_app_may_close_with_a_code_and_a_reason() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 3003, "reason": "enough"})
        with pytest.raises(Disconnected):
            await send({"type": "websocket.send", "text": "too late"})

    async with hosted(app, "tcp://127.0.0.1:0") as web, connect(_url(web)) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3003, "enough")


async def _refused(app: Any) -> tuple[int, bytes, dict[str, str]]:
    async with hosted(app, "tcp://127.0.0.1:0") as web:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(_url(web)):
                pass
        response = refused.value.response
        return (
            response.status_code,
            bytes(response.body or b""),
            {k.lower(): v for k, v in response.headers.raw_items()},
        )


async def test_an_app_may_refuse() -> None:
    async def closing(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.close"})

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you"})

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"

    assert (await _refused(closing))[0] == 403
    status, body, headers = await _refused(answering)
    assert (status, body, headers["x"], headers["connection"]) == (401, b"who are you", "y", "close")
    assert (await _refused(leaving))[0] == 403


async def test_an_app_that_raises_gives_500_or_1011_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def app(after: bool) -> Any:
        async def raises(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "websocket"
            if after:
                await send({"type": "websocket.accept"})
            raise ValueError("secret")

        return raises

    status, body, _ = await _refused(app(after=False))
    assert (status, body) == (500, b"something went wrong here\n")
    async with hosted(app(after=True), "tcp://127.0.0.1:0") as web, connect(_url(web)) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "")
    assert len([one for one in caplog.records if one.levelname == "ERROR" and one.exc_info]) == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", b""), 400),
        ((b"MDEyMzQ1Njc4OWFiY2RlZg==", b"short"), 400),
        ((b"Version: 13", b"Version: 8"), 400),
        ((b"Connection: Upgrade", b"Connection: upgrade, keep-alive"), 101),
        ((b"Host: here\r\n", b""), 400),
    ],
)
async def test_a_handshake_that_is_not_right_is_refused(change: tuple[bytes, bytes], status: int) -> None:
    async with hosted(Talks()) as web:
        peer = await web.peer(ASKED.replace(*change), frame(Opcode.CLOSE))
        got = (await peer.all()).partition(b"\r\n")[0]
    assert got.startswith(b"HTTP/1.1 %d " % status)


async def test_a_request_in_front_is_answered_first_and_frames_behind_are_kept() -> None:
    app = Talks()

    async def both(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await app(scope, receive, send)

    first = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    async with hosted(both) as web:
        peer = await web.peer(first + ASKED + frame(Opcode.TEXT, b"early"))
        await peer.until(text=b"early")
        peer.transport.write(frame(Opcode.CLOSE))
        got = await peer.all()
    assert got.startswith(b"HTTP/1.1 204 ")
    assert got.index(b" 204 ") < got.index(b" 101 ")
    assert got.endswith(b"\r\n\r\n\x81\x05early\x88\x00")
    assert app.heard[-1]["code"] == 1005


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


@pytest.mark.parametrize("subprotocol", ["a b", "a\r\nx: y", "\u00e9"])
async def test_a_subprotocol_that_is_no_word_is_the_apps_fault(
    subprotocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosted(Talks(subprotocol=subprotocol)) as web:
        (got,) = answers(await web.said(ASKED))
    assert got.status == 500
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1


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
