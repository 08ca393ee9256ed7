"""What one peer, or one app, does wrong ends its own request or connection, and never the site."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.frames import Opcode

from tests.web.talking import hello, hosted
from tests.web.test_websockets import ASK, ASKED, Talks, frame


async def test_a_header_too_long_for_a_websocket_is_refused_and_the_site_goes_on() -> None:
    async with hosted(hello) as web:
        said = await web.said(ASK + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 431 ")
        assert b"hello" in await web.said(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")


async def test_an_app_that_raises_before_it_is_a_coroutine_is_answered_with_500() -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] == "http":
            raise ValueError("at once")
        return hello(scope, receive, send)

    async with hosted(app) as web:
        for _ in range(2):
            assert (await web.said(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")).startswith(b"HTTP/1.1 500 ")


async def test_empty_parts_of_a_message_are_not_kept() -> None:
    async with hosted(Talks()) as web:
        peer = await web.peer(ASKED)
        await peer.until(text=b"\r\n\r\n")
        peer.transport.write(frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.CONT, fin=False) * 1000)
        peer.transport.write(frame(Opcode.PING, b"now"))
        await peer.until(text=b"now")
        (socket,) = [one for one in web.site.connections if hasattr(one, "_parts")]
        assert len(socket._parts) == 1
        peer.transport.abort()


async def test_a_refusal_that_breaks_off_ends_the_connection() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"a", "more_body": True})
            raise ValueError("within")

    async with hosted(app) as web:
        async with asyncio.timeout(10):
            peer = await web.peer(ASKED)
            await peer.lost.wait()
        assert not web.site.connections
