"""Mend: shares that lack are made again from good ones, and from good ones alone."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces.mend import Mended, PackLost, good_columns, live_shares, mend_owed, mend_pack, read_share, stand
from ropewalk.spaces.pack.share import ShareDamaged
from ropewalk.spaces.pool.health import SLOWEST_HEDGE
from ropewalk.spaces.pool.pool import REST
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import SharePlace, State
from ropewalk.spaces.store import NoSuchObject
from ropewalk.testing.faults import Fault, Rule, Stop
from tests.spaces.making import World, a_space, object_of, pack_of, spoil
from tests.spaces.slow import slow_world

FILE = random.Random(3).randbytes(400_000)


async def _written(tmp_path: Path, stores: int = 5) -> World:
    world = await a_space(tmp_path, stores)
    async with world.open() as space:
        await space.write("file", FILE)
    return world


async def _reads(world: World, space: Space) -> None:
    assert await space.read("file") == FILE


async def test_a_pack_that_lacks_nothing_is_left_alone(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        before = sum(len(store.gets) for store in world.stores.values())
        mended = await mend_pack(space.core, await pack_of(space))
        assert (mended.placed, mended.owed, mended.bytes) == ({}, [], 0)
        assert sum(len(store.gets) for store in world.stores.values()) == before


async def test_lost_shares_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        lost = {}
        for share in (pack.shares[0], pack.shares[4]):
            name = object_of(space, pack, share)
            lost[share.store, name] = await world.stores[share.store].get(name)
            await world.stores[share.store].lose(name)
            await space.core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
        mended = await mend_pack(space.core, await pack_of(space))
        assert sorted(mended.placed) == [0, 4]
        assert mended.bytes == sum(len(data) for data in lost.values())
        assert {data for (store, name), data in lost.items()} == {
            await world.stores[mended.placed[number]].get(object_of(space, pack, pack.shares[number]))
            for number in (0, 4)
        }
        assert await space.core.ledger.do(State.owed_shares) == []
        for share in pack.shares[1:3]:
            world.stores[share.store].gone = True
        await _reads(world, space)


async def test_a_share_found_wrong_on_the_way_is_not_used_and_not_counted_as_there(tmp_path: Path) -> None:
    world = await _written(tmp_path, 7)
    async with world.open() as space:
        pack = await pack_of(space)
        first, second = pack.shares[0], pack.shares[1]
        await world.stores[first.store].lose(object_of(space, pack, first))
        await space.core.ledger.do(State.mark_damaged, pack.id, first.number, first.store)
        await spoil(world, space, pack, second)
        mended = await mend_pack(space.core, await pack_of(space))
        assert any("leaf" in line for line in mended.damaged)
        # The wrong one's store keeps its name taken; the share goes where there is room, or is owed.
        assert set(mended.placed) | set(mended.owed) == {first.number, second.number}
        for number in mended.placed:
            share = next(one for one in (await pack_of(space)).shares if one.number == number and not one.damaged)
            await read_share(space.core, pack, share)
        await _reads(world, space)


async def test_a_mended_share_is_read_again_in_the_same_session(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        await world.stores[pack.shares[0].store].lose(object_of(space, pack, pack.shares[0]))
        await _reads(world, space)
        assert space.core.reader.damage_seen
        assert await mend_owed(space.core) == 0
        assert space.core.reader.damage_seen == {}


async def test_shares_of_a_store_that_is_away_go_to_one_that_has_room_and_else_are_owed(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        world.stores["d0"].gone = True
        await space.core.pool.weigh()
        number = next(share.number for share in pack.shares if share.store == "d0")
        mended = await mend_pack(space.core, pack)
        assert (mended.placed, mended.owed) == ({}, [number])


async def test_fewer_than_k_good_shares_are_lost_and_said_so(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:3]:
            await world.stores[share.store].cut(object_of(space, pack, share), 100)
        await space.core.ledger.do(State.mark_damaged, pack.id, 0, pack.shares[0].store)
        with pytest.raises(PackLost, match="needs 3 good shares, 2 can be read"):
            await mend_pack(space.core, await pack_of(space))
        assert await mend_owed(space.core) == 3
        assert any("needs 3 good shares" in warning for warning in space.warnings)


async def test_debt_survives_reopening_and_is_paid_once_the_store_is_back(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d3"].rules.append(Rule(Fault.GONE_BEFORE, on={"put"}, name=lambda name: "/packs/" in name))
        outcome = await space.write("file", FILE)
        assert outcome is not None
        assert outcome.owed_shares == 1
        assert not outcome.in_full
    world.clock.seconds += REST
    async with world.open() as space:
        assert len(await space.core.ledger.do(State.owed_shares)) == 1
        world.stores["d3"].rules.clear()
        assert await space.pay() == 0
        assert len(await world.stores["d3"].names("/packs/")) == 1


async def test_a_share_is_read_with_every_leaf_checked(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        column, trailer = await read_share(space.core, pack, pack.shares[3])
        assert trailer.verify(column)
        await world.stores[pack.shares[3].store].damage(object_of(space, pack, pack.shares[3]), 8 * 70_000)
        with pytest.raises(ShareDamaged, match="leaf"):
            await read_share(space.core, pack, pack.shares[3])
        await world.stores[pack.shares[3].store].cut(object_of(space, pack, pack.shares[3]), 5)
        with pytest.raises(ShareDamaged):
            await read_share(space.core, pack, pack.shares[3])
        await world.stores[pack.shares[3].store].lose(object_of(space, pack, pack.shares[3]))
        with pytest.raises(NoSuchObject):
            await read_share(space.core, pack, pack.shares[3])


async def test_what_lacks_everywhere_takes_the_room_before_a_copy_of_what_is_only_away(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        away, lost = pack.shares[0], pack.shares[3]
        await world.stores[lost.store].lose(object_of(space, pack, lost))
        await space.core.ledger.do(State.forget_share, pack.id, lost)
        world.stores[away.store].gone = True
        await space.core.pool.weigh()
        mended = await mend_pack(space.core, await pack_of(space))
        assert (mended.placed, mended.owed) == ({lost.number: lost.store}, [away.number])
        assert await space.core.ledger.do(State.owed_shares) == []


async def test_a_lost_pack_is_not_read_again_and_again(tmp_path: Path) -> None:
    """What is owed is looked at every few seconds: that may neither read shares for nothing nor fill the warnings."""
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:3]:
            await space.core.ledger.do(State.forget_share, pack.id, share)
        before = sum(len(store.gets) for store in world.stores.values())
        for _ in range(3):
            assert await mend_owed(space.core) == 3
        assert sum(len(store.gets) for store in world.stores.values()) == before
        assert len([line for line in space.warnings if "needs 3 good shares" in line]) == 1


async def test_another_good_copy_of_a_share_is_used_where_one_is_damaged(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        name = object_of(space, pack, pack.shares[0])
        other = pack.shares[4].store
        await world.stores[other].put(name, [await world.stores[pack.shares[0].store].get(name)])
        await space.core.ledger.do(State.add_shares, pack.id, [SharePlace(0, other, pack.shares[0].object)])
        await spoil(world, space, pack, pack.shares[0])
        for share in pack.shares[3:]:
            await world.stores[share.store].lose(object_of(space, pack, share))
            await space.core.ledger.do(State.forget_share, pack.id, share)
        mended = await mend_pack(space.core, await pack_of(space))
        assert mended.placed
        await _reads(world, space)


@pytest.mark.parametrize("hanging", [1, 2])
def test_shares_are_read_at_once_and_stores_that_hang_hold_nothing_up(tmp_path: Path, hanging: int) -> None:
    async def main() -> None:
        slow: dict[str, dict[tuple[str, str], float]] = {}
        world = slow_world(await _written(tmp_path, 8), slow)
        async with world.open() as space:
            pack = await pack_of(space)
            live = live_shares(space.core, pack)
            slow |= {share.store: {("get", "/packs/"): 0.1} for share in live.values()}
            slow |= {live[number].store: {("get", "/packs/"): 1e6} for number in range(hanging)}
        async with world.open() as space:
            assert pack.k > 2
            now = asyncio.get_running_loop().time
            began = now()
            columns, _, bad = await good_columns(space.core, pack, Mended())
            assert now() - began < (2 + hanging) * SLOWEST_HEDGE
            assert set(columns) == set(range(hanging, pack.k + hanging))
            assert not bad

    run(main(), loop=Simulated(1))


def test_shares_that_no_others_can_stand_in_for_are_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        slow: dict[str, dict[tuple[str, str], float]] = {}
        world = slow_world(await _written(tmp_path), slow)
        async with world.open() as space:
            pack = await pack_of(space)
            slow |= {share.store: {("get", "/packs/"): 20.0} for share in pack.shares[1:3]}
        async with world.open() as space:
            for share in pack.shares[3:]:
                await world.stores[share.store].lose(object_of(space, pack, share))
            columns, _, _ = await good_columns(space.core, pack, Mended())
            assert set(columns) == {0, 1, 2}

    run(main(), loop=Simulated(1))


def test_whether_packs_stand_is_known_without_a_store_that_hangs_and_not_without_those_of_the_floor(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        slow: dict[str, dict[tuple[str, str], float]] = {}
        world = slow_world(await _written(tmp_path), slow)
        async with world.open() as space:
            pack = await pack_of(space)
            slow[pack.shares[1].store] = {("get", "/packs/"): 1e6}
        async with world.open() as space:
            now = asyncio.get_running_loop().time
            began = now()
            assert await stand(space.core, [pack.name], 4) == ""
            assert now() - began < 1.0
            slow[pack.shares[1].store]["get", "/packs/"] = 10.0
            assert await stand(space.core, [pack.name], 5) == ""
            assert now() - began > 10.0

    run(main(), loop=Simulated(1))


@pytest.mark.parametrize("what", ["mark", "forget"])
async def test_a_stop_between_a_share_and_its_count_leaves_both_as_they_were(tmp_path: Path, what: str) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[2]

        def stopped(state: State) -> None:
            state._recount = _stop  # type: ignore[method-assign, assignment]
            if what == "mark":
                state.mark_damaged(pack.id, share.number, share.store)
            else:
                state.forget_share(pack.id, share)

        with pytest.raises(Stop):
            await space.core.ledger.do(stopped)
    async with world.open() as space:
        fresh = await pack_of(space)
        owed = await space.core.ledger.do(State.owed_shares)
        assert [numbers for _, numbers in owed] == [[at] for at in range(5) if at not in fresh.good]


def _stop(_: int) -> None:
    raise Stop
