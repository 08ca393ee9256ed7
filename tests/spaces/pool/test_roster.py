"""Roster: stores are opened together, and one that hangs is opened when it answers."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from ropewalk.spaces.pool import roster
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import MemoryStore, Store, StoreGone
from tests.spaces.making import Clock


class Doors:
    """Stores that open when they are let, or fail to."""

    def __init__(self, count: int) -> None:
        self.open = {f"d{at}": asyncio.Event() for at in range(count)}
        self.gone: set[str] = set()
        self.tries: list[str] = []
        members = [PoolStore(StoreDomains(name), None, "not yet", partial(self.reopen, name)) for name in self.open]
        self.pool = Pool(members, Clock())

    async def reopen(self, name: str) -> Store:
        self.tries.append(name)
        await self.open[name].wait()
        if name in self.gone:
            raise StoreGone("it went")
        return MemoryStore()

    def let(self, *names: str) -> None:
        for name in names:
            self.open[name].set()

    @property
    def up(self) -> list[str]:
        return [name for name in self.pool.names if self.pool.up(name)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "LINGER", 0.01)


async def test_one_that_hangs_is_left_once_enough_are_open_and_taken_in_when_it_answers() -> None:
    doors = Doors(5)
    doors.let("d0", "d2", "d3", "d4")
    doors.gone.add("d4")
    await doors.pool.revive(3)
    assert doors.up == ["d0", "d2", "d3"]
    assert doors.pool.why_down("d1") == "it does not answer"
    assert doors.pool.why_down("d4") == "it went"
    doors.gone.clear()
    doors.let("d1")
    await doors.pool.revive()
    assert doors.up == doors.pool.names
    assert sorted(doors.tries) == ["d0", "d1", "d2", "d3", "d4", "d4"]  # one that hangs is not tried twice


async def test_those_that_are_wanted_are_waited_for() -> None:
    doors = Doors(3)
    doors.let("d0", "d1")
    await doors.pool.revive(2)
    await doors.pool.want(2)
    wanting = asyncio.create_task(doors.pool.want(3))
    await asyncio.sleep(0)
    doors.let("d2")
    await wanting
    assert doors.up == ["d0", "d1", "d2"]


async def test_too_few_end_it_too() -> None:
    doors = Doors(5)
    doors.let("d0")
    await doors.pool.revive(3, within=0.1)
    assert doors.up == ["d0"]
    await doors.pool.aclose()


async def test_what_opens_hang_does_not_keep_a_pool_from_closing() -> None:
    doors = Doors(2)
    doors.let("d0")
    await doors.pool.revive(1)
    await doors.pool.aclose()
