"""A space opens once as many stores have as it needs: what it shows is as new as ever, and the others come to it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.patience import GRACE, LINGER
from ropewalk.spaces.pool.roster import BRIEFLY
from ropewalk.spaces.space import Space
from ropewalk.spaces.store import Store
from tests.spaces.making import World, a_space, pack_of

NEVER = math.inf
FILE = random.Random(5).randbytes(3_000_000)  # in all columns of its pack


class Late:
    """A world whose stores may take long to open.

    Attributes:
        seconds: How long, by store.
        waiting: Stores that are being opened.
    """

    def __init__(self, world: World) -> None:
        self.world, self.seconds = world, dict[str, float]()
        self.waiting: set[str] = set()
        self._open = world.open_store
        world.open_store = self.open_store  # type: ignore[method-assign]

    async def open_store(self, path: str, identity: bytes) -> Store:
        self.waiting.add(path)
        try:
            if (seconds := self.seconds.get(path, 0.0)) == NEVER:
                await asyncio.Event().wait()
            await asyncio.sleep(seconds)
            return await self._open(path, identity)
        finally:
            self.waiting.discard(path)


def _play(tmp_path: Path, act: Callable[[Late], Awaitable[None]]) -> None:
    async def main() -> None:
        world = await a_space(tmp_path)
        async with world.open() as space:
            await space.write("file", FILE)
        late = Late(world)
        await act(late)
        assert late.waiting == set(), "what was being opened has ended with the space"

    run(main(), loop=Simulated(1))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _shows(space: Space) -> None:
    assert [info.path async for info in space.list()] == ["file"]
    assert await space.read("file") == FILE


@pytest.mark.parametrize("away", [{"d0": NEVER}, {"d1": NEVER, "d2": 60.0}])
def test_a_read_is_not_held_up_by_stores_that_do_not_open(tmp_path: Path, away: dict[str, float]) -> None:
    async def act(late: Late) -> None:
        late.seconds = away
        began = _now()
        async with late.world.open() as space:
            assert space.core.told >= space.core.fresh_read == 3
            await _shows(space)
            assert space.warnings == []
        assert _now() - began <= BRIEFLY + 0.5, "of what it had asked nothing is waited for"

    _play(tmp_path, act)


def test_no_view_is_trusted_on_fewer_words_than_before(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        late.seconds = {"d0": 1.5, "d1": 1.7, "d2": NEVER}  # of three that are needed, two are there
        began = _now()
        async with late.world.open() as space:
            assert _now() - began == pytest.approx(1.5 + BRIEFLY, abs=0.01)
            assert space.core.told == space.core.fresh_read == 3
            assert space.warnings == []
            await _shows(space)

    _play(tmp_path, act)


def test_where_too_few_tell_what_is_newest_it_is_said_as_of_stores_that_are_away(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        world = late.world
        for name in ("d0", "d1"):
            world.stores[name].gone = True
        late.seconds = {"d2": 14.0, "d3": 14.0}
        began = _now()
        async with world.open() as space:
            assert _now() - began == pytest.approx(14.0, abs=BRIEFLY), "three are needed to read anything"
        world.stores["d2"].hang("list")
        late.seconds = {}
        async with world.open() as space:
            assert space.core.told == 2
            assert any("2 of 5 stores told what is newest: until 3 do" in line for line in space.warnings)
            world.stores["d2"].release()

    _play(tmp_path, act)


def test_a_write_is_acknowledged_by_the_floor_and_one_that_opens_soon_after_gets_its_share(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        late.seconds = {"d0": GRACE / 2}
        async with late.world.open() as space:
            outcome = await space.write("more", FILE)
            assert outcome is not None
            assert outcome.in_full
        late.seconds = {"d0": NEVER}
        async with late.world.open() as space:
            began = _now()
            outcome = await space.write("again", FILE)
            assert _now() - began <= GRACE
            assert outcome is not None
            assert outcome.copies == 4

    _play(tmp_path, act)


def test_a_write_waits_for_the_floor(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        late.seconds = {"d0": NEVER, "d1": 3.0}
        began = _now()
        async with late.world.open() as space:
            assert _now() - began == pytest.approx(BRIEFLY, abs=0.01)
            outcome = await space.write("more", FILE)
            assert _now() - began >= 3.0
            assert outcome is not None
            assert outcome.copies == 4

    _play(tmp_path, act)


def test_one_that_opens_late_is_used_and_what_it_lacks_is_paid(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        late.seconds = {"d0": 1.0}
        async with late.world.open() as space:
            outcome = await space.write("more", FILE)
            assert outcome is not None
            assert not outcome.in_full
            await asyncio.sleep(1.0)
            assert space.core.pool.up("d0")
            assert await space.pay() == 0
            assert space.warnings == []

    _play(tmp_path, act)


def test_a_read_that_needs_one_that_just_opens_waits_for_it(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        for store in ("d3", "d4"):
            for name in await late.world.stores[store].names("/packs/"):
                await late.world.stores[store].lose(name)
        late.seconds = {"d0": 1.0}  # d1 and d2 have the two others that are left
        began = _now()
        async with late.world.open() as space:
            assert _now() - began <= BRIEFLY + 0.01
            assert await space.read("file") == FILE
            assert _now() - began == pytest.approx(1.0, abs=0.1)

    _play(tmp_path, act)


def test_one_that_never_opens_is_said_once_it_is_known(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        late.seconds = {"d0": NEVER}
        async with late.world.open() as space:
            await _shows(space)
            await asyncio.sleep(LINGER)
            assert space.warnings == ["store d0 is not there: it does not answer"]
            space.warnings.clear()
            assert space.warnings == []

    _play(tmp_path, act)


def test_what_looks_at_all_stores_waits_for_those_that_are_well(tmp_path: Path) -> None:
    async def act(late: Late) -> None:
        (late.world.folder / "state.db").unlink()
        late.seconds = {"d0": 1.5}
        async with late.world.open() as space:
            pack = await pack_of(space)
            assert {share.store for share in pack.shares} == set(late.world.stores)

    _play(tmp_path, act)
