"""Times: what must happen in a session within some seconds, and what becomes of it where it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.errors import Ended, Lost
from ropewalk.broker.limits import Limits
from tests.broker.hosts import House, Raw, served, simulated, until


def test_no_hello_in_time() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(hello=4))):
            began = asyncio.get_running_loop().time()
            _, raw = await net.connect("memory://house", Raw)
            await raw.until(lambda: raw.lost)
            assert raw.said == [[14, "broker.late", "no hello within 4 s"]]
            assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.1)

    simulated(main)


def test_no_login_in_time() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(login=7))):
            began = asyncio.get_running_loop().time()
            _, raw = await net.connect("memory://house", Raw)
            raw.hello()
            await raw.until(lambda: raw.lost)
            assert raw.said[-1] == [14, "broker.late", "no login within 7 s"]
            assert asyncio.get_running_loop().time() - began == pytest.approx(7, abs=0.1)

    simulated(main)


def test_who_has_logged_in_may_be_quiet_as_long_as_it_answers() -> None:
    async def main() -> None:
        house = House(limits=Limits(quiet=20))
        async with served(house), broker.connect("memory://house") as me:
            await asyncio.sleep(1000)
            assert await me.echo(1) == 1
            assert next(iter(house.sessions)).broker.pings > 20

    simulated(main)


def test_silence_is_asked_once_and_then_taken_as_the_end() -> None:
    async def main() -> None:
        house = House(limits=Limits(quiet=20))
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            began = asyncio.get_running_loop().time()
            await raw.until(lambda: raw.said[-1][0] == 10)
            assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=1)
            await raw.until(lambda: raw.lost)
            assert asyncio.get_running_loop().time() - began == pytest.approx(40, abs=1)
            assert [message[0] for message in raw.said].count(10) == 1
            assert house.given[0].gone == 1

    simulated(main)


def test_a_session_that_does_nothing_ends_even_where_both_ends_ask_each_other() -> None:
    async def main() -> None:
        house = House(limits=Limits(idle=100, quiet=7))
        async with served(house):
            session = await broker.opened("memory://house", limits=Limits(quiet=5))
            me: Any = await broker.login(session)
            for _ in range(10):
                await asyncio.sleep(60)
                assert await me.echo(1) == 1
            began = asyncio.get_running_loop().time()
            await session.wait_closed()
            assert 100 <= asyncio.get_running_loop().time() - began <= 130
            assert isinstance(session.error, Ended)
            assert "idle for 100 s" in str(session.error)

    simulated(main)


def test_a_session_with_something_open_is_not_idle() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(idle=10))), broker.connect("memory://house") as me:
            assert await me.slow(200) == 200
            view = await me.state()
            await asyncio.sleep(200)
            assert await me.echo(view.version) == 0

    simulated(main)


def test_who_reads_nothing_is_left() -> None:
    async def main() -> None:
        house = House(limits=Limits(unread=50, quiet=1000))
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            began = asyncio.get_running_loop().time()
            answer = me.echo(b"x" * 3_000_000)
            await asyncio.sleep(0)
            transport = session.transport
            assert transport is not None
            transport.pause_reading()
            await until(lambda: house.given[0].gone)
            assert asyncio.get_running_loop().time() - began == pytest.approx(50, abs=2)
            transport.resume_reading()
            with pytest.raises(Lost):
                await answer

    simulated(main)


def test_who_asks_and_never_reads_is_left_before_memory_is_full() -> None:
    """FINISH frees a question before its answer is read, so nothing else bounds the answers."""

    async def main() -> None:
        house = House(limits=Limits(window=1 << 20, unread=1e6, quiet=1e6))
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            server = next(iter(house.sessions))
            raw.transport.pause_reading()
            most = 0
            for question in range(2, 3000):
                raw.say([0, question, [1, 0], "echo", ["x" * 10_000]], [4, [question]])
                await asyncio.sleep(0)
                if server.transport is None:
                    break
                most = max(most, server.transport.get_write_buffer_size())
            assert isinstance(server.error, Lost)
            assert 1 << 20 < most < 4 << 20

    simulated(main)
