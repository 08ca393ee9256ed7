"""A space that was made before the first release is told of and not changed; nobody but an admin can make one so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.admission import Admission
from ropewalk.spaces.group import TooOld
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NotAMember, Role
from ropewalk.spaces.members.operations import Kind
from ropewalk.spaces.members.records import OperationBody, sign
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import ReadOnly
from tests.spaces.machines import Machines, keys_of, shown
from tests.spaces.making import device

STEWARD, READER, WRITER, ADMIN = Role


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    made = await Machines.make(tmp_path)
    for name, role in (("bob", ADMIN), ("dora", WRITER)):
        await made.invite(name, role)
    return made


async def lets_in_as_before(machines: Machines, name: str, kind: Kind) -> None:
    """Somebody lets eve in as it was done before there were consents; the stores take it."""
    async with machines.open(name) as space:
        await shown(space)
        core, keys, eve = space.core, device() if name == "admin" else keys_of(name), keys_of("eve").public()
        content = [bytes(16), int(WRITER), [eve], b"", []] if kind is Kind.ADD else [eve, b"", []]
        body = OperationBody(
            *("op", 1, core.space_id, keys.public().id, bytes(16), 1, core.membership.frontier, int(kind)),
            *(msgspec.Raw(encode(content)), 1),
        )
        await send_record(core, *sign(core.space_id, encode(body), keys))


@pytest.mark.parametrize("kind", [Kind.ADD, Kind.DEVICE])
async def test_it_is_told_and_nothing_is_changed(machines: Machines, kind: Kind) -> None:
    await lets_in_as_before(machines, "admin", kind)
    before = await machines.records()
    for name in ("admin", "dora"):
        async with machines.open(name) as space:
            await shown(space)
            assert [line for line in space.warnings if "unreleased version of ropewalk, by" in line]
            with pytest.raises(ReadOnly, match="made by an unreleased version") as caught:
                await space.write("file", b"x")
            assert "make a new space" in str(caught.value.hint)
    async with machines.open("admin") as space:
        with pytest.raises(TooOld, match="made by an unreleased version"):
            Admission(machines.home_of("admin"), [space], 1 << 60, role=WRITER, nonces={space.core.space_id: bytes(16)})
    assert await machines.records() == before


async def test_who_came_so_is_told_why_it_is_nobody(machines: Machines) -> None:
    await lets_in_as_before(machines, "admin", Kind.ADD)
    machines.add("eve")
    with pytest.raises(NotAMember, match="made by an unreleased version"):
        async with machines.open("eve"):
            pass


@pytest.mark.parametrize("kind", [Kind.ADD, Kind.DEVICE])
async def test_a_writer_makes_no_space_so(machines: Machines, kind: Kind) -> None:
    await lets_in_as_before(machines, "dora", kind)
    async with machines.open("admin") as space:
        await space.write("file", b"x")
        assert [line for line in space.warnings if "unreleased" in line] == []


async def test_an_admin_who_does_it_on_purpose_is_put_out(machines: Machines) -> None:
    await lets_in_as_before(machines, "bob", Kind.ADD)
    async with machines.open("admin") as space:
        await shown(space)
        with pytest.raises(ReadOnly, match=r"unreleased version of ropewalk: .*, of bob"):
            await space.write("file", b"x")
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        await space.write("file", b"x")
    async with machines.open("dora") as space:
        assert await shown(space) == {"file": b"x"}
        await space.write("more", b"y")
