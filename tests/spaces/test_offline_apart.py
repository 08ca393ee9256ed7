"""One device is cut off while others go on: what it is told afterwards, and what it starts from meanwhile."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces.commit import ReadOnly
from ropewalk.spaces.core import Core
from ropewalk.spaces.group import Group, Tended
from ropewalk.spaces.learning import Learned, look
from ropewalk.spaces.members import Role
from ropewalk.spaces.reader import ChunkUnreachable
from tests.spaces.lines import Line
from tests.spaces.machines import Machine, Machines, shown
from tests.spaces.test_offline import FEW, LARGE, allow, waiting

LEFT_OUT = "what other devices wrote and stores that are away have is left out for now, and joined once they are back"
THEIRS = {f"theirs{at}": random.Random(at).randbytes(3000) for at in range(300)}  # its tree lies in packs, not heads


async def with_bob(folder: Path) -> tuple[Machines, Machine, Line]:
    machines = await Machines.make(folder)
    bob = await machines.invite("bob", Role.WRITER)
    allow(bob.home)
    return machines, bob, Line(machines, "bob")


@pytest.mark.parametrize("role", [None, Role.READER])
async def test_who_may_not_write_any_more_asks_before_it_publishes(tmp_path: Path, role: Role | None) -> None:
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("bob") as space:
        await space.write("before", b"before")
        line.cut(FEW)
        await space.write("mine", LARGE)
        async with machines.open("admin") as admin, admin.group() as group:
            if role is None:
                await group.remove(machines.member["bob"])
            else:
                await group.set_role(machines.member["bob"], role)
        line.mend()
        await space.pay()
        assert len(await waiting(space)) == 1
        assert space.core.queue is not None
        assert space.core.queue.waiting().packs, "and what it needs is kept"
        with pytest.raises(ReadOnly):
            await space.write("more", b"more")
        assert len(await waiting(space)) == 1
    async with machines.open("bob") as space:
        assert "mine" in await shown(space)
    async with machines.open("admin") as admin:
        assert set(await shown(admin)) == {"before"}
        assert not any("quarantine" in line for line in admin.warnings)


async def test_so_does_a_change_in_the_middle_of_which_stores_come_back(tmp_path: Path) -> None:
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("bob") as space:
        line.cut(FEW)
        async with space.change() as change:
            await change.write("mine", LARGE)
            await change.writer.flush()  # it lies at home by now
            async with machines.open("admin") as admin, admin.group() as group:
                await group.remove(machines.member["bob"])
            line.mend()
            await space.core.pool.revive()
        assert len(await waiting(space)) == 1
    async with machines.open("admin") as admin:
        assert await shown(admin) == {}


async def test_a_change_that_finds_it_out_is_refused(tmp_path: Path) -> None:
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("bob") as space:
        line.cut(FEW)
        await space.write("mine", LARGE)
        async with machines.open("admin") as admin, admin.group() as group:
            await group.remove(machines.member["bob"])
        line.mend()
        with pytest.raises(ReadOnly):
            await space.write("more", b"more")
        assert len(await waiting(space)) == 1


async def test_a_fork_that_came_to_light_so_is_dealt_with_by_the_next_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines, _, line = await with_bob(tmp_path)
    tended = []
    tend = Group.tend

    async def counted(group: Group) -> Tended:
        tended.append(group)
        return await tend(group)

    async def forked(core: Core) -> Learned:
        return replace(await look(core), forked=frozenset({bytes(16)}))

    monkeypatch.setattr(Group, "tend", counted)
    async with machines.open("bob") as space:
        await space.write("before", b"before")
        line.cut(FEW)
        await space.write("mine", b"mine")
        line.mend()
        await space.pay()
        assert await waiting(space) == []
        before = len(tended)
        await space.write("one", b"1")
        assert len(tended) == before, "where none came to light, nothing is to be done"
        line.cut(FEW)
        await space.write("mine", b"more")
        line.mend()
        monkeypatch.setattr("ropewalk.spaces.later.look", forked)
        await space.pay()
        await space.write("two", b"2")
        await space.write("three", b"3")
        assert len(tended) == before + 1


@pytest.mark.parametrize("wrote", [True, False])
async def test_what_was_heard_of_and_cannot_be_read_stays_concurrent(tmp_path: Path, wrote: bool) -> None:
    """Its head is known, and stores that are away have its tree: the next change starts without it."""
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("bob") as space:
        if wrote:
            await space.write("mine", b"mine")
        else:
            await machines.invite("carol", Role.WRITER)
            async with machines.open("admin") as admin, machines.open("carol") as carol:
                await admin.write("0", b"0")
                await shown(carol)
                await carol.write("mine", b"mine")
        before = set(await shown(space))
        line.cut(("d0",))
        async with machines.open("admin") as admin:
            await admin.write("first", b"first")
            async with admin.change() as change:
                for path, data in THEIRS.items():
                    await change.write(path, data)
        await space._list()
        line.cut(FEW)
        outcome = await space.write("on the train", b"x")
        assert outcome is not None
        assert outcome.queued
        assert LEFT_OUT in space.warnings
        assert {info.path async for info in space.list()} == before | {"first", "on the train"}
        assert (await space.write("and later", b"y")).queued  # type: ignore[union-attr]
        assert "and later" in {info.path async for info in space.list()}
        line.mend()
        await space.core.pool.revive()
        everything = {**THEIRS, "first": b"first", "on the train": b"x", "and later": b"y"}
        everything |= {"mine": b"mine"} if wrote else {"mine": b"mine", "0": b"0"}
        assert {info.path async for info in space.list()} == everything.keys(), "stores are back, and so is the rest"
        await space.pay()
        assert await waiting(space) == []
        assert await shown(space) == everything
    async with machines.open("admin") as admin:
        assert await shown(admin) == everything


async def test_the_one_head_of_somebody_else_cannot_be_read(tmp_path: Path) -> None:
    """Nobody else has written: its version is not read before a change looks at it."""
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("admin") as admin:
        await admin.write("first", b"first")
    async with machines.open("bob") as space:
        await shown(space)
        async with machines.open("admin") as admin, admin.change() as change:
            for path, data in THEIRS.items():
                await change.write(path, data)
        await space._list()
        line.cut(machines.world.stores)
        assert (await space.write("on the train", b"x")).queued  # type: ignore[union-attr]
        assert {info.path async for info in space.list()} == {"first", "on the train"}
        line.mend()
        await space.core.pool.revive()
        await space.pay()
        assert await waiting(space) == []
    async with machines.open("bob") as space:
        assert (await shown(space)).keys() == {*THEIRS, "first", "on the train"}


async def test_versions_apart_of_which_one_cannot_be_read(tmp_path: Path) -> None:
    machines, _, line = await with_bob(tmp_path)
    async with machines.open("bob") as space:
        await space.write("shared", b"0")
        line.cut(FEW)
        await space.write("shared", b"mine")  # queued, and apart from what comes
        async with machines.open("admin") as admin, admin.change() as change:
            for path, data in THEIRS.items():
                await change.write(path, data)
        line.cut(("d0",))
        await space.pay()
        assert await waiting(space) == []
        await space._list()
        line.cut(FEW)
        assert await space.read("shared") == b"mine", "though it was not known before that stores are away"
        assert (await space.write("on the train", b"x")).queued  # type: ignore[union-attr]
        assert await space.read("shared") == b"mine"
        line.mend()
        await space.pay()
        assert (await shown(space)).items() >= {**THEIRS, "shared": b"mine", "on the train": b"x"}.items()


async def test_where_offline_work_is_not_allowed_nothing_is_left_out(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    await machines.invite("bob", Role.WRITER)
    line = Line(machines, "bob")
    async with machines.open("bob") as space:
        await space.write("mine", b"mine")
        async with machines.open("admin") as admin, admin.change() as change:
            for path, data in THEIRS.items():
                await change.write(path, data)
        await space._list()
        line.cut(FEW)
        with pytest.raises(ChunkUnreachable):
            [info async for info in space.list()]
