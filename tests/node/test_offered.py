"""What a node does for whom: rights by grants and roles; tests/remote has the same calls over a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ropewalk.node import node
from ropewalk.node.offered import Offered
from ropewalk.node.pieces import PIECE
from ropewalk.node.rights import NotGranted
from ropewalk.node.settings import NodeSettingsDamaged
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import Role
from ropewalk.spaces.passport import left_prefix, prefix_of
from ropewalk.spaces.store import DiskStore, NoSuchObject, ObjectName
from tests.node.family import ANNA, BOB, CARL, OWNER, Family, founded, key, offered_in, put, trashed
from tests.node.making import GUEST, STRANGER

pytestmark = pytest.mark.usefixtures("free_entries")


async def test_a_stranger_may_nothing(folder: Path) -> None:
    async with offered_in(folder) as (_, offered):
        family = Family.make()
        name = family.name("packs/1")
        hint = family.name("hints/" + "0" * 32)
        for call in (
            put(offered, STRANGER, name),
            offered.get(key(STRANGER), name, 0, 1),
            anext(offered.read(key(STRANGER), name, 0, 1)),
            offered.delete(key(STRANGER), name),
            offered.replace(key(STRANGER), hint, b""),
            offered.wait_changed(key(STRANGER), hint, b""),
            offered.trash(key(STRANGER), family.space, "", 10),
            offered.take_back(key(STRANGER), family.space, ["00"]),
            offered.veto(key(STRANGER), family.space, 1),
        ):
            with pytest.raises(NotGranted):
                await call
        assert [error.code for error in await offered.put_small(key(STRANGER), [(name, b"x")]) if error] == [
            "node.not-granted"
        ]
        assert await offered.page(key(STRANGER), "", "", 10) == []
        assert [listed async for listed in offered.store.list("")] == []


async def test_who_stands_in_a_space_of_somebody_with_room_may_what_his_role_allows(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, family.name("packs/1"))
        with pytest.raises(NotGranted):
            await offered.get(key(ANNA), family.name("packs/1"), 0, 4)
        await put(offered, OWNER, *family.add(Role.READER, ANNA))
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        await put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        for who in (ANNA, BOB, CARL):
            assert await offered.get(key(who), family.name("packs/1"), 0, 4) == b"data"
        with pytest.raises(NotGranted):
            await put(offered, ANNA, family.name("packs/2"))
        await put(offered, BOB, family.name("packs/2"))
        for who in (ANNA, BOB):
            with pytest.raises(NotGranted):
                await offered.delete(key(who), family.name("packs/2"))
        await offered.delete(key(CARL), family.name("packs/2"))
        with pytest.raises(NotGranted):
            await put(offered, BOB, "f" * 64 + "/packs/2")


async def test_who_is_put_out_of_a_space_is_put_out_of_the_node_by_the_next_call(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        town.grant(key=None, keys=(key(BOB).hex(),))  # a grant of his own does not help him there
        await town.node.look()
        name = family.name("packs/1")
        await put(offered, BOB, name, bytes(3 << 20))
        reading = offered.read(key(BOB), name, 0, None)
        assert len(await anext(reading)) == PIECE
        await put(offered, OWNER, *family.remove(bob))
        with pytest.raises(NotGranted, match="put out"):
            await anext(reading)
        with pytest.raises(NotGranted, match="put out"):
            await put(offered, BOB, family.name("packs/2"))
        assert await offered.page(key(BOB), "", "", 10) == []
        await put(offered, BOB, "f" * 64 + "/packs/2")  # elsewhere his own grant holds


async def test_who_may_put_into_a_space_may_look_at_the_store_first(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.READER, ANNA))
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob, store = family.last, offered.store.identity
        await offered.page(key(BOB), family.name(""), "", 10)  # as whoever comes into a space reads its records
        for prefix in (prefix_of, left_prefix):
            name = f"{prefix(key(BOB), store)}/packs/1"
            await put(offered, BOB, name)
            assert await offered.get(key(BOB), name, 0, 4) == b"data"
            assert [one.name for one in await offered.page(key(BOB), name, "", 10)] == [name]
            await offered.delete(key(BOB), name)
            for who, place in ((ANNA, prefix(key(ANNA), store)), (BOB, prefix(key(ANNA), store))):
                with pytest.raises(NotGranted):
                    await put(offered, who, f"{place}/packs/1")
        with pytest.raises(NotGranted):
            await put(offered, BOB, f"{prefix_of(key(BOB), bytes(16))}/packs/1")
        await put(offered, OWNER, *family.remove(bob))
        with pytest.raises(NotGranted):
            await put(offered, BOB, f"{prefix_of(key(BOB), store)}/packs/1")


async def test_a_look_is_let_do_no_more_than_the_grant_says(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        town.node.file.update(
            lambda old: replace(old, grants=tuple(replace(one, may=("get", "put")) for one in old.grants))
        )
        await town.node.look()
        await offered.page(key(BOB), family.name(""), "", 10)
        name = f"{prefix_of(key(BOB), offered.store.identity)}/packs/1"
        await put(offered, BOB, name)
        with pytest.raises(NotGranted):
            await offered.delete(key(BOB), name)


async def test_a_put_that_was_under_way_when_its_device_was_put_out_keeps_nothing(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        name = family.name("packs/1")

        async def pieces() -> AsyncIterator[bytes]:
            yield b"da"
            await put(offered, OWNER, *family.remove(bob))
            yield b"ta"

        with pytest.raises(NotGranted):
            await offered.put(key(BOB), name, 4, pieces())
        with pytest.raises(NoSuchObject):
            await offered.get(key(OWNER), name, 0, 4)
        assert offered._register.used(offered.account) == sum(map(len, family.objects.values()))


async def test_a_listing_shows_what_may_be_read_and_passes_over_the_rest(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        spaces = [bytes([number]) * 32 for number in range(1, 6)]
        for space in spaces:
            for number in range(3):
                await offered.store.put(ObjectName(f"{space.hex()}/packs/{number}"), [b"x"])
        await offered.store.put(ObjectName("other/x"), [b"x"])
        mine = (spaces[1].hex(), spaces[3].hex())
        town.grant(spaces=mine)
        await town.node.look()
        seen = [listed.name for listed in await offered.page(key(GUEST), "", "", 100)]
        assert seen == [f"{space}/packs/{number}" for space in mine for number in range(3)]
        paged, after = [], ""
        while page := await offered.page(key(GUEST), "", after, 2):
            paged += [listed.name for listed in page]
            after = page[-1].name
        assert paged == seen


async def test_room_of_one_s_own_is_no_right_to_what_others_keep_beside_it(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        name = family.name("packs/1")
        await put(offered, OWNER, name)
        town.grant(key=None, keys=(key(BOB).hex(),))
        await put(offered, BOB, "f" * 64 + "/packs/2")
        for call in (
            offered.get(key(BOB), name, 0, 4),
            offered.delete(key(BOB), name),
            offered.page(key(BOB), family.name(""), "", 10),
            put(offered, BOB, family.name("packs/2")),
        ):
            with pytest.raises(NotGranted):
                await call
        assert [one.name for one in await offered.page(key(BOB), "", "", 10)] == ["f" * 64 + "/packs/2"]
        await put(offered, OWNER, *family.add(Role.READER, BOB))
        assert await offered.get(key(BOB), name, 0, 4) == b"data"
        with pytest.raises(NotGranted):
            await offered.delete(key(BOB), name)  # his own room makes a reader nothing more
        town.grant(key=None, keys=(key(CARL).hex(),), spaces=(family.space.hex(),), may=("get",))
        assert await offered.get(key(CARL), name, 0, 4) == b"data"  # as whoever owns the node has said


async def test_a_listing_of_a_space_alone_that_may_not_be_read_is_refused_and_not_empty(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        assert await offered.page(key(BOB), family.name("records/"), "", 100)
        await put(offered, OWNER, *family.remove(bob))
        with pytest.raises(NotGranted, match="put out"):
            await offered.page(key(BOB), family.name("records/"), "", 100)
        with pytest.raises(NotGranted):
            await offered.page(key(STRANGER), family.name(""), "", 100)


async def test_a_removal_that_the_owner_puts_into_his_folder_himself_is_heeded_by_the_next_look(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, family.name("packs/1"))
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        await offered.store.put(ObjectName(family.name(f"records/{0:064x}")), [b"junk"])
        assert await offered.get(key(BOB), family.name("packs/1"), 0, 4) == b"data"
        await offered.look()
        own = await DiskStore.open(town.folder / "disk1")
        name, data = family.remove(bob)
        await own.put(name, [data])
        await own.aclose()
        await offered.look()
        with pytest.raises(NotGranted, match="put out"):
            await offered.get(key(BOB), family.name("packs/1"), 0, 4)


async def _read_for_ever(offered: Offered, who: DeviceKeys, name: str) -> None:
    while True:
        await offered.get(key(who), name, 0, 4)


async def test_a_node_at_work_looks_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "LOOKS_EVERY", 0.001)
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, family.name("packs/1"))
        await put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        assert await offered.get(key(BOB), family.name("packs/1"), 0, 4) == b"data"
        work = asyncio.create_task(town.node.work())
        own = await DiskStore.open(town.folder / "disk1")
        name, data = family.remove(bob)
        await own.put(name, [data])
        await own.aclose()
        async with asyncio.timeout(30):
            with pytest.raises(NotGranted, match="put out"):
                await _read_for_ever(offered, BOB, family.name("packs/1"))
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_grants_count_from_the_next_call_without_a_look(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        grant = town.grant()
        await put(offered, GUEST, "a")
        before = town.node.file.load()
        town.node.file.update(lambda old: replace(old, grants=tuple(one for one in old.grants if one.id != grant)))
        with pytest.raises(NotGranted):
            await put(offered, GUEST, "b")
        town.node.file.update(lambda _: before)
        await put(offered, GUEST, "b")
        (town.folder / "new").write_text("grants = 7")
        (town.folder / "new").rename(town.node.file.path)
        await put(offered, GUEST, "c")  # what cannot be understood changes nothing
        with pytest.raises(NodeSettingsDamaged):
            await town.node.look()
        (town.folder / "new").write_text("format = 1")
        (town.folder / "new").rename(town.node.file.path)
        with pytest.raises(NotGranted):
            await put(offered, GUEST, "d")


async def test_what_an_offer_is_called_changes_nothing_of_its_accounts(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        family = Family.make()
        await founded(town, offered, family)
        await put(offered, OWNER, family.name("packs/1"))
        await offered.delete(key(OWNER), family.name("packs/1"))
        used, labels = offered._register.used(offered.account), await trashed(offered, family)
        settings = town.node.file.load()
        town.node.file.update(
            lambda old: msgspec.structs.replace(
                old,
                offers={"other": settings.offers["disk1"]},
                grants=tuple(msgspec.structs.replace(grant, offer="other") for grant in old.grants),
            )
        )
        await town.node.look()
        offered = town.node.offers["other"]
        assert offered._register.used(offered.account) == used
        assert await offered.take_back(key(OWNER), family.space, labels) == 1


async def test_one_store_is_offered_once(folder: Path) -> None:
    async with offered_in(folder) as (town, _):
        settings = town.node.file.load()
        twice = {**settings.offers, "again": settings.offers["disk1"]}
        town.node.file.update(lambda old: msgspec.structs.replace(old, offers=twice))
        with pytest.raises(NodeSettingsDamaged, match="under two names"):
            town.node.file.load()
