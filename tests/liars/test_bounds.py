"""What a store lists is bounded in time and number, whatever asks it."""

from __future__ import annotations

import asyncio
import random
from typing import cast

import pytest

from ropewalk.spaces import rebuild, survey
from ropewalk.spaces.core import Core
from ropewalk.spaces.pool.patience import DEADLINE
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import MemoryStore, ObjectName, StoreDamaged, StoreGone
from ropewalk.testing.liars import Liar, Lie, Place
from ropewalk.testing.liars.lies_lists import EndlessList
from ropewalk.testing.liars.lies_time import DROP, SlowLoris
from ropewalk.testing.liars.matrix import simulated

SPACE = bytes(32)
FEW = 20


class _Asked:
    """As much of a core as a listing needs."""

    def __init__(self, lie: type[Lie]) -> None:
        place = Place(MemoryStore(), random.Random(0), space=SPACE.hex(), lying=True)
        self.liar, self.space_id = Liar(place, lie(place)), SPACE
        self.pool = Pool([PoolStore(StoreDomains("d0"), self.liar)], asyncio.get_running_loop().time)


def test_names_that_come_in_drops_are_waited_for_a_minute_in_all() -> None:
    async def main() -> None:
        asked = _Asked(SlowLoris)
        now = asyncio.get_running_loop().time
        for number in range(5):
            await asked.liar.put(ObjectName(f"{SPACE.hex()}/{number}"), [b"x"])
        started, seen = now(), list[str]()

        async def take() -> None:
            async for listed in asked.pool.list("d0", SPACE.hex()):
                seen.append(listed.name)

        with pytest.raises(StoreGone):
            await take()
        assert len(seen) == DEADLINE // DROP
        assert now() - started < DEADLINE + 1

    simulated(main(), 0)


def test_what_the_reader_does_between_two_names_does_not_count() -> None:
    async def main() -> None:
        asked = _Asked(Lie)
        for number in range(5):
            await asked.liar.put(ObjectName(f"{SPACE.hex()}/{number}"), [b"x"])
        seen = 0
        async for _ in asked.pool.list("d0", SPACE.hex()):
            await asyncio.sleep(DEADLINE)
            seen += 1
        assert seen == 5

    simulated(main(), 0)


async def test_shares_without_an_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "MOST_LISTED", FEW)
    asked = _Asked(EndlessList)
    with pytest.raises(StoreDamaged, match="d0 lists more than 20 shares"):
        await rebuild.list_shares(cast("Core", asked), "d0")
    assert FEW < asked.liar.account.served["list"] <= 2 * FEW + 2, "no more ahead than came before"


async def test_heads_without_an_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_NAMES", FEW)
    asked = _Asked(EndlessList)
    with pytest.raises(StoreDamaged, match="d0 lists more than 20 names"):
        await survey.list_names(cast("Core", asked), "d0", f"{SPACE.hex()}/heads/")
