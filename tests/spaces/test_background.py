"""What is owed is paid while a space is open, as soon as the stores allow it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import State
from tests.spaces.making import World, a_space, device

DEADLINE = 20.0  # seconds; what a test waits for takes a few hundredths of one


async def opened(world: World) -> Space:
    return await open_space(
        world.home,
        "photos",
        device(),
        clock=world.clock,
        now=world.now,
        threads=1,
        open_store=world.open_store,
        pay_every=0.001,
    )


def owed(state: State) -> bool:
    return bool(state.owed_heads() or state.owed_shares())


async def until_nothing_is_owed(space: Space) -> None:
    async with asyncio.timeout(DEADLINE):
        while await space.core.ledger.do(owed):  # noqa: ASYNC110 - the ledger has no event to wait for
            await asyncio.sleep(0)


async def test_a_store_that_comes_back_gets_what_it_is_owed(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with await opened(world) as space:
        world.stores["d1"].gone = True
        outcome = await space.write("large", os.urandom(200_000))
        assert outcome is not None
        assert (outcome.owed_shares, outcome.owed_heads) == (1, 1)
        world.stores["d1"].gone = False
        world.clock.seconds += 60  # the pool leaves a store alone for a while
        await until_nothing_is_owed(space)
        assert len(await world.stores["d1"].names("/packs/")) == 1
        assert len(await world.stores["d1"].names("/heads/")) == 1


async def test_a_store_that_was_gone_at_the_opening_is_opened_later(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    world.stores["d1"].gone = True
    async with await opened(world) as space:
        await space.write("large", os.urandom(200_000))
        assert await space.core.ledger.do(State.owed_shares)
        world.stores["d1"].gone = False
        await until_nothing_is_owed(space)
    assert await world.stores["d1"].names("/packs/")


async def test_debt_survives_a_restart(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    world.stores["d1"].gone = True
    async with world.open() as space:
        await space.write("large", os.urandom(200_000))
    world.stores["d1"].gone = False
    async with await opened(world) as space:
        await until_nothing_is_owed(space)
    assert await world.stores["d1"].names("/packs/")
