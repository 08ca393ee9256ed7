"""Between two outages all is as it was: whoever was away has its share, so that any two may be lost again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from ropewalk.spaces.state import State
from ropewalk.testing.outages.stage import Stage

pytestmark = [pytest.mark.system, pytest.mark.slow]

LARGE = 300_000  # bytes: too many for a head


def refuse(stage: Stage, names: Sequence[str]) -> None:
    for name in names:
        stage.proxies[name].faults.refuse = True
        stage.proxies[name].cut()


async def test_once_all_is_whole_what_was_written_while_a_node_was_away_outlasts_two_others(
    tmp_path: Path, seed: int
) -> None:
    data = random.Random(seed).randbytes(LARGE)
    async with Stage.set(tmp_path, seed) as stage, stage.clients("one") as (space,):
        away, *others = stage.some(3)
        refuse(stage, [away])
        await space.write("a", data)
        assert await space.core.ledger.do(State.owed_shares)
        stage.heal()
        await stage.whole()
        assert not await space.core.ledger.do(State.owed_shares)
        refuse(stage, others)
        async with stage.open("newcomer") as reading:
            assert await reading.read("a") == data
