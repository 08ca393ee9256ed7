"""Gathering: a device that remembers nothing finds the records of a space, whatever one of the stores does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces.home import Home
from ropewalk.spaces.members import records_prefix
from ropewalk.spaces.space import Space
from ropewalk.spaces.store import ObjectName
from tests.spaces.making import World, a_space
from tests.spaces.slow import slow_world

SOON = 3.0  # seconds in which a space opens beside a store that does not answer, with no deadline passed
JUNK = 20_100  # names: more than twice as many as there is room for records


def _fresh(world: World, tmp_path: Path, slow: Mapping[str, Mapping[tuple[str, str], float]]) -> World:
    """The same space for a device that remembers nothing."""
    return slow_world(world, slow, Home(world.home.config, tmp_path / "fresh"))


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(main(), loop=Simulated(5))


async def _took(opening: AbstractAsyncContextManager[Space]) -> float:
    now = asyncio.get_running_loop().time
    began = now()
    async with opening as space:
        took = now() - began
        assert [info.path async for info in space.list()] == ["a"]
    return took


@pytest.mark.parametrize("call", ["list", "get"])
@pytest.mark.parametrize("which", ["d0", "d2", "d4"])
def test_a_store_that_hangs_holds_no_opening_up(tmp_path: Path, call: str, which: str) -> None:
    async def main() -> None:
        world = await a_space(tmp_path)
        async with world.open() as space:
            await space.write("a", b"1")
        assert await _took(_fresh(world, tmp_path, {which: {(call, "/records/"): 1e6}}).open()) < SOON

    _run(main)


def test_records_are_read_several_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        world = await a_space(tmp_path)
        async with world.open() as space:
            await space.write("a", b"1")
            for number in range(40):
                async with space.group() as group:
                    await group.call_device(f"laptop {number}")
        slow = {name: {("get", "/records/"): 0.1} for name in world.stores}
        assert await _took(_fresh(world, tmp_path, slow).open()) < SOON

    _run(main)


@pytest.mark.slow
def test_junk_in_front_of_them_hides_no_records_in_a_store(tmp_path: Path) -> None:
    async def main() -> None:
        world = await a_space(tmp_path, 1, {"store": 0})
        async with world.open() as space:
            await space.write("a", b"1")
            prefix = records_prefix(space.core.space_id)
        for number in range(JUNK):
            await world.stores["d0"].put(ObjectName(f"{prefix}{number:064x}"), (b"junk",))
        assert await _took(_fresh(world, tmp_path, {}).open()) < SOON

    _run(main)


def test_more_stores_are_waited_for_while_none_has_shown_what_lets_this_device_in(tmp_path: Path) -> None:
    async def main() -> None:
        world = await a_space(tmp_path)
        async with world.open() as space:
            await space.write("a", b"1")
        for name in ("d0", "d2", "d4"):
            for record in await world.stores[name].names("/records/"):
                await world.stores[name].lose(record)
        slow = {"d1": {("list", "/records/"): 1e6}, "d3": {("get", "/records/"): 10.0}}
        assert 10.0 < await _took(_fresh(world, tmp_path, slow).open()) < 20.0 + SOON, "and as long again for d1"

    _run(main)
