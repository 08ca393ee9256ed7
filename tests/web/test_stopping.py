"""The end of a site: who is idle goes at once, what runs is finished, what does not end is cut off at the deadline."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import net
from ropewalk.web import Site, WebLimits
from tests.net.loops import each_loop
from tests.web.talking import GET, Hosted, answers, at_work, body_of, echo, hello, hosted, simulated


@each_loop
async def test_idle_connections_close_at_once() -> None:
    async with hosted(hello, "tcp://127.0.0.1:0") as web:
        idle = [await web.peer(GET), await web.peer(), await web.peer(GET[:10])]
        await idle[0].until(text=b"hello")
        while len(web.site.connections) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        web.site.stop_taking()
        for peer in idle:
            await peer.all()
        assert loop.time() - began < 5


def test_what_runs_is_finished_and_what_waits_behind_it_is_not_begun() -> None:
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await asyncio.sleep(3)
            await echo(scope, receive, send)

        async with hosted(app) as web:
            peer = await web.peer(GET * 3)
            await at_work(web)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await web.site.stop(20)
            assert loop.time() - began == pytest.approx(3, abs=0.5)
            (got,) = answers(await peer.all())
            assert (got.status, got.keep) == (200, False)

    simulated(main())


def test_a_body_that_is_coming_may_still_come() -> None:
    async def main() -> None:
        async with hosted(echo) as web:
            peer = await web.peer(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            await at_work(web)
            web.site.stop_taking()
            await asyncio.sleep(1)
            peer.transport.write(b"def" + GET)
            (got,) = answers(await peer.all())
            assert (got.body, got.keep) == (b"POST / abcdef", False)

    simulated(main())


def test_what_does_not_end_is_cut_off_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with hosted(app) as web:
            peer = await web.peer(GET)
            await at_work(web)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await web.site.stop(10)
            assert loop.time() - began == pytest.approx(5, abs=0.5)
            await ended.wait()
            await peer.all()

    simulated(main())
    assert "1 apps were still at work" in caplog.text


def test_who_waits_for_the_peer_to_go_is_told_that_the_site_does() -> None:
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await body_of(receive)
            assert (await receive())["type"] == "http.disconnect"
            await hello(scope, receive, send)

        async with hosted(app) as web:
            peer = await web.peer(GET)
            await at_work(web)
            await web.site.stop(10)
            assert answers(await peer.all())[0].status == 200

    simulated(main())


@each_loop
async def test_a_connection_that_comes_while_it_stops_is_closed() -> None:
    async with Site(hello) as site, await net.listen("tcp://127.0.0.1:0", site.protocol) as listener:
        site.stop_taking()
        assert await Hosted(site, listener).said(GET) == b""


def test_many_connections_in_all_states_end() -> None:
    async def main() -> None:
        async with hosted(echo, limits=WebLimits(pipelined=2)) as web:
            peers = []
            for piece in (
                b"",
                GET,
                GET[:5],
                GET * 20,
                b"junk\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            ):
                peers += [await web.peer(piece) for _ in range(5)]
            await asyncio.sleep(0.1)
            await web.site.stop(4)
            for peer in peers:
                await peer.all()
            assert not web.site.connections
            assert not web.site.running

    for seed in range(4):
        simulated(main(), seed)
