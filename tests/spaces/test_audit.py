"""Audit: who did what stands in it as signed, and what had no effect stands in it too."""

from __future__ import annotations

from pathlib import Path

from ropewalk.spaces.audit import Audit, Deed, Effect, Stand, audit
from ropewalk.spaces.learning import due_proofs, send_record
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.proof import Kind, verify
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from tests.spaces.cloning import forked
from tests.spaces.making import a_space, device


async def look_through(space: Space) -> Audit:
    return await audit(space.core)


async def test_a_new_space_has_its_beginning_and_its_heads(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1")
        found = await look_through(space)
    assert [(line.deed, line.author, line.effect) for line in found.records] == [
        (Deed.BEGIN, device().public().id, Effect.STANDS),
        (Deed.EPOCH, device().public().id, Effect.STANDS),
    ]
    assert [(line.device, line.sequence, line.stand) for line in found.heads] == [
        (device().public().id, 1, Stand.COUNTS)
    ]
    assert found.standing == [found.heads[0].hash]
    assert (found.proofs, found.doubled, found.frozen, found.forks) == ([], [], frozenset(), [])


async def test_a_fork_is_shown_with_a_proof_that_a_stranger_can_check(tmp_path: Path) -> None:
    world, _ = await forked(tmp_path)
    async with world.open() as space:
        assert sorted([info.path async for info in space.list()]) == ["ours", "shared", "theirs"]
        due = await due_proofs(space.core)
        assert [one.kind for one in due] == [Kind.FORK]
        assert verify(due[0].proof).device == device().public().id == due[0].device
        assert len(due[0].cut.heads) == 3, "the newest head of each branch, and the last one before them"
        found = await look_through(space)
        assert [(line.kind, line.proven, line.recorded) for line in found.proofs] == [(Kind.FORK, True, False)]
        assert [(line.sequence, line.stand) for line in found.heads] == [(1, Stand.COUNTS), *[(2, Stand.COUNTS)] * 2]
        assert found.forks == [(found.heads[0].writer, 2)]


async def test_a_proof_in_the_records_freezes_the_device_and_is_due_no_more(tmp_path: Path) -> None:
    world, _ = await forked(tmp_path)
    async with world.open() as space:
        if space.core.membership.feature < 2:
            author = Author(space.core.membership, device(), space.core.incarnation, world.now())
            await send_record(space.core, *author.level())
        due = (await due_proofs(space.core))[0]
        author = Author(space.core.membership, device(), space.core.incarnation, world.now())
        kept = await send_record(space.core, *author.proof(due.proof, due.cut))
        assert len(kept) == len(world.stores)
        assert space.core.membership.state.frozen == {device().public().id}
        assert await due_proofs(space.core) == []
        assert await space.core.ledger.do(State.evidence) == []
        found = await look_through(space)
        assert [(line.kind, line.recorded) for line in found.proofs] == [(Kind.FORK, True)]
        assert found.records[-1].deed is Deed.PROOF
        assert found.records[-1].seen > 0
        assert all(line.stand is Stand.COUNTS for line in found.heads), "the proof's cuts name both branches"
        assert sorted([info.path async for info in space.list()]) == ["ours", "shared", "theirs"]
