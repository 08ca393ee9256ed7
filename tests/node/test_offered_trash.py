"""What is deleted at a node: how long it stays, who takes it back, and what a veto keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.node.offered import LONGEST_VETO, Vetoed
from ropewalk.node.rights import NotGranted
from ropewalk.spaces.members import Role
from ropewalk.spaces.store import NoSuchObject, ObjectName
from tests.node.family import CARL, OWNER, Family, founded, key, offered_in, put, trashed
from tests.node.making import GUEST, a_node

pytestmark = pytest.mark.usefixtures("free_entries")


async def test_what_is_deleted_stays_for_its_time_and_is_paid_for_until_then(folder: Path) -> None:
    async with offered_in(folder, keep=3600) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        records = offered._register.used(offered.account)
        name = family.name("packs/1")
        await put(offered, OWNER, name, bytes(100))
        await offered.delete(key(OWNER), name)
        with pytest.raises(NoSuchObject):
            await offered.get(key(OWNER), name, 0, 1)
        (kept,) = await offered.trash(key(OWNER), family.space, "", 10)
        assert (kept.name, kept.size, kept.left) == (name, 100, 3600)
        await town.node._age(3599)
        assert offered._register.used(offered.account) == records + 100
        assert await offered.store.aside() == {kept.label}
        await town.node._age(1)
        assert await offered.trash(key(OWNER), family.space, "", 10) == []
        assert await offered.store.aside() == set()
        assert offered._register.used(offered.account) == records


@pytest.mark.parametrize("name", ["a", "f" * 64 + "/packs/1"])
async def test_what_no_admin_could_take_back_is_deleted_at_once(folder: Path, name: str) -> None:
    async with offered_in(folder) as (town, offered):
        town.grant(quota=100)
        for _ in range(3):
            await put(offered, GUEST, name, bytes(100))
            await offered.delete(key(GUEST), name)
            assert offered._register.used(offered.account) == 0
        await offered.delete(key(GUEST), name)
        assert await offered.store.aside() == set()


async def test_a_space_whose_genesis_was_deleted_keeps_its_trash_after_a_restart(folder: Path) -> None:
    family = Family.make()
    async with offered_in(folder) as (town, offered):
        await founded(town, offered, family)
        for number in (1, 2):
            await put(offered, OWNER, family.name(f"packs/{number}"))
        await offered.delete(key(OWNER), family.name("packs/2"))
        for name in family.objects:
            await offered.store.delete(name)
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        await offered.delete(key(OWNER), family.name("packs/1"))
        assert len(await offered.store.aside()) == 2


async def test_an_admin_takes_back_what_a_steward_deleted(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        names = [family.name(f"packs/{number}") for number in range(3)]
        for name in names:
            await put(offered, OWNER, name)
            await offered.delete(key(CARL), name)
        with pytest.raises(NotGranted, match="admin"):
            await offered.trash(key(CARL), family.space, "", 10)
        used = offered._register.used(offered.account)
        assert await offered.take_back(key(OWNER), family.space, [*await trashed(offered, family), "00", "", "zz"]) == 3
        for name in names:
            assert await offered.get(key(OWNER), name, 0, 4) == b"data"
        assert offered._register.used(offered.account) == used
        assert await trashed(offered, family) == []


async def test_a_name_that_is_given_again_stays_what_it_is(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        name = family.name("packs/1")
        await put(offered, OWNER, name, b"old")
        await offered.delete(key(OWNER), name)
        await put(offered, OWNER, name, b"new")
        assert await offered.take_back(key(OWNER), family.space, await trashed(offered, family)) == 0
        assert await offered.get(key(OWNER), name, 0, 3) == b"new"
        assert len(await trashed(offered, family)) == 1


async def test_a_veto_keeps_all_of_a_space_for_its_time(folder: Path) -> None:
    async with offered_in(folder, keep=3600) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        for number in range(2):
            await put(offered, OWNER, family.name(f"packs/{number}"))
        await offered.delete(key(OWNER), family.name("packs/0"))
        await offered.veto(key(OWNER), family.space, 10_000)
        with pytest.raises(Vetoed):
            await offered.delete(key(OWNER), family.name("packs/1"))
        await town.node._age(9_000)
        assert len(await trashed(offered, family)) == 1
        await town.node._age(1_000)  # in which it ends
        await offered.delete(key(OWNER), family.name("packs/1"))
        for wrong in (-1, LONGEST_VETO + 1):
            with pytest.raises(Misuse):
                await offered.veto(key(OWNER), family.space, wrong)


async def test_deleting_what_is_not_there_is_done_already(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        used = offered._register.used(offered.account)
        await offered.delete(key(OWNER), family.name("packs/1"))
        assert await trashed(offered, family) == []
        assert offered._register.used(offered.account) == used


async def test_a_crash_between_register_and_folder_is_settled_at_the_next_start(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, family.name("packs/1"))
        await offered._register.set_aside(offered.account, family.name("packs/1"), family.space, 4, 3600)  # and no more
        used = offered._register.used(offered.account)
        await offered.store.put(ObjectName("unknown"), [b"x"])
        await offered.store.set_aside(ObjectName("unknown"), "ab")  # of which the register lost its memory
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        assert await offered.get(key(OWNER), family.name("packs/1"), 0, 4) == b"data"
        assert await trashed(offered, family) == []
        assert offered._register.used(offered.account) == used
        assert await offered.store.aside() == {"ab"}, "nobody said that it is gone for good"
        await town.node._age(7 * 86_400)
        assert await offered.store.aside() == set()
