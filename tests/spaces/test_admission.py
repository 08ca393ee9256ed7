"""Admission: somebody is let into spaces, and comes into them; neither rests on what is not in the records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces import admission as admission_module
from ropewalk.spaces.admission import Admission, Arrival, arrive
from ropewalk.spaces.discover import Discovery
from ropewalk.spaces.group import BelowFloor
from ropewalk.spaces.home import Home, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.invites import (
    NEW_DEVICE,
    GrantedStore,
    Grants,
    Invited,
    JoinerKeys,
    NotAsOffered,
)
from ropewalk.spaces.invites.messages import read_grants
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NO_CUT, Author, Role
from ropewalk.spaces.opening import create_space, open_store, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Copies
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.store import DiskStore, ObjectName, Store
from ropewalk.testing.faults import StopAfter
from tests.spaces.crashing import NEVER, is_stop
from tests.spaces.machines import keys_of
from tests.spaces.making import device, paper

STEWARD, READER, WRITER, ADMIN = Role
STORES = ("s0", "s1", "s2")
PAPER_KEY = DeviceKeys(hashed("test paper", b""), PAPER)


@dataclass
class House:
    """Folders that are stores, and homes over them."""

    root: Path

    def home(self, name: str) -> Home:
        return Home(self.root / name / "config", self.root / name / "state")

    @asynccontextmanager
    async def open(
        self, name: str, *spaces: str, around: Callable[[Store], Store] = lambda store: store
    ) -> AsyncIterator[list[Space]]:
        async def opened(path: str, identity: bytes) -> Store:
            return around(await open_store(path, identity))

        async with AsyncExitStack() as stack:
            keys = device() if name == "admin" else keys_of(name)
            yield [
                await stack.enter_async_context(
                    await open_space(self.home(name), one, keys, threads=1, pay_every=3600, open_store=opened)
                )
                for one in spaces
            ]


@pytest.fixture
async def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    home = house.home("admin")
    for name in STORES:
        folder = tmp_path / name
        store = await DiskStore.create(folder)
        home.add_store(name, StoreSetting(str(folder), store.identity.hex(), {"machine": name}))
        await store.aclose()
    await _create(house, "photos")
    return house


async def _create(house: House, name: str) -> None:
    policy = plan_policy([StoreDomains(one) for one in STORES], {"store": 1})
    await create_space(
        *(house.home("admin"), name, STORES, policy, 1, device(), paper().public()),
        clock=lambda: 0.0,
        now=lambda: 1,
    )


def joiner(name: str = "bob", *, with_paper: bool = True) -> JoinerKeys:
    return JoinerKeys(keys_of(name).public(), PAPER_KEY.public() if with_paper else None, name, f"{name}s laptop")


def admission(house: House, spaces: Sequence[Space], role: Role | None = WRITER, name: str = "") -> Admission:
    nonces = {space.core.space_id: hashed("test nonce", space.core.space_id)[:16] for space in spaces}
    return Admission(house.home("admin"), spaces, 1 << 60, role=role, name=name, nonces=nonces)


async def admit(house: House, spaces: Sequence[str] = ("photos",), role: Role | None = WRITER) -> Invited:
    """Somebody is let in; what the ceremony would leave with the joiner."""
    async with house.open("admin", *spaces) as opened:
        one = admission(house, opened, role)
        return Invited(one.offer, read_grants(await one.admit(joiner())))


# ---- letting in ------------------------------------------------------------------------------------------------------


async def test_who_was_admitted_arrives_and_reads_and_writes(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        await space.write("old", b"1")
    invited = await admit(house)
    (here,) = await come(house, invited)
    assert (here.name, here.role, here.member_name, here.missing) == ("photos", WRITER, "bob", [])
    assert list(here.stores) == list(STORES)
    async with house.open("bob", "photos") as (space,):
        assert await space.read("old") == b"1"
        await space.write("new", b"2")
        assert {machine.paper for one in space.people() if one.ours for machine in one.machines} == {True, False}
    async with house.open("admin", "photos") as (space,):
        assert await space.read("new") == b"2"


async def test_one_more_device_comes_into_all_spaces(house: House) -> None:
    await _create(house, "music")
    invited = await admit(house, ("photos", "music"), None)
    assert invited.offer.kind == NEW_DEVICE
    found = await come(house, invited)
    assert {one.name for one in found} == {"photos", "music"}
    async with house.open("bob", "photos", "music") as spaces:
        for space in spaces:
            (person,) = space.people()
            assert [machine.name for machine in person.machines if machine.ours] == ["bobs laptop"]
            assert person.role is ADMIN


async def test_to_admit_again_only_gives_again(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        first = admission(house, [space])
        one = read_grants(await first.admit(joiner()))
        before = len(space.core.membership.records)
        again = Admission.again(house.home("admin"), [space], first.offer, first.note)
        other = read_grants(await again.admit(joiner()))
        assert [grant.secrets for grant in one.spaces] == [grant.secrets for grant in other.spaces]
        assert len(space.core.membership.records) == before
        other_nonce = {space.core.space_id: bytes(16)}
        another = Admission(house.home("admin"), [space], 1 << 60, role=READER, nonces=other_nonce)
        with pytest.raises(Misuse, match="already"):
            await another.admit(joiner())


@pytest.mark.slow
async def test_wherever_letting_in_stops_it_can_be_done_again(house: House) -> None:
    """The inviter's process ends at a store call; with what it kept of the invite another one lets the same keys in."""
    for call in range(1000):
        who = JoinerKeys(keys_of(f"joiner{call}").public(), None, "", "laptop")
        nonces = {bytes.fromhex(house.home("admin").space("photos").id): call.to_bytes(16, "big")}
        stop = StopAfter(NEVER)
        kept: list[Admission] = []
        try:
            async with house.open("admin", "photos", around=stop.around) as (space,):
                kept.append(Admission(house.home("admin"), [space], 1 << 60, role=WRITER, nonces=nonces))
                stop._stop_at = stop.calls + call
                await kept[0].admit(who)
        except BaseException as error:
            if not is_stop(error):
                raise
        if not stop.stopped:
            break
        async with house.open("admin", "photos") as (space,):
            again = Admission.again(house.home("admin"), [space], kept[0].offer, kept[0].note)
            invited = Invited(again.offer, read_grants(await again.admit(who)))
            assert not space.core.membership.doubled
        home = house.home(f"joiner{call}")
        (here,) = await arrive(home, keys_of(f"joiner{call}"), invited)
        assert here.role is WRITER
        async with house.open(f"joiner{call}", "photos") as (space,):
            assert len(space.people()) == call + 2, "nobody is there twice"
    assert call > 5


async def test_an_offer_that_holds_no_more_is_not_made_again(house: House) -> None:
    await _create(house, "music")
    async with house.open("admin", "photos", "music") as (photos, music):
        kept = admission(house, [photos])
        with pytest.raises(Misuse, match="another space"):
            Admission.again(house.home("admin"), [music], kept.offer, kept.note)
        changed = msgspec.structs.replace(kept.offer, inviter=keys_of("bob").public())
        with pytest.raises(Misuse, match="does not hold"):
            Admission.again(house.home("admin"), [photos, music], changed, kept.note)


async def test_only_admins_invite_and_anybody_adds_a_device(house: House) -> None:
    await come(house, await admit(house, role=READER))
    async with house.open("bob", "photos") as (space,):
        with pytest.raises(Refused, match="you are a reader"):
            admission(house, [space])
        own = Admission(house.home("bob"), [space], 1 << 60)
        invited = Invited(own.offer, read_grants(await own.admit(joiner("laptop"))))
    await arrive(house.home("laptop"), keys_of("laptop"), invited)
    async with house.open("laptop", "photos") as (space,):
        assert space.core.membership.state.role_of(keys_of("laptop").public().id) is READER
    async with house.open("admin", "photos") as (space,), space.group() as group:
        await group.remove(space.core.membership.state.devices[keys_of("bob").public().id])
    async with house.open("bob", "photos") as (space,):
        await space._list()
        with pytest.raises(Refused, match="does not belong"):
            Admission(house.home("bob"), [space], 1 << 60)


async def test_secrets_are_of_an_epoch_that_is_on_the_floor(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is gone, and the epoch that must follow cannot be put: nothing is given of it."""
    async with house.open("admin", "photos") as (space,):
        core = space.core
        async with space.group() as group:
            carl, _ = await group.add(READER, "carl", [keys_of("carl").public()])
        one = admission(house, [space])
        author = Author(core.membership, device(), core.incarnation, 1)
        await send_record(core, *author.remove(carl, NO_CUT))
        puts = core.pool.put_copies
        sent: list[str] = []

        async def fails(name: ObjectName, data: bytes, **rest: Any) -> Copies:
            sent.append(str(name))
            return await puts(name, data, among=[] if len(sent) > 1 else None, **rest)

        monkeypatch.setattr(core.pool, "put_copies", fails)
        with pytest.raises(BelowFloor, match="in too few stores"):
            await one.admit(joiner())


# ---- coming ----------------------------------------------------------------------------------------------------------


async def come(house: House, invited: Invited, **rest: Any) -> list[Arrival]:
    """What comes of it on bob's machine."""
    return await arrive(house.home("bob"), keys_of("bob"), invited, paper=PAPER_KEY.public(), **rest)


async def refused(house: House, invited: Invited, match: str, error: type[RopewalkError] = NotAsOffered) -> None:
    """Nobody comes, and nothing of it is left."""
    home = house.home("bob")
    before = home.load()
    with pytest.raises(error, match=match):
        await come(house, invited)
    assert home.load() == before


async def test_an_offer_of_another_role_or_member_is_refused(house: House) -> None:
    invited = await admit(house)
    (space,) = invited.offer.spaces
    for wrong in (
        msgspec.structs.replace(space, role=int(READER)),
        msgspec.structs.replace(space, member=bytes(16)),
    ):
        offer = msgspec.structs.replace(invited.offer, spaces=[wrong])
        await refused(house, replace(invited, offer=offer), "somebody else")
    other = msgspec.structs.replace(invited.offer, inviter=keys_of("eve").public())
    await refused(house, replace(invited, offer=other), "no record by the device that invited")


async def test_secrets_that_are_none_are_refused(house: House) -> None:
    invited = await admit(house)
    (grant,) = invited.grants.spaces
    for wrong in (
        msgspec.structs.replace(grant, secrets=bytes(96)),
        msgspec.structs.replace(grant, secrets=grant.secrets[:95] + b"\0"),
        msgspec.structs.replace(grant, epoch=bytes(32)),
    ):
        grants = msgspec.structs.replace(invited.grants, spaces=[wrong])
        await refused(house, replace(invited, grants=grants), "none of this space's")


async def test_a_space_that_is_none_or_whose_records_are_withheld_is_refused(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        one = admission(house, [space])
        held = {name: _files(house.root / name) for name in STORES}
        invited = Invited(one.offer, read_grants(await one.admit(joiner())))
    for name in STORES:
        for path in _files(house.root / name) - held[name]:
            path.rename(house.root / f"{name}-{path.name}")
    await refused(house, invited, "do not show this device as a member")


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "records" in str(path)}


async def test_a_device_that_somebody_slipped_in_beside_ours_is_refused(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        one = admission(house, [space])
        (offered,) = one.offer.spaces
        async with space.group() as group:
            nonce = hashed("test nonce", space.core.space_id)[:16]
            keys = [keys_of("bob").public(), keys_of("eve").public()]
            member, _ = await group.add(WRITER, "bob", keys, nonce)
        assert member == offered.member
        invited = Invited(one.offer, read_grants(await one.admit(joiner())))
    await refused(house, invited, "other keys than those that were named")


async def test_without_any_store_nobody_comes(house: House) -> None:
    invited = await admit(house)
    stores = [msgspec.structs.replace(one, path="") for one in invited.grants.stores]
    nowhere = replace(invited, grants=msgspec.structs.replace(invited.grants, stores=stores))
    await refused(house, nowhere, "none of the 3 stores", Misuse)
    gone = [msgspec.structs.replace(one, path=f"{one.path}-gone") for one in invited.grants.stores]
    await refused(house, replace(invited, grants=msgspec.structs.replace(invited.grants, stores=gone)), "none", Misuse)
    swapped = [
        msgspec.structs.replace(one, path=other.path)
        for one, other in zip(invited.grants.stores, reversed(invited.grants.stores), strict=True)
    ]
    (here,) = await come(house, replace(invited, grants=_with_stores(invited.grants, swapped)))
    assert list(here.stores) == ["s1"], "what is at the place of another store is not taken for it"
    assert len(here.missing) == 2


def _with_stores(grants: Grants, stores: Sequence[GrantedStore]) -> Grants:
    return msgspec.structs.replace(grants, stores=list(stores))


async def test_a_store_that_hides_the_records_is_one_of_the_space_all_the_same(house: House) -> None:
    invited = await admit(house)
    for path in _files(house.root / "s1"):
        path.unlink()
    (here,) = await come(house, invited)
    assert sorted(here.stores) == list(STORES)
    assert sorted(house.home("bob").space("photos").stores) == list(STORES)


async def test_places_are_told_only_if_that_is_wanted(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        nonces = {space.core.space_id: bytes(16)}
        one = Admission(house.home("admin"), [space], 1 << 60, role=READER, nonces=nonces, places=False)
        grants = read_grants(await one.admit(joiner()))
    assert [store.path for store in grants.stores] == ["", "", ""]
    home = house.home("bob")
    home.add_store("mine", StoreSetting(str(house.root / "s1"), grants.stores[1].identity.hex()))
    (here,) = await come(house, Invited(one.offer, grants))
    assert (list(here.stores), len(here.missing)) == (["mine"], 2)


async def test_a_store_that_something_else_uses_meanwhile_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    invited = await admit(house)
    home = house.home("bob")
    other = SpaceSetting("cd" * 32, ["s0"])

    async def looks(*_: object) -> Discovery:
        home.update(lambda now: msgspec.structs.replace(now, spaces={"other": other}))
        return Discovery([], 0, [])

    monkeypatch.setattr(admission_module, "discover", looks)
    with pytest.raises(NotAsOffered):
        await come(house, invited)
    assert set(home.load().stores) == {"s0"}
    assert home.load().spaces == {"other": other}


async def test_names_that_are_taken_or_unfit_get_others(house: House) -> None:
    home = house.home("bob")
    home.add_store("s0", StoreSetting("/elsewhere", "ab" * 16))
    taken = SpaceSetting("cd" * 32, ["s0"])
    home.update(lambda now: msgspec.structs.replace(now, spaces={"photos": taken}))
    (here,) = await come(house, await admit(house))
    assert here.name == "photos-2"
    assert list(here.stores) == ["s0-2", "s1", "s2"]
    assert home.space("photos") == taken


async def test_who_comes_again_keeps_the_name_and_the_stores(house: House) -> None:
    invited = await admit(house)
    home = house.home("bob")
    await come(house, invited)
    (grant,) = invited.grants.spaces
    fewer = msgspec.structs.replace(invited.grants, spaces=[msgspec.structs.replace(grant, stores=[0])])
    (here,) = await come(house, replace(invited, grants=fewer), name="another")
    assert here.name == "photos"
    assert sorted(home.space("photos").stores) == list(STORES)


async def test_what_goes_wrong_with_one_space_does_not_keep_us_from_the_others(house: House) -> None:
    await _create(house, "music")
    invited = await admit(house, ("photos", "music"), None)
    first, second = invited.grants.spaces
    wrong = msgspec.structs.replace(invited.grants, spaces=[msgspec.structs.replace(first, epoch=bytes(32)), second])
    left: list[tuple[str, RopewalkError]] = []
    (here,) = await come(house, replace(invited, grants=wrong), left=lambda *one: left.append(one))
    assert here.space == second.space
    assert {one.id for one in house.home("bob").load().spaces.values()} == {second.space.hex()}
    assert [(name, type(error)) for name, error in left] == [(first.name, NotAsOffered)]


async def test_a_steward_comes_and_is_told_that_he_reads_nothing(house: House) -> None:
    invited = await admit(house, role=STEWARD)
    (here,) = await come(house, invited)
    assert here.role is STEWARD
    with pytest.raises(Refused, match="steward"):
        async with house.open("bob", "photos"):
            pass
