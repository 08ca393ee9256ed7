"""Peers that take too long: in a time of the tests' own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk.web import WebLimits
from tests.web.talking import GET, Peer, answers, body_of, echo, hello, hosted, part, simulated, start

LIMITS = WebLimits(head_seconds=10, body_seconds=20, body_rate=100, answer_seconds=30, idle=60, linger=2)
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


async def _ended(peer: Peer) -> float:
    """Seconds until it hears the end."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await peer.all()
    return loop.time() - began


async def _after(*pieces: bytes, every: float = 0, app: Any = echo, reads: bool = True) -> tuple[list[int], float]:
    """Statuses, and the seconds until the end, of a peer that says these pieces so slowly."""
    async with hosted(app, limits=LIMITS) as web:
        peer = await web.peer()

        async def speak() -> None:
            for piece in pieces:
                peer.transport.write(piece)
                await asyncio.sleep(every)

        speaking = asyncio.create_task(speak())
        if not reads:
            peer.transport.pause_reading()
            began = asyncio.get_running_loop().time()
            await peer.lost.wait()
            seconds = asyncio.get_running_loop().time() - began
        else:
            seconds = await _ended(peer)
        speaking.cancel()
        return [one.status for one in (answers(peer.data) if peer.data else [])], seconds


@pytest.mark.parametrize(
    ("pieces", "every", "statuses", "least"),
    [
        ([], 0, [], 10),  # who never begins
        ([GET], 0, [200], 60),  # who never asks again
        ([GET[:20]], 0, [408], 10),  # who stops in a head
        ([GET[n : n + 1] for n in range(len(GET))], 5, [408], 10),  # who sends a byte now and then
        ([b"\r\n"] * 50, 5, [408], 10),  # or an empty line
        ([GET, GET[:20]], 0, [200, 408], 10),
        ([POST, b"x"], 0, [408], 20),  # who stops in a body
        ([POST, *[b"x"] * 100], 5, [408], 20),  # or sends it byte by byte
    ],
)
def test_who_is_too_slow_is_told_and_cut_off(
    pieces: list[bytes], every: float, statuses: list[int], least: float
) -> None:
    got, seconds = simulated(_after(*pieces, every=every))
    assert got == statuses
    assert least <= seconds <= least + 6


def test_a_slow_body_that_is_fast_enough_comes_through() -> None:
    pieces = [POST.replace(b"100000", b"50000").replace(b"Host", b"Connection: close\r\nHost"), *[bytes(5000)] * 10]
    got, seconds = simulated(_after(*pieces, every=15))
    assert got == [200]
    assert seconds >= 9 * 15


def test_an_app_may_take_as_long_as_it_likes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(1000)
        await echo(scope, receive, send)

    got, _ = simulated(_after(GET + POST, *[bytes(50_000)] * 2, app=app))
    assert got == [200, 200]


def test_who_does_not_take_an_answer_is_cut_off() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        while True:
            await send(part(bytes(10_000), more=True))

    _, seconds = simulated(_after(GET, app=app, reads=False))
    assert 30 <= seconds <= 35


def test_who_takes_an_answer_slowly_gets_it_all() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        await send(start(headers=[(b"content-length", b"1000000")]))
        for _ in range(10):
            await send(part(bytes(100_000), more=True))
        await send(part(b""))

    async def main() -> None:
        async with hosted(app, limits=LIMITS) as web:
            peer = await web.peer(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while not peer.ended:
                peer.transport.pause_reading()
                await asyncio.sleep(20)
                seen = len(peer.data)
                peer.transport.resume_reading()
                while len(peer.data) == seen and not peer.ended:  # noqa: ASYNC110 - until more came
                    await asyncio.sleep(0)
            assert len(answers(peer.data)[0].body) == 1_000_000

    simulated(main())


def test_one_slow_peer_harms_no_other() -> None:
    async def main() -> None:
        async with hosted(hello, limits=LIMITS) as web:
            slow = [await web.peer(GET[:-2]) for _ in range(200)]
            loop = asyncio.get_running_loop()
            began = loop.time()
            (got,) = await web.asked(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert (got.status, loop.time() - began < 1) == (200, True)
            for peer in slow:
                assert answers(await peer.all())[0].status == 408

    simulated(main())


def test_a_refused_peer_that_goes_on_is_not_listened_to_for_ever() -> None:
    async def main() -> None:
        async with hosted(hello, limits=LIMITS) as web:
            peer = await web.peer(b"junk\r\n\r\n")
            peer.eof_received = lambda: True  # type: ignore[method-assign]  # it keeps its side open

            async def babble() -> None:
                while True:
                    peer.transport.write(bytes(1000))
                    await asyncio.sleep(0.1)

            babbling = asyncio.create_task(babble())
            loop = asyncio.get_running_loop()
            began = loop.time()
            await peer.lost.wait()
            assert 2 <= loop.time() - began < 5
            babbling.cancel()

    simulated(main())


def test_an_idle_connection_has_no_task_and_gets_one_again() -> None:
    async def main() -> None:
        async with hosted(hello, limits=LIMITS) as web:
            peers = [await web.peer(GET) for _ in range(10)]
            for peer in peers:
                await peer.until(text=b"hello")
            tasks = len(asyncio.all_tasks())
            await asyncio.sleep(9)
            assert len(asyncio.all_tasks()) == tasks - 10
            for peer in peers:
                peer.transport.write(GET)
            await asyncio.sleep(1)
            assert [len(answers(peer.data)) for peer in peers] == [2] * 10
            for peer in peers:
                await peer.all()

    for seed in range(4):
        simulated(main(), seed)


def test_nothing_runs_where_nobody_is_connected() -> None:
    async def main() -> None:
        async with hosted(hello, limits=LIMITS) as web:
            await web.said(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await asyncio.sleep(10)
            assert web.site._timer is None
            assert (await web.asked(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))[0].status == 200

    simulated(main())
