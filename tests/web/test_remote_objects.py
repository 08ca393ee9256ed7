"""One port for pages and remote objects: the broker at a path of a web server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker
from ropewalk.web import Mounts
from ropewalk.web.broker_mount import RemoteObjects
from ropewalk.web.headers import SecurityHeaders
from tests.broker.hosts import House
from tests.net.loops import each_loop
from tests.web.talking import answers, hello, hosted


def asking(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode()


@each_loop
async def test_objects_and_pages_come_by_the_same_port() -> None:
    house = House()
    app = SecurityHeaders(Mounts({"/": hello, "/a/objects": RemoteObjects(house)}))
    async with hosted(app, "tcp://127.0.0.1:0") as web:
        session = await broker.opened(f"ws://127.0.0.1:{web.port}/a/objects")
        me: Any = await broker.login(session)
        assert await me.echo("x" * 100_000) == "x" * 100_000
        assert answers(await web.said(asking("/")))[0].body == b"hello"
        assert answers(await web.said(asking("/a/objects")))[0].status == 404
        assert web.site.counts.opened.value == 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        web.site.stop_taking()
        await session.wait_closed()
        assert loop.time() - began < 4
    assert not house.sessions


@pytest.mark.parametrize("path", ["/objects/x", "/other"])
async def test_a_websocket_elsewhere_is_refused(path: str) -> None:
    async with hosted(Mounts({"/objects": RemoteObjects(House())}), "tcp://127.0.0.1:0") as web:
        with pytest.raises(Exception, match="403"):
            await broker.opened(f"ws://127.0.0.1:{web.port}{path}")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://here", 101),
        ("https://friend.example", 101),
        ("https://here", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
async def test_a_page_of_another_origin_gets_no_objects(origin: str, status: int) -> None:
    app = Mounts({"/objects": RemoteObjects(House(), origins=["https://friend.example"])})
    ask = (
        f"GET /objects HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: {origin}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    async with hosted(app) as web:
        peer = await web.peer(ask.encode())
        await peer.until(text=b"\r\n\r\n")
        assert peer.data.startswith(b"HTTP/1.1 %d " % status)
        peer.transport.close()
