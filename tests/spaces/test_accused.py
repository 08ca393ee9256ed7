"""Accused: who signs two things that no honest device signs both is proven to, frozen, and let off once for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from ropewalk.spaces.audit import audit
from ropewalk.spaces.commit import ReadOnly
from ropewalk.spaces.head import NO_HEAD, Head, HeadName, open_head, seal_head
from ropewalk.spaces.learning import NumberTaken, send_record
from ropewalk.spaces.members import NO_CUT, Author, Role
from ropewalk.spaces.members.operations import LARGEST_EXHIBITS, Kind, Prove
from ropewalk.spaces.proof import Kind as Shows
from ropewalk.spaces.proof import verify
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.vectors import Vector
from tests.spaces.machines import Machines, keys_of, shown

LIFE = b"l" * 16
Record = tuple[ObjectName, bytes]


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """An admin, and two writers who have written."""
    made = await Machines.make(tmp_path)
    for name in ("bob", "carl"):
        await made.invite(name, Role.WRITER)
        async with made.open(name) as space:
            await space.write(name, b"from before")
    return made


async def put(machines: Machines, objects: Iterable[Record]) -> None:
    """Objects come into all stores."""
    for name, data in objects:
        for store in machines.world.stores.values():
            await store.put(name, [data])


def author(space: Space, name: str = "bob", time: int = 1) -> Author:
    return Author(space.core.membership, keys_of(name), LIFE, time)


async def doubled(machines: Machines, times: Sequence[int] = (1, 2)) -> None:
    """Bob signs records under one number."""
    async with machines.open("bob") as space:
        await put(machines, [author(space, time=time).wrap() for time in times])


async def proofs_of(space: Space) -> int:
    """How many are written by a device that does what is due."""
    async with space.group():
        pass
    assert not space.tended.undone
    return space.tended.proofs


# ---- records under one number ----------------------------------------------------------------------------------------


async def test_two_records_under_one_number_freeze_their_device_until_it_is_let_off(machines: Machines) -> None:
    await doubled(machines)
    bob = machines.all["bob"].id
    async with machines.open("admin") as space:
        assert any(f"device {bob.hex()[:8]} signed two membership records" in line for line in space.warnings)
        assert await proofs_of(space) == 1
        assert space.core.membership.state.frozen == {bob}
        (line,) = (await audit(space.core)).proofs
        assert (line.kind, line.device, line.recorded) == (Shows.FORKED_RECORD, bob, True)
        (data,) = [one.content.proof for one in space.core.membership.records if isinstance(one.content, Prove)]
        assert verify(data).device == bob
        assert await shown(space) == {"bob": b"from before", "carl": b"from before"}
    async with machines.open("bob") as space:
        with pytest.raises(ReadOnly, match="frozen"):
            await space.write("late", b"1")
    async with machines.open("admin") as space:
        async with space.group() as group:
            await group.accept([], [bob])
        assert await proofs_of(space) == 0
    async with machines.open("carl") as space:  # who hears of all of it at once
        assert await proofs_of(space) == 0
        assert not space.core.membership.state.frozen
    async with machines.open("bob") as space:
        await space.write("late", b"1")


async def test_who_only_reads_has_the_file(machines: Machines) -> None:
    await machines.invite("rita", Role.READER)
    await doubled(machines)
    async with machines.open("rita") as space:
        for _ in range(2):
            (line,) = (await audit(space.core)).proofs
            assert (line.kind, line.recorded) == (Shows.FORKED_RECORD, False)
        assert not space.core.membership.state.frozen


async def test_one_more_record_of_a_number_that_was_let_off_is_no_new_matter(machines: Machines) -> None:
    async with machines.open("bob") as space:
        one, other, late = [author(space, time=time).wrap() for time in (1, 2, 3)]
    await put(machines, [one, other])
    bob = machines.all["bob"].id
    async with machines.open("admin") as space:
        assert await proofs_of(space) == 1
        async with space.group() as group:
            await group.accept([], [bob])
        await put(machines, [late])
        assert await proofs_of(space) == 0
        assert not space.core.membership.state.frozen


async def test_of_many_records_under_one_number_one_proof_is_made(machines: Machines) -> None:
    await doubled(machines, range(1, 40))
    async with machines.open("admin") as space:
        assert await proofs_of(space) == 1
        assert len((await audit(space.core)).proofs) == 1


async def test_a_proof_too_large_for_a_record_is_a_file_and_stops_nothing_else(machines: Machines) -> None:
    content = Prove(bytes(LARGEST_EXHIBITS - 1024), NO_CUT.packed())
    async with machines.open("bob") as space:
        await put(machines, [author(space, time=time).write(Kind.PROOF, content) for time in (1, 2)])
    async with machines.open("admin") as space:
        for _ in range(2):
            assert await proofs_of(space) == 0
        assert not space.core.membership.state.frozen
        assert sum("too large to freeze it" in line for line in space.warnings) == 1
        (line,) = (await audit(space.core)).proofs
        assert (line.kind, line.recorded) == (Shows.FORKED_RECORD, False)
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert space.tended.epoch == 2


async def test_no_second_record_is_signed_under_a_number_that_was_used(machines: Machines) -> None:
    """What another process of this device signed may be missing from the membership where that cannot be read."""
    async with machines.open("carl") as space, space._turns.take():
        core = space.core
        before = core.membership
        made = [Author(before, keys_of("carl"), core.incarnation, time).wrap() for time in (1, 2)]
        await send_record(core, *made[0])
        core.membership = before
        with pytest.raises(NumberTaken) as refused:
            await send_record(core, *made[1])
        assert refused.value.code == "records.number-taken"
        await send_record(core, *made[0])  # the same again is no second one
    assert str(made[1][0]) not in await machines.records()
    async with machines.open("carl") as space:
        async with space.group() as group:
            await group.call_device("desk")
        assert not space.core.membership.doubled


async def test_a_device_that_lost_a_record_counts_anew(machines: Machines) -> None:
    async with machines.open("carl") as space:
        async with space.group() as group:
            await group.call_device("desk")
        before = space.core.incarnation
        name = (await space.core.ledger.do(State.record_names)).pop()
        await space.core.ledger.do(
            lambda state: state._db.execute("UPDATE records SET data = x'00' WHERE name = ?", (name,))
        )
    async with machines.open("carl") as space:
        assert space.core.incarnation != before
        async with space.group() as group:
            await group.call_device("lap")
        assert not space.core.membership.doubled


# ---- heads -----------------------------------------------------------------------------------------------------------


async def newest(space: Space) -> Head:
    heads = await space.core.ledger.do(State.newest_heads)
    (name,) = (HeadName.decode(head.name) for head in heads if head.writer == space.core.writer_id)
    assert name is not None
    data = await space.core.pool.get_any(name.encode(), name.fits)
    return open_head(data, name, space.core.membership, space.core.keys)


def signed(space: Space, base: Head, vector: Vector, *, feature: int = 2, note: str = "", life: bytes = b"") -> Head:
    """Bob's head after another of his, or his first one of another life, that has seen what it says."""
    assert base.member is not None
    name, data = seal_head(
        incarnation=life or base.envelope.incarnation,
        sequence=1 if life else base.envelope.sequence + 1,
        previous=NO_HEAD if life else base.hash,
        steward=base.steward,
        member=dataclasses.replace(
            base.member, vector=vector, membership=space.core.membership.frontier, root=None, note=note
        ),
        embedded=b"",
        device=keys_of("bob"),
        keys=space.core.keys,
        feature=feature,
    )
    OBJECTS[name] = data
    return open_head(data, name, dataclasses.replace(space.core.membership, feature=2), space.core.keys)


OBJECTS: dict[HeadName, bytes] = {}


async def show(machines: Machines, *heads: Head) -> None:
    """Heads come into all stores."""
    await put(machines, [(head.name.encode(), OBJECTS[head.name]) for head in heads])


def others(head: Head) -> Vector:
    return {one: item for one, item in head.vector.items() if one != head.envelope.writer}


async def written(space: Space, text: bytes) -> Head:
    """What bob writes after a look."""
    await shown(space)
    await space.write("bob", text)
    head = await newest(space)
    assert others(head)
    return head


@pytest.mark.parametrize("kind", [Shows.WENT_BACK, Shows.DOWNGRADE])
async def test_a_device_that_went_back_is_not_accused_twice_by_who_comes_late(machines: Machines, kind: Shows) -> None:
    async with machines.open("bob") as space:
        before = await written(space, b"1")
        lower = kind is Shows.DOWNGRADE
        bad = signed(space, before, others(before) if lower else {}, feature=1 if lower else 2)
    await show(machines, bad)
    bob = machines.all["bob"].id
    async with machines.open("admin") as space:
        assert await proofs_of(space) == 1
        assert space.core.membership.state.frozen == {bob}
        assert [line.kind for line in (await audit(space.core)).proofs] == [kind]
        async with space.group() as group:
            await group.accept([], [bob])
        assert await proofs_of(space) == 0
    async with machines.open("carl") as space:  # evidence, proof and accept come in one look
        assert await space.core.ledger.do(State.evidence)
        assert await proofs_of(space) == 0
        assert not space.core.membership.state.frozen
        assert not await space.core.ledger.do(State.evidence)


async def test_what_was_signed_before_the_accept_is_let_off_and_what_comes_after_is_not(machines: Machines) -> None:
    async with machines.open("bob") as space:
        before = await written(space, b"1")
        seen = others(before)
        first = signed(space, before, {})
        start = signed(space, before, seen, life=b"m" * 16)
        second = signed(space, start, {})
    await show(machines, first)
    bob = machines.all["bob"].id
    async with machines.open("admin") as space:
        assert await proofs_of(space) == 1
        async with space.group() as group:
            await group.accept([], [bob])
    async with machines.open("carl") as space:
        await show(machines, start, second)
        assert await proofs_of(space) == 0, "neither head had seen the accept"
    async with machines.open("bob") as space:
        again = signed(space, before, seen, life=b"n" * 16)
        await show(machines, again, signed(space, again, {}))
    async with machines.open("carl") as space:
        assert await proofs_of(space) == 1
        assert space.core.membership.state.frozen == {bob}
