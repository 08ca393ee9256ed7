"""Evacuate keeps the promise, or says that it does not: others move, write, lose and change their mind meanwhile."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from ropewalk.spaces import evacuate as evacuating
from ropewalk.spaces.evacuate import DrainEnded
from ropewalk.spaces.members import Role
from ropewalk.spaces.status import status
from ropewalk.spaces.store import Store
from ropewalk.spaces.survey import survey
from ropewalk.spaces.wanting import packs_wanting
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.machines import Machines
from tests.spaces.making import pack_of
from tests.spaces.test_evacuate import LARGE, a_world, add_store, change_space, drain, is_whole, remove_store
from tests.spaces.test_moving import crowded_world


class Jittery:
    """A store whose calls come in an order of chance."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store, self._chance = store, chance

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("get", "put", "delete"):
            return found

        async def later(*args: Any, **named: Any) -> Any:
            for _ in range(self._chance.randrange(6)):
                await asyncio.sleep(0)
            return await found(*args, **named)

        return later


async def two_that_drain_one_each(tmp_path: Path) -> Machines:
    """Five stores and two empty ones; the one machine drains d0, and the other d1."""
    machines = await Machines.make(tmp_path)
    await machines.invite("other", Role.ADMIN)
    async with machines.open("admin") as space:
        for number in range(6):
            await space.write(f"f{number}", random.Random(number).randbytes(300_000))
    for name in ("d5", "d6"):
        add_store(machines.world, name)
    known = machines.world.home.load()
    other = machines.all["other"].home
    other.update(lambda now: msgspec.structs.replace(now, stores=known.stores))
    change_space(other, stores=known.spaces["photos"].stores, draining=["d1"])
    change_space(machines.world.home, draining=["d0"])
    return machines


@pytest.mark.parametrize("case", range(3))
async def test_where_two_emptied_two_stores_at_once_a_second_run_that_knows_of_both_mends_it(
    tmp_path: Path, case: int, seed: int
) -> None:
    machines = await two_that_drain_one_each(tmp_path)
    chance = random.Random(seed * 10 + case)
    for machine in machines.all.values():
        machine.around = lambda store: cast("Store", Jittery(store, chance))
    async with machines.open("admin") as admin, machines.open("other") as other:
        await other._list()
        await asyncio.gather(admin.evacuate("d0"), other.evacuate("d1"))
        for machine in machines.all.values():
            change_space(machine.home, draining=["d0", "d1"])
        for space, store in ((admin, "d0"), (other, "d1"), (admin, "d1"), (other, "d0")):
            report = await space.evacuate(store)
            assert report.done, report.lines
    for machine in machines.all.values():
        change_space(machine.home, stores=["d2", "d3", "d4", "d5", "d6"], draining=[])
    async with machines.open("admin") as admin:
        found = await status(admin.core)
        assert (found.owed_shares, found.promise.kept) == (0, True)


async def test_shares_that_another_machine_put_beside_ours_are_spread_out(tmp_path: Path) -> None:
    """Both chose the same store, each without seeing the other's: two shares of each pack lie in one."""
    machines = await two_that_drain_one_each(tmp_path)
    stores = machines.world.stores
    async with machines.open("admin") as admin, machines.open("other") as other:
        await other._list()
        stores["d6"].capacity = 0
        assert (await admin.evacuate("d0")).done
        there = await stores["d5"].snapshot()
        await stores["d5"].roll_back({name: data for name, data in there.items() if "/packs/" not in name})
        stores["d0"].gone = True  # so that nothing goes back there
        machines.world.clock.seconds += 100
        await other.evacuate("d1", delete=False)
        for name, data in there.items():
            await stores["d5"].put(name, (data,))
        stores["d6"].capacity = None
        stores["d0"].gone = False
        machines.world.clock.seconds += 100
        change_space(machines.all["other"].home, draining=["d0", "d1"])
        report = await other.evacuate("d1")
        assert (report.owed, report.left) == (0, 0), report.lines
        assert await stores["d6"].names("/packs/")
    for machine in machines.all.values():
        change_space(machine.home, stores=["d2", "d3", "d4", "d5", "d6"], draining=[])
    async with machines.open("other") as other:
        assert (await status(other.core)).promise.kept


async def test_what_it_has_lost_or_hides_is_made_anew_elsewhere(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    world.stores["d0"].rules.append(Rule(Fault.HIDE, name=lambda name: "/packs/" in name))
    async with world.open() as space:
        report = await space.evacuate("d0")
        assert (report.packs, report.mended, report.shares, report.remade) == (0, 1, 1, 1)
        assert (report.owed, report.unknown, report.done) == (0, 0, True)
        assert {share.store for share in (await pack_of(space)).shares} == {"d1", "d2", "d3", "d4", "d5"}
        await is_whole(space)


async def test_what_another_store_has_lost_is_made_anew_or_owed(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    for name in await world.stores["d3"].names("/packs/"):
        await world.stores["d3"].lose(name)
    world.stores["d3"].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/packs/" in name))
    async with world.open() as space:
        report = await space.evacuate("d0")
        assert (report.shares, report.left, report.owed, report.done) == (1, 0, 1, False)
        assert any("has 4 good shares on stores of their own, expected 5" in line for line in report.lines)
        assert not (await status(space.core)).promise.kept
        world.stores["d3"].rules.clear()
        world.clock.seconds += 100
        report = await space.evacuate("d0")
        assert (report.mended, report.remade, report.owed, report.done) == (1, 1, 0, True)
        await is_whole(space)


async def test_a_pack_that_lies_too_close_is_spread_out_before_it_is_done(tmp_path: Path) -> None:
    """Nothing of it lies in the store that goes: two others turned out to be on one machine."""
    world, places = await crowded_world(tmp_path)
    goes = min(set(world.stores) - set(places.values()))
    drain(world, goes)
    async with world.open() as space:
        report = await space.evacuate(goes)
        assert (report.packs, report.mended, report.shares, report.owed) == (0, 1, 1, 0)
        assert (await status(space.core)).promise.kept


async def test_a_pack_that_lies_too_close_and_cannot_be_spread_out_is_owed(tmp_path: Path) -> None:
    world, places = await crowded_world(tmp_path)
    goes, other = sorted(set(world.stores) - set(places.values()))
    drain(world, goes)
    world.stores[other].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/packs/" in name))
    async with world.open() as space:
        report = await space.evacuate(goes)
        assert (report.owed, report.done) == (1, False)
        assert any("has too many of its shares on stores that fail as one" in line for line in report.lines)


async def test_shares_that_stay_in_the_store_count_for_nothing(tmp_path: Path) -> None:
    """They were copied, and deleted by nobody; then the copy is lost."""
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        assert (await space.evacuate("d0", delete=False)).done
        for name in await world.stores["d5"].names("/packs/"):
            await world.stores["d5"].lose(name)
        await survey(space.core)
        values = space.core.pool.domains, space.core.membership.policy.survive
        assert await space.core.ledger.do(packs_wanting, "d1", *values) != []
        assert await space.core.ledger.do(packs_wanting, "d0", *values) == [(await pack_of(space)).id]
        assert await space.core.ledger.do(packs_wanting, "d5", *values) == []


@pytest.mark.parametrize("delete", [False, True])
async def test_what_lacks_besides_is_made_anew_where_nothing_is_deleted_too(tmp_path: Path, delete: bool) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    world.stores["d0"].rules.append(Rule(Fault.REFUSE, on={"delete"}))
    for name in await world.stores["d3"].names("/packs/"):
        await world.stores["d3"].lose(name)
    async with world.open() as space:
        report = await space.evacuate("d0", delete=delete)
        assert (report.shares, report.mended, report.owed, report.unknown) == (2, 1, 0, 0)
    remove_store(world, "d0")
    async with world.open() as space:
        await is_whole(space)


async def test_with_everything_kept_there_its_shares_are_owed_until_they_lie_elsewhere(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    world.stores["d5"].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/packs/" in name))
    async with world.open() as space:
        report = await space.evacuate("d0", delete=False)
        assert (report.owed, report.unknown, report.done) == (1, 0, False)
        world.stores["d5"].rules.clear()
        world.clock.seconds += 100
        report = await space.evacuate("d0", delete=False)
        assert (report.owed, report.unknown, report.deleted, report.done) == (0, 0, 0, True)
        assert report.left + report.stay == len(await world.stores["d0"].names())
        assert report.left == len(await world.stores["d0"].names("/packs/")) > 0


async def test_where_the_drain_is_taken_back_in_the_middle_nothing_more_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuating, "TURN", 0.0)
    world = await a_world(tmp_path)
    async with world.open() as space:
        for number in range(4):
            await space.write(f"new{number}", random.Random(number).randbytes(300_000))
        drain(world, "d0")
        before = set(await world.stores["d0"].names())

        def undo(done: int, total: int) -> None:
            if done == 1:
                drain(world, "d0", draining=False)

        with pytest.raises(DrainEnded, match="store d0 is not being drained any more"):
            await space.evacuate("d0", undo)
        gone = before - set(await world.stores["d0"].names())
        assert 1 <= len(gone) <= 2
        assert all("/packs/" in name for name in gone)
        found = await status(space.core)
        assert (found.owed_heads, found.owed_records, found.promise.kept) == (0, 0, True)


async def test_the_drain_taken_back_while_copies_are_looked_for_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuating, "TURN", 0.0)
    monkeypatch.setattr(evacuating, "AT_ONCE", 1)
    world = await a_world(tmp_path)
    drain(world, "d0")
    kept = world.stores["d0"]
    delete = kept.delete

    async def undoing(name: Any) -> None:
        drain(world, "d0", draining=False)
        await delete(name)

    monkeypatch.setattr(kept, "delete", undoing)
    async with world.open() as space:
        with pytest.raises(DrainEnded):
            await space.evacuate("d0")
        for kind in ("/heads/", "/records/"):
            assert await kept.names(kind) == await world.stores["d1"].names(kind)


async def test_a_store_that_is_taken_out_of_the_space_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    before = await world.stores["d0"].names("/heads/")

    def remove(done: int, total: int) -> None:
        change_space(world.home, stores=["d1", "d2", "d3", "d4", "d5"], draining=[])

    async with world.open() as space:
        with pytest.raises(DrainEnded):
            await space.evacuate("d0", remove)
    assert await world.stores["d0"].names("/heads/") == before


async def test_what_comes_while_it_is_emptied_goes_in_the_same_run(tmp_path: Path) -> None:
    """Another machine that does not drain writes a pack there after all was listed."""
    machines = await Machines.make(tmp_path)
    await machines.invite("other", Role.WRITER)
    world = machines.world
    add_store(world, "d5")
    async with machines.open("other") as other, machines.open("admin") as admin:
        await other.write("one", LARGE)
        change_space(world.home, draining=["d0"])
        put = world.stores["d5"].put
        written = False

        async def meanwhile(name: Any, parts: Any) -> None:
            nonlocal written
            if "/packs/" in name and not written:
                written = True
                await other.write("two", LARGE[::-1])
            await put(name, parts)

        world.stores["d5"].put = meanwhile  # type: ignore[method-assign]
        report = await admin.evacuate("d0")
        assert (report.packs, report.shares, report.remade) == (2, 2, 0)
        assert (report.owed, report.left, report.unknown) == (0, 0, 0), report.lines
        assert await world.stores["d0"].names("/packs/") == []


async def test_packs_that_come_without_end_are_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evacuating, "ROUNDS", 1)
    machines = await Machines.make(tmp_path)
    await machines.invite("other", Role.WRITER)
    world = machines.world
    add_store(world, "d5")
    async with machines.open("other") as other, machines.open("admin") as admin:
        await other.write("one", LARGE)
        change_space(world.home, draining=["d0"])
        real = admin._turns.take
        turns = 0

        def take(patience: float | None = None) -> Any:
            nonlocal turns
            turns += 1
            return real(patience)

        admin._turns.take = take  # type: ignore[method-assign]
        put = world.stores["d5"].put

        async def meanwhile(name: Any, parts: Any) -> None:
            if "/packs/" in name and turns == 2:
                await other.write("two", LARGE[::-1])
            await put(name, parts)

        world.stores["d5"].put = meanwhile  # type: ignore[method-assign]
        report = await admin.evacuate("d0")
        assert (report.owed, report.unknown, report.done) == (1, 0, False)
        assert len(await world.stores["d0"].names("/packs/")) == 1


@pytest.mark.parametrize("kind", ["/heads/", "/records/"])
async def test_a_head_or_record_is_owed_until_the_floor_has_it_elsewhere(tmp_path: Path, kind: str) -> None:
    """One other store has them, and so have all but one fewer than the floor; then all."""
    world = await a_world(tmp_path)
    drain(world, "d0")
    names = await world.stores["d0"].names(kind)
    others = [world.stores[name] for name in ("d1", "d2", "d3", "d4", "d5")]
    floor = 4
    for having in (1, floor - 1, floor):
        for store in others[having:]:
            for name in names:
                await store.lose(name)
            store.rules = [Rule(Fault.REFUSE, on={"put"}, name=lambda name: kind in name)]
        for store in others[:having]:
            store.rules.clear()
        world.clock.seconds += 100
        async with world.open() as space:
            assert space.core.head_floor == floor
            report = await space.evacuate("d0")
        assert await world.stores["d0"].names(kind) == names
        if having < floor:
            assert report.owed >= len(names)
            assert any(f"fewer than {floor} other stores have it" in line for line in report.lines)
        else:
            assert (report.owed, report.done) == (0, True)


async def test_what_cannot_be_deleted_is_said_and_is_no_debt(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    count = len(await world.stores["d0"].names("/packs/"))
    world.stores["d0"].rules.append(Rule(Fault.REFUSE, on={"delete"}))
    async with world.open() as space:
        report = await space.evacuate("d0")
        assert (report.shares, report.owed, report.unknown, report.left, report.done) == (1, 0, 0, count, True)
        assert any(line.startswith(f"{count} object there could not be deleted") for line in report.lines)


async def test_what_nobody_here_knows_is_left_and_not_called_done(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        prefix = space.core.space_id.hex()
        for name in (f"{prefix}/packs/{'1' * 64}-00-{'2' * 32}", f"{prefix}/heads/{'3' * 64}/0000000000000001"):
            await world.stores["d0"].put(name, (b"whatever",))  # type: ignore[arg-type]
        report = await space.evacuate("d0")
        assert (report.owed, report.left, report.unknown, report.done) == (0, 2, 2, False)
        assert any("2 objects there are not known here" in line for line in report.lines)
