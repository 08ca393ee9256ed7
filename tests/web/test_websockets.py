"""WebSockets of apps: with a real client, and how they begin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from ropewalk.web import Disconnected
from tests.net.loops import each_loop
from tests.web.sockets import ASKED, Talks, frame
from tests.web.talking import Hosted, answers, hosted


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


@pytest.mark.parametrize("subprotocol", ["a b", "a\r\nx: y", "\u00e9"])
async def test_a_subprotocol_that_is_no_word_is_the_apps_fault(
    subprotocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosted(Talks(subprotocol=subprotocol)) as web:
        (got,) = answers(await web.said(ASKED))
    assert got.status == 500
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
