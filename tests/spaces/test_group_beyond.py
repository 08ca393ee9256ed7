"""Records that this version does not know: what a newer version meant stays, what an admin who turned did is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from ropewalk.errors import Refused
from ropewalk.spaces.group import Group, NotOurs, TooOld
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NO_CUT, Author, Role, Vain, pledged
from ropewalk.spaces.members.records import OperationBody, sign
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import ReadOnly, Space
from ropewalk.testing.letting_in import consents, let_in, let_in_device
from tests.spaces.machines import Machines, keys_of, shown
from tests.spaces.making import paper

STEWARD, READER, WRITER, ADMIN = Role


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """Three admins, the first of them the most senior, and a writer."""
    made = await Machines.make(tmp_path)
    for name, role in (("bob", ADMIN), ("carol", ADMIN), ("dora", WRITER)):
        await made.invite(name, role)
    return made


def author(space: Space, name: str, life: bytes | None = None) -> Author:
    return Author(space.core.membership, keys_of(name), life or space.core.incarnation, 1)


async def goes_beyond(machines: Machines, name: str, what: str) -> None:
    """Somebody signs what this version does not know."""
    async with machines.open(name) as space:
        await shown(space)
        core, keys = space.core, keys_of(name)
        if what == "level":
            made = author(space, name).level(255)
        elif what == "kind":
            body = OperationBody(
                *("op", 1, core.space_id, keys.public().id, bytes(16), 1),
                *(core.membership.frontier, 13, msgspec.Raw(b"\x91\xc0"), 1),
            )
            made = sign(core.space_id, encode(body), keys)
        else:
            made = sign(core.space_id, encode(["op", 2, core.space_id, keys.public().id, b"to come"]), keys)
        await send_record(core, *made)
        assert core.membership.read_only


WHAT = ["level", "kind", "later"]


@pytest.mark.parametrize("what", WHAT)
async def test_what_a_newer_version_meant_stays_and_says_who_did_it(machines: Machines, what: str) -> None:
    await goes_beyond(machines, "bob", what)
    before = await machines.records()
    async with machines.open("admin") as space:
        with pytest.raises(ReadOnly, match="does not know, of bob") as caught:
            await space.write("file", b"x")
        assert "member remove" in str(caught.value.hint)
        changes: list[Callable[[Group], Awaitable[object]]] = [
            lambda group: group.remove(machines.member["carol"]),
            lambda group: group.set_role(machines.member["dora"], READER),
            lambda group: group.set_role(machines.member["bob"], ADMIN),
            lambda group: group.revoke(keys_of("carol").public().id),
            lambda group: group.call_device("laptop"),
            lambda group: let_in(group, WRITER, "eve", keys_of("eve")),
        ]
        for change in changes:
            with pytest.raises(Refused, match="does not know, of bob") as refused:
                async with space.group() as group:
                    await change(group)
            assert refused.type is TooOld
            assert "upgrade" in str(refused.value.hint)
    assert await machines.records() == before


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("how", ["remove", "role", "revoke"])
async def test_an_admin_who_turned_is_put_out_and_the_space_goes_on(machines: Machines, what: str, how: str) -> None:
    await goes_beyond(machines, "bob", what)
    bob = machines.member["bob"]
    async with machines.open("carol") as space:
        await shown(space)
        async with space.group() as group:
            if how == "remove":
                await group.remove(bob)
            elif how == "role":
                await group.set_role(bob, READER)
            else:
                await group.revoke(keys_of("bob").public().id)
        assert not space.core.membership.read_only
        assert space.core.membership.feature == 2
        assert space.tended.epoch == (None if how == "role" else 2)
        await space.write("file", b"x")
    async with machines.open("dora") as space:
        assert await shown(space) == {"file": b"x"}
        await space.write("more", b"y")


async def test_of_several_who_turned_each_is_put_out(machines: Machines) -> None:
    """Each wrote several such records, and other things on top of them, and one on top of the other's."""
    await goes_beyond(machines, "bob", "level")
    async with machines.open("bob") as space:
        pledge = pledged(space.core.space_id, keys_of("bob").public().id, bytes(16))
        agreed = consents(space.core.space_id, pledge, ADMIN, [keys_of("eve")])
        eve = author(space, "bob").add(bytes(16), ADMIN, [keys_of("eve").public()], b"", consents=agreed)
        await send_record(space.core, *eve)
        await send_record(space.core, *author(space, "bob").remove(machines.member["dora"], NO_CUT))
    await goes_beyond(machines, "carol", "kind")
    await goes_beyond(machines, "carol", "later")
    async with machines.open("admin") as space:
        await shown(space)
        assert space.core.membership.beyond == {keys_of(name).public().id for name in ("bob", "carol")}
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert space.core.membership.beyond == {keys_of("carol").public().id}
        async with space.group() as group:
            await group.remove(machines.member["carol"])
        assert not space.core.membership.read_only
        assert set(space.core.membership.state.members) == {machines.member[name] for name in ("admin", "dora")}
        await space.write("file", b"x")
    async with machines.open("dora") as space:
        assert await shown(space) == {"file": b"x"}


async def test_a_senior_who_turned_undoes_what_a_junior_does_about_it(machines: Machines) -> None:
    await goes_beyond(machines, "admin", "level")
    async with machines.open("admin") as space:
        contrary = author(space, "admin", bytes(16)).remove(machines.member["bob"], NO_CUT)
    async with machines.open("bob") as space:
        await shown(space)
        async with space.group() as group:
            await group.remove(machines.member["admin"])
        assert not space.core.membership.read_only
        await send_record(space.core, *contrary)
    async with machines.open("carol") as space:
        await shown(space)
        assert space.core.membership.read_only
        assert machines.member["bob"] not in space.core.membership.state.members


async def test_what_would_be_undone_at_once_is_not_signed(machines: Machines) -> None:
    await goes_beyond(machines, "admin", "level")
    async with machines.open("admin") as space:
        await send_record(space.core, *author(space, "admin").remove(machines.member["bob"], NO_CUT))
    before = await machines.records()
    async with machines.open("bob") as space:
        await shown(space)
        with pytest.raises(Vain, match="somebody senior has signed the contrary"):
            async with space.group() as group:
                await group.remove(machines.member["admin"])
    assert await machines.records() == before


async def test_a_paper_key_takes_back_what_the_most_senior_device_did_for_good(machines: Machines) -> None:
    machines.add("laptop")
    async with machines.open("admin") as space, space.group() as group:
        await let_in_device(group, "laptop", keys_of("laptop"))
    await goes_beyond(machines, "admin", "level")
    stolen = keys_of("admin").public().id
    async with machines.open("admin") as space:
        contrary = [
            author(space, "admin", b"1" * 16).revoke(keys_of("laptop").public().id, NO_CUT),
            author(space, "admin", b"2" * 16).remove(machines.member["bob"], NO_CUT),
        ]
    async with machines.open("laptop") as space:
        await shown(space)
        with pytest.raises(NotOurs):
            async with space.group() as group:
                await group.revoke(stolen, DeviceKeys(hashed("test other words", b""), PAPER))
        async with space.group() as group:
            await group.revoke(stolen, paper())
        assert not space.core.membership.read_only
        await space.write("file", b"x")
        for record in contrary:
            await send_record(space.core, *record)
    async with machines.open("dora") as space:
        assert await shown(space) == {"file": b"x"}
        assert not space.core.membership.read_only
        assert {keys_of("laptop").public().id, keys_of("bob").public().id} <= space.core.membership.state.devices.keys()


async def test_who_has_signed_on_top_of_it_leaves_it_to_others(machines: Machines) -> None:
    await goes_beyond(machines, "bob", "level")
    async with machines.open("carol") as space:
        await shown(space)
        await send_record(space.core, *author(space, "carol").wrap())
        with pytest.raises(Vain, match="this device itself"):
            async with space.group() as group:
                await group.remove(machines.member["bob"])


# ---- words -----------------------------------------------------------------------------------------------------------


async def test_with_words_a_device_is_put_out_that_was_put_out_by_a_junior_before(machines: Machines) -> None:
    machines.add("laptop")
    async with machines.open("admin") as space, space.group() as group:
        await let_in_device(group, "laptop", keys_of("laptop"))
    old, new = keys_of("admin").public().id, keys_of("laptop").public().id
    async with machines.open("admin") as space:
        await space.write("file", b"x")
        thief = author(space, "admin", bytes(16)).revoke(new, NO_CUT)
    async with machines.open("laptop") as space:
        await shown(space)
        async with space.group() as group:
            await group.revoke(old)
        gone = space.core.membership.state.gone[old]
        assert gone.heads
        async with space.group() as group:
            await group.revoke(old, paper())
        await send_record(space.core, *thief)
        state = space.core.membership.state
        assert (new in state.devices, old in state.devices) == (True, False)
        assert state.gone[old] == gone, "what was taken in before stays so"
        assert await shown(space) == {"file": b"x"}
