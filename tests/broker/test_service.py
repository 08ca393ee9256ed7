"""The service kind ``broker``: in an application, from its configuration to its drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from ropewalk import broker
from ropewalk.broker.service import BadHost, BrokerConfig, BrokerService
from ropewalk.metrics import Registry
from ropewalk.service import Context
from tests.broker.hosts import House, simulated

ended: list[str] = []


def plain(context: Context) -> House:
    return House()


async def later(context: Context) -> House:
    await asyncio.sleep(0)
    return House()


@asynccontextmanager
async def owned(context: Context) -> AsyncIterator[House]:
    yield House()
    ended.append(context.name)


def nothing(context: Context) -> None:
    """Gives none."""


NOT_A_FUNCTION = 5
HERE = "tests.broker.test_service"


@asynccontextmanager
async def running(host: str) -> AsyncIterator[BrokerService]:
    config = msgspec.convert({"listen": "memory://service", "host": f"{HERE}:{host}"}, BrokerConfig)
    service = BrokerService(config, Context("desk", "shop", Registry()))
    async with AsyncExitStack() as service.owned:
        await service.start()
        yield service
        await service.stop(10)


@pytest.mark.parametrize("host", ["plain", "later", "owned"])
def test_it_serves_and_drains(host: str) -> None:
    async def main() -> None:
        ended.clear()
        async with running(host) as service:
            session = await broker.opened("memory://service")
            me: Any = await broker.login(session)
            assert await me.echo(1) == 1
            assert service.statistics()["sessions"] == 1
            slow, stuck = me.slow(3), me.wait()
            await me.echo(2)
            began = asyncio.get_running_loop().time()
        assert await slow == 3
        with pytest.raises(broker.Lost):
            await stuck
        assert asyncio.get_running_loop().time() - began == pytest.approx(8, abs=0.1)
        await session.wait_closed()
        assert ended == (["desk"] if host == "owned" else [])

    simulated(main)


def test_it_stops_at_once_where_nothing_is_open() -> None:
    async def main() -> None:
        async with running("plain"):
            session = await broker.opened("memory://service")
            await broker.login(session)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.1
        await session.wait_closed()

    simulated(main)


@pytest.mark.parametrize("host", ["no.such.module:x", f"{HERE}:no_such_name", f"{HERE}:NOT_A_FUNCTION", "nonsense"])
def test_a_host_that_is_none_is_found_by_a_check(host: str) -> None:
    with pytest.raises(BadHost, match="host: "):
        BrokerConfig(listen="memory://service", host=host)


def test_a_function_that_gives_none_fails_the_start() -> None:
    async def main() -> None:
        with pytest.raises(BadHost, match="expected a Host"):
            async with running("nothing"):
                pass

    simulated(main)
