"""Group: several processes, devices and admins at once, and what is made of the heads of who is gone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from ropewalk.errors import Refused
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.learning import records, send_record
from ropewalk.spaces.members import MOST_PARENTS, NO_CUT, Author, Role, authoring
from ropewalk.spaces.members.records import sign
from ropewalk.spaces.members.wraps import unreached
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import ReadOnly, Space
from ropewalk.spaces.state import QUARANTINED, State
from ropewalk.spaces.store import ObjectName
from ropewalk.testing.faults import Fault, Rule, Stop
from ropewalk.testing.letting_in import consents
from tests.spaces.machines import Machines, keys_of, shown

STEWARD, READER, WRITER, ADMIN = Role


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    return await Machines.make(tmp_path)


@asynccontextmanager
async def _both(machines: Machines, first: str, second: str) -> AsyncIterator[tuple[Space, Space]]:
    """Two that are open at once, of one device or of two."""
    async with machines.open(first) as one, machines.open(second) as other:
        yield one, other


# ---- several at once -------------------------------------------------------------------------------------------------


async def test_two_processes_of_a_device_never_sign_two_records_under_one_number(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with _both(machines, "admin", "admin") as (one, other):
        async with one.group() as group:
            await group.call(machines.member["bob"], "robert")
        async with other.group() as group:
            await group.call(machines.member["bob"], "bert")
        await shown(one)
        assert not one.core.membership.doubled
        assert not other.core.membership.doubled
        assert [one.name for one in one.people()][1:] == ["bert"]


async def test_a_process_learns_what_another_of_its_device_has_signed(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with _both(machines, "admin", "admin") as (one, other):
        async with one.group() as group:
            await group.remove(machines.member["bob"])
        await one.write("secret", b"not for bob")
        assert await shown(other) == {"secret": b"not for bob"}
        await other.write("another", b"nor this")
        assert other.core.keys.number == 2
    async with machines.open("bob") as space:
        assert await shown(space) == {}


async def test_a_change_without_a_look_is_sealed_for_those_whom_this_device_knows(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with _both(machines, "admin", "admin") as (one, other):
        async with one.group() as group:
            await group.remove(machines.member["bob"])
        await other.write("secret", b"not for bob")
        assert other.core.keys.number == 2
    async with machines.open("bob") as space:
        assert await shown(space) == {}


async def test_two_admins_act_at_once(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    await machines.invite("dora", WRITER)
    await machines.invite("carl", ADMIN)
    async with _both(machines, "admin", "carl") as (admin, carl):

        async def removes(space: Space, name: str) -> None:
            async with space.group() as group:
                await group.remove(machines.member[name])
                await met.wait()

        met = asyncio.Barrier(2)
        await asyncio.gather(removes(admin, "bob"), removes(carl, "dora"))
        for space in (admin, carl, admin, carl):
            async with space.group():
                pass
        for space in (admin, carl):
            assert not space.core.membership.epochs.due
            assert len(space.core.membership.state.members) == 2
        assert admin.core.keys.current == carl.core.keys.current
        await admin.write("a", b"1")
        await carl.write("b", b"2")
        assert await shown(admin) == await shown(carl) == {"a": b"1", "b": b"2"}
    for name in ("bob", "dora"):
        async with machines.open(name) as space:
            assert await shown(space) == {}


async def test_what_an_admin_sealed_in_an_epoch_of_his_own_is_led_back_to(machines: Machines) -> None:
    """Carl makes an epoch and writes in it; the admin has meanwhile removed him, and made another."""
    await machines.invite("bob", WRITER)
    await machines.invite("carl", ADMIN)
    async with _both(machines, "admin", "carl") as (admin, carl):
        await machines.invite("eve", WRITER, by="carl")
        stores = {name: await store.snapshot() for name, store in machines.world.stores.items()}
        async with carl.group() as group:
            await group.remove(machines.member["bob"])
        await carl.write("his", b"in epoch 2 of his own")
        theirs = {name: await store.snapshot() for name, store in machines.world.stores.items()}
        async with machines.open("eve") as space:
            await space.write("hers", b"has seen it")
        seen = {name: await store.snapshot() for name, store in machines.world.stores.items()}
        for name, store in machines.world.stores.items():
            await store.roll_back(stores[name])
        async with admin.group() as group:
            await group.remove(machines.member["carl"])
        for name, store in machines.world.stores.items():
            await store.roll_back({**await store.snapshot(), **theirs[name], **seen[name]})
        await shown(admin)
        async with admin.group():
            pass
        assert await shown(admin) == {"his": b"in epoch 2 of his own", "hers": b"has seen it"}
        assert not unreached(admin.core.membership.epochs, admin.core.keys)
        await machines.invite("fred", WRITER)
        async with machines.open("fred") as space:
            assert await shown(space) == {"his": b"in epoch 2 of his own", "hers": b"has seen it"}


async def test_a_copy_of_a_machine_counts_its_records_for_itself(machines: Machines) -> None:
    """Neither of the two has written a head: only by records can they find out that there are two."""
    await machines.invite("bob", WRITER)
    async with machines.open("admin"):
        pass
    copy = machines.add("copy", keys_of("admin"))
    shutil.copytree(machines.world.folder, copy.home.space_folder(copy.home.space("photos").id), dirs_exist_ok=True)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(machines.open("admin"))
        async with one.group() as group:
            await group.call(machines.member["bob"], "robert")
        other = await stack.enter_async_context(machines.open("copy"))
        assert other.core.incarnation != one.core.incarnation
        async with other.group() as group:
            await group.call(machines.member["bob"], "bert")
        async with one.group() as group:
            await group.call(machines.member["bob"], "bob")
        for space in (one, other):
            await shown(space)
            assert not space.core.membership.doubled


async def test_whoever_belongs_gives_newcomers_the_keys(machines: Machines) -> None:
    """Dora's device was let in without keys; carl, who only reads, has them."""
    await machines.invite("carl", READER)
    machines.add("dora")
    async with machines.open("admin") as space:
        author = Author(space.core.membership, keys_of("admin"), space.core.incarnation, 1)
        nonce, pledge = author.new_member()
        agreed = consents(space.core.space_id, pledge, WRITER, [keys_of("dora")])
        await space.write("old", b"1")
        await send_record(space.core, *author.add(nonce, WRITER, [keys_of("dora").public()], b"", consents=agreed))
    async with machines.open("carl") as space:
        async with space.group():
            pass
        assert space.tended.wraps == 1
    async with machines.open("dora") as space:
        assert await shown(space) == {"old": b"1"}


async def test_an_epoch_that_begins_while_a_space_is_open_is_learnt_and_its_heads_are_read(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    await machines.invite("carl", WRITER)
    async with machines.open("carl") as carl:
        for store in machines.world.stores.values():
            known: set[str] = set(await store.names("/records/"))
            store.rules.append(Rule(Fault.HIDE, name=partial(_is_later_record, known)))
        async with machines.open("admin") as space:
            async with space.group() as group:
                await group.remove(machines.member["bob"])
            await space.write("new", b"in epoch 2")
        assert await shown(carl) == {}, "the head is there, and its epoch is not"
        assert carl.core.keys.number == 1
        for store in machines.world.stores.values():
            store.rules.clear()
        assert await shown(carl) == {"new": b"in epoch 2"}
        assert carl.core.keys.number == 2
        await carl.write("more", b"in it too")
    async with machines.open("bob") as space:
        assert await shown(space) == {}


# ---- frozen, level 1, a wide frontier --------------------------------------------------------------------------------


async def test_a_device_that_forked_is_frozen_until_an_admin_lets_it_go_on(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("bob") as space:
        await space.write("first", b"0")
    bob = machines.all["bob"]
    copy = machines.add("copy", keys_of("bob"))
    folder = bob.home.space_folder(bob.home.space("photos").id)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(machines.open("bob"))
        shutil.copytree(folder, copy.home.space_folder(copy.home.space("photos").id), dirs_exist_ok=True)
        other = await stack.enter_async_context(machines.open("copy"))
        await one.write("one", b"1")
        await other.write("other", b"2")
    both = {"first": b"0", "one": b"1", "other": b"2"}
    async with machines.open("admin") as space:
        assert await shown(space) == both
        async with space.group():
            pass
        assert space.tended.proofs == 1
        assert space.core.membership.state.frozen == {bob.id}
        assert await shown(space) == both, "what was there when it came out counts"
        async with machines.open("bob") as frozen:
            with pytest.raises(ReadOnly, match="frozen"):
                await frozen.write("late", b"3")
        async with space.group() as group:
            await group.accept([], [bob.id])
        assert not space.tended.proofs, "it is not accused of the same again"
        assert not space.core.membership.state.frozen
    async with machines.open("bob") as space:
        await space.write("late", b"3")
        assert await shown(space) == {**both, "late": b"3"}


async def test_a_space_of_level_1_is_raised_by_the_first_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authoring, "NEW_LEVEL", 1)
    machines = await Machines.make(tmp_path)
    async with machines.open("admin") as space:
        assert space.core.membership.feature == 1
        await space.write("old", b"of level 1")
    await machines.invite("bob", WRITER)
    async with machines.open("bob") as space:
        assert space.core.membership.feature == 2
        await space.write("new", b"of level 2")
        assert await shown(space) == {"old": b"of level 1", "new": b"of level 2"}
    async with machines.open("admin") as space:
        assert await shown(space) == {"old": b"of level 1", "new": b"of level 2"}


async def test_any_number_of_newest_records_is_joined(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        async with space._turns.take():
            core = space.core
            for number in range(70):  # each on top of what there was at first
                author = Author(core.membership, keys_of("bob"), number.to_bytes(16, "big"), number)
                name, data = author.wrap()
                for store in machines.world.stores.values():
                    await store.put(name, [data])
        await space._list()
        assert len(space.core.membership.frontier) == 70
        await space.write("new", b"1")
        assert len(space.core.membership.frontier) <= MOST_PARENTS
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert space.core.keys.number == 2
    async with machines.open("admin") as space:
        assert await shown(space) == {"new": b"1"}


async def test_a_space_that_a_newer_version_has_changed_is_left_alone(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with machines.open("admin") as space:
        core = space.core
        author = Author(core.membership, keys_of("admin"), core.incarnation, 1)
        await send_record(core, *author.remove(machines.member["bob"], NO_CUT))
        body = encode(["op", 2, core.space_id, keys_of("admin").public().id, b"of a version to come"])
        name, data = sign(core.space_id, body, keys_of("admin"))
        for store in machines.world.stores.values():
            await store.put(name, [data])
        before = await machines.records()
        with pytest.raises(Refused, match="does not know"):
            async with space.group() as group:
                await group.call_device("laptop")
        assert core.membership.epochs.due
        async with space.group():
            pass
        assert not space.tended.undone, "though an epoch is due: who understands what is new may make it"
        assert await machines.records() == before


# ---- heads of who is gone --------------------------------------------------------------------------------------------


async def test_what_a_removed_device_writes_meanwhile_is_set_aside_and_can_be_taken_in(machines: Machines) -> None:
    await machines.invite("bob", WRITER)
    async with _both(machines, "admin", "bob") as (admin, bob):
        await bob.write("seen", b"the admin knows this")
        await shown(admin)
        await bob.write("late", b"the admin does not")
        parted = {name: await store.snapshot() for name, store in machines.world.stores.items()}
        for name, store in machines.world.stores.items():  # the admin's look does not come to it
            await store.roll_back({key: data for key, data in parted[name].items() if key not in _newest(bob, parted)})
        async with admin.group() as group:
            await group.remove(machines.member["bob"])
        for name, store in machines.world.stores.items():
            await store.roll_back({**await store.snapshot(), **parted[name]})
        assert await shown(admin) == {"seen": b"the admin knows this"}
        (late,) = await admin.core.ledger.do(State.set_aside)
        assert late.state == QUARANTINED
        assert await (await admin.at(late.hash.hex())).read("late") == b"the admin does not", "and is not lost"
        assert await shown(bob) == {"seen": b"the admin knows this"}
        with pytest.raises(ReadOnly, match="was put out"):
            await bob.write("later", b"he looked, and knows")
        assert await (await bob.at(late.hash.hex())).read("late") == b"the admin does not", "nor for him"
        async with admin.group() as group:
            await group.accept([late])
        assert await shown(admin) == {"seen": b"the admin knows this", "late": b"the admin does not"}
        assert not await admin.core.ledger.do(State.set_aside)
    async with machines.open("admin") as space:
        assert await shown(space) == {"seen": b"the admin knows this", "late": b"the admin does not"}


async def test_a_removal_takes_effect_on_heads_also_if_a_process_ends_as_it_learns_it(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await machines.invite("bob", WRITER)
    await machines.invite("carl", READER)
    async with machines.open("bob") as space:
        await space.write("his", b"1")
    async with machines.open("carl") as space:
        assert await shown(space) == {"his": b"1"}
    async with machines.open("admin") as space:
        author = Author(space.core.membership, keys_of("admin"), space.core.incarnation, 1)
        await send_record(space.core, *author.remove(machines.member["bob"], NO_CUT))  # as if he had seen nothing

    def ends(*_: object) -> list[str]:
        raise Stop

    async def opened() -> None:
        async with machines.open("carl"):
            pass

    with monkeypatch.context() as dying:
        dying.setattr(records, "settle", ends)
        with pytest.raises(Stop):
            await opened()
    async with machines.open("carl") as space:
        assert await shown(space) == {}
        (aside,) = await space.core.ledger.do(State.set_aside)
        assert aside.state == QUARANTINED


def _is_later_record(known: set[str], name: str) -> bool:
    return "/records/" in name and name not in known


def _newest(space: Space, stores: dict[str, dict[ObjectName, bytes]]) -> set[str]:
    """The newest head of a device, and no other object."""
    heads = [HeadName.decode(name) for held in stores.values() for name in held]
    mine = [one for one in heads if one is not None and one.writer == space.core.writer_id]
    return {max(mine, key=lambda one: one.sequence).encode()}
