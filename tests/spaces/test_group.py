"""Group: who comes and goes; and what is left of it when stores are away and processes die."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ropewalk.errors import Misuse, Unavailable
from ropewalk.spaces.group import BelowFloor, Group, LastAdmin
from ropewalk.spaces.members import NO_CUT, Author, NotAllowed, Role
from ropewalk.spaces.space import ReadOnly
from ropewalk.spaces.state import State
from ropewalk.testing.faults import Fault, Rule, StopAfter
from ropewalk.testing.letting_in import let_in_device
from tests.spaces.crashing import is_stop
from tests.spaces.machines import Machines, keys_of, shown

STEWARD, READER, WRITER, ADMIN = Role


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    return await Machines.make(tmp_path)


# ---- add, role, remove, revoke ---------------------------------------------------------------------------------------


async def test_who_is_added_reads_and_writes_and_is_called_by_name(machines: Machines) -> None:
    async with machines.open("admin") as space:
        await space.write("old", b"from the start")
    await machines.invite("bob", WRITER)
    async with machines.open("bob") as space:
        assert await shown(space) == {"old": b"from the start"}
        await space.write("new", b"from bob")
    async with machines.open("admin") as space:
        assert await shown(space) == {"old": b"from the start", "new": b"from bob"}
        assert [(one.name, one.role, one.ours) for one in space.people()][1:] == [("bob", WRITER, False)]


async def test_who_is_removed_is_left_out_of_the_next_epoch(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert space.tended.epoch == 2
        assert space.core.keys.number == 2
        assert not space.core.membership.epochs.exposure
        await space.write("secret", b"not for bob")
    async with machines.open("bob") as space:
        assert "secret" not in await shown(space)
        with pytest.raises(ReadOnly, match="was put out"):
            await space.write("late", b"x")
        async with space.group() as group:
            with pytest.raises(NotAllowed):
                await group.call_device("bobby")
        assert not space.tended.written, "who does not belong writes nothing"


async def test_a_reader_is_refused_and_a_demotion_to_it_needs_no_epoch(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("bob") as space:
        await space.write("his", b"1")
    async with machines.open("admin") as space:
        await shown(space)
        async with space.group() as group:
            await group.set_role(machines.member["bob"], READER)
        assert space.tended.epoch is None
        assert await shown(space) == {"his": b"1"}, "what he wrote before stays"
    async with machines.open("bob") as space:
        assert await shown(space) == {"his": b"1"}
        with pytest.raises(ReadOnly, match="its role is reader"):
            await space.write("late", b"x")


async def test_a_steward_reads_nothing_new_and_is_given_it_again_when_he_is_a_reader(machines: Machines) -> None:
    await machines.invite("bob", READER)
    async with machines.open("admin") as space:
        async with space.group() as group:
            await group.set_role(machines.member["bob"], STEWARD)
        assert space.tended.epoch == 2
        await space.write("while", b"bob is a steward")
        async with space.group() as group:
            await group.set_role(machines.member["bob"], READER)
        assert space.tended.wraps == 1
    async with machines.open("bob") as space:
        assert await shown(space) == {"while": b"bob is a steward"}


async def test_a_device_of_ones_own_comes_and_is_revoked(machines: Machines) -> None:
    machines.add("laptop")
    async with machines.open("admin") as space:
        async with space.group() as group:
            await let_in_device(group, "laptop", keys_of("laptop"))
        with pytest.raises(NotAllowed):
            async with space.group() as group:
                await let_in_device(group, "laptop", keys_of("laptop"))
    async with machines.open("laptop") as space:
        await space.write("from", b"the laptop")
    async with machines.open("admin") as space:
        await shown(space)
        async with space.group() as group:
            await group.revoke(keys_of("laptop").public().id)
        assert space.tended.epoch == 2
        assert await shown(space) == {"from": b"the laptop"}
        with pytest.raises(Misuse):
            async with space.group() as group:
                await group.revoke(keys_of("laptop").public().id)


async def test_the_last_admin_stays(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        admin = machines.member["admin"]
        with pytest.raises(LastAdmin):
            async with space.group() as group:
                await group.remove(admin)
        with pytest.raises(LastAdmin):
            async with space.group() as group:
                await group.set_role(admin, WRITER)
        async with space.group() as group:
            await group.set_role(machines.member["bob"], ADMIN)
            await group.remove(admin)
        assert space.tended.epoch is None, "who has left makes no epoch"
    async with machines.open("bob") as space:
        async with space.group():
            pass
        assert space.tended.epoch == 2
        with pytest.raises(LastAdmin):
            async with space.group() as group:
                await group.revoke(keys_of("bob").public().id)


async def test_who_is_no_admin_changes_nobody_and_makes_no_epoch(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    await machines.invite("carl", WRITER)
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(machines.open("admin"))
        carl = await stack.enter_async_context(machines.open("carl"))
        with pytest.raises(NotAllowed):
            async with carl.group() as group:
                await group.remove(machines.member["bob"])
        async with admin._turns.take():
            await Group(admin.core).remove(machines.member["bob"])  # and the process dies before the epoch
        async with carl.group():
            pass
        assert carl.core.membership.epochs.exposure
        assert carl.tended.epoch is None
        assert not carl.tended.undone, "it is not for him to do"
        await carl.write("meanwhile", b"nobody has to stop")
        async with admin.group():
            pass
        assert admin.tended.epoch == 2
        assert await shown(admin) == {"meanwhile": b"nobody has to stop"}


# ---- stores that are away --------------------------------------------------------------------------------------------


async def test_below_the_floor_nothing_is_signed(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    before = await machines.records()
    async with machines.open("admin") as space:
        machines.away({"d0", "d1"})
        with pytest.raises(BelowFloor, match="3 of 5 stores answer"):
            async with space.group() as group:
                await group.remove(machines.member["bob"])
        machines.away(())
        assert await machines.records() == before
        async with space.group() as group:
            await group.remove(machines.member["bob"])


@pytest.mark.parametrize("restart", [False, True])
async def test_a_record_below_the_floor_is_kept_and_the_same_bytes_go_out_later(
    machines: Machines, restart: bool
) -> None:
    await machines.invite("bob", WRITER)
    before = await machines.records()
    async with AsyncExitStack() as stack:
        space = await stack.enter_async_context(machines.open("admin"))
        for name in ("d0", "d1"):
            machines.world.stores[name].rules.append(Rule(Fault.FULL, on={"put"}))
        with pytest.raises(BelowFloor, match="3 of 5 stores took the record"):
            async with space.group() as group:
                await group.remove(machines.member["bob"])
        assert await space.core.ledger.do(State.owed_records)
        for store in machines.world.stores.values():
            store.rules.clear()
        machines.away(())
        if restart:
            await stack.aclose()
            space = await stack.enter_async_context(machines.open("admin"))
        await space.write("next", b"the first change pays, and makes the epoch")
        assert not await space.core.ledger.do(State.owed_records)
        assert space.tended.epoch == 2
        assert not space.core.membership.epochs.exposure
    after = await machines.records()
    assert all(len(different) == 1 for different in after.values())
    assert len(after.keys() - before.keys()) == 2, "the removal and the epoch, each signed once"
    for store in machines.world.stores.values():
        assert set(await store.names("/records/")) == after.keys()


async def test_what_a_store_lacks_it_gets_at_the_next_occasion(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        machines.away({"d0"})
        async with space.group() as group:
            await group.call(machines.member["bob"], "robert")
        assert {store for _, store, _ in await space.core.ledger.do(State.owed_records)} == {"d0"}
        machines.away(())
        async with space.group():
            pass
        assert not await space.core.ledger.do(State.owed_records)
    assert set(await machines.world.stores["d0"].names("/records/")) == (await machines.records()).keys()


async def test_nothing_is_sealed_in_an_epoch_that_was_not_signed(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        async with space.group() as group:
            await group.remove(machines.member["bob"])
            machines.away({"d0", "d1"})
            await space.core.pool.weigh(5, 0.0)  # which finds out
        assert space.tended.epoch is None
        assert "3 of 5" in space.tended.undone[0]
        assert space.core.keys.number == 1
        assert space.core.membership.epochs.exposure
        machines.away(())
        await space.write("new", b"1")
        assert space.core.keys.number == 2


# ---- processes that die ----------------------------------------------------------------------------------------------


async def _remove(machines: Machines, stop: StopAfter) -> bool:
    """Remove bob, in a process that dies at a store call; whether it did."""
    machines.all["admin"].around = stop.around
    try:
        async with machines.open("admin") as space, space.group() as group:
            await group.remove(machines.member["bob"])
    except BaseException as error:
        if not is_stop(error):
            raise
    machines.all["admin"].around = lambda store: store
    return stop.stopped


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True])
async def test_wherever_a_removal_stops_any_admin_can_end_it(tmp_path: Path, done: bool) -> None:
    """After a crash at each store call: bob is in or out, alike for all, and who is out reads nothing new."""
    removed = 0
    for call in range(1000):
        machines = await Machines.make(tmp_path / str(call), stores=3)
        await machines.invite("bob", WRITER)
        await machines.invite("carl", ADMIN)
        if not await _remove(machines, StopAfter(call, done=done)):
            break
        before = await machines.records()
        closer = "carl" if call % 2 else "admin"
        async with machines.open(closer) as space:
            async with space.group():
                pass
            assert not space.tended.undone
            assert not space.core.membership.epochs.due, "exposure ends with the first admin who comes"
            gone = machines.member["bob"] not in space.core.membership.state.members
            await space.write("next", b"after")
            assert space.core.keys.number == 1 + gone
        async with machines.open("admin") as space:
            async with space.group():
                pass
            assert (machines.member["bob"] not in space.core.membership.state.members) >= gone
            removed += gone
            assert not space.core.membership.epochs.due
            assert not space.core.membership.doubled
            assert await shown(space) == {"next": b"after"}
        after = await machines.records()
        assert all(len(different) == 1 for different in after.values()), "sent again with other bytes"
        assert all(after[name] == different for name, different in before.items())
        async with machines.open("bob") as space:
            assert ("next" in await shown(space)) is not gone
    assert call > 5
    assert removed


async def test_what_only_one_store_has_of_a_removal_is_spread_before_anything_rests_on_it(machines: Machines) -> None:
    """Carl's process ended with his record in one store; that store burns down after the admin has gone on."""
    await machines.invite("bob", WRITER)
    await machines.invite("carl", ADMIN)
    async with machines.open("carl") as space:
        name, data = Author(space.core.membership, keys_of("carl"), space.core.incarnation, 1).remove(
            machines.member["bob"], NO_CUT
        )
    await machines.world.stores["d0"].put(name, [data])
    async with machines.open("admin") as space:
        await space.write("new", b"rests on it")
        assert machines.member["bob"] not in space.core.membership.state.members
    for lost in await machines.world.stores["d0"].snapshot():
        await machines.world.stores["d0"].lose(lost)
    machines.add("laptop", keys_of("carl"))
    async with machines.open("laptop") as space:  # carl's keys, and no memory
        assert await shown(space) == {"new": b"rests on it"}
        assert machines.member["bob"] not in space.core.membership.state.members


async def test_no_head_is_sealed_in_an_epoch_that_is_below_the_floor(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        for name in ("d0", "d1", "d2"):
            rule = Rule(Fault.REFUSE, on={"put"}, name=lambda one: "/records/" in one, skip=1)
            machines.world.stores[name].rules.append(rule)
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert space.tended.undone, "the removal is on the floor, its epoch is not"
        with pytest.raises(Unavailable, match="membership records"):
            await space.write("new", b"sealed in it")
        for store in machines.world.stores.values():
            store.rules.clear()
        machines.away(())
        await space.write("new", b"sealed in it")
        assert space.core.keys.number == 2
    assert all(len(different) == 1 for different in (await machines.records()).values())
