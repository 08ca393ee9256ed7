"""Requests that are right: what an app sees of them, in which order, and who is told that a peer has gone."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from ropewalk.web import WebLimits
from tests.net.loops import each_loop
from tests.web.talking import GET, TEXT, answers, at_work, body_of, echo, hello, hosted, part, start

CLOSE = b"GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


class Seen:
    """An app that keeps its scopes."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.scopes.append(scope)
        await hello(scope, receive, send)


@each_loop
async def test_a_scope_says_what_was_asked() -> None:
    app = Seen()
    async with hosted(app, "tcp://127.0.0.1:0") as web:
        first = b"GET /a%20b/%C3%A9?x=%201&y HTTP/1.1\r\n"
        await web.asked(first + b"HOST: here:80\r\nX-One: 1 \t\r\nx-one:2\r\nConnection: close\r\n\r\n")
        (scope,) = app.scopes
        assert scope.pop("client")[0] == "127.0.0.1"
        assert scope.pop("server") == ("127.0.0.1", web.port)
        assert set(scope.pop("extensions")) == {"http.response.pathsend", "http.response.zerocopysend"}
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b/\u00e9",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"x=%201&y",
        "root_path": "",
        "headers": [(b"host", b"here:80"), (b"x-one", b"1"), (b"x-one", b"2"), (b"connection", b"close")],
        "state": {},
    }


async def test_over_a_unix_socket_the_server_is_its_path(tmp_path: Any) -> None:
    app = Seen()
    async with hosted(app, f"unix://{tmp_path}/web.sock") as web:
        await web.asked(CLOSE)
    assert app.scopes[0]["server"] == (f"{tmp_path}/web.sock", None)
    assert app.scopes[0]["client"] is None


async def test_a_target_with_a_host_counts_more_than_the_header() -> None:
    app = Seen()
    async with hosted(app) as web:
        await web.asked(b"GET http://there:8/x?y HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        await web.asked(b"GET HTTPS://there HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        await web.asked(b"OPTIONS * HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert [(one["path"], one["headers"][0]) for one in app.scopes] == [
        ("/x", (b"host", b"there:8")),
        ("/", (b"host", b"there")),
        ("*", (b"host", b"here")),
    ]


async def test_one_connection_serves_many_requests_and_says_the_date_once_in_each() -> None:
    async with hosted(hello) as web:
        got = await web.asked(GET * 3 + CLOSE)
    assert [(one.status, one.body, one.keep) for one in got] == [(200, b"hello", True)] * 3 + [(200, b"hello", False)]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", got[0].headers["date"])
    assert "connection" not in got[0].headers
    assert got[3].headers["connection"] == "close"


async def test_answers_come_in_the_order_of_the_requests_however_long_each_takes() -> None:
    waits = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/slow":
            await waits.wait()
        else:
            waits.set()
        await echo(scope, receive, send)

    async def slow_first(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        asyncio.get_running_loop().call_soon(waits.set)
        await app(scope, receive, send)

    async with hosted(slow_first) as web:
        got = await web.asked(GET.replace(b"/ ", b"/slow ") + GET.replace(b"/ ", b"/quick ") + CLOSE)
    assert [one.body for one in got] == [b"GET /slow ", b"GET /quick ", b"GET /last "]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789",
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"4\r\n0123\r\n6;ext=1\r\n456789\r\n0\r\nTrailer: dropped\r\n\r\n"
        ),
        b"POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\n0123456789",
    ],
)
async def test_bodies_come_whole_whatever_their_framing(sent: bytes) -> None:
    async with hosted(echo) as web:
        (got,) = await web.asked(sent)
    assert got.body == b"POST / 0123456789"


async def test_a_large_body_is_read_only_as_fast_as_it_is_taken() -> None:
    size = 4 * 1024 * 1024
    most = 0
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal most
        assert scope["type"] == "http"
        await go_on.wait()
        length, more = 0, True
        while more:
            message = await receive()
            most = max(most, len(message["body"]))
            length += len(message["body"])
            more = message["more_body"]
        await send(start())
        await send(part(b"%d" % length))

    async with hosted(app) as web:
        peer = await web.peer(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        peer.transport.write(bytes(size))
        for _ in range(100):
            await asyncio.sleep(0)
        assert peer.transport.get_write_buffer_size() > size - 1024 * 1024
        go_on.set()
        (got,) = answers(await peer.all())
    assert got.body == b"%d" % size
    assert most < 512 * 1024


async def test_an_old_peer_is_kept_only_where_it_asks_for_that() -> None:
    async with hosted(hello) as web:
        assert len(await web.asked(b"GET / HTTP/1.0\r\n\r\n")) == 1
        first, second = await web.asked(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert (first.headers["connection"], second.headers["connection"]) == ("keep-alive", "close")


async def test_who_waits_to_be_told_is_told_to_go_on_once_the_body_is_wanted() -> None:
    async with hosted(echo) as web:
        peer = await web.peer(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        await peer.until(text=b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.transport.write(b"hi")
        assert (await peer.all()).endswith(b"POST / hi")


async def test_who_waits_to_be_told_and_is_answered_at_once_need_not_send_and_is_closed() -> None:
    async with hosted(hello) as web:
        (got,) = await web.asked(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (got.status, got.headers["connection"]) == (200, "close")


async def test_a_small_body_that_nobody_read_is_dropped_and_the_connection_kept() -> None:
    async with hosted(hello) as web:
        peer = await web.peer(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234")
        await peer.until(text=b"hello")
        peer.transport.write(b"56789" + CLOSE)
        first, second = answers(await peer.all())
    assert (first.keep, second.body) == (True, b"hello")


async def test_a_large_body_that_nobody_read_ends_the_connection() -> None:
    async with hosted(hello) as web:
        (got,) = await web.asked(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n1234")
    assert got.headers["connection"] == "close"


async def test_an_upgrade_that_is_none_of_ours_is_as_if_it_was_not_asked_for() -> None:
    head = b" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
    async with hosted(echo) as web:
        got = await web.asked(b"POST /1" + head + b"Content-Length: 3\r\n\r\nabc" + b"GET /2" + head + b"\r\n" + CLOSE)
    assert [one.body for one in got] == [b"POST /1 abc", b"GET /2 ", b"GET /last "]


async def test_a_peer_that_has_sent_all_still_gets_its_answer() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        assert (await receive())["type"] == "http.disconnect"  # nothing more comes from there
        go_on.set()
        await hello(scope, receive, send)

    async with hosted(app, "tcp://127.0.0.1:0") as web:
        peer = await web.peer(GET)
        peer.transport.write_eof()
        await go_on.wait()
        (got,) = answers(await peer.all())
    assert got.body == b"hello"


async def test_an_app_is_told_when_its_peer_goes() -> None:
    from ropewalk.web import Disconnected

    raised: list[BaseException] = []
    began, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        began.set()
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send(start())
        except OSError as error:
            raised.append(error)
        ended.set()

    async with hosted(app) as web:
        peer = await web.peer(GET)
        await began.wait()
        peer.transport.abort()
        await ended.wait()
    assert [type(error) for error in raised] == [Disconnected]


async def test_an_app_that_waits_for_a_reader_who_goes_is_told() -> None:
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        try:
            while True:
                await send(part(bytes(100_000), more=True))
        except OSError:
            told.set()
            raise

    async with hosted(app) as web:
        peer = await web.peer(GET)
        peer.transport.pause_reading()
        for _ in range(50):
            await asyncio.sleep(0)
        assert web.site.running == 1
        peer.transport.abort()
        await told.wait()


async def test_requests_of_one_connection_do_not_see_each_others_variables() -> None:
    from contextvars import ContextVar

    who: ContextVar[str] = ContextVar("who", default="nobody")
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(0)
        seen.append(who.get())
        who.set(scope["path"])
        await asyncio.sleep(0)
        assert who.get() == scope["path"]
        await hello(scope, receive, send)

    async with hosted(app) as web:
        await web.asked(GET * 2 + CLOSE)
    assert seen == ["nobody"] * 3


async def test_a_connection_ends_after_so_many_requests() -> None:
    async with hosted(hello, limits=WebLimits(requests=2)) as web:
        got = await web.asked(GET * 5)
    assert [one.keep for one in got] == [True, False]


async def test_more_apps_than_allowed_are_refused_and_told_when_to_come_again() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await go_on.wait()
        await hello(scope, receive, send)

    async with hosted(app, limits=WebLimits(running=1)) as web:
        first = await web.peer(CLOSE)
        await at_work(web)
        (got,) = await web.asked(GET)
        assert (got.status, got.headers["retry-after"]) == (503, "1")
        go_on.set()
        assert answers(await first.all())[0].status == 200


@each_loop
async def test_the_same_answers_on_each_loop_over_tcp() -> None:
    async with hosted(echo, "tcp://127.0.0.1:0") as web:
        got = await web.asked(GET + b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + CLOSE)
    assert [one.body for one in got] == [b"GET / ", b"POST /x hi", b"GET /last "]


async def test_no_more_requests_are_read_than_may_wait() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await go_on.wait()
        await send(start(200, TEXT))
        await send(part(b"x"))

    async with hosted(app, limits=WebLimits(pipelined=4)) as web:
        peer = await web.peer(*[GET * 1000] * 20, CLOSE)
        for _ in range(200):
            await asyncio.sleep(0)
        (connection,) = web.site.connections
        assert len(connection.line) < 4 + 4096 / len(GET)  # type: ignore[attr-defined]  # it is a Connection
        assert peer.transport.get_write_buffer_size() > len(GET) * 10_000
        go_on.set()
        assert len(answers(await peer.all())) == 20_001
