"""Turns: one at a time for each name, whoever gives up waiting."""

from __future__ import annotations

import asyncio
import random

import pytest

from ropewalk.node.turns import Turns


@pytest.mark.parametrize("number", range(20))
async def test_one_at_a_time_for_each_name_whoever_gives_up(number: int, seed: int) -> None:
    chance = random.Random(seed * 100 + number)
    turns, inside, most = Turns(), dict.fromkeys("abc", 0), 0

    async def one(name: str) -> None:
        nonlocal most
        async with turns.of(name):
            inside[name] += 1
            most = max(most, inside[name])
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside[name] -= 1

    tasks = [asyncio.create_task(one(chance.choice("abc"))) for _ in range(40)]
    for _ in range(60):
        await asyncio.sleep(0)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 1
    assert len(turns) == 0
