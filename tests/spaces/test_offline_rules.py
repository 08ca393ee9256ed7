"""What is kept at home counts for no more than it is: in too few stores, of another device, of a memory that is old."""

from __future__ import annotations

import shutil
from pathlib import Path

from ropewalk.spaces.check import check
from ropewalk.spaces.later import send_queue
from ropewalk.spaces.members import Author, Role
from ropewalk.spaces.state import State
from tests.spaces.lines import Line
from tests.spaces.machines import Machines, shown
from tests.spaces.making import World
from tests.spaces.test_offline import FEW, LARGE, allow, away, offline, waiting


def full(world: World, *names: str) -> None:
    """These take nothing, and all others take all."""
    for name, store in world.stores.items():
        store.capacity = 0 if name in names else None
    world.clock.seconds += 100


def lose_state(folder: Path) -> None:
    for file in folder.glob("state.db*"):
        file.unlink()


async def holders(world: World, name: str) -> set[str]:
    return {store for store, one in world.stores.items() if name in await one.names()}


async def test_a_queued_head_counts_once_the_floor_of_stores_has_it(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        outcome = await space.write("small", b"small")
        assert outcome is not None
        away(world)
        for count in (4, 3, 2):  # stores that take nothing, of five: a head needs four
            full(world, *list(world.stores)[:count])
            await space.core.pool.revive()
            assert f"{5 - count} of 5 stores took the head, the write floor is 4" in await send_queue(space.core)
            assert len(await waiting(space)) == 1
            assert space.core.queue is not None
            assert space.core.queue.waiting().heads
        full(world, "d0")
        await space.core.pool.revive()
        assert await send_queue(space.core) == ""
        assert len(await holders(world, outcome.head.name)) == 4


async def test_shares_that_a_store_lost_in_a_crash_are_made_again_before_the_head_goes(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        full(world, *FEW)
        outcome = await space.write("large", LARGE)
        assert outcome is not None
        assert outcome.queued
        (pack,) = await space.core.ledger.do(State.packs_queued)
        (lost,) = [one for one in await world.stores["d3"].names() if pack.hex() in one]
        await world.stores["d3"].lose(lost)
        full(world, "d0")
        await space.core.pool.revive()
        assert await send_queue(space.core) == ""
        there = {name for name, store in world.stores.items() if any(pack.hex() in one for one in await store.names())}
        assert there == {"d1", "d2", "d3", "d4"}


async def test_a_head_that_too_few_took_is_found_again_when_the_state_is_lost(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        full(world, *FEW)
        outcome = await space.write("small", b"small")
        assert outcome is not None
        assert outcome.queued
    lose_state(world.folder)
    full(world)
    away(world, "d3", "d4")  # the only ones that have it
    async with world.open() as space:
        assert any("1 of them wait again" in line for line in space.warnings)
        assert await space.read("small") == b"small"
    away(world)
    async with world.open() as space:
        assert await waiting(space) == []
        assert await space.read("small") == b"small"


async def test_what_another_device_queued_is_not_taken_for_our_own(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    bob = await machines.invite("bob", Role.WRITER)
    allow(bob.home)
    allow(machines.world.home)
    async with machines.open("admin") as admin:
        await shown(admin)
    machines.away(FEW)
    async with machines.open("bob") as space:
        await space.write("bob's", b"1")
        assert space.core.queue is not None
        folder = Path(space.core.queue.folder)
    async with machines.open("admin") as admin:
        assert admin.core.queue is not None
        shutil.copytree(folder, admin.core.queue.folder)
    machines.away(())
    async with machines.open("admin") as admin:
        await admin.pay()
        await admin.write("ours", b"2")
        assert any("one of them is by another device" in line for line in admin.warnings)
        assert set(await shown(admin)) == {"ours"}


async def test_what_stands_beside_a_head_of_the_stores_is_not_taken_again(tmp_path: Path) -> None:
    """The state was restored from a backup, a change was queued, and then the state was lost altogether."""
    world = await offline(tmp_path)
    shutil.copytree(world.folder, tmp_path / "saved")
    async with world.open() as space:
        since = await space.write("since", b"since")
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "saved", world.folder, dirs_exist_ok=True)
    away(world, *world.stores)
    async with world.open() as space:
        twin = await space.write("twin", b"twin")
        assert since is not None
        assert twin is not None
        assert (twin.head.writer, twin.head.sequence) == (since.head.writer, since.head.sequence)
    lose_state(world.folder)
    away(world)
    async with world.open() as space:
        await space.pay()
        assert any("the stores hold other changes of this device under the same numbers" in line
                   for line in space.warnings)  # fmt: skip
        assert await waiting(space) == []
        assert set(await shown(space)) == {"before", "large before", "since"}
        assert not await space.core.ledger.do(State.forks)


async def test_what_was_dropped_is_removed_from_stores_that_took_it(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        full(world, *FEW)
        outcome = await space.write("small", b"small")
        assert outcome is not None
        assert await holders(world, outcome.head.name) == {"d3", "d4"}
        assert await space.drop_queue() == 1
        full(world)
        await space.core.pool.revive()
        await space.pay()
        assert await holders(world, outcome.head.name) == set()
        await space.write("after", b"after")
        assert set(await shown(space)) == {"before", "large before", "after"}
        assert (await check(space.core, everything=True)).ok


async def test_a_device_that_is_frozen_publishes_nothing(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    bob = await machines.invite("bob", Role.WRITER)
    allow(bob.home)
    line = Line(machines, "bob")
    async with machines.open("bob") as space:
        await space.write("before", b"before")
        line.cut(FEW)
        await space.write("late", b"late")
        async with machines.open("admin") as admin:
            for time in (1, 2):  # two records under one number, which no honest device signs
                name, data = Author(admin.core.membership, bob.keys, b"l" * 16, time).wrap()
                for store in machines.world.stores.values():
                    await store.put(name, [data])
        async with machines.open("admin") as admin:
            async with admin.group():
                pass
            assert admin.core.membership.state.frozen == {bob.id}
        line.mend()
        await space.pay()
        assert await send_queue(space.core) == "this device is frozen"
        assert len(await waiting(space)) == 1
    async with machines.open("admin") as admin:
        assert set(await shown(admin)) == {"before"}
