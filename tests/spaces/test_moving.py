"""Moving: repair brings shares to where the promise needs them, as few as will do, and loses none on the way."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.members import Policy
from ropewalk.spaces.opening import create_space
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownPack
from ropewalk.spaces.status import status
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import KeptStore, World, device, object_of, pack_of, paper

LARGE = random.Random(4).randbytes(3 * 1024 * 1024)


def _stated(world: World, domains: Mapping[str, Mapping[str, str]]) -> None:
    """Say of stores what they fail together with, as `store add --domain` does."""

    def change(settings: Settings) -> Settings:
        stores = {
            name: msgspec.structs.replace(one, domains=dict(domains.get(name, one.domains)))
            for name, one in settings.stores.items()
        }
        return msgspec.structs.replace(settings, stores=stores)

    world.home.update(change)


def _places(pack: KnownPack) -> dict[int, str]:
    return {share.number: share.store for share in pack.good.values()}


async def crowded_world(tmp_path: Path) -> tuple[World, dict[int, str]]:
    """Seven stores, packs of five; then two stores that have shares turn out to be on one machine."""
    names = [f"d{number}" for number in range(7)]
    world = World(Home(tmp_path / "config", tmp_path / "state"), {name: KeptStore() for name in names})
    stores = {name: StoreSetting(name, "00" * 16, {"machine": name}) for name in names}
    world.home.update(lambda settings: msgspec.structs.replace(settings, stores=stores))
    policy = Policy(3, 5, 4, {"store": 2, "machine": 2})
    await create_space(
        *(world.home, "photos", names, policy, 1, device(), paper().public()),
        clock=world.clock,
        now=world.now,
        open_store=world.open_store,
    )
    async with world.open() as space:
        await space.write("large", LARGE)
        places = _places(await pack_of(space))
    _stated(world, {places[1]: {"machine": "same"}, places[3]: {"machine": "same"}})
    return world, places


async def _is_sound(space: Space) -> None:
    report = await check(space.core, everything=True)
    assert report.ok, report.lines
    assert await space.read("large") == LARGE


async def test_repair_moves_one_share_where_two_stores_are_on_one_machine(tmp_path: Path) -> None:
    world, before = await crowded_world(tmp_path)
    async with world.open() as space:
        assert not (await status(space.core)).promise.kept
        report = await repair(space.core)
        assert (report.moved, report.shares, report.owed, report.problems) == (1, 0, 0, [])
        after = _places(await pack_of(space))
        moved = [number for number in before if after[number] != before[number]]
        assert moved in ([1], [3])
        assert await world.stores[before[moved[0]]].names("/packs/") == []
        assert (await status(space.core)).promise.kept
        await _is_sound(space)
        assert await repair(space.core) == RepairReport()


async def test_nothing_moves_where_it_would_not_help(tmp_path: Path) -> None:
    world, before = await crowded_world(tmp_path)
    for name in set(world.stores) - set(before.values()):
        world.stores[name].gone = True
    async with world.open() as space:
        report = await repair(space.core)
        assert report.moved == 0
        assert _places(await pack_of(space)) == before


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE])
async def test_a_share_that_does_not_come_back_where_it_was_put_is_kept_where_it_was(
    tmp_path: Path, fault: Fault
) -> None:
    world, before = await crowded_world(tmp_path)
    for name in set(world.stores) - set(before.values()):
        world.stores[name].rules.append(Rule(fault, on={"get"}, name=lambda one: "/packs/" in one))
    async with world.open() as space:
        report = await repair(space.core)
        assert (report.moved, report.owed) == (0, 1)
        assert any("does not come back" in line for line in report.problems)
        pack = await pack_of(space)
        for number, store in before.items():
            share = next(one for one in pack.shares if (one.number, one.store) == (number, store))
            assert object_of(space, pack, share) in await world.stores[store].names("/packs/")
        assert await space.read("large") == LARGE


async def test_a_damaged_share_that_must_move_is_made_anew_there(tmp_path: Path) -> None:
    world, _ = await crowded_world(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares:
            if share.number in (1, 3):
                await world.stores[share.store].damage(object_of(space, pack, share), 99)
        report = await repair(space.core)
        assert report.moved + report.shares >= 1
        assert (await repair(space.core)).lost == 0
        await _is_sound(space)
        assert (await status(space.core)).promise.kept


async def test_a_share_is_not_given_up_for_a_place_that_is_worse(tmp_path: Path) -> None:
    """The store that it should go to fails, and the next one is on a machine that has its part already."""
    world, before = await crowded_world(tmp_path)
    empty = sorted(set(world.stores) - set(before.values()))
    _stated(world, {empty[0]: {"machine": before[0]}, before[0]: {"machine": before[0]}})
    world.stores[empty[1]].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda one: "/packs/" in one))
    async with world.open() as space:
        report = await repair(space.core)
        pack = await pack_of(space)
        assert {(share.number, share.store) for share in pack.shares} >= set(before.items())
        assert report.owed <= 1
        assert await space.read("large") == LARGE
