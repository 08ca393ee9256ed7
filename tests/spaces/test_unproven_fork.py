"""Forks that no record proves yet: who has met both sides goes on writing, and everybody else goes on reading it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.head import writer_id
from ropewalk.spaces.home import Settings
from ropewalk.spaces.learning import proofs
from ropewalk.spaces.members import Role
from ropewalk.spaces.state import State, sparse
from ropewalk.spaces.store import ObjectName
from tests.spaces.machines import Machines, keys_of, shown
from tests.spaces.showing import sealed, show

MACHINES = ("liar", "honest", "other", "late")
READERS = ("other", "late")


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """A writer that has built on a head of another one, and the twin of that head, which comes after."""
    made = await Machines.make(tmp_path)
    for name in ("liar", "honest", *READERS):
        await made.invite(name, Role.WRITER)
    async with made.open("liar") as space:
        await shown(space)
        one, twin = (sealed(space, by=keys_of("liar"), note=note) for note in ("one", "twin"))
    await show(made.world, *one)
    async with made.open("honest") as space:
        await space.write("before", b"1")
        assert one[0].writer in (await space.log())[0].vector
    async with made.open("other") as space:
        assert set(await shown(space)) == {"before"}
    await show(made.world, *twin)
    return made


async def _all_read(machines: Machines, *paths: str) -> None:
    for name in READERS:
        async with machines.open(name) as space:
            assert set(await shown(space)) == set(paths)
            assert await space.core.ledger.do(State.set_aside) == []


async def test_work_that_waited_since_a_fork_was_met_is_read_by_all(machines: Machines) -> None:
    """What waits was signed before the proof could be written, and names branches."""
    setting = machines.all["honest"].home.load().spaces["photos"]

    def offline(one: Settings) -> Settings:
        return msgspec.structs.replace(one, spaces={"photos": msgspec.structs.replace(setting, offline=True)})

    machines.all["honest"].home.update(offline)
    async with machines.open("honest") as space:
        await shown(space)
    machines.away(list(machines.world.stores))
    async with machines.open("honest") as space:
        outcome = await space.write("offline", b"2")
        assert outcome is not None
        assert outcome.queued
        assert not space.core.membership.state.forks
    machines.away(())
    async with machines.open("honest") as space:
        await space.write("online", b"3")
        assert space.core.membership.state.forks
    await _all_read(machines, "before", "offline", "online")


async def test_a_fork_whose_proof_is_too_large_for_a_record_hides_nothing_of_others(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "LARGEST_EXHIBITS", 100)
    for path in ("second", "third"):
        async with machines.open("honest") as space:
            await space.write(path, b"2")
            assert not space.core.membership.state.forks
    await _all_read(machines, "before", "second", "third")


async def test_a_side_that_one_device_alone_was_shown_hides_nothing_of_what_that_device_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store that has shown it has it no more, and nobody else ever had it, until it shows up everywhere."""
    monkeypatch.setattr(sparse, "MOST_KEPT", 0)
    machines = await Machines.make(tmp_path)
    for name in MACHINES:
        await machines.invite(name, Role.WRITER)
    async with machines.open("liar") as space:
        await shown(space)
        incarnation = space.core.incarnation
        twin, data = sealed(space, by=keys_of("liar"), incarnation=incarnation, note="twin")
        await space.write("theirs", b"1")
    async with machines.open("honest") as space:
        assert set(await shown(space)) == {"theirs"}
    await show(machines.world, twin, data, "d0")
    async with machines.open("honest") as space:
        await shown(space)
        assert await space.core.ledger.do(State.forks)
    await machines.world.stores["d0"].lose(ObjectName(twin.encode()))
    async with machines.open("honest") as space:
        await space.write("theirs", b"2")
        named = (await space.log())[0].vector
        assert writer_id(keys_of("liar").public().id, incarnation) not in named, "a branch is named"
        assert not space.core.membership.state.forks
    for name in READERS:
        async with machines.open(name) as space:
            assert await shown(space) == {"theirs": b"2"}
            assert await space.core.ledger.do(State.forks) == {}
    async with machines.open("other") as space:
        await space.write("theirs", b"3")
    async with machines.open("honest") as space:
        assert await shown(space) == {"theirs": b"3"}
        await space.write("more", b"4")
    await show(machines.world, twin, data)
    for name in (*READERS, "honest", *READERS):
        async with machines.open(name) as space:
            assert await shown(space) == {"theirs": b"3", "more": b"4"}
            assert await space.core.ledger.do(State.set_aside) == []
