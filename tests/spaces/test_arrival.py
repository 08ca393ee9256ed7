"""Arrival: who was invited comes into spaces, and rests on nothing that is not in the records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces import arrival as arrival_module
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.arrival import Shared, arrive
from ropewalk.spaces.discover import Discovery
from ropewalk.spaces.home import Home, Settings, SpaceSetting, StoreSetting
from ropewalk.spaces.invites import NEW_MEMBER, GrantedStore, Grants, Invited, NotAsOffered
from ropewalk.spaces.invites.messages import read_grants
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import Author, Role
from ropewalk.spaces.store import DiskStore, Store
from ropewalk.testing import letting_in
from tests.spaces.house import PAPER_KEY, STORES, House, admission, admit, built, come, create, joiner, let_in, signed
from tests.spaces.machines import keys_of
from tests.spaces.making import device

STEWARD, READER, WRITER, ADMIN = Role


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return await built(tmp_path)


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
        invited = Invited(one.offer, read_grants(await let_in(one, joiner())))
    for name in STORES:
        for path in _files(house.root / name) - held[name]:
            path.rename(house.root / f"{name}-{path.name}")
    await refused(house, invited, "do not show this device as a member")


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "records" in str(path)}


async def test_a_device_that_somebody_slipped_in_beside_ours_is_refused(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        one = admission(house, [space])
        async with space.group() as group:
            nonce = hashed("test nonce", space.core.space_id)[:16]
            member, _ = await letting_in.let_in(group, WRITER, "bob", keys_of("bob"), keys_of("eve"), nonce=nonce)
        assert member != signed(joiner()).member_in(one.offer, 0)
        invited = Invited(one.offer, read_grants(await let_in(one, joiner())))
    await refused(house, invited, "other keys than those that were named")


async def test_without_any_store_nobody_comes(house: House) -> None:
    invited = await admit(house)
    stores = [msgspec.structs.replace(one, paths=[]) for one in invited.grants.stores]
    nowhere = replace(invited, grants=msgspec.structs.replace(invited.grants, stores=stores))
    await refused(house, nowhere, "none of the 3 stores", Misuse)
    gone = [msgspec.structs.replace(one, paths=[f"{one.paths[0]}-gone"]) for one in invited.grants.stores]
    await refused(house, replace(invited, grants=msgspec.structs.replace(invited.grants, stores=gone)), "none", Misuse)
    swapped = [
        msgspec.structs.replace(one, paths=other.paths)
        for one, other in zip(invited.grants.stores, reversed(invited.grants.stores), strict=True)
    ]
    (here,) = await come(house, replace(invited, grants=_with_stores(invited.grants, swapped)))
    assert list(here.stores) == ["s1"], "what is at the place of another store is not taken for it"
    assert len(here.missing) == 2


async def test_the_ways_to_a_store_are_tried_in_their_order(house: House) -> None:
    invited = await admit(house)
    told = {one.identity: one.paths[0] for one in invited.grants.stores}
    wrong = [*told.values()][::-1]  # of the first store that of the third, of the second its own
    stores = [
        msgspec.structs.replace(
            one, paths=["tls://nobody", "relative", way, told[one.identity], "/never/looked/at"][:4]
        )
        for one, way in zip(invited.grants.stores, wrong, strict=True)
    ]
    (here,) = await come(house, replace(invited, grants=_with_stores(invited.grants, stores)))
    assert len(here.stores) == 3
    assert here.missing == []
    settings = house.home("bob").load().stores
    assert {bytes.fromhex(one.id): one.path for one in settings.values()} == told


async def test_stores_that_take_long_are_tried_side_by_side(house: House) -> None:
    invited = await admit(house)
    all_asked, asked = asyncio.Event(), set[str]()

    async def open_store(place: str, identity: bytes) -> Store:
        asked.add(place)
        if len(asked) == len(invited.grants.stores):
            all_asked.set()
        await all_asked.wait()  # one after the other they would wait for ever
        return await DiskStore.open(place, identity)

    async with asyncio.timeout(30):
        (here,) = await come(house, invited, open_store=open_store)
    assert len(here.stores) == 3


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
        grants = read_grants(await let_in(one, joiner()))
    assert [store.paths for store in grants.stores] == [[], [], []]
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

    monkeypatch.setattr(arrival_module, "discover", looks)
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
    await create(house, "music")
    invited = await admit(house, ("photos", "music"), None)
    first, second = invited.grants.spaces
    wrong = msgspec.structs.replace(invited.grants, spaces=[msgspec.structs.replace(first, epoch=bytes(32)), second])
    left: list[tuple[str, RopewalkError]] = []
    (here,) = await come(house, replace(invited, grants=wrong), left=lambda *one: left.append(one))
    assert here.space == second.space
    assert {one.id for one in house.home("bob").load().spaces.values()} == {second.space.hex()}
    assert [(name, type(error)) for name, error in left] == [(first.name, NotAsOffered)]


async def test_a_steward_comes_and_reads_nothing(house: House) -> None:
    invited = await admit(house, role=STEWARD)
    (here,) = await come(house, invited)
    assert here.role is STEWARD
    async with house.open("bob", "photos") as (space,):
        with pytest.raises(Refused, match="steward"):
            await space.current()


# ---- later, and again ------------------------------------------------------------------------------------------------


async def test_a_role_may_be_changed_before_somebody_comes(house: House) -> None:
    """The stores were away for a day; what was offered was true when it was."""
    invited = await admit(house)
    async with house.open("admin", "photos") as (space,), space.group() as group:
        await group.set_role(signed(joiner()).member_in(invited.offer, 0), READER)
    (here,) = await come(house, invited)
    assert here.role is READER


async def test_who_was_put_out_meanwhile_does_not_come(house: House) -> None:
    invited = await admit(house)
    async with house.open("admin", "photos") as (space,), space.group() as group:
        await group.remove(signed(joiner()).member_in(invited.offer, 0))
    await refused(house, invited, "put out since")


async def test_a_grant_of_another_member_must_be_ours(house: House) -> None:
    invited = await admit(house)
    async with house.open("admin", "photos") as (space,):
        admins = space.core.membership.state.admins()[0].id
    (grant,) = invited.grants.spaces
    grants = msgspec.structs.replace(invited.grants, spaces=[msgspec.structs.replace(grant, member=admins)])
    await refused(house, replace(invited, grants=grants), "somebody else")


async def test_one_more_device_is_one_of_the_member_that_was_offered(house: House) -> None:
    """A member of the inviter's choice, by whom the machine was let in, is not what it was invited to."""
    invited = await admit(house, role=None)
    (offered,) = invited.offer.spaces
    (grant,) = invited.grants.spaces
    offer = msgspec.structs.replace(invited.offer, spaces=[msgspec.structs.replace(offered, member=bytes(16))])
    grants = msgspec.structs.replace(invited.grants, spaces=[msgspec.structs.replace(grant, member=offered.member)])
    await refused(house, replace(invited, offer=offer, grants=grants), "for another member")
    await come(house, invited)


async def test_who_was_let_in_together_with_somebody_is_not_given_anew_quietly(house: House) -> None:
    """The keys of another would act in our place, whoever let them in, and whenever."""
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            await letting_in.let_in(group, WRITER, "bob", keys_of("bob"), keys_of("eve"))
        one = admission(house, [space])
        invited = Invited(one.offer, read_grants(await let_in(one, joiner())))
    assert invited.grants.spaces[0].member is not None
    await refused(house, invited, "other keys than those that were named")


# ---- whose keys act in our place -------------------------------------------------------------------------------------


async def shared(house: House) -> tuple[Invited, bytes]:
    """Whoever invites has turned: "bob" is eve, whose machine let bob's in; what bob is given, and eve's device."""
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            eve, _ = await letting_in.let_in(group, WRITER, "bob", keys_of("eve"))
        async with space.group():
            author = Author(space.core.membership, keys_of("eve"), b"e" * 16, 1)
            agreed = letting_in.consents(space.core.space_id, eve, 0, [keys_of("bob")])
            await send_record(space.core, *author.device(keys_of("bob").public(), b"", consents=agreed))
        one = admission(house, [space])
        return Invited(one.offer, read_grants(await let_in(one, joiner()))), keys_of("eve").public().id


async def test_one_more_device_of_somebody_is_not_a_new_member_unasked(house: House) -> None:
    """Where nobody is there to be asked, and where he says no."""
    invited, eve = await shared(house)
    assert (invited.offer.kind, invited.grants.spaces[0].member is None) == (NEW_MEMBER, False)
    await refused(house, invited, f"one more device of bob, which has these: device {eve.hex()[:8]}")
    asked: list[Shared] = []

    def says_no(one: Shared) -> bool:
        asked.append(one)
        return False

    before = house.home("bob").load()
    with pytest.raises(NotAsOffered, match="one more device"):
        await come(house, invited, confirm=says_no)
    assert house.home("bob").load() == before
    (one,) = asked
    assert (one.space, one.member, one.name) == ("photos", invited.grants.spaces[0].member, "bob")
    assert list(one.devices) == [(eve, f"device {eve.hex()[:8]}")]


async def test_who_says_that_the_other_devices_are_his_comes_as_one_more(house: House) -> None:
    invited, _ = await shared(house)
    (here,) = await come(house, invited, confirm=lambda _: True)
    assert (here.own, here.role) == (True, WRITER)


async def test_a_new_member_is_none_who_was_there(house: House) -> None:
    """The inviter lets the joiner in as a device of its own member, and offers a new one."""
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            await letting_in.let_in_device(group, "bobs", keys_of("bob"))
        one = admission(house, [space], None)
        invited = Invited(one.offer, read_grants(await let_in(one, joiner(with_paper=False))))
    offer = msgspec.structs.replace(invited.offer, kind=NEW_MEMBER)
    with pytest.raises(NotAsOffered, match="somebody else than was offered"):
        await arrive(
            house.home("bob"),
            keys_of("bob"),
            signed(joiner(with_paper=False)),
            replace(invited, offer=offer),
            confirm=lambda _: True,
        )


async def test_who_is_added_twice_at_once_comes_as_nobody_else(house: House) -> None:
    """With the same nonce and an accomplice's keys: that is another member, whom nobody takes for this one."""
    async with house.open("admin", "photos") as (space,):
        one = admission(house, [space])
        nonce = hashed("test nonce", space.core.space_id)[:16]
        async with space.group():
            other = Author(space.core.membership, device(), b"o" * 16, 1)
            agreed = letting_in.consents(space.core.space_id, one.offer.spaces[0].member, WRITER, [keys_of("eve")])
            twin = other.add(nonce, WRITER, [keys_of("eve").public()], b"", consents=agreed)
        grants = read_grants(await let_in(one, joiner()))
        async with space.group():
            await send_record(space.core, *twin)
            state = space.core.membership.state
            mine = state.members[state.devices[keys_of("bob").public().id]]
            assert mine.devices == (PAPER_KEY.public().id, keys_of("bob").public().id)
            assert state.devices[keys_of("eve").public().id] != mine.id
    (here,) = await come(house, Invited(one.offer, grants))
    assert (here.own, here.role) == (False, WRITER)


async def test_spaces_that_are_here_are_left_alone(house: House) -> None:
    await create(house, "music")
    invited = await admit(house, ("photos", "music"), None)
    first, second = invited.grants.spaces
    (here,) = await come(house, invited, here={first.space})
    assert here.space == second.space
    assert len(house.home("bob").load().spaces) == 1


async def test_wherever_coming_stops_it_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends before, or right after, any write of the settings; another one goes on with the same."""
    invited = await admit(house)
    update = Home.update
    stopped = True
    for stop in range(20):
        for after in (False, True):
            name = f"bob{stop}{after}"
            calls = 0

            def stopping(
                home: Home, change: Callable[[Settings], Settings], stop: int = stop, after: bool = after
            ) -> Settings:
                nonlocal calls
                calls += 1
                if calls - 1 < stop or (calls - 1 == stop and after):
                    settings = update(home, change)
                    if calls - 1 < stop:
                        return settings
                raise Stopped

            home = house.home(name)
            with monkeypatch.context() as dying:
                dying.setattr(Home, "update", stopping)
                stopped = False
                stopped = False
                try:
                    await arrive(home, keys_of("bob"), signed(joiner()), invited)
                except Stopped:
                    stopped = True
            known = home.load().spaces.values()
            here = {bytes.fromhex(one.id) for one in known}
            found = await arrive(home, keys_of("bob"), signed(joiner()), invited, here=here)
            assert len(found) + len(here) == 1
            assert sorted(home.space("photos").stores) == list(STORES)
            assert set(home.load().stores) == set(STORES)
        if not stopped:
            assert stop >= len(STORES)
            return
    pytest.fail("it never came to its end")


class Stopped(BaseException):
    """The process ends; nothing may catch it and go on."""
