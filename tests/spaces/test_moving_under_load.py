"""A store is added, drained, emptied and taken out while others read and write.

Nothing is lost, no read is wrong, and nobody is accused of what honest people did.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.audit import audit
from ropewalk.spaces.check import check
from ropewalk.spaces.following import with_draining
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.learning import learn
from ropewalk.spaces.members import Role
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.repair import repair
from ropewalk.spaces.space import Space
from ropewalk.spaces.status import status
from ropewalk.spaces.store import DiskStore
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.machines import Machines
from tests.spaces.making import KeptStore
from tests.spaces.model import contents
from tests.spaces.test_evacuate import add_store, change_space, remove_store
from tests.spaces.test_processes import a_space_on_disk, files_in, opened, start
from tests.spaces.writing_process import size_of

BY_PROCESS = 24  # files; every third is a pack of its own


class Said(list[str]):
    """Names of files that were acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()
        self.read = asyncio.Event()  # all of them, once more

    def say(self, name: str) -> None:
        self.append(name)
        self._more.set()

    async def wait_for(self, count: int) -> None:
        while len(self) < count:
            self._more.clear()
            await self._more.wait()


async def _add(folder: Path, home: Home, name: str) -> None:
    store = await DiskStore.create(folder / name)
    setting = StoreSetting(str(folder / name), store.identity.hex())
    await store.aclose()

    def change(settings: Settings) -> Settings:
        space = settings.spaces["photos"]
        spaces = {"photos": msgspec.structs.replace(space, stores=[*space.stores, name])}
        return msgspec.structs.replace(settings, stores={**settings.stores, name: setting}, spaces=spaces)

    home.update(change)


async def _write(space: Space, prefix: str, said: Said, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        await space.write(f"{prefix}/{number}", contents(number, size_of(number)))
        said.say(f"{prefix}/{number}")
        number += 1
        said.read.clear()  # until then the other process finds the turn free
        await said.read.wait()


async def _read(space: Space, said: Said, stop: asyncio.Event) -> int:
    """Read what was acknowledged, again and again, each file whole; how many."""
    count = 0
    while not stop.is_set():
        for name in list(said):
            number = int(name.rpartition("/")[2])
            assert await space.read(name) == contents(number, size_of(number))
            count += 1
        said.read.set()
        await asyncio.sleep(0)
    said.read.set()
    return count


@asynccontextmanager
async def _load(home: Path, said: Said) -> AsyncIterator[subprocess.Popen[str]]:
    """Two clients of this process, and one that is a process of its own, until the body ends."""
    stop = asyncio.Event()
    async with await opened(home) as writing, await opened(home) as reading, asyncio.TaskGroup() as group:
        group.create_task(_write(writing, "load", said, stop))
        read = group.create_task(_read(reading, said, stop))
        with start(home, "process", BY_PROCESS) as process:
            try:
                await said.wait_for(2)
                yield process
                rest, _ = await asyncio.to_thread(process.communicate)
                assert process.returncode == 0
                said_there = rest.split()
                assert len(said_there) == BY_PROCESS
            finally:
                stop.set()
                process.kill()
        said += said_there
    assert read.result() > 0


@pytest.mark.system
@pytest.mark.slow
async def test_a_store_is_added_and_another_emptied_and_removed_under_load(tmp_path: Path) -> None:
    folder = await a_space_on_disk(tmp_path)
    home = Home(folder, folder / "state")
    said = Said()
    async with await opened(folder) as mover:
        await mover.write("before/2", contents(2, size_of(2)))
        async with _load(folder, said):
            await _add(tmp_path, home, "d5")
            change_space(home, draining=with_draining(home.space("photos"), "d0", draining=True).draining)
            report = await mover.evacuate("d0")
            assert (report.owed, report.left, report.problems) == (0, 0, [])
            change_space(home, stores=["d1", "d2", "d3", "d4", "d5"], draining=[])
            shutil.rmtree(tmp_path / "d0")
            await said.wait_for(len(said) + 3)
        assert {*said, "before/2"} == await files_in(mover)
    async with await opened(folder) as space:
        assert await files_in(space) == {*said, "before/2"}
        assert (await repair(space.core)).owed == 0
        checked = await check(space.core, everything=True)
        assert checked.ok, checked.lines
        assert (await status(space.core)).promise.kept
    for name in ("d2", "d5"):  # any two may be lost
        shutil.rmtree(tmp_path / name)
    async with await opened(folder) as space:
        assert await files_in(space) == {*said, "before/2"}


async def test_a_device_that_does_not_know_of_it_loses_nothing(tmp_path: Path) -> None:
    """Another machine goes on with the store, before, while and after it is emptied; then it is told."""
    machines = await Machines.make(tmp_path)
    await machines.invite("other", Role.WRITER)
    world = machines.world
    add_store(world, "d5")
    async with machines.open("other") as other, machines.open("admin") as admin:
        await other.write("one", contents(1, 300_000))
        await admin.write("two", contents(2, 300_000))
        change_space(world.home, draining=["d0"])
        rounds = 0

        def meanwhile(done: int, total: int) -> None:
            nonlocal rounds
            rounds += done == 0

        report = await admin.evacuate("d0", meanwhile)
        assert report.owed == 0
        assert rounds == 1
        await other.write("three", contents(3, 300_000))
        assert await world.stores["d0"].names("/packs/")
        report = await admin.evacuate("d0")
        assert (report.shares, report.owed) == (1, 0)
        change_space(world.home, stores=["d1", "d2", "d3", "d4", "d5"], draining=[])
        for space in (admin, other):
            await space._list()
            for path, number in (("one", 1), ("two", 2), ("three", 3)):
                assert await space.read(path) == contents(number, 300_000)
    async with machines.open("admin") as admin:
        assert (await repair(admin.core)).owed == 0
        assert (await check(admin.core, everything=True)).ok
        assert (await status(admin.core)).promise.kept
    for name in ("admin", "other"):
        async with machines.open(name) as space:
            await suspects_nobody(space)


async def suspects_nobody(space: Space) -> None:
    """Neither a warning nor a proof, now that all is looked at once more."""
    assert not (await learn(space.core, everything=True)).went_back
    assert space.warnings == []
    assert (await audit(space.core)).proofs == []


async def two_that_know_d0(tmp_path: Path) -> Machines:
    """Another machine has seen all heads and records in d0, before it is emptied."""
    machines = await Machines.make(tmp_path)
    await machines.invite("other", Role.WRITER)
    add_store(machines.world, "d5")
    async with machines.open("other") as other, machines.open("admin") as admin:
        for number in range(3):
            await other.write(f"by-other/{number}" if number else "small", contents(number, size_of(number)))
            await admin.write(f"by-admin{number}", contents(number, size_of(number)))
        for space in (other, admin):
            await learn(space.core, everything=True)
    return machines


async def test_who_was_not_told_that_a_store_is_emptied_accuses_nobody(tmp_path: Path) -> None:
    """It goes on with the store after that was emptied and taken out, from memory and without one."""
    machines = await two_that_know_d0(tmp_path)
    world = machines.world
    change_space(world.home, draining=["d0"])
    async with machines.open("admin") as admin:
        report = await admin.evacuate("d0")
        assert report.done, report.lines
        assert not await world.stores["d0"].names("/packs/")
    remove_store(world, "d0")
    machines.add("newcomer", machines.all["other"].keys)
    for name in ("other", "newcomer"):
        for _ in range(2):
            async with machines.open(name) as space:
                assert await space.read("by-admin1") == contents(1, size_of(1))
                await suspects_nobody(space)
    async with machines.open("other") as other:
        await other.write("after", contents(9, 300_000))
    change_space(world.home, stores=["d0", "d1", "d2", "d3", "d4", "d5"])
    async with machines.open("admin") as admin:  # the store is used again
        assert await admin.read("after") == contents(9, 300_000)
        assert (await repair(admin.core)).owed == 0
        await suspects_nobody(admin)


def _with_all_of(machines: Machines) -> Callable[[Settings], Settings]:
    known = machines.world.home.load().stores
    return lambda now: msgspec.structs.replace(now, stores=known)


async def test_who_drains_a_store_hears_no_alarm_when_others_empty_it(tmp_path: Path) -> None:
    machines = await two_that_know_d0(tmp_path)
    for name in ("admin", "other"):
        home = machines.all[name].home
        home.update(_with_all_of(machines))
        change_space(home, stores=["d0", "d1", "d2", "d3", "d4", "d5"], draining=["d0"])
    async with machines.open("other") as other, machines.open("admin") as admin:
        await suspects_nobody(other)
        assert (await admin.evacuate("d0")).done
        await suspects_nobody(other)
        change_space(machines.all["other"].home, draining=[])  # it is to be used again
        await other.write("one more", b"1")
        await suspects_nobody(other)


async def test_another_store_under_the_name_of_one_that_was_taken_out_is_not_accused(tmp_path: Path) -> None:
    """A disk died, and the new one is called what the old one was."""
    machines = await two_that_know_d0(tmp_path)
    world = machines.world
    remove_store(world, "d0")
    async with machines.open("admin") as admin:
        await suspects_nobody(admin)
    world.stores["d0"] = KeptStore()
    new = StoreSetting("d0", "ee" * 16)
    world.home.update(lambda now: msgspec.structs.replace(now, stores={**now.stores, "d0": new}))
    change_space(world.home, stores=["d0", "d1", "d2", "d3", "d4", "d5"])
    async with machines.open("admin") as admin:
        await suspects_nobody(admin)
        assert (await repair(admin.core)).owed == 0
        await suspects_nobody(admin)
    for name in await world.stores["d0"].names("/heads/"):
        await world.stores["d0"].lose(name)
    async with machines.open("admin") as admin:  # and what this one has shown is remembered of it
        assert {one.store for one in (await learn(admin.core)).went_back} == {"d0"}


@pytest.mark.parametrize("looks", [0, 1])
async def test_a_change_that_is_given_up_makes_nobody_suspect(tmp_path: Path, looks: int) -> None:
    """Its head was in some stores, and another machine saw it there; it is deleted at once, or later."""
    machines = await two_that_know_d0(tmp_path)
    world = machines.world
    refusing = [Rule(Fault.REFUSE, on={"put"}, name=lambda name: "/heads/" in name) for _ in range(3)]
    async with machines.open("admin") as admin, machines.open("other") as other:
        for number, rule in enumerate(refusing):
            world.stores[f"d{number}"].rules.append(rule)
        delete = Rule(Fault.REFUSE, on={"delete"}, name=lambda name: "/heads/" in name)
        world.stores["d4"].rules.append(delete)
        with pytest.raises(BelowFloor):
            await admin.write("refused", b"refused")
        for _ in range(looks):
            await learn(other.core, everything=True)
            await learn(admin.core, everything=True)
        for store in world.stores.values():
            store.rules.clear()
        world.clock.seconds += 100
        for _ in range(2):
            await admin.pay()
            for space in (admin, other):
                assert not (await learn(space.core, everything=True)).went_back
                assert (await audit(space.core)).proofs == []
                assert not [line for line in space.warnings if "no longer shows" in line]
        await other.write("after", b"after")
        await admin.write("after that", b"after that")
        assert not (await learn(admin.core, everything=True)).went_back
