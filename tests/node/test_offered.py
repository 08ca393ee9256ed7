"""What a node does for whom: rights by grants and records, quota, trash; asked as the broker asks it.

Flow: a club's real records put into a node's store -> what its people may do there
Never: uses a network; the same calls over one are tests/remote's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from ropewalk.errors import Misuse, Unavailable
from ropewalk.node import node
from ropewalk.node.offered import LONGEST_VETO, Offered, Vetoed
from ropewalk.node.register import OverQuota
from ropewalk.node.rights import NotGranted
from ropewalk.node.settings import NodeSettingsDamaged
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import LARGEST_RECORD, NO_CUT, Membership, Policy, Role, create
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.wraps import deliver, open_ring
from ropewalk.spaces.store import LARGEST_HINT, DiskStore, NameTaken, NoSuchObject, ObjectName
from tests.node.making import GUEST, STRANGER, Town, a_node

OWNER, ANNA, BOB, CARL = (DeviceKeys(bytes([number]) * 32) for number in range(1, 5))


def key(who: DeviceKeys | Ed25519PrivateKey) -> bytes:
    """By which a node knows somebody."""
    return who.public_key().public_bytes_raw() if isinstance(who, Ed25519PrivateKey) else who.public().ed25519


@dataclass
class Family:
    """A space of `OWNER`, with real signatures."""

    space: bytes
    objects: dict[ObjectName, bytes]

    @classmethod
    def make(cls) -> Family:
        paper = DeviceKeys(bytes([99]) * 32, PAPER).public()
        space, _, records = create(Policy(2, 4, 3, {"store": 2}), 1, OWNER, paper, 1)
        return cls(space, dict(records))

    def name(self, rest: str) -> str:
        return f"{self.space.hex()}/{rest}"

    def read(self) -> Membership:
        return Membership.read(self.space, self.objects.values())

    def author(self, by: DeviceKeys = OWNER) -> Author:
        return Author(self.read(), by, bytes(16), len(self.objects))

    def add(self, role: Role, who: DeviceKeys, by: DeviceKeys = OWNER) -> tuple[ObjectName, bytes]:
        """Let somebody in; the record."""
        author, epochs = self.author(by), self.read().epochs
        nonce, self.last = author.new_member()
        ring = open_ring(epochs, by).ring
        return self._kept(author.add(nonce, role, [who.public()], b"", [deliver(epochs, ring, who.public(), role)]))

    def remove(self, member: bytes, by: DeviceKeys = OWNER) -> tuple[ObjectName, bytes]:
        """Put somebody out; the record."""
        return self._kept(self.author(by).remove(member, NO_CUT))

    def _kept(self, made: tuple[ObjectName, bytes]) -> tuple[ObjectName, bytes]:
        self.objects[made[0]] = made[1]
        return made


async def _pieces(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def _put(offered: Offered, who: DeviceKeys | Ed25519PrivateKey, name: str, data: bytes = b"data") -> None:
    await offered.put(key(who), name, len(data), _pieces(data))


@pytest.fixture(autouse=True)
def _entries_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the numbers are those of the bytes; tests/node/test_quota.py has the others."""
    monkeypatch.setattr("ropewalk.node.register.ENTRY", 0)


@asynccontextmanager
async def _offered(folder: Path, **more: object) -> AsyncIterator[tuple[Town, Offered]]:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1", **more)).aclose()
        yield town, town.node.offers["disk1"]


# ---- rights ----------------------------------------------------------------------------------------------------------


async def test_a_stranger_may_nothing(folder: Path) -> None:
    async with _offered(folder) as (_, offered):
        family = Family.make()
        name = family.name("packs/1")
        hint = family.name("hints/" + "0" * 32)
        for call in (
            _put(offered, STRANGER, name),
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


async def _founded(town: Town, offered: Offered, family: Family) -> None:
    """The owner of a space was given room, and puts its first records there."""
    town.grant(key=None, keys=(key(OWNER).hex(),))
    await town.node.look()
    for name, data in family.objects.items():
        await _put(offered, OWNER, name, data)


async def test_who_stands_in_a_space_of_somebody_with_room_may_what_his_role_allows(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, family.name("packs/1"))
        with pytest.raises(NotGranted):
            await offered.get(key(ANNA), family.name("packs/1"), 0, 4)
        await _put(offered, OWNER, *family.add(Role.READER, ANNA))
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
        await _put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        for who in (ANNA, BOB, CARL):
            assert await offered.get(key(who), family.name("packs/1"), 0, 4) == b"data"
        with pytest.raises(NotGranted):
            await _put(offered, ANNA, family.name("packs/2"))
        await _put(offered, BOB, family.name("packs/2"))
        for who in (ANNA, BOB):
            with pytest.raises(NotGranted):
                await offered.delete(key(who), family.name("packs/2"))
        await offered.delete(key(CARL), family.name("packs/2"))
        with pytest.raises(NotGranted):
            await _put(offered, BOB, "f" * 64 + "/packs/2")


async def test_who_is_put_out_of_a_space_is_put_out_of_the_node_by_the_next_call(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        town.grant(key=None, keys=(key(BOB).hex(),))  # a grant of his own does not help him there
        await town.node.look()
        name = family.name("packs/1")
        await _put(offered, BOB, name, bytes(3 << 20))
        reading = offered.read(key(BOB), name, 0, None)
        assert len(await anext(reading)) == 1 << 20
        await _put(offered, OWNER, *family.remove(bob))
        with pytest.raises(NotGranted, match="put out"):
            await anext(reading)
        with pytest.raises(NotGranted, match="put out"):
            await _put(offered, BOB, family.name("packs/2"))
        assert await offered.page(key(BOB), "", "", 10) == []
        await _put(offered, BOB, "f" * 64 + "/packs/2")  # elsewhere his own grant holds


async def test_a_put_that_was_under_way_when_its_device_was_put_out_keeps_nothing(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        name = family.name("packs/1")

        async def pieces() -> AsyncIterator[bytes]:
            yield b"da"
            await _put(offered, OWNER, *family.remove(bob))
            yield b"ta"

        with pytest.raises(NotGranted):
            await offered.put(key(BOB), name, 4, pieces())
        with pytest.raises(NoSuchObject):
            await offered.get(key(OWNER), name, 0, 4)
        assert offered._register.used(offered.account) == sum(map(len, family.objects.values()))


async def test_records_are_deleted_by_nobody_and_read_again_after_a_restart(folder: Path) -> None:
    family = Family.make()
    async with _offered(folder) as (town, offered):
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.STEWARD, BOB))
        removal = family.remove(family.last)
        await _put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        await _put(offered, OWNER, *removal)
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


async def _trashed(offered: Offered, family: Family) -> list[str]:
    return [one.label for one in await offered.trash(key(OWNER), family.space, "", 1000)]


async def test_records_that_come_before_those_they_rest_on_count_once_these_are_there(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        first = dict(family.objects)
        late, early = family.add(Role.WRITER, ANNA), family.add(Role.WRITER, BOB)
        town.grant(key=None, keys=(key(OWNER).hex(),))
        await town.node.look()
        await _put(offered, OWNER, *early)
        for name, data in first.items():
            await _put(offered, OWNER, name, data)
        with pytest.raises(NotGranted):
            await _put(offered, BOB, family.name("packs/1"))
        await _put(offered, OWNER, *late)
        await _put(offered, BOB, family.name("packs/1"))


async def test_what_strangers_ask_pushes_out_nothing_that_was_understood(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
        removal = family.remove(family.last)
        await _put(offered, OWNER, *removal)
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
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        name, data = family.add(Role.READER, ANNA)
        for wrong in (family.name("records/" + "0" * 64), name):
            with pytest.raises(NotGranted, match="membership record"):
                await _put(offered, OWNER, wrong, bytes(size))
        assert [listed.name async for listed in offered.store.list(name)] == []
        await _put(offered, OWNER, name, data)


async def test_records_that_are_none_hold_up_nobody(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        for number in range(50):
            await offered.store.put(ObjectName(family.name(f"records/{number:064x}")), [b"junk"])
        await _put(offered, OWNER, *family.add(Role.READER, ANNA))
        await _put(offered, OWNER, family.name("packs/1"))
        assert await offered.get(key(ANNA), family.name("packs/1"), 0, 4) == b"data"


async def test_a_listing_shows_what_may_be_read_and_passes_over_the_rest(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
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
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        name = family.name("packs/1")
        await _put(offered, OWNER, name)
        town.grant(key=None, keys=(key(BOB).hex(),))
        await _put(offered, BOB, "f" * 64 + "/packs/2")
        for call in (
            offered.get(key(BOB), name, 0, 4),
            offered.delete(key(BOB), name),
            offered.page(key(BOB), family.name(""), "", 10),
            _put(offered, BOB, family.name("packs/2")),
        ):
            with pytest.raises(NotGranted):
                await call
        assert [one.name for one in await offered.page(key(BOB), "", "", 10)] == ["f" * 64 + "/packs/2"]
        await _put(offered, OWNER, *family.add(Role.READER, BOB))
        assert await offered.get(key(BOB), name, 0, 4) == b"data"
        with pytest.raises(NotGranted):
            await offered.delete(key(BOB), name)  # his own room makes a reader nothing more
        town.grant(key=None, keys=(key(CARL).hex(),), spaces=(family.space.hex(),), may=("get",))
        assert await offered.get(key(CARL), name, 0, 4) == b"data"  # as whoever owns the node has said


async def test_a_listing_of_a_space_alone_that_may_not_be_read_is_refused_and_not_empty(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
        bob = family.last
        assert await offered.page(key(BOB), family.name("records/"), "", 100)
        await _put(offered, OWNER, *family.remove(bob))
        with pytest.raises(NotGranted, match="put out"):
            await offered.page(key(BOB), family.name("records/"), "", 100)
        with pytest.raises(NotGranted):
            await offered.page(key(STRANGER), family.name(""), "", 100)


async def test_a_removal_that_the_owner_puts_into_his_folder_himself_is_heeded_by_the_next_look(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, family.name("packs/1"))
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
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
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, family.name("packs/1"))
        await _put(offered, OWNER, *family.add(Role.WRITER, BOB))
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
    async with _offered(folder) as (town, offered):
        grant = town.grant()
        await _put(offered, GUEST, "a")
        before = town.node.file.load()
        town.node.file.update(lambda old: replace(old, grants=tuple(one for one in old.grants if one.id != grant)))
        with pytest.raises(NotGranted):
            await _put(offered, GUEST, "b")
        town.node.file.update(lambda _: before)
        await _put(offered, GUEST, "b")
        (town.folder / "node.toml").write_text("grants = 7")
        await _put(offered, GUEST, "c")  # what cannot be understood changes nothing
        with pytest.raises(NodeSettingsDamaged):
            await town.node.look()
        town.node.file._path.unlink()
        with pytest.raises(NotGranted):
            await _put(offered, GUEST, "d")


# ---- quota -----------------------------------------------------------------------------------------------------------


async def test_what_does_not_fit_is_refused_before_it_is_sent(folder: Path) -> None:
    async with _offered(folder, quota=1000) as (town, offered):
        town.grant(quota=100)
        await town.node.look()

        async def never() -> AsyncIterator[bytes]:
            yield b"it was asked for"
            pytest.fail("it was asked for")

        with pytest.raises(OverQuota, match="0 of 100"):
            await offered.put(key(GUEST), "a", 101, never())
        await _put(offered, GUEST, "a", bytes(60))
        with pytest.raises(OverQuota, match="60 of 100"):
            await offered.put(key(GUEST), "b", 41, never())
        await _put(offered, GUEST, "b", bytes(40))
        await _put(offered, GUEST, "b", bytes(40))  # again, which costs no more
        room = await offered.room(key(GUEST))
        assert room is not None
        assert (room.total, room.free) == (100, 0)


async def test_two_that_do_not_fit_together_are_not_both_begun(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        town.grant(quota=100)
        await town.node.look()
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            await go_on.wait()
            yield bytes(60)

        first = asyncio.create_task(offered.put(key(GUEST), "a", 60, slow()))
        await asyncio.sleep(0.01)
        with pytest.raises(OverQuota):
            await _put(offered, GUEST, "b", bytes(60))
        go_on.set()
        await first
        await _put(offered, GUEST, "c", bytes(40))


async def test_what_failed_or_was_there_already_costs_nothing(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        town.grant(quota=100)
        await town.node.look()

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(30)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await offered.put(key(GUEST), "a", 90, broken())
        with pytest.raises(Misuse):
            await offered.put(key(GUEST), "a", 90, _pieces(bytes(89)))
        await _put(offered, GUEST, "a", bytes(50))
        await _put(offered, GUEST, "a", bytes(50))
        with pytest.raises(NameTaken):
            await _put(offered, GUEST, "a", bytes(49))
        assert offered._register.used(offered.account) == 50


async def test_the_quota_of_all_guests_holds_for_all(folder: Path) -> None:
    async with _offered(folder, quota=100) as (town, offered):
        town.grant()
        town.grant(key=STRANGER)
        await town.node.look()
        await _put(offered, GUEST, "a", bytes(60))
        with pytest.raises(OverQuota, match="all that is offered"):
            await _put(offered, STRANGER, "b", bytes(60))
        await _put(offered, STRANGER, "b", bytes(40))


async def test_the_next_grant_pays_where_the_first_is_used_up(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        first, second = town.grant(quota=100), town.grant(quota=50)
        await town.node.look()
        await _put(offered, GUEST, "a", bytes(80))
        await _put(offered, GUEST, "b", bytes(50))
        assert [offered._register.used(offered.account, one) for one in (first, second)] == [80, 50]
        await _put(offered, GUEST, "c", bytes(20))
        with pytest.raises(OverQuota):
            await _put(offered, GUEST, "d", bytes(1))


async def test_a_hint_counts_the_same_whatever_replaces_it(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        town.grant(quota=LARGEST_HINT)
        await town.node.look()
        hint = "a" * 64 + "/hints/" + "0" * 32
        for data in (b"", b"x", bytes(LARGEST_HINT)):
            await offered.replace(key(GUEST), hint, data)
        assert offered._register.used(offered.account) == LARGEST_HINT
        with pytest.raises(OverQuota):
            await offered.replace(key(GUEST), "a" * 64 + "/hints/" + "1" * 32, b"")


async def test_what_was_used_is_known_after_a_restart(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        grant = town.grant(quota=100)
        await town.node.look()
        await _put(offered, GUEST, "a", bytes(60))
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        assert offered._register.used(offered.account, grant) == 60
        with pytest.raises(OverQuota):
            await _put(offered, GUEST, "b", bytes(60))


# ---- trash -----------------------------------------------------------------------------------------------------------


async def test_what_is_deleted_stays_for_its_time_and_is_paid_for_until_then(folder: Path) -> None:
    async with _offered(folder, keep=3600) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        records = offered._register.used(offered.account)
        name = family.name("packs/1")
        await _put(offered, OWNER, name, bytes(100))
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
    async with _offered(folder) as (town, offered):
        town.grant(quota=100)
        for _ in range(3):
            await _put(offered, GUEST, name, bytes(100))
            await offered.delete(key(GUEST), name)
            assert offered._register.used(offered.account) == 0
        await offered.delete(key(GUEST), name)
        assert await offered.store.aside() == set()


async def test_a_space_whose_genesis_was_deleted_keeps_its_trash_after_a_restart(folder: Path) -> None:
    family = Family.make()
    async with _offered(folder) as (town, offered):
        await _founded(town, offered, family)
        for number in (1, 2):
            await _put(offered, OWNER, family.name(f"packs/{number}"))
        await offered.delete(key(OWNER), family.name("packs/2"))
        for name in family.objects:
            await offered.store.delete(name)
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        await offered.delete(key(OWNER), family.name("packs/1"))
        assert len(await offered.store.aside()) == 2


async def test_an_admin_takes_back_what_a_steward_deleted(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, *family.add(Role.STEWARD, CARL))
        names = [family.name(f"packs/{number}") for number in range(3)]
        for name in names:
            await _put(offered, OWNER, name)
            await offered.delete(key(CARL), name)
        with pytest.raises(NotGranted, match="admin"):
            await offered.trash(key(CARL), family.space, "", 10)
        used = offered._register.used(offered.account)
        assert (
            await offered.take_back(key(OWNER), family.space, [*await _trashed(offered, family), "00", "", "zz"]) == 3
        )
        for name in names:
            assert await offered.get(key(OWNER), name, 0, 4) == b"data"
        assert offered._register.used(offered.account) == used
        assert await _trashed(offered, family) == []


async def test_a_name_that_is_given_again_stays_what_it_is(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        name = family.name("packs/1")
        await _put(offered, OWNER, name, b"old")
        await offered.delete(key(OWNER), name)
        await _put(offered, OWNER, name, b"new")
        assert await offered.take_back(key(OWNER), family.space, await _trashed(offered, family)) == 0
        assert await offered.get(key(OWNER), name, 0, 3) == b"new"
        assert len(await _trashed(offered, family)) == 1


async def test_a_veto_keeps_all_of_a_space_for_its_time(folder: Path) -> None:
    async with _offered(folder, keep=3600) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        for number in range(2):
            await _put(offered, OWNER, family.name(f"packs/{number}"))
        await offered.delete(key(OWNER), family.name("packs/0"))
        await offered.veto(key(OWNER), family.space, 10_000)
        with pytest.raises(Vetoed):
            await offered.delete(key(OWNER), family.name("packs/1"))
        await town.node._age(9_000)
        assert len(await _trashed(offered, family)) == 1
        await town.node._age(1_000)  # in which it ends
        await offered.delete(key(OWNER), family.name("packs/1"))
        for wrong in (-1, LONGEST_VETO + 1):
            with pytest.raises(Misuse):
                await offered.veto(key(OWNER), family.space, wrong)


async def test_deleting_what_is_not_there_is_done_already(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        used = offered._register.used(offered.account)
        await offered.delete(key(OWNER), family.name("packs/1"))
        assert await _trashed(offered, family) == []
        assert offered._register.used(offered.account) == used


async def test_a_crash_between_register_and_folder_is_settled_at_the_next_start(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, family.name("packs/1"))
        await offered._register.set_aside(offered.account, family.name("packs/1"), family.space, 4, 3600)  # and no more
        used = offered._register.used(offered.account)
        await offered.store.put(ObjectName("unknown"), [b"x"])
        await offered.store.set_aside(ObjectName("unknown"), "ab")  # of which the register lost its memory
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        assert await offered.get(key(OWNER), family.name("packs/1"), 0, 4) == b"data"
        assert await _trashed(offered, family) == []
        assert offered._register.used(offered.account) == used
        assert await offered.store.aside() == {"ab"}, "nobody said that it is gone for good"
        await town.node._age(7 * 86_400)
        assert await offered.store.aside() == set()


async def test_what_an_offer_is_called_changes_nothing_of_its_accounts(folder: Path) -> None:
    async with _offered(folder) as (town, offered):
        family = Family.make()
        await _founded(town, offered, family)
        await _put(offered, OWNER, family.name("packs/1"))
        await offered.delete(key(OWNER), family.name("packs/1"))
        used, labels = offered._register.used(offered.account), await _trashed(offered, family)
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
    async with _offered(folder) as (town, _):
        settings = town.node.file.load()
        twice = {**settings.offers, "again": settings.offers["disk1"]}
        town.node.file.update(lambda old: msgspec.structs.replace(old, offers=twice))
        with pytest.raises(NodeSettingsDamaged, match="under two names"):
            town.node.file.load()


async def test_a_space_with_more_records_than_a_node_follows_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.skeleton.MOST_NAMES", 10)
    async with _offered(folder) as (town, offered):
        family = Family.make()
        town.grant()
        await town.node.look()
        for number in range(11):
            await offered.store.put(ObjectName(family.name(f"records/{number:064x}")), [b"junk"])
        with pytest.raises(Unavailable, match="more than 10 records"):
            await offered.get(key(GUEST), family.name("packs/1"), 0, 1)
        with pytest.raises(NoSuchObject):
            await offered.get(key(GUEST), "f" * 64 + "/packs/1", 0, 1)
