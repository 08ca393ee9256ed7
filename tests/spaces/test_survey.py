"""Survey: the ledger is set right by what the stores list, and only by stores that answer."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.spaces.survey import silent, survey
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, object_of, pack_of

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = await a_space(tmp_path)
    async with made.open() as space:
        await space.write("large", random.Random(1).randbytes(2 * MIB))
        await space.write("small", b"small")
    return made


async def test_lists_shares_heads_and_records_of_every_store(world: World) -> None:
    async with world.open() as space:
        for store in world.stores.values():
            store.gets.clear()
        found = await survey(space.core)
        assert {store: len(shares) for store, shares in found.shares.items()} == dict.fromkeys(world.stores, 1)
        assert {len(names) for names in found.heads.values()} == {2}
        assert {len(names) for names in found.records.values()} == {2}
        assert (found.away, found.missing, found.short, found.unknown) == ({}, 0, [], 0)
        newest = (await space.log())[0].name
        assert found.stores_of(newest) == set(world.stores)
        assert not any(store.gets for store in world.stores.values())


async def test_a_share_that_is_gone_is_forgotten_and_owed(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await world.stores[pack.shares[3].store].lose(object_of(space, pack, pack.shares[3]))
        assert (await survey(space.core)).missing == 1
        assert await space.core.ledger.do(State.owed_shares) == [(pack.name, [3])]
        assert (await survey(space.core)).missing == 0


async def test_a_share_that_comes_back_is_known_again(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        store, name = world.stores[pack.shares[3].store], object_of(space, pack, pack.shares[3])
        held = await store.get(name)
        await store.lose(name)
        await survey(space.core)
        await store.put(name, [held])
        await survey(space.core)
        assert await space.core.ledger.do(State.owed_shares) == []


async def _moved(world: World, space: Space, number: int, store: str) -> None:
    """A share lies in another store than where it was put."""
    pack = await pack_of(space)
    name = object_of(space, pack, pack.shares[number])
    held = await world.stores[pack.shares[number].store].get(name)
    await world.stores[pack.shares[number].store].lose(name)
    await world.stores[store].put(name, [held])
    await survey(space.core)


async def test_a_share_found_on_another_store_counts(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        free = "d3"
        world.stores[free].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/packs/" in name))
        await space.write("large", random.Random(1).randbytes(2 * MIB))
        world.stores[free].rules.clear()
        before = await space.core.ledger.do(State.owed_shares)
        moved = (await pack_of(space)).shares[0].number
        await _moved(world, space, 0, free)
        assert len(before) == 1
        assert await space.core.ledger.do(State.owed_shares) == before
        assert [share.store for share in (await pack_of(space)).shares if share.number == moved] == [free]


async def test_two_shares_in_one_store_count_as_one(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await _moved(world, space, 0, pack.shares[1].store)
        ((name, owed),) = await space.core.ledger.do(State.owed_shares)
        assert name == pack.name
        assert len(owed) == 1
        assert owed[0] in (0, 1)
        assert sorted(share.number for share in (await pack_of(space)).shares) == [0, 1, 2, 3, 4]


async def test_what_is_put_while_the_stores_are_listed_is_not_taken_for_gone(world: World) -> None:
    """A status beside a put: the ledger knows shares and a head by then that the listing had not seen."""
    async with world.open() as space:
        listing, written = space.core.pool.list, False

        def put_then_list(name: str, prefix: str, after: str = "") -> AsyncIterator[Listed]:
            return _after_a_put(listing(name, prefix, after), name)

        async def _after_a_put(listed: AsyncIterator[Listed], name: str) -> AsyncIterator[Listed]:
            nonlocal written
            seen = [one async for one in listed]
            if name == "d4" and not written:
                written = True
                await space.write("meanwhile", random.Random(2).randbytes(MIB))
            for one in seen:
                yield one

        space.core.pool.list = put_then_list  # type: ignore[method-assign]
        await survey(space.core)
        assert written
        assert await space.core.ledger.do(State.owed_shares) == []
        assert await space.core.ledger.do(State.owed_heads) == []
        assert await space.read("meanwhile") == random.Random(2).randbytes(MIB)


async def test_nothing_is_forgotten_for_a_store_that_does_not_answer(world: World) -> None:
    async with world.open() as space:
        world.stores["d1"].gone = True
        found = await survey(space.core)
        assert list(found.away) == ["d1"]
        assert (found.missing, len((await pack_of(space)).shares)) == (0, 5)
        assert await space.core.ledger.do(State.owed_heads) == []


async def test_a_listing_that_breaks_off_counts_as_no_answer(world: World) -> None:
    async with world.open() as space:
        world.stores["d1"].rules.append(Rule(Fault.GONE_BEFORE, on={"list"}, name=lambda name: "records" in name))
        found = await survey(space.core)
        assert list(found.away) == ["d1"]
        assert "d1" not in found.shares
        assert len((await pack_of(space)).shares) == 5


async def test_a_store_that_is_no_longer_of_the_space_is_forgotten(world: World) -> None:
    async with world.open() as space:
        names = [name for name in space.core.pool.names if name != "d2"]
        space.core.pool._stores.pop("d2")
        assert space.core.pool.names == names
        assert (await survey(space.core)).missing == 1
        assert "d2" not in {share.store for share in (await pack_of(space)).shares}


async def test_a_share_too_short_to_be_whole_is_damaged(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[4]
        await world.stores[share.store].cut(object_of(space, pack, share), max(pack.lengths))
        found = await survey(space.core)
        assert [(one.name, place.number) for one, place in found.short] == [(pack.name, 4)]
        assert [one.number for one in (await pack_of(space)).shares if one.damaged] == [4]


async def test_heads_that_are_not_listed_are_owed(world: World) -> None:
    async with world.open() as space:
        names = await world.stores["d3"].names("/heads/")
        for name in names:
            await world.stores["d3"].lose(name)
        await survey(space.core)
        assert await space.core.ledger.do(State.owed_heads) == [(str(name), "d3") for name in sorted(names)]


async def test_objects_with_odd_names_are_passed_over(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        one = object_of(space, pack, pack.shares[0])
        for name in (f"{one[:66]}odd", one.replace("/packs/", "/heads/"), one.replace("/packs/", "/records/")):
            await world.stores["d0"].put(ObjectName(name), [b"x"])
        other = ObjectName(one.replace(pack.name.hex(), "cd" * 32))
        await world.stores["d0"].put(other, [b"x"])
        found = await survey(space.core)
        assert found.unknown == 1
        assert len(found.heads["d0"]) == 2


def test_a_progress_may_be_silent() -> None:
    silent(1, 2)
