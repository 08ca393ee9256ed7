"""Admission: somebody is let into spaces, once, and with what is on the floor of stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk.errors import Misuse, Refused
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.arrival import arrive
from ropewalk.spaces.group import BelowFloor, TooOld
from ropewalk.spaces.invites import NEW_DEVICE, Invited, JoinerKeys
from ropewalk.spaces.invites.messages import read_grants
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NO_CUT, Author, Role
from ropewalk.spaces.pool.pool import Copies
from ropewalk.spaces.store import ObjectName
from ropewalk.testing import letting_in
from ropewalk.testing.faults import StopAfter
from tests.spaces.crashing import NEVER, is_stop
from tests.spaces.house import PAPER_KEY, STORES, House, admission, admit, built, come, create, joiner, let_in, signed
from tests.spaces.machines import keys_of
from tests.spaces.making import device, paper

_, READER, WRITER, ADMIN = Role


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return await built(tmp_path)


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
    await create(house, "music")
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
        one = read_grants(await let_in(first, joiner()))
        before = len(space.core.membership.records)
        again = Admission.again(house.home("admin"), [space], first.offer, first.note)
        other = read_grants(await let_in(again, joiner()))
        assert [grant.secrets for grant in one.spaces] == [grant.secrets for grant in other.spaces]
        assert len(space.core.membership.records) == before
        other_nonce = {space.core.space_id: bytes(16)}
        another = Admission(house.home("admin"), [space], 1 << 60, role=READER, nonces=other_nonce)
        with pytest.raises(Misuse, match="already"):
            await let_in(another, joiner())


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
                await let_in(kept[0], who, keys_of(f"joiner{call}"))
        except BaseException as error:
            if not is_stop(error):
                raise
        if not stop.stopped:
            break
        async with house.open("admin", "photos") as (space,):
            again = Admission.again(house.home("admin"), [space], kept[0].offer, kept[0].note)
            invited = Invited(again.offer, read_grants(await let_in(again, who, keys_of(f"joiner{call}"))))
            assert not space.core.membership.doubled
        home = house.home(f"joiner{call}")
        (here,) = await arrive(home, keys_of(f"joiner{call}"), signed(who), invited)
        assert here.role is WRITER
        async with house.open(f"joiner{call}", "photos") as (space,):
            assert len(space.people()) == call + 2, "nobody is there twice"
    assert call > 5


async def test_an_offer_that_holds_no_more_is_not_made_again(house: House) -> None:
    await create(house, "music")
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
        invited = Invited(own.offer, read_grants(await let_in(own, joiner("laptop"))))
    await arrive(house.home("laptop"), keys_of("laptop"), signed(joiner("laptop")), invited)
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
            carl, _ = await letting_in.let_in(group, READER, "carl", keys_of("carl"))
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
            await let_in(one, joiner())


# ---- who is in already -----------------------------------------------------------------------------------------------


async def again(
    house: House, by: str = "admin", role: Role | None = WRITER, nonce: int = 7
) -> tuple[Admission, Invited]:
    """Bob's keys are let in by another invite than the first."""
    async with house.open(by, "photos") as (space,):
        nonces = {space.core.space_id: bytes([nonce]) * 16}
        one = Admission(house.home(by), [space], 1 << 60, role=role, name="another", nonces=nonces)
        before = len(space.core.membership.records)
        invited = Invited(one.offer, read_grants(await let_in(one, joiner())))
        assert len(space.core.membership.records) == before, "somebody was let in twice"
        return one, invited


async def test_a_new_invite_gives_anew_to_who_is_in_already(house: House) -> None:
    """As when the welcome was lost: the offer promises another member, and the grants say which it is."""
    await admit(house)
    one, invited = await again(house)
    assert one.already == {invited.offer.spaces[0].space}
    (grant,) = invited.grants.spaces
    assert grant.member not in (None, invited.offer.spaces[0].member)
    (here,) = await come(house, invited)
    assert (here.role, here.member_name) == (WRITER, "bob")
    async with house.open("bob", "photos") as (space,):
        await space.write("new", b"1")


async def test_another_admin_can_heal_it_too(house: House) -> None:
    await come(house, await admit(house))
    async with house.open("admin", "photos") as (space,):
        nonces = {space.core.space_id: bytes(16)}
        carl = JoinerKeys(keys_of("carl").public(), None, "carl", "laptop")
        one = Admission(house.home("admin"), [space], 1 << 60, role=ADMIN, nonces=nonces)
        invited = Invited(one.offer, read_grants(await let_in(one, carl)))
    await arrive(house.home("carl"), keys_of("carl"), signed(carl), invited)
    _, invited = await again(house, "carl")
    (here,) = await come(house, invited)
    assert here.member_name == "bob"


async def test_the_maker_of_a_space_who_lost_its_settings_comes_back(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        nonces = {space.core.space_id: bytes(16)}
        carl = JoinerKeys(keys_of("carl").public(), None, "carl", "laptop")
        one = Admission(house.home("admin"), [space], 1 << 60, role=ADMIN, nonces=nonces)
        invited = Invited(one.offer, read_grants(await let_in(one, carl)))
    await arrive(house.home("carl"), keys_of("carl"), signed(carl), invited)
    async with house.open("carl", "photos") as (space,):
        nonces = {space.core.space_id: bytes(16)}
        one = Admission(house.home("carl"), [space], 1 << 60, role=ADMIN, nonces=nonces)
        maker = JoinerKeys(device().public(), paper().public(), "ann", "laptop")
        invited = Invited(one.offer, read_grants(await let_in(one, maker, device())))
    (here,) = await arrive(house.home("new"), device(), signed(maker), invited)
    assert here.role is ADMIN


async def test_nobody_gets_another_role_by_an_invite(house: House) -> None:
    await admit(house)
    with pytest.raises(Misuse, match="in photos already, as bob, writer; the invite is for an admin") as told:
        await again(house, role=ADMIN)
    assert "ropewalk member role bob admin" in told.value.hint
    with pytest.raises(Misuse, match="a machine of your own"):
        await again(house, role=None)


async def test_who_comes_with_the_paper_key_of_another_is_told_whose_it_is(house: House) -> None:
    """Eve has named bob's: an `add` with it would be of no effect, and no invite is used up for that."""
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            await letting_in.let_in(group, WRITER, "eve", keys_of("eve"))
        core, named = space.core, Author(space.core.membership, keys_of("eve"), b"e" * 16, 1)
        await send_record(core, *named.device(PAPER_KEY.public(), b"", consents=[]))
        before = len(core.membership.records)
        one = admission(house, [space])
        for check in (lambda: one.check_joiner(joiner()), None):
            with pytest.raises(Misuse, match=r"paper key .* is in photos already, of eve") as refused:
                check() if check is not None else await let_in(one, joiner())
            assert "ropewalk recovery paper" in str(refused.value.hint)
        assert len(core.membership.records) == before
        await let_in(one, joiner(with_paper=False))
        assert len(space.people()) == 3


async def test_what_goes_in_no_space_is_written_in_none(house: House) -> None:
    """A machine of somebody else is to be one of ours in two spaces, in one of which it is his."""
    await create(house, "music")
    settings = house.home("admin").load().spaces
    await admit(house, [max(settings, key=lambda name: settings[name].id)])  # the one that is come to last
    async with house.open("admin", "photos", "music") as spaces:
        before = [len(space.core.membership.records) for space in spaces]
        with pytest.raises(Misuse, match="already"):
            await let_in(admission(house, spaces, None), joiner())
        assert [len(space.core.membership.records) for space in spaces] == before


async def test_a_device_is_called_as_its_member_is(house: House) -> None:
    await come(house, await admit(house))
    async with house.open("bob", "photos") as (space,):
        own = Admission(house.home("bob"), [space], 1 << 60)
        told = JoinerKeys(keys_of("laptop").public(), None, "root", "laptop")
        invited = Invited(own.offer, read_grants(await let_in(own, told, keys_of("laptop"))))
    (here,) = await arrive(house.home("laptop"), keys_of("laptop"), signed(told), invited)
    assert (here.own, here.member_name) == (True, "bob")


async def test_what_can_be_seen_to_fail_is_seen_before_an_invite_is_used_up(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        one = admission(house, [space])
        await one.check_ready()
        for name in STORES[1:]:
            (house.root / name).rename(house.root / f"{name}-away")
        with pytest.raises(BelowFloor):
            await one.check_ready()
        for name in STORES[1:]:
            (house.root / f"{name}-away").rename(house.root / name)
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            await letting_in.let_in(group, ADMIN, "carl", keys_of("carl"))
        one = admission(house, [space])
        async with space.group() as group:
            await group.set_role(space.core.membership.state.devices[device().public().id], READER)
        with pytest.raises(Refused, match="you are a reader"):
            await one.check_ready()


async def test_who_made_a_space_read_only_is_named_before_an_invite_is_used_up(house: House) -> None:
    async with house.open("admin", "photos") as (space,):
        async with space.group() as group:
            await letting_in.let_in(group, ADMIN, "carl", keys_of("carl"))
        one = admission(house, [space])
        async with space.group():
            await send_record(space.core, *Author(space.core.membership, keys_of("carl"), b"c" * 16, 1).level(255))
        with pytest.raises(TooOld, match="does not know, of carl"):
            await one.check_ready()
