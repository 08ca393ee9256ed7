"""Repair: what redundancy can give back is back where it belongs; nothing good is ever removed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.space import Space
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, object_of, pack_of
from tests.spaces.test_check import HARMS, Harm, _column

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(5 * MIB)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = await a_space(tmp_path)
    async with made.open() as space:
        await space.write("large", LARGE)
        await space.write("small", b"small")
    return made


async def _everything_is_as_it_was(space: Space) -> None:
    report = await check(space.core, everything=True)
    assert report.problems == []
    assert report.ok
    assert await space.read("large") == LARGE
    assert await space.read("small") == b"small"


async def test_a_sound_space_is_left_alone(world: World) -> None:
    async with world.open() as space:
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        report = await repair(space.core)
        assert report == RepairReport()
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before


@pytest.mark.parametrize("harm", HARMS)
async def test_damaged_shares_are_made_anew(world: World, harm: Harm) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        for share in pack.shares[1:3]:
            await harm(world.stores[share.store], object_of(space, pack, share), _column(pack, share.number))
        await check(space.core, everything=True)
        report = await repair(space.core)
        assert (report.packs, report.shares, report.removed, report.owed, report.lost) == (1, 2, 2, 0, 0)
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before
        await _everything_is_as_it_was(space)


async def test_one_repair_heals_damage_that_it_finds_itself(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await world.stores[pack.shares[4].store].lose(object_of(space, pack, pack.shares[4]))
        await world.stores[pack.shares[0].store].damage(object_of(space, pack, pack.shares[0]), 99)
        report = await repair(space.core)
        assert (report.shares, report.owed, report.lost) == (2, 0, 0)
        await _everything_is_as_it_was(space)


@pytest.mark.parametrize("kind", ["heads", "records"])
@pytest.mark.parametrize("harm", ["flip", "cut", "lose"])
async def test_heads_and_records_are_copied_anew(world: World, kind: str, harm: str) -> None:
    async with world.open() as space:
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        for store in ("d0", "d2"):
            for name in await world.stores[store].names(f"/{kind}/"):
                match harm:
                    case "flip":
                        await world.stores[store].damage(name, 8 * 150)
                    case "cut":
                        await world.stores[store].cut(name, 99)
                    case _:
                        await world.stores[store].lose(name)
        await check(space.core, everything=True)
        report = await repair(space.core)
        count = len(await world.stores["d1"].names(f"/{kind}/")) * 2
        assert (report.heads, report.records) == ((count, 0) if kind == "heads" else (0, count))
        assert report.removed == (0 if harm == "lose" else count)
        assert report.owed == 0
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before
        await _everything_is_as_it_was(space)


async def test_two_stores_emptied_are_filled_again_and_two_others_can_go(world: World) -> None:
    async with world.open() as space:
        for store in ("d0", "d3"):
            await world.stores[store].roll_back({})
        report = await repair(space.core)
        assert (report.shares, report.heads, report.records, report.owed) == (2, 4, 4, 0)
        await _everything_is_as_it_was(space)
        for store in ("d1", "d4"):
            world.stores[store].gone = True
    async with world.open() as space:
        assert await space.read("large") == LARGE


async def test_a_share_on_a_store_that_is_away_is_not_made_twice(world: World) -> None:
    async with world.open() as space:
        world.stores["d1"].gone = True
        report = await repair(space.core)
        assert list(report.away) == ["d1"]
        assert (report.shares, report.lost) == (0, 0)
        world.stores["d1"].gone = False
        world.clock.seconds += 60
        assert await repair(space.core) == RepairReport()


async def test_what_no_store_can_take_is_owed_and_paid_later(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[2]
        await world.stores[share.store].lose(object_of(space, pack, share))
        world.stores[share.store].rules.append(Rule(Fault.FULL, on={"put"}))
        report = await repair(space.core)
        assert (report.shares, report.owed) == (0, 1)
        assert any(share.store in problem for problem in report.problems)
        world.stores[share.store].rules.clear()
        assert (await repair(space.core)).shares == 1
        await _everything_is_as_it_was(space)


async def test_a_pack_that_is_lost_is_told_and_what_is_left_of_it_is_kept(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        await world.stores[pack.shares[2].store].damage(object_of(space, pack, pack.shares[2]), 99)
        await check(space.core, everything=True)
        before = {store: await kept.names("/packs/") for store, kept in world.stores.items()}
        report = await repair(space.core)
        assert (report.lost, report.removed, report.shares) == (1, 0, 0)
        assert {store: await kept.names("/packs/") for store, kept in world.stores.items()} == before


async def test_a_share_that_was_only_misread_is_kept(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await space.core.ledger.do(lambda state: state.mark_damaged(pack.id, 1, pack.shares[1].store))
        report = await repair(space.core)
        assert (report.removed, report.shares, report.owed) == (0, 0, 0)
        assert not any(share.damaged for share in (await pack_of(space)).shares)
        await _everything_is_as_it_was(space)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("delete", Fault.GONE_BEFORE),
        ("delete", Fault.GONE_AFTER),
        ("delete", Fault.REFUSE),
        ("put", Fault.GONE_BEFORE),
        ("put", Fault.GONE_AFTER),
        ("put", Fault.FULL),
        ("get", Fault.GONE_BEFORE),
        ("get", Fault.DAMAGED),
    ],
)
async def test_a_store_that_fails_under_way_does_not_stop_the_repair_of_others(
    world: World, call: str, fault: Fault
) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            await world.stores[share.store].damage(object_of(space, pack, share), 99)
            for kind in ("heads", "records"):
                for name in await world.stores[share.store].names(f"/{kind}/"):
                    await world.stores[share.store].damage(name, 150)
        await check(space.core, everything=True)
        world.stores[pack.shares[0].store].rules.append(Rule(fault, on={call}))
        await repair(space.core)
        assert await space.read("large") == LARGE
        world.stores[pack.shares[0].store].rules.clear()
        world.clock.seconds += 60
        await check(space.core, everything=True)
        await repair(space.core)
        await _everything_is_as_it_was(space)


async def test_a_repair_that_was_stopped_can_be_run_again(world: World) -> None:
    async with world.open() as space:
        for store in ("d0", "d3"):
            await world.stores[store].roll_back({})

        def stop(done: int, total: int) -> None:
            raise RuntimeError("stop")

        with pytest.raises(ExceptionGroup):
            await repair(space.core, stop)
    async with world.open() as space:
        await repair(space.core)
        await _everything_is_as_it_was(space)


async def test_the_report_says_what_was_done(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await world.stores[pack.shares[0].store].lose(object_of(space, pack, pack.shares[0]))
        told: list[tuple[int, int]] = []
        report = await repair(space.core, lambda done, total: told.append((done, total)))
        assert told == [(1, 1)]
        (line,) = report.lines
        assert line == (
            f"1 packs mended, 1 shares made anew ({report.size:,} bytes), 0 damaged objects removed,"
            " 0 heads and 0 records copied; 0 owed, 0 lost"
        )
        assert report.as_dict()["bytes"] == report.size > MIB
