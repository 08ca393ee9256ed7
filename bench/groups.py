"""Groups: what it costs that many write to one space, over stores in folders.

Flow: two memories of one device's keys, each a writer of its own -> changes made apart -> what it took to join them
Never: times what one of the writers did before, or lets a reader begin with nodes that another has in memory.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from figures import Figure, Load
from measure import say
from report import Goal, Report

from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.store import DiskStore

__all__ = ["SPACE", "STORES", "Writer", "merge", "new_space"]

_T = TypeVar("_T")
SPACE = "bench"
STORES = 5
IN_A_FOLDER = 100  # files
MERGE = 2.0  # seconds for 1,000 and 1,000 changes in 100,000 files


@dataclass(frozen=True, slots=True)
class Writer:
    """Who may open the space: the same keys with another memory are another writer."""

    home: Home
    device: DeviceKeys

    async def open(self) -> Space:
        """The space, with nothing of it in memory."""
        return await open_space(self.home, SPACE, self.device, pay_every=3600)


def merge(report: Report, load: Load, folder: Path) -> None:
    """Two histories that come together, in a small tree and in one of ten times the files."""
    for files in (load.files // 10, load.files):
        inside = folder / str(files)
        inside.mkdir()
        took = asyncio.run(_merges(inside, files, load.changes, load.rounds))
        work = f"merge {load.changes:,} and {load.changes:,} changes in {files:,} files"
        figures = {side: Figure(work, side, "ms", [one * 1000 for one in found]) for side, found in took.items()}
        say(f"{work}: {', '.join(f'{side} {figure.shown}' for side, figure in figures.items())}")
        report.figures += figures.values()
        if files == load.files:
            for side in (SHOWN, KEPT):
                worst = f"the worst {max(figures[side].values):,.0f} ms"
                report.goals.append(Goal(f"{work}: {side}", figures[side].median / 1000, MERGE, "s", worst))


OPENED, SHOWN, KEPT = "open, and learn of the other", "join, to be shown", "join, to be kept with the next change"


async def _merges(folder: Path, files: int, changes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, one of each round; no node is in memory when a merge begins."""
    ours, theirs = await _writers(folder)
    chance = random.Random(files)
    paths = [f"top{at // IN_A_FOLDER % 10}/folder{at // IN_A_FOLDER}/file{at}" for at in range(files)]
    await _write(ours, paths, b"first")
    for writer in (theirs, ours, theirs):  # each is seen by the other, and has looked at all of it once
        await _write(writer, [f"by-{chance.random()}"], b"seen")
    took: dict[str, list[float]] = {OPENED: [], SHOWN: [], KEPT: []}
    for number in range(rounds):
        edited = chance.sample(paths, 2 * changes)
        parts = edited[:changes], edited[changes:]
        spaces = [await ours.open(), await theirs.open()]
        for space, some in zip(spaces, parts, strict=True):
            async with space.change() as change:
                for path in some:
                    await change.write(path, b"%d" % number)
        for space in spaces:
            await space.aclose()
        space, seconds = await _timed(ours.open)
        took[OPENED].append(seconds)
        took[SHOWN].append((await _timed(space.current))[1])
        await space.aclose()
        space = await ours.open()

        async def publish(space: Space = space, number: int = number) -> None:
            await space.write(f"merged{number}", b"")

        took[KEPT].append((await _timed(publish))[1])
        await space.aclose()
        space = await theirs.open()
        await space.current()
        await space.aclose()
    return took


async def _timed(work: Callable[[], Awaitable[_T]]) -> tuple[_T, float]:
    started = time.perf_counter()
    result = await work()
    return result, time.perf_counter() - started


async def _write(writer: Writer, paths: list[str], data: bytes) -> None:
    space = await writer.open()
    async with aclosing(space), space.change() as change:
        for path in paths:
            await change.write(path, data)


async def _writers(folder: Path) -> tuple[Writer, Writer]:
    """Two writers of a new space, which do not know of each other yet."""
    one = await new_space(folder)
    home = Home(folder / "theirs" / "config", folder / "theirs" / "state")
    home.update(lambda _: one.home.load())
    return one, Writer(home, one.device)


async def new_space(folder: Path) -> Writer:
    """A new space over stores in folders, any two of which may be lost."""
    device, paper = DeviceKeys.generate(), DeviceKeys.generate(PAPER)
    home = Home(folder / "ours" / "config", folder / "ours" / "state")
    names = [f"store{number}" for number in range(STORES)]
    for name in names:
        store = await DiskStore.create(folder / name)
        home.add_store(name, StoreSetting(str(folder / name), store.identity.hex(), {}))
        await store.aclose()
    policy = plan_policy([StoreDomains(name) for name in names], {"store": 2})
    await create_space(home, SPACE, names, policy, 1, device, paper.public(), time.monotonic, time.time_ns)
    return Writer(home, device)
