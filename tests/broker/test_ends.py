"""The end of a session: what was asked is answered first, its work stops, and each login is left once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.errors import Ended, Lost
from ropewalk.broker.limits import Limits
from ropewalk.errors import Unavailable
from tests.broker.hosts import House, Me, Raw, served, simulated, until


def test_close_lets_what_was_asked_be_answered() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            slow = me.slow(3)
            crossing: list[Any] = []
            await asyncio.sleep(1)
            closing = asyncio.create_task(house.close(10))
            await asyncio.sleep(0)
            crossing += [me.echo(7)]  # GOAWAY is on its way here
            assert await slow == 3
            assert await crossing[0] == 7
            await closing
            await session.wait_closed()
            assert isinstance(session.error, Ended)
            assert not house.sessions

    simulated(main)


def test_close_lets_a_stream_come_to_its_end() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house", limits=Limits(stream_window=16_384))
            me: Any = await broker.login(session)
            stream = await me.count(1000)
            assert await anext(stream) == 0
            closing = asyncio.create_task(house.close(10))
            assert [number async for number in stream] == list(range(1, 1000))
            await closing
            await session.wait_closed()

    simulated(main)


def test_close_does_not_wait_longer_than_its_deadline() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            waits = me.wait()
            await me.echo(1)
            began = asyncio.get_running_loop().time()
            await house.close(10)
            assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)
            with pytest.raises(Lost):
                await waits
            await session.wait_closed()

    simulated(main)


def test_close_is_not_held_up_by_an_end_that_does_not_close() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            next(iter(house.sessions)).close("enough")
            await raw.until(lambda: raw.said[-1] == [13, "enough"])
            raw.say([0, 9, [1, 0], "echo", ["late"]])
            assert await raw.answer(9) == [1, 9, "late"]
            await raw.until(lambda: raw.lost)
            await until(lambda: not house.sessions)

    simulated(main)


def test_leaving_does_not_wait_for_a_stream_that_nobody_reads() -> None:
    async def main() -> None:
        async with served(House()):
            began = asyncio.get_running_loop().time()
            async with broker.connect("memory://house", limits=Limits(stream_window=16_384)) as me:
                stream = await me.count(10_000)
                assert await anext(stream) == 0
            assert asyncio.get_running_loop().time() - began < 1

    simulated(main)


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_connection_is_told_once_and_stops_the_work(seed: int) -> None:
    async def main() -> None:
        house = House()
        ends: list[broker.Session] = []
        async with served(house):
            session = await broker.opened("memory://house")
            session._gone = ends.append
            me: Any = await broker.login(session)
            calls = [me.slow(1000), me.wait(), me.count(5)]
            await me.echo(1)
            server = next(iter(house.sessions))
            server.abort(Ended("cut"))
            for call in calls[:2]:
                with pytest.raises(Lost, match="whether the call was done is not known"):
                    await call
            with pytest.raises(Unavailable):
                await me.echo(1)
            await session.wait_closed()
            await server.wait_closed()
            assert ends == [session]
            assert house.given[0].stopped == 1
            assert house.given[0].gone == 1
            assert house.logouts == {0: 1}
            assert not house.sessions
            assert len(asyncio.all_tasks()) == 1

    simulated(main, seed)


def test_abort_tells_the_reason() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            raw.say([1, 77, "an answer to nothing"])
            await raw.until(lambda: raw.lost)
            assert raw.said[-1][:2] == [14, "broker.message"]
            assert "77" in raw.said[-1][2]
            assert house.given[0].gone == 1

    simulated(main)


def test_a_method_that_does_not_stop_is_left_behind_and_told(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Me):
        @broker.remote
        async def wait(self) -> str:
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.stopped += 1
            return "at last"

    async def main() -> None:
        house = House(make=Stubborn)
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            waits = me.wait()
            await me.echo(1)
            with caplog.at_level(logging.ERROR):
                await house.close(1)
            assert [record.code for record in caplog.records] == ["broker.left-behind"]  # type: ignore[attr-defined]
            with pytest.raises(Lost):
                await waits
            house.given[0].gate.set()
            await until(lambda: not house.sessions)

    simulated(main)


def test_leaving_that_fails_is_logged_and_the_login_ends_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Me):
        def left(self) -> None:
            super().left()
            raise ValueError("left badly")

    async def main() -> None:
        house = House(make=Broken)
        async with served(house):
            async with broker.connect("memory://house") as me:
                await me.echo(1)
            await until(lambda: not house.sessions)
            assert house.given[0].gone == 1
            assert house.logouts == {0: 1}
            assert [record.code for record in caplog.records] == ["broker.left-failed"]  # type: ignore[attr-defined]

    simulated(main)
