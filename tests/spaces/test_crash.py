"""Wherever a process is stopped, all that it acknowledged is there when the space is opened again, and nothing else is.

A scene is played once to count its store calls and its local writes, then again and again, stopped at each of them: a
store call before it is done or just after, a local write before it is done.  Then the process's memory is thrown away.

Flow: scene -> Frozen world -> stopped -> opened anew -> whole, one chain of heads, mended, rebuilt without local state
Never: waits for real time.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import settings

from ropewalk.errors import RopewalkError
from ropewalk.spaces.check import check
from ropewalk.testing.faults import Fault, Rule, StopAfter
from tests.spaces.crashing import NEVER, Frozen, Scene, Told, Writes, left_whole, mended
from tests.spaces.making import World
from tests.spaces.model import Model, Move, Remove, Step, Write, shown

POINTS = 8  # of a scene, stopped at in an ordinary run; all of them where Hypothesis is told to fuzz
EVERYWHERE = settings().max_examples > 1000

SMALL: list[Step] = [Write(("a", "b", "small"), 5_000, 4)]
LARGE: list[Step] = [
    Write(("c", "new"), 300_000, 5),
    Remove(("empty",), recursive=False),
    Move(("a", "b"), ("c", "moved")),
    Write(("a", "large"), 100_000, 6),
]


async def one_small_change(world: World, told: Told) -> None:
    async with world.open() as space:
        await told.change(space, SMALL)


async def two_changes(world: World, told: Told) -> None:
    async with world.open() as space:
        await told.change(space, LARGE)
        await told.change(space, [Write(("c", "new"), 2_000, 7)])


async def a_refused_change(world: World, told: Told) -> None:
    for store in (world.stores["d1"], world.stores["d4"]):
        store.rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/heads/" in name))
    async with world.open() as space:
        await told.refused(space, LARGE)
        world.stores["d1"].rules.clear()
        await told.change(space, SMALL)


async def a_debt_paid(world: World, told: Told) -> None:
    async with world.open() as space:
        world.stores["d2"].gone = True
        await told.change(space, LARGE)
        world.stores["d2"].gone = False
        world.clock.seconds += 10
        await space.pay()


async def a_repair(world: World, told: Told) -> None:
    await world.stores["d0"].roll_back({})
    for name in await world.stores["d3"].names("/packs/"):
        await world.stores["d3"].damage(name, 77)
    async with world.open() as space:
        await check(space.core, everything=True)
        await mended(space)


async def opened_without_local_state(world: World, told: Told) -> None:
    shutil.rmtree(world.folder)
    async with world.open() as space:
        await told.change(space, SMALL)


SCENES: list[Scene] = [
    one_small_change,
    two_changes,
    a_refused_change,
    a_debt_paid,
    a_repair,
    opened_without_local_state,
]


def chosen(total: int, seed: int) -> list[int]:
    """Where to stop: everywhere, or in an ordinary run at so many points."""
    points = list(range(total))
    return points if EVERYWHERE or total <= POINTS else sorted(random.Random(seed).sample(points, POINTS))


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("done", [False, True])
async def test_stopped_at_a_store_call_it_is_whole(tmp_path: Path, scene: Scene, done: bool, seed: int) -> None:
    await stop_at_store_calls(tmp_path, scene, done, lambda total: chosen(total, seed))


@pytest.mark.slow
@pytest.mark.parametrize("scene", [two_changes, a_refused_change])
@pytest.mark.parametrize("done", [False, True])
async def test_stopped_at_every_store_call_it_is_whole(tmp_path: Path, scene: Scene, done: bool) -> None:
    await stop_at_store_calls(tmp_path, scene, done, range)


async def stop_at_store_calls(folder: Path, scene: Scene, done: bool, choose: Callable[[int], Iterable[int]]) -> None:
    frozen = await Frozen.make(folder)
    whole = StopAfter(NEVER)
    with frozen.thawed() as world:
        await left_whole(world, await frozen.play(world, scene, whole))
    for at in choose(whole.calls):
        with frozen.thawed() as world:
            stop = StopAfter(at, done=done)
            told = await frozen.play(world, scene, stop)
            try:
                await left_whole(world, told)
            except (AssertionError, RopewalkError) as error:
                error.add_note(f"stopped at store call {at} of {whole.calls}")
                raise


@pytest.mark.parametrize("scene", SCENES)
async def test_stopped_at_a_local_write_it_is_whole(tmp_path: Path, scene: Scene, seed: int) -> None:
    await stop_at_local_writes(tmp_path, scene, lambda total: chosen(total, seed))


@pytest.mark.slow
@pytest.mark.parametrize("scene", [two_changes, a_refused_change])
async def test_stopped_at_every_local_write_it_is_whole(tmp_path: Path, scene: Scene) -> None:
    await stop_at_local_writes(tmp_path, scene, range)


async def stop_at_local_writes(folder: Path, scene: Scene, choose: Callable[[int], Iterable[int]]) -> None:
    frozen = await Frozen.make(folder)
    with frozen.thawed() as world:
        await left_whole(world, await frozen.play(world, scene, StopAfter(NEVER)))
        writes = Writes.writes
    for at in choose(writes):
        with frozen.thawed() as world:
            told = await frozen.play(world, scene, StopAfter(NEVER), at)
            try:
                await left_whole(world, told)
            except (AssertionError, RopewalkError) as error:
                error.add_note(f"stopped at local write {at} of {writes}")
                raise


async def test_a_head_that_a_store_may_have_is_never_replaced_by_another(tmp_path: Path) -> None:
    """Even where power goes too, and the one store that has it is away when the space is opened and changed again."""
    frozen = await Frozen.make(tmp_path)
    seen_by_one = 0
    for at in range(40):
        with frozen.thawed() as world:
            lasting = world.folder.with_name("lasting")
            shutil.copytree(world.folder, lasting)
            told = await frozen.play(world, one_small_change, StopAfter(at, done=True), lasting=lasting)
            heads = {name: len(await store.names("/heads/")) for name, store in world.stores.items()}
            holders = [name for name, count in heads.items() if count > min(heads.values())]
            if len(holders) != 1:
                continue
            seen_by_one += 1
            shutil.rmtree(world.folder)
            lasting.rename(world.folder)
            world.stores[holders[0]].gone = True
            async with world.open() as space:
                told.model = Model(await shown(await space.current()))
                await told.change(space, [Write(("c", "next"), 700, 8)])
            world.stores[holders[0]].gone = False
            await left_whole(world, told)
    assert seen_by_one


async def test_packs_of_a_refused_change_are_not_missed_after_a_rebuild(tmp_path: Path) -> None:
    frozen = await Frozen.make(tmp_path)
    with frozen.thawed() as world:
        await frozen.play(world, a_pack_refused, StopAfter(NEVER))
        shutil.rmtree(world.folder)
        async with world.open() as space:
            assert (await check(space.core, everything=True)).ok


async def a_pack_refused(world: World, told: Told) -> None:
    for store in (world.stores["d1"], world.stores["d4"]):
        store.gone = True
    async with world.open() as space:
        await told.refused(space, LARGE)
