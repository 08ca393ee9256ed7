"""Membership records at a node: which are taken, heeded and kept, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.errors import Unavailable
from ropewalk.node.rights import NotGranted
from ropewalk.spaces.members import LARGEST_RECORD, Role
from ropewalk.spaces.store import NoSuchObject, ObjectName
from tests.node.family import ANNA, BOB, CARL, OWNER, Family, founded, key, offered_in, put
from tests.node.making import GUEST, STRANGER, a_node

pytestmark = pytest.mark.usefixtures("free_entries")


async def test_records_are_deleted_by_nobody_and_read_again_after_a_restart(folder: Path) -> None:
    family = Family.make()
    async with offered_in(folder) as (town, offered):
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.STEWARD, BOB))
        removal = family.remove(family.last)
        await put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        await put(offered, OWNER, *removal)
        for who in (CARL, OWNER):
            with pytest.raises(NotGranted, match="would be in again"):
                await offered.delete(key(who), removal[0])
        with pytest.raises(NotGranted):
            await offered.get(key(BOB), family.name("packs/1"), 0, 4)
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        with pytest.raises(NotGranted, match="put out"):
            await offered.get(key(BOB), family.name("packs/1"), 0, 4)
        with pytest.raises(NoSuchObject):
            await offered.get(key(CARL), family.name("packs/1"), 0, 4)


async def test_records_that_come_before_those_they_rest_on_count_once_these_are_there(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        first = dict(family.objects)
        late, early = family.add(Role.WRITER, ANNA), family.add(Role.WRITER, BOB)
        town.grant(key=None, keys=(key(OWNER).hex(),))
        await town.node.look()
        await put(offered, OWNER, *early)
        for name, data in first.items():
            await put(offered, OWNER, name, data)
        with pytest.raises(NotGranted):
            await put(offered, BOB, family.name("packs/1"))
        await put(offered, OWNER, *late)
        await put(offered, BOB, family.name("packs/1"))


async def test_what_strangers_ask_pushes_out_nothing_that_was_understood(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        removal = family.remove(family.last)
        await put(offered, OWNER, *removal)
        with pytest.raises(NotGranted, match="put out"):
            await offered.get(key(BOB), family.name("packs/1"), 0, 4)
        await offered.store.delete(removal[0])  # whoever could do that
        for number in range(300):
            with pytest.raises(NotGranted):
                await offered.get(key(STRANGER), f"{number:064x}/packs/1", 0, 4)
        with pytest.raises(NotGranted, match="put out"):
            await offered.get(key(BOB), family.name("packs/1"), 0, 4)


@pytest.mark.parametrize("size", [4, 100_000, LARGEST_RECORD + 1])
async def test_what_is_no_record_is_not_taken_in_their_place(folder: Path, size: int) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        name, data = family.add(Role.READER, ANNA)
        for wrong in (family.name("records/" + "0" * 64), name):
            with pytest.raises(NotGranted, match="membership record"):
                await put(offered, OWNER, wrong, bytes(size))
        assert [listed.name async for listed in offered.store.list(name)] == []
        await put(offered, OWNER, name, data)


async def test_records_that_are_none_hold_up_nobody(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        for number in range(50):
            await offered.store.put(ObjectName(family.name(f"records/{number:064x}")), [b"junk"])
        await put(offered, OWNER, *family.add(Role.READER, ANNA))
        await put(offered, OWNER, family.name("packs/1"))
        assert await offered.get(key(ANNA), family.name("packs/1"), 0, 4) == b"data"


async def test_a_space_with_more_records_than_a_node_follows_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.skeleton.MOST_NAMES", 10)
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        town.grant()
        await town.node.look()
        for number in range(11):
            await offered.store.put(ObjectName(family.name(f"records/{number:064x}")), [b"junk"])
        with pytest.raises(Unavailable, match="more than 10 records"):
            await offered.get(key(GUEST), family.name("packs/1"), 0, 1)
        with pytest.raises(NoSuchObject):
            await offered.get(key(GUEST), "f" * 64 + "/packs/1", 0, 1)
