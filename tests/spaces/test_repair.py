"""Repair: what redundancy can give back is back where it belongs; nothing good is ever removed."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.status import status
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
            f"1 pack mended, 1 share made anew ({report.size:,} bytes), 0 damaged objects removed,"
            " 0 heads and 0 records copied; 0 owed, 0 lost"
        )
        assert report.as_dict()["bytes"] == report.size > MIB


async def test_records_and_heads_come_back_where_stores_lost_theirs(world: World) -> None:
    """Records even where no store has one any more: the local state holds them; heads from the last store that does."""
    async with world.open() as space:
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        for store, kept in world.stores.items():
            for name in await kept.names("/records/"):
                await kept.lose(name)
            for name in await kept.names("/heads/") if store != "d3" else ():
                await kept.lose(name)
        report = await repair(space.core)
        assert (report.records, report.heads, report.owed) == (10, 8, 0)
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before
    shutil.rmtree(world.folder)
    async with world.open() as space:
        await _everything_is_as_it_was(space)


async def test_a_record_that_rotted_in_the_local_state_is_not_spread(world: World) -> None:
    async with world.open() as space:
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        records = await space.core.ledger.do(State.records)
        await space.core.ledger.do(lambda state: state.set_records([(name, data + b"!") for name, data in records]))
        report = await repair(space.core)
        assert (report.records, report.removed, len(report.problems)) == (0, 0, 2)
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before


async def test_nothing_damaged_is_removed_before_the_pack_is_known_to_be_whole_without_it(world: World) -> None:
    """Each share has another bad leaf: leaf by leaf all is there, and no three whole columns are."""
    async with world.open() as space:
        pack = await pack_of(space)
        for at, share in enumerate(pack.shares[:3]):
            await world.stores[share.store].damage(object_of(space, pack, share), 8 * (at * 64 * 1024 + 9))
        for share in pack.shares[:2]:
            await space.core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
        before = {store: await kept.names("/packs/") for store, kept in world.stores.items()}
        report = await repair(space.core)
        assert (report.lost, report.removed, report.shares) == (1, 0, 0)
        assert {store: await kept.names("/packs/") for store, kept in world.stores.items()} == before
        found = await space.core.ledger.do(State.pack_named, pack.name)
        assert found is not None


async def test_a_head_that_was_misread_and_is_the_last_copy_is_kept(world: World) -> None:
    async with world.open() as space:
        (head, *_) = await world.stores["d2"].names("/heads/")
        for store, kept in world.stores.items():
            if store != "d2":
                await kept.lose(head)
        await space.core.ledger.do(State.owe_head, head, ["d2"])
        world.stores["d2"].rules.append(Rule(Fault.CORRUPT, on={"get"}, name=lambda name: name == head, times=1))
        report = await repair(space.core)
        assert report.removed == 0
        assert [store for store, kept in world.stores.items() if await kept.names(head)] == list(world.stores)


async def test_a_bad_copy_beside_a_good_share_is_removed_too(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        name = object_of(space, pack, pack.shares[0])
        other = pack.shares[1].store
        held = bytearray(await world.stores[pack.shares[0].store].get(name))
        held[9] ^= 1
        await world.stores[other].put(name, [held])
        await check(space.core, everything=True)
        report = await repair(space.core)
        assert (report.removed, report.shares, report.lost) == (1, 0, 0)
        assert name not in await world.stores[other].names("/packs/")
        await _everything_is_as_it_was(space)


@pytest.mark.parametrize("gone", list(itertools.combinations(range(5), 2)))
async def test_shares_that_ended_in_one_store_are_spread_again(world: World, gone: tuple[int, int]) -> None:
    """Two shares in one store look like five shares, and are lost together."""
    async with world.open() as space:
        pack = await pack_of(space)
        name = object_of(space, pack, pack.shares[0])
        held = await world.stores[pack.shares[0].store].get(name)
        await world.stores[pack.shares[0].store].lose(name)
        await world.stores[pack.shares[1].store].put(name, [held])
        assert not (await status(space.core)).promise.kept
        assert not (await check(space.core, everything=False)).ok
        report = await repair(space.core)
        assert (report.shares, report.owed, report.lost) == (1, 0, 0)
        assert (await status(space.core)).promise.kept
        await _everything_is_as_it_was(space)
        for at in gone:
            world.stores[f"d{at}"].gone = True
    async with world.open() as space:
        assert await space.read("large") == LARGE


async def test_what_a_refused_change_left_is_no_part_of_the_promise(world: World) -> None:
    """Its packs may rot: nobody needs them, and a later version does not name what cannot be had."""
    async with world.open() as space:
        await space.write("large", LARGE)
        known = {pack.name for pack in await space.core.ledger.do(lambda state: list(state.packs()))}
        for store in ("d0", "d1"):
            world.stores[store].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/heads/" in name))
        with pytest.raises(BelowFloor):
            await space.write("refused", random.Random(9).randbytes(2 * MIB))
        for store in ("d0", "d1"):
            world.stores[store].rules.clear()
        (left,) = await space.core.ledger.do(State.unannounced)
        assert left.name not in known
        assert (await check(space.core, everything=True)).ok
        await world.stores[left.shares[4].store].cut(object_of(space, left, left.shares[4]), 50)
        report = await check(space.core, everything=True)
        assert report.ok, report.lines
        assert (await status(space.core)).damaged == 0
        for share in left.shares[:3]:
            await world.stores[share.store].lose(object_of(space, left, share))
        report = await check(space.core, everything=True)
        assert report.ok, report.lines
        outcome = await space.write("after", random.Random(8).randbytes(MIB))
        assert outcome is not None
        assert outcome.in_full
        report = await check(space.core, everything=True)
        assert report.ok, report.lines
        assert (await repair(space.core)).lost == 0
        found = await status(space.core)
        assert (found.damaged, found.owed_shares, found.promise.kept) == (0, 0, True)


async def test_content_that_is_stored_again_is_read_where_it_lies_better(world: World) -> None:
    """A pack that lacks shares is not reused; what was stored again must not hang on it for ever."""
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            await world.stores[share.store].lose(object_of(space, pack, share))
            await space.core.ledger.do(State.forget_share, pack.id, share)
        await space.write("again", LARGE)
        for share in pack.shares[2:4]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        assert await space.read("again") == LARGE
