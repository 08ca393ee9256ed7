"""Server-sent events: how they look, and that they end with the listener, the server or themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk.web import BrokenAnswer
from ropewalk.web.events import Event, EventStream
from tests.web.talking import GET, answers, at_work, hosted, simulated


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("hello"), "data: hello\n\n"),
        (Event(""), "data: \n\n"),
        (Event("a\nb\r\nc\rd\n"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        (Event("x", event="tick", id="7", retry=500), "event: tick\nid: 7\nretry: 500\ndata: x\n\n"),
    ],
)
def test_an_event_is_written_so_that_it_stays_one(event: Event, text: str) -> None:
    assert event.encode() == text.encode()


@pytest.mark.parametrize("event", [Event("x", event="a\nb"), Event("x", id="a\rb"), Event("x", id="\0")])
def test_a_kind_or_id_with_a_line_end_is_refused(event: Event) -> None:
    with pytest.raises(BrokenAnswer):
        event.encode()


class Ticks:
    """Events until somebody ends them."""

    def __init__(self, *, count: int = 10**9, every: float = 0) -> None:
        self.count, self.every = count, every
        self.closed = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        try:
            for number in range(self.count):
                yield Event(str(number))
                await asyncio.sleep(self.every)
        finally:
            self.closed.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await EventStream(self.events())(scope, receive, send)


async def test_a_stream_that_ends_by_itself_is_whole() -> None:
    async with hosted(Ticks(count=2)) as web:
        (got,) = answers(await web.said(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    assert (got.headers["content-type"], got.whole) == ("text/event-stream; charset=utf-8", True)
    assert got.body == b":\n\ndata: 0\n\ndata: 1\n\n"


def test_a_stream_is_sent_at_once_and_kept_alive_and_ends_with_the_listener() -> None:
    async def main() -> None:
        app = Ticks(every=100)
        async with hosted(app) as web:
            peer = await web.peer(GET)
            await peer.until(text=b"data: 0")
            await asyncio.sleep(50)
            assert peer.data.count(b":\n\n") == 1 + 3
            peer.transport.close()
            await app.closed.wait()
            await at_work(web, 0)

    simulated(main())


def test_a_stream_ends_when_the_site_stops() -> None:
    async def main() -> None:
        app = Ticks(every=3600)
        async with hosted(app) as web:
            peer = await web.peer(GET)
            await peer.until(text=b"data: 0")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await web.site.stop(10)
            await peer.all()
            assert loop.time() - began < 1
            assert app.closed.is_set()
            assert answers(peer.data)[0].whole

    simulated(main())


async def test_a_stream_that_raises_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncIterator[Event]:
        yield Event("one")
        raise ValueError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await EventStream(broken())(scope, receive, send)

    async with hosted(app) as web:
        got = answers(await web.said(GET))
    assert not any(one.whole for one in got)
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
