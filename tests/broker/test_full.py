"""Full windows, questions and lanes: what is never held back does not wait for what may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ropewalk import broker as rope
from ropewalk.broker.limits import Limits
from tests.broker.pair import Pair
from tests.broker.sharing import one_way
from tests.broker.streaming import Desk


async def test_full_windows_both_ways_do_not_wait_for_each_other() -> None:
    class Busy(rope.Object):
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        @rope.remote
        async def hold(self, data: bytes) -> int:
            await self.gate.wait()
            return len(data)

        @rope.remote
        def give(self) -> rope.Object:
            return Busy()

    limits = Limits(window=40_000, questions=8)
    mine, theirs = Busy(), Busy()
    pair = Pair(theirs, mine, limits=limits, client_limits=limits)
    references = [await pair.got(pair.me.give()), await pair.got(pair.server.door.give())]
    calls = [[end.door.hold(bytes([1]) * 9_000) for _ in range(10)] for end in (pair.client, pair.server)]
    await pair.run()
    for end in (pair.client, pair.server):
        assert end.broker.asking.held
        assert end.broker.asking.used > 30_000
    # Releases and cancels pass.
    references.clear()
    pair.client.broker.asking.cancel(calls[0][0])
    pair.server.broker.asking.cancel(calls[1][0])
    await pair.run()
    assert list(pair.server.broker.objects.shown) == [0]
    assert list(pair.client.broker.objects.shown) == [0]
    for busy in (mine, theirs):
        busy.gate.set()
    await pair.run()
    for side in calls:
        assert [promise.value() for promise in side[1:]] == [9_000] * 9
    await pair.stop()


async def test_answers_go_out_while_uploads_of_both_ends_fill_the_windows() -> None:
    class Echo(rope.Object):
        @rope.remote
        def echo(self, data: bytes) -> bytes:
            return data

    limits = Limits(window=700_000, blob=700_000)
    pair = Pair(Echo(), Echo(), limits=limits, client_limits=limits)
    calls = [end.door.echo(bytes(600_000)) for _ in range(5) for end in (pair.client, pair.server)]
    small = [end.door.echo(b"x") for end in (pair.client, pair.server)]
    await pair.run()
    assert [len(promise.value()) for promise in calls] == [600_000] * 10
    assert [promise.value() for promise in small] == [b"x", b"x"]
    await pair.stop()


class Slow(Desk):
    """Makes streams, and has calls that wait."""

    @rope.remote
    async def size(self, data: bytes) -> int:
        await self.wait.wait()
        return len(data)


async def _all(pair: Pair, stream: AsyncIterator[bytes]) -> list[int]:
    """The items of a stream, while messages pass and no piece of a blob does."""
    reading = asyncio.ensure_future(_sizes(stream))
    for _ in range(2_000):
        one_way(pair.client, pair.server)
        one_way(pair.server, pair.client)
        await asyncio.sleep(0)
        if reading.done():
            return reading.result()
    reading.cancel()
    raise AssertionError("the stream stands still")


async def _sizes(stream: AsyncIterator[bytes]) -> list[int]:
    return [len(item) async for item in stream]


async def test_streams_go_on_by_their_credit_while_windows_and_lanes_are_full_both_ways() -> None:
    limits = Limits(window=40_000, frame=20_000, stream_window=16_384)
    mine, theirs = Slow(), Slow()
    pair = Pair(theirs, mine, limits=limits, client_limits=limits)
    streams = [await pair.got(end.door.count(100, 1_000)) for end in (pair.client, pair.server)]
    calls = [end.door.size(bytes(17_000)) for end in (pair.client, pair.server) for _ in range(5)]

    def full() -> bool:
        return all(
            end.broker.lanes and end.broker.asking.held and end.broker.asking.used > 30_000
            for end in (pair.client, pair.server)
        )

    await asyncio.sleep(0)
    assert full()
    assert await asyncio.gather(*(_all(pair, stream) for stream in streams)) == [[1_000] * 100] * 2
    assert full()
    for desk in (mine, theirs):
        desk.wait.set()
    await pair.run()
    assert [promise.value() for promise in calls] == [17_000] * 10
    await pair.stop()
