"""Processes that are stopped anywhere, and what must be left of a space when they are.

Flow: Frozen world, thawed -> a scene, stopped at a store call or a local write -> left_whole
Never: lets a stopped process do anything more.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.home import Home
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownHead
from ropewalk.testing.faults import Stop, StopAfter
from tests.spaces.making import KeptStore, World, a_space
from tests.spaces.model import MakeFolder, Model, Step, Write, shown

__all__ = ["NEVER", "Frozen", "Scene", "Told", "Writes", "is_stop", "left_whole", "mended", "stopping"]

NEVER = 1 << 40  # a call that no scene comes to

BEFORE: tuple[list[Step], ...] = (
    [Write(("a", "b", "small"), 900, 1), Write(("a", "large"), 200_000, 2)],
    [Write(("a", "b", "more"), 20_000, 3), MakeFolder(("empty",), parents=False, exist_ok=False)],
)


class Writes(sqlite3.Connection):
    """A connection to the local state that ends the process at a given write, and keeps what a power cut would leave.

    Of what was committed without waiting for the disk, all or nothing since the last commit that waited is left.
    """

    stop: StopAfter
    lasting: Path | None = None  # takes a copy of the state's folder at each commit that is durable
    made: list[Writes]
    writes = 0
    stop_at = NEVER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folder = Path(args[0]).parent
        self._waits = False
        Writes.made.append(self)

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._count(sql)
        done = super().execute(sql, *args)
        if sql.startswith("PRAGMA synchronous"):
            self._waits = sql.endswith("FULL")
        if sql == "COMMIT" and self._waits and Writes.lasting is not None:
            shutil.copytree(self._folder, Writes.lasting, dirs_exist_ok=True)
        return done

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._count(sql)
        return super().executemany(sql, *args)

    def _count(self, sql: str) -> None:
        if Writes.stop.stopped:
            raise Stop
        if sql[:6].strip() in {"INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT"}:
            Writes.writes += 1
            if Writes.writes > Writes.stop_at:
                Writes.stop.calls = 2 * NEVER  # the stores of a dead process are dead too
                raise Stop


@contextmanager
def stopping(stop: StopAfter, write: int = NEVER, lasting: Path | None = None) -> Iterator[None]:
    """Let processes started within be stopped by ``stop``, or at a local write, counted from 0."""
    Writes.stop, Writes.stop_at, Writes.lasting, Writes.writes, Writes.made = stop, write, lasting, 0, []
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Writes))
            yield
    finally:
        for connection in Writes.made:
            connection.close()


@dataclass
class Told:
    """What a process has been told of its changes."""

    model: Model
    after: Model | None = None  # what is under way

    async def change(self, space: Space, steps: Sequence[Step]) -> None:
        self.after = self.model.copy()
        async with space.change() as change:
            for step in steps:
                assert self.after.do(step) is None
                await step.do(change)
        assert space.outcome is not None
        self.model, self.after = self.after, None

    async def refused(self, space: Space, steps: Sequence[Step]) -> None:
        with pytest.raises(BelowFloor):
            await self.change(space, steps)
        self.after = None


Scene = Callable[[World, Told], Awaitable[None]]


@dataclass
class Frozen:
    """A world at rest, to be had again as often as a test likes."""

    folder: Path
    model: Model
    objects: dict[str, dict[Any, bytes]]
    count: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    async def make(cls, folder: Path) -> Frozen:
        world = await a_space(folder / "frozen")
        told = Told(Model())
        async with world.open() as space:
            for steps in BEFORE:
                await told.change(space, steps)
        objects = {name: await store.snapshot() for name, store in world.stores.items()}
        return cls(folder, told.model, objects)

    @contextmanager
    def thawed(self) -> Iterator[World]:
        folder = self.folder / str(next(self.count))
        shutil.copytree(self.folder / "frozen", folder)
        world = World(Home(folder / "config", folder / "state"), {name: KeptStore() for name in self.objects})
        world.time = 1 << 60
        try:
            yield world
        finally:
            shutil.rmtree(folder)

    async def play(
        self, world: World, scene: Scene, stop: StopAfter, write: int = NEVER, lasting: Path | None = None
    ) -> Told:
        """Play a scene until it is stopped; what a power cut would leave of the local state goes to ``lasting``."""
        for name, store in world.stores.items():
            await store.roll_back(self.objects[name])
        told = Told(self.model.copy())
        world.around = stop.around
        with stopping(stop, write, lasting):
            try:
                await scene(world, told)
            except BaseException as error:
                if not is_stop(error):
                    raise
        world.around = lambda store: store
        for store in world.stores.values():
            store.rules.clear()
            store.gone = False
        world.clock.seconds += 10
        return told


def is_stop(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(is_stop(one) for one in error.exceptions)
    return isinstance(error, Stop)


async def mended(space: Space) -> RepairReport:
    async with space._turns.take():
        return await repair(space.core)


async def left_whole(world: World, told: Told) -> None:
    """Assert that a space opened anew holds what was acknowledged, and can be mended."""
    async with world.open() as space:
        now = await shown(await space.current())
        if told.after is None or now != told.after.paths:
            assert now == told.model.paths
        one_chain(world, await space.log())
        again = await shown(await space.current())
        assert again == now, "what is shown changes by looking"
        await check(space.core, everything=True)
        report = await mended(space)
        assert (report.lost, report.owed) == (0, 0), report.lines
        checked = await check(space.core, everything=True)
        assert checked.ok, checked.lines
        for store in space.core.pool.names:
            heads = {listed.name async for listed in space.core.pool.list(store, heads_prefix(space.core.space_id))}
            assert heads == {head.name for head in await space.log()}, "a head that was not acknowledged is left"
        await space.write("after", b"it goes on")
    shutil.rmtree(world.folder)
    async with world.open() as space:
        assert await shown(await space.current()) == {**now, ("after",): b"it goes on"}
        report = await mended(space)
        assert (report.lost, report.owed) == (0, 0), report.lines
        checked = await check(space.core, everything=True)
        assert checked.ok, checked.lines


def one_chain(world: World, log: Sequence[KnownHead]) -> None:
    """Assert that no writer ever signed two heads with one sequence, and that each follows the one before."""
    sent: dict[tuple[bytes, int], set[bytes]] = {}
    for store in world.stores.values():
        for name, data in store.puts:
            if (parsed := HeadName.decode(name)) is not None:
                sent.setdefault((parsed.writer, parsed.sequence), set()).add(data)
    assert all(len(different) == 1 for different in sent.values()), "a head was sent again with other bytes"
    by_place = {(head.writer, head.sequence): head for head in log}
    for (writer, sequence), head in by_place.items():
        if sequence > 1:
            assert by_place[writer, sequence - 1].hash == head.previous, "the chain of heads has a gap or a fork"
