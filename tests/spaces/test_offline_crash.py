"""Wherever a device is stopped that works offline, or publishes what waited: all that it was told is kept is there.

It is stopped at calls of stores, at writes to the local state, and at calls of the file system of the queue's folder.

Flow: offline scene -> Frozen world -> stopped -> opened anew, with all stores -> whole, published, mended, rebuilt
Never: waits for real time.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.offline import files
from ropewalk.spaces.store.filesystem import FileSystem, OsFileSystem
from ropewalk.testing.faults import Fault, Rule, Stop, StopAfter
from tests.spaces.crashing import NEVER, Frozen, Told, Writes, left_whole
from tests.spaces.making import World
from tests.spaces.model import Step, Write
from tests.spaces.test_crash import EVERYWHERE, LARGE, chosen, stop_at_local_writes, stop_at_store_calls
from tests.spaces.test_offline import allow

MORE: list[Step] = [Write(("c", "more"), 150_000, 8)]
SMALL: list[Step] = [Write(("c", "new"), 2_000, 7)]


async def offline_and_back(world: World, told: Told) -> None:
    """Three changes wait, then stores come back and take them while the space is open."""
    allow(world.home)
    async with world.open() as space:  # else what is changed may lie in a chunk that this machine has never read
        async for _ in (await space.current()).walk(b""):
            pass
    for name in ("d0", "d1", "d3"):
        world.stores[name].gone = True
    async with world.open() as space:
        await told.change(space, LARGE)
        await told.change(space, SMALL)
        await told.change(space, MORE)
        for store in world.stores.values():
            store.gone = False
        world.clock.seconds += 100
        await space.core.pool.revive()
        await space.pay()


async def half_way(world: World, told: Told) -> None:
    """Stores take a head and its packs, but too few: then it waits."""
    allow(world.home)
    async with world.open() as space:
        for name in ("d0", "d1", "d3"):
            world.stores[name].rules.append(Rule(Fault.FULL))
        await told.change(space, LARGE)
        await told.change(space, SMALL)
        for store in world.stores.values():
            store.rules.clear()
        world.clock.seconds += 100
        await told.change(space, MORE)


SCENES = [offline_and_back, half_way]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("done", [False, True])
async def test_stopped_at_a_store_call(tmp_path: Path, scene: Any, done: bool, seed: int) -> None:
    await stop_at_store_calls(tmp_path, scene, done, lambda total: chosen(total, seed))


@pytest.mark.parametrize("scene", SCENES)
async def test_stopped_at_a_local_write(tmp_path: Path, scene: Any, seed: int) -> None:
    await stop_at_local_writes(tmp_path, scene, lambda total: chosen(total, seed))


class _Stopping:
    """The operating system's file system, until it stops."""

    calls = 0
    stop_at = NEVER

    def __init__(self) -> None:
        self._files: FileSystem = OsFileSystem()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if name != "close":  # nothing is left open by a process that is dead
                _Stopping.calls += 1
                if _Stopping.calls > _Stopping.stop_at:
                    raise Stop
            return getattr(self._files, name)(*args)

        assert inspect.isroutine(getattr(self._files, name))
        return call


async def stop_at_queue_calls(folder: Path, scene: Any, choose: Callable[[int], Iterable[int]]) -> None:
    frozen = await Frozen.make(folder)
    total = await _stopped(frozen, scene, NEVER)
    assert total > 50
    for at in choose(total):
        await _stopped(frozen, scene, at)


async def _stopped(frozen: Frozen, scene: Any, at: int) -> int:
    with frozen.thawed() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "OsFileSystem", _Stopping)
        _Stopping.calls, _Stopping.stop_at = 0, at
        told = await frozen.play(world, scene, StopAfter(NEVER))
        calls, _Stopping.stop_at = _Stopping.calls, NEVER
        try:
            await left_whole(world, told)
        except (AssertionError, RopewalkError) as error:
            error.add_note(f"stopped at call {at} of the queue's file system")
            raise
    return calls


@pytest.mark.parametrize("scene", SCENES)
async def test_stopped_at_a_call_of_the_queues_file_system(tmp_path: Path, scene: Any, seed: int) -> None:
    await stop_at_queue_calls(tmp_path, scene, lambda total: chosen(total, seed))


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
async def test_stopped_at_every_call_of_the_queues_file_system(tmp_path: Path, scene: Any) -> None:
    await stop_at_queue_calls(tmp_path, scene, range)


@pytest.mark.parametrize("scene", SCENES)
async def test_the_power_goes_where_the_state_was_not_synced_yet(tmp_path: Path, scene: Any, seed: int) -> None:
    """What was committed without waiting for the disk is gone, and the queue's files are as they were then."""
    frozen = await Frozen.make(tmp_path)
    with frozen.thawed() as world:
        await frozen.play(world, scene, StopAfter(NEVER))
        writes = Writes.writes
    for at in range(1, writes, 1 if EVERYWHERE else 4):
        with frozen.thawed() as world:
            lasting = world.folder.with_name("lasting")
            shutil.copytree(world.folder, lasting)
            told = await frozen.play(world, scene, StopAfter(NEVER), at, lasting)
            queue = world.folder / files.QUEUE_FOLDER
            shutil.rmtree(lasting / files.QUEUE_FOLDER, ignore_errors=True)
            if queue.exists():
                shutil.copytree(queue, lasting / files.QUEUE_FOLDER)
            shutil.rmtree(world.folder)
            lasting.rename(world.folder)
            try:
                await left_whole(world, told)
            except (AssertionError, RopewalkError) as error:
                error.add_note(f"the power went at local write {at} of {writes}")
                raise
