"""What one peer, or one app, does wrong ends its own request or connection, and never the site."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

from ropewalk.metrics import Registry, using
from ropewalk.web import Mounts, Tree, WebLimits
from ropewalk.web.broker_mount import RemoteObjects
from tests.broker.hosts import House
from tests.net.loops import each_loop
from tests.web.others import WITHIN, others
from tests.web.sockets import ASK, ASKED, Talks, frame
from tests.web.talking import GET, Hosted, answers, at_work, echo, hello, hosted, part, simulated, start
from tests.web.test_bad_requests import BAD


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


async def test_an_app_that_cancels_its_task_at_its_end_holds_up_no_other_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        if scope["type"] == "http":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    async with asyncio.timeout(10), hosted(app) as web:
        peer = await web.peer(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await peer.until(text=b"hello")
        peer.transport.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert (await peer.all()).count(b"HTTP/1.1 200 ") == 2


@each_loop
async def test_who_goes_while_its_large_body_is_refused_is_no_fault_of_an_app(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        peer.close()  # the next that is sent there is answered with a reset
        await send(start())
        await send(part(b"x"))
        ended.set()

    async with asyncio.timeout(WITHIN), hosted(app, "tcp://127.0.0.1:0") as web:
        peer = socket.create_connection(("127.0.0.1", web.port))
        peer.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 999999\r\n\r\n")
        await ended.wait()
        while web.site.connections:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "WARNING")]


# ---- others in the middle of what they do ----

WAYS = ["memory://web", "tcp://127.0.0.1:0"]
SECRET = b"not for you"
LONG = bytes(range(256)) * 32768  # bytes; more than buffers of sockets hold
CLOSES = b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


async def long(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send(start())
    for at in range(0, len(LONG), 65536):
        await send(part(LONG[at : at + 65536], more=True))
    await send(part(b""))


@asynccontextmanager
async def among_others(folder: Path, url: str = "memory://web") -> AsyncIterator[Hosted]:
    """A site with two at work: what comes within must not matter to them."""
    (folder / "site").mkdir()
    (folder / "site/open.txt").write_bytes(b"for all")
    (folder / "secret.txt").write_bytes(SECRET)
    registry = Registry()
    with using(registry):
        app = Mounts({"/": echo, "/long": long, "/files": Tree(folder / "site"), "/objects": RemoteObjects(House())})
    limits = WebLimits(body=1_000_000, linger=60)
    async with hosted(app, url, registry=registry, limits=limits, hosts=["here", "a"]) as web:
        sends = b"POST /mine HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789"
        async with asyncio.timeout(WITHIN), others(web, sends, b"GET /long" + CLOSES, GET) as got:
            yield web
    assert (got.sent.status, got.sent.body, got.sent.whole) == (200, b"POST /mine 0123456789", True)
    assert (got.taken.status, got.taken.whole) == (200, True)
    assert got.taken.body == LONG
    assert (got.third.status, got.third.body) == (200, b"GET / ")


@pytest.mark.parametrize("what", BAD)
async def test_a_request_that_cannot_be_harms_nobody_else(what: str, tmp_path: Path) -> None:
    """Conflicting lengths, codings, lines that can be read in two ways, and all else that is no request."""
    status, sent = BAD[what]
    async with among_others(tmp_path) as web:
        (got,) = await web.asked(sent)
        assert (got.status, got.keep) == (status, False)


ENDLESS = {
    "headers": (431, b"GET / HTTP/1.1\r\nHost: here\r\n", b"X: y\r\n"),
    "a header": (431, b"GET / HTTP/1.1\r\nHost: here\r\nX: ", b"y"),
    "a name": (431, b"GET / HTTP/1.1\r\nHost: here\r\n", b"x"),
    "a target": (414, b"GET /", b"x"),
    "lines before a request": (431, b"", b"\r\n"),
    "trailers": (400, b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "a chunk's extension": (400, b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "a body": (413, b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("url", WAYS)
@pytest.mark.parametrize("what", ENDLESS)
async def test_what_has_no_end_harms_nobody_else(what: str, url: str, tmp_path: Path) -> None:
    status, begins, goes_on = ENDLESS[what]
    async with among_others(tmp_path, url) as web, asyncio.timeout(WITHIN):
        peer = await web.peer(begins)
        while not peer.ended:
            if not peer.transport.get_write_buffer_size():
                peer.transport.write(goes_on * 1000)
            await asyncio.sleep(0)
        assert answers(peer.data)[0].status == status
        peer.transport.close()
        await peer.lost.wait()


@pytest.mark.parametrize("drips", [b"", b"X: y\r\n"], ids=["silent", "a header now and then"])
def test_a_crowd_of_slow_peers_harms_nobody_else(drips: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with among_others(tmp_path) as web:
            slow = [await web.peer(GET[:-2]) for _ in range(200)]
            for _ in range(30):
                for peer in slow:
                    if not peer.ended:
                        peer.transport.write(drips)
                await asyncio.sleep(1)
            assert [answers(peer.data)[0].status for peer in slow] == [408] * 200

    simulated(main())


OUTSIDE: list[tuple[str, int]] = [
    *((f"{dots}/secret.txt", 404) for dots in ("..", "%2e%2e", ".%2E", "%252e%252e", "..;", "...")),
    *(("..%2fsecret.txt", 404), ("..%252fsecret.txt", 404), ("%2e%2e%2Fsecret.txt", 404), ("./../secret.txt", 404)),
    *(
        ("..\\secret.txt", 404),
        ("..%5csecret.txt", 404),
        ("%2e%2e%5Csecret.txt", 404),
        ("open.txt/../../secret.txt", 404),
    ),
    *(("%c0%ae%c0%ae/secret.txt", 400), ("..%c0%afsecret.txt", 400), ("%e0%80%ae%e0%80%ae/secret.txt", 400)),
    *(("..%00/secret.txt", 400), ("../secret.txt%00open.txt", 400), ("%f0%80%80%ae./secret.txt", 400)),
    *(("%ef%bc%8e%ef%bc%8e/secret.txt", 404), ("%e2%80%a5/secret.txt", 404), ("..%e2%88%95secret.txt", 404)),
    *(("..%ef%bc%8fsecret.txt", 404), ("%2fetc%2fpasswd", 404), ("/etc/passwd", 404), ("C:%5csecret.txt", 404)),
]


@pytest.mark.parametrize("url", WAYS)
@pytest.mark.parametrize(("path", "status"), OUTSIDE)
async def test_a_path_that_leads_outside_harms_nobody_else(path: str, status: int, url: str, tmp_path: Path) -> None:
    async with among_others(tmp_path, url) as web:
        (got,) = await web.asked(b"GET /files/" + path.encode() + CLOSES)
        assert got.status == status
        assert SECRET not in got.body
        absolute = f"GET file://{tmp_path}/secret.txt".encode()
        assert (await web.asked(absolute + CLOSES))[0].status == 400
        (got,) = await web.asked(b"GET /files/open.txt" + CLOSES)
        assert (got.status, got.body) == (200, b"for all")


@pytest.mark.parametrize("url", WAYS)
@pytest.mark.parametrize(
    "host", ["evil.example", "here.evil.example", "127.0.0.1", "[::1]:80", "localhost", "", "xhere"]
)
async def test_a_foreign_host_harms_nobody_else(host: str, url: str, tmp_path: Path) -> None:
    foreign = f"Host: {host}\r\n".encode()
    async with among_others(tmp_path, url) as web:
        for sent in (
            GET.replace(b"Host: here\r\n", foreign),
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n" + foreign + b"\r\nabc",
            ASKED.replace(b"Host: here\r\n", foreign),
            f"GET http://{host or 'there'}/files/open.txt HTTP/1.1\r\nHost: here\r\n\r\n".encode(),
        ):
            (got,) = await web.asked(sent)
            assert (got.status, got.body, got.keep) == (421, b"this name is not served here\n", False)


@pytest.mark.parametrize("url", WAYS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://here", "http://here.evil.example", ""])
async def test_a_foreign_origin_harms_nobody_else(origin: str, url: str, tmp_path: Path) -> None:
    sent = ASK.replace(b"/socket?q", b"/objects") + f"Origin: {origin}\r\n\r\n".encode()
    async with among_others(tmp_path, url) as web:
        (got,) = await web.asked(sent)
        assert (got.status, got.body) == (403, b"pages of other origins may not connect here\n")


@pytest.mark.parametrize("url", WAYS)
@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("politely", [False, True])
async def test_an_upload_that_is_cut_harms_nobody_else(url: str, chunks: bool, politely: bool, tmp_path: Path) -> None:
    framing = b"Transfer-Encoding: chunked\r\n\r\n64\r\n" if chunks else b"Content-Length: 100\r\n\r\n"
    async with among_others(tmp_path, url) as web:
        peer = await web.peer(b"POST /upload HTTP/1.1\r\nHost: here\r\n" + framing + bytes(50))
        await at_work(web, 3)
        if politely:
            peer.transport.write_eof()
        else:
            peer.transport.abort()
        await peer.lost.wait()
        assert b"HTTP/1.1 200 " not in peer.data
