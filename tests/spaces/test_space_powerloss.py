"""After a power cut at any call of the stores' file systems, all that a space acknowledged is there.

One power cut takes all five stores and the local state at once.  Of the state's file, what was committed without
waiting for the disk is there or is not, all of it since the last commit that waited.

Flow: scene -> DiskStores on one PowerLossFileSystem -> power cut -> what is left of both -> left_whole
Never: touches a real disk, but for the local state's file.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import DiskStore, Store
from ropewalk.testing.faults import StopAfter
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from tests.spaces.crashing import NEVER, Frozen, Told, left_whole, stopping
from tests.spaces.making import World
from tests.spaces.model import Move, Remove, Step, Write

POINTS = 12  # power cuts in an ordinary run

STEPS: list[list[Step]] = [
    [Write(("a", "b", "small"), 5_000, 4)],
    [Write(("c", "new"), 300_000, 5), Remove(("empty",), recursive=False), Move(("a", "b"), ("c", "moved"))],
]


@dataclass
class Powered(World):
    """A world whose stores lie on one file system that forgets."""

    files: PowerLossFileSystem = field(default_factory=PowerLossFileSystem)

    async def open_store(self, path: str, identity: bytes) -> Store:
        return await DiskStore.open(f"/{path}", files=self.files, threads=1)


async def put_on_disks(frozen: Frozen) -> PowerLossFileSystem:
    """The stores of a frozen world, all of them durable."""
    files = PowerLossFileSystem()
    for name, objects in frozen.objects.items():
        store = await DiskStore.create(f"/{name}", files=files, threads=1)
        await store.put_many([(found, [data]) for found, data in objects.items()])
        await store.aclose()
    return files


async def play(world: World, told: Told) -> None:
    async with world.open() as space:
        for steps in STEPS:
            await told.change(space, steps)


async def cut_the_power(frozen: Frozen, disks: PowerLossFileSystem, points: Iterable[int] | None) -> int:
    """Play until the power goes, at each of these calls; without any, to the end.  How many calls there were."""
    calls = 0
    for at in [NEVER] if points is None else points:
        with frozen.thawed() as thawed:
            world = Powered(thawed.home, {}, time=thawed.time, files=disks.crash(0))
            told = Told(frozen.model.copy())
            lasting = world.folder.with_name("lasting")
            shutil.copytree(world.folder, lasting)
            world.files.stop_at(at)
            with stopping(StopAfter(NEVER), lasting=lasting):
                try:
                    await play(world, told)
                except PowerCut:
                    pass
                except RopewalkError:
                    if world.files.calls < at:  # else the power went in a task beside, and no store answers any more
                        raise
                except BaseExceptionGroup as group:
                    if not group.subgroup(PowerCut):
                        raise
            calls = world.files.calls
            if at % 2:
                shutil.rmtree(world.folder)
                lasting.rename(world.folder)
            world.files = world.files.crash(at)
            try:
                await left_whole(world, told)
            except (AssertionError, RopewalkError) as error:
                error.add_note(f"the power went at call {at}")
                raise
    return calls


async def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    frozen = await Frozen.make(tmp_path)
    disks = await put_on_disks(frozen)
    total = await cut_the_power(frozen, disks, None)
    await cut_the_power(frozen, disks, sorted(random.Random(seed).sample(range(total), POINTS)))


@pytest.mark.slow
async def test_power_cuts_all_along_take_nothing(tmp_path: Path) -> None:
    frozen = await Frozen.make(tmp_path)
    disks = await put_on_disks(frozen)
    total = await cut_the_power(frozen, disks, None)
    await cut_the_power(frozen, disks, range(0, total, 11))
