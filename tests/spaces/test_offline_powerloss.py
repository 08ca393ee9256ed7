"""What waits at home goes only once stores have it for good: the power goes at any step of queueing and publishing.

One power cut takes the stores, the queue's folder and the local state at once.  Each file of the queue is looked at
when it is deleted, too: what a power cut just then would leave must do without it.

Flow: offline scene -> DiskStores and queue on one PowerLossFileSystem -> power cut, or a deletion -> what is left
Never: touches a real disk, but for the local state's file.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.offline import files
from ropewalk.spaces.state import ACKED
from ropewalk.spaces.store import DiskStore, Store, StoreGone
from ropewalk.testing.faults import FaultStore, StopAfter
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from tests.spaces.crashing import NEVER, Frozen, Told, left_whole, stopping
from tests.spaces.making import World
from tests.spaces.model import Step, Write
from tests.spaces.test_offline import allow
from tests.spaces.test_space_powerloss import put_on_disks

POINTS = 12  # power cuts in an ordinary run
FEW = ("d0", "d1", "d3")  # of five; a write needs four
FLOOR, ENOUGH = 4, 3  # stores that must have a head; shares that give a pack back

STEPS: list[list[Step]] = [
    [Write(("c", "large"), 300_000, 5)],
    [Write(("c", "small"), 2_000, 7)],
    [Write(("c", "more"), 300_000, 8)],
]


@dataclass
class Powered(World):
    """A world whose stores and queue lie on one file system that forgets."""

    files: PowerLossFileSystem = field(default_factory=PowerLossFileSystem)
    made: dict[str, FaultStore] = field(default_factory=dict)
    gone: Collection[str] = ()

    async def open_store(self, path: str, identity: bytes) -> Store:
        if path in self.gone:
            raise StoreGone(f"store {path} is away")
        self.made[path] = FaultStore(await DiskStore.open(f"/{path}", files=self.files, threads=1))
        return self.made[path]

    def away(self, names: Collection[str]) -> None:
        self.gone = names
        for name, store in self.made.items():
            store.gone = name in names
        self.clock.seconds += 100


async def offline_and_back(world: Powered, told: Told) -> None:
    """Changes wait, of which one is published by the next change, and the others by a look at what is owed."""
    allow(world.home, cache=0)
    world.away(FEW)
    async with world.open() as space:
        await told.change(space, STEPS[0])
    world.away(())
    async with world.open() as space:
        await told.change(space, STEPS[1])
        world.away(FEW)
        await told.change(space, STEPS[2])
        world.away(())
        await space.core.pool.revive()
        await space.pay()


def make_folder(disks: PowerLossFileSystem, path: str) -> None:
    """A folder, durable, with all above it."""
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        folder = "/" + "/".join(parts[:end])
        if f"{parts[end - 1]}/" not in list(disks.scan(os.path.dirname(folder))):
            disks.mkdir(folder)
        for changed in (folder, os.path.dirname(folder)):
            fd = disks.open(changed, os.O_RDONLY)
            disks.fsync(fd)
            disks.close(fd)


@dataclass
class Cuts:
    """A scene that is played again and again."""

    frozen: Frozen
    disks: PowerLossFileSystem

    async def play(self, at: int, disk: type[PowerLossFileSystem] = PowerLossFileSystem) -> int:
        """Play until the power goes at a call, and go on after it; how many calls there were."""
        with self.frozen.thawed() as thawed, pytest.MonkeyPatch.context() as patch:
            world = Powered(thawed.home, {}, time=thawed.time, files=self.disks.crash(0))
            world.files.__class__ = disk
            make_folder(world.files, str(world.folder))
            patch.setattr(files, "OsFileSystem", lambda: world.files)
            told, lasting = Told(self.frozen.model.copy()), world.folder.with_name("lasting")
            shutil.copytree(world.folder, lasting)
            if isinstance(world.files, Watched):
                world.files.lasting = lasting
            world.files.stop_at(at)
            with stopping(StopAfter(NEVER), lasting=lasting):
                try:
                    await offline_and_back(world, told)
                except PowerCut:
                    pass
                except BaseExceptionGroup as group:
                    if not group.subgroup(PowerCut):
                        raise
            calls = world.files.calls
            if at % 2:
                shutil.rmtree(world.folder)
                lasting.rename(world.folder)
            world.files = world.files.crash(at)
            world.away(())
            try:
                await left_whole(world, told)
            except (AssertionError, RopewalkError) as error:
                error.add_note(f"the power went at call {at}")
                raise
        return calls


@pytest.fixture
async def cuts(tmp_path: Path) -> Cuts:
    frozen = await Frozen.make(tmp_path)
    return Cuts(frozen, await put_on_disks(frozen))


async def test_a_power_cut_takes_nothing_that_waits_or_was_published(cuts: Cuts, seed: int) -> None:
    total = await cuts.play(NEVER)
    for at in sorted(random.Random(seed).sample(range(total), POINTS)):
        await cuts.play(at)


@pytest.mark.slow
async def test_power_cuts_all_along_take_nothing(cuts: Cuts, seed: int) -> None:
    total = await cuts.play(NEVER)
    for at in range(seed % 19, total, 19):
        await cuts.play(at)


class Watched(PowerLossFileSystem):
    """Looks, at each deletion of a file of the queue, at what a power cut would leave now."""

    lasting: Path
    heads: int
    packs: int

    def unlink(self, path: str) -> None:
        if f"/{files.QUEUE_FOLDER}/" in path and path.endswith((".head", ".pack")):
            for chance in range(4):
                self._would_do(path, self.crash(chance))
        super().unlink(path)

    def _would_do(self, path: str, left: PowerLossFileSystem) -> None:
        name = path.rpartition("/")[2]
        if name.endswith(".head"):
            writer, _, rest = name.removesuffix(".head").partition("-")
            copies = [one for one in _objects(left, f"heads/{writer}") if one.endswith(f"/{rest}")]
            assert len(copies) >= FLOOR, f"{name} goes, and a power cut leaves {len(copies)} copies"
            kept = _bytes(self, path)
            assert all(_bytes(left, one) == kept for one in copies)
            assert _state_of(self.lasting, f"heads/{writer}/{rest}") == ACKED
            Watched.heads += 1
        else:
            shares = [one for one in _objects(left, "packs") if f"/{name.removesuffix('.pack')}-" in one]
            assert len({one.partition("/packs/")[0] for one in shares}) >= FLOOR, f"{name} goes with {len(shares)}"
            Watched.packs += 1


def _objects(disks: PowerLossFileSystem, part: str) -> list[str]:
    """Files of all stores in a folder of the space."""
    found = []
    for store in (f"d{number}" for number in range(5)):
        for space in [name for name in disks.scan(f"/{store}") if len(name) == 65]:
            try:
                found += [f"/{store}/{space}{part}/{name}" for name in disks.scan(f"/{store}/{space}{part}")]
            except FileNotFoundError:
                continue
    return found


def _bytes(disks: PowerLossFileSystem, path: str) -> bytes:
    fd = disks.open(path, os.O_RDONLY)
    try:
        return disks.pread(fd, 1 << 26, 0)
    finally:
        disks.close(fd)


def _state_of(lasting: Path, head: str) -> int | None:
    """What the state says of a head after a power cut just now."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(lasting, folder, dirs_exist_ok=True)
        state = sqlite3.Connection(f"{folder}/state.db")
        row = state.execute("SELECT state FROM heads WHERE name LIKE ?", (f"%/{head}",)).fetchone()
        state.close()
    return None if row is None else row[0]


async def test_a_file_of_the_queue_goes_once_enough_stores_have_it_for_good(cuts: Cuts) -> None:
    Watched.heads = Watched.packs = 0
    await cuts.play(NEVER, Watched)
    assert (Watched.heads, Watched.packs) == (8, 8)
