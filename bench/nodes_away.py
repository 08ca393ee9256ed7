"""Nodes away: what is read and written while nodes are dead, silent or slow, beside the same while all are well.

Flow: a town, nodes that are stopped or lie behind a proxy -> gets by the command line, reads and puts by the library
Never: lets a cache answer; no node would be asked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import quantiles

from figures import Figure, Load, in_turns
from measure import say
from report import Report, beside
from town import SECRET, Town, town_in

from ropewalk.spaces.places import opener
from ropewalk.spaces.space import open_space
from ropewalk.spaces.store import Store
from ropewalk.testing.fault_proxy import FaultProxy

__all__ = ["dead", "first", "slow"]

DEAD = (1, 3)
FILE = 20_000  # bytes; more than a head embeds, so that a store is read
WRITES = 20
SETTLE = 12  # reads in which it shows which nodes are silent
WITHOUT, SLOWEST, FIRST = 0.7, 3.0, 2.0


def dead(report: Report, load: Load, folder: Path) -> None:
    """The same get with two of five nodes dead."""
    source = folder / "large"
    source.write_bytes(os.urandom(load.streamed // 4))
    with town_in(folder) as town:
        mb = source.stat().st_size / 1e6
        town.words("put", "--quiet", str(source), "net:/large")
        turn = iter(range(1_000_000))

        def get() -> float:
            target = folder / f"out{next(turn)}"
            seconds = town.words("get", "--quiet", "net:/large", str(target))
            target.unlink()
            return mb / seconds

        def without() -> float:
            for number in DEAD:
                town.processes[number].send_signal(signal.SIGSTOP)
            try:
                return get()
            finally:
                for number in DEAD:
                    town.processes[number].send_signal(signal.SIGCONT)

        healthy = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"all there": get}, load.rounds)
        silent = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"two of five silent": without}, load.rounds)
        for number in DEAD:
            town.processes[number].kill()
            town.processes[number].wait()
        gone = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"two of five dead": get}, load.rounds)
    for found in (healthy, silent, gone):
        report.figures += found.values()
    report.goals.append(
        beside("get with two of five nodes dead", gone["two of five dead"], healthy["all there"], WITHOUT, least=True)
    )


def first(report: Report, load: Load, folder: Path) -> None:
    """The first byte of large files: all nodes well, then two of five silent, as it is found out and afterwards."""
    files = folder / "files"
    files.mkdir()
    for number in range(SETTLE + 2 * load.rounds):
        (files / str(number)).write_bytes(os.urandom(4 << 20))
    with town_in(folder) as town:
        town.words("put", "--quiet", str(files), "net:/files")
        well, at_first, after = asyncio.run(_first_bytes(town, load))
    work = "first byte of a file of 4 MiB"
    figures = [
        Figure(work, "all nodes well", "ms", well),
        Figure(work, "two of five silent", "ms", after),
        Figure(f"{work}, the slowest", "as two of five fall silent", "ms", [max(at_first)]),
    ]
    say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures
    report.goals.append(beside("first byte with two of five silent, after the first", figures[1], figures[0], FIRST))


async def _first_bytes(town: Town, load: Load) -> tuple[list[float], list[float], list[float]]:
    """None is read twice."""
    async with await open_space(town.home, "net", town.home.open_keys(SECRET), pay_every=3600) as space:
        left = iter(range(SETTLE + 2 * load.rounds))

        async def some(count: int) -> list[float]:
            return [await _took(space.read(f"files/{number}", 0, 1)) for number in islice(left, count)]

        well = await some(load.rounds)
        for number in DEAD:
            town.processes[number].send_signal(signal.SIGSTOP)
        return well, await some(SETTLE), await some(load.rounds)


def slow(report: Report, load: Load, folder: Path) -> None:
    """Small reads and writes while one of five nodes takes half a second an answer, from a moment after opening on."""
    small = folder / "small"
    small.mkdir()
    for number in range(load.small_files):
        (small / str(number)).write_bytes(os.urandom(FILE))
    with town_in(folder) as town:
        town.words("put", "--quiet", str(small), "net:/small")
        healthy, late = asyncio.run(_beside_a_slow_node(town, load))
    for work, ours, theirs in (
        (f"read of {load.small_files} files of {FILE:,} bytes, p99", healthy.reads, late.reads),
        (f"write of a file of {FILE:,} bytes, one after another", healthy.writes, late.writes),
    ):
        figures = [Figure(work, "all nodes well", "ms", ours), Figure(work, "one takes 500 ms", "ms", theirs)]
        say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
        report.figures += figures
    p99, slow_p99 = report.figures[-4:-2]
    report.goals.append(beside("p99 of small reads with one slow node", slow_p99, p99, SLOWEST))


@dataclass
class _Times:
    """Milliseconds: the p99 of the reads of each round, and each write."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)


async def _beside_a_slow_node(town: Town, load: Load) -> tuple[_Times, _Times]:
    found = _Times(), _Times()
    keys = town.home.open_keys(SECRET)
    address = town.places[0][0]
    async with FaultProxy.before(int(address.partition("#")[0].rpartition(":")[2].partition("?")[0]), 0) as proxy:
        through = address.replace(f":{proxy.to}", f":{proxy.port}")

        async def open_store(place: str, identity: bytes) -> Store:
            return await opener(town.home, keys)(through if place == address else place, identity)

        for turn in range(load.rounds):
            for delay, into in zip((0.0, 0.25), found, strict=True):  # there and back
                proxy.faults.delay = 0.0
                async with await open_space(town.home, "net", keys, pay_every=3600, open_store=open_store) as space:
                    proxy.faults.delay = delay
                    reads = [await _took(space.read(f"small/{number}")) for number in range(load.small_files)]
                    into.reads.append(quantiles(reads, n=100)[98])
                    for number in range(WRITES):
                        new = os.urandom(FILE)
                        into.writes.append(await _took(space.write(f"new-{turn}-{delay}-{number}", new)))
                    proxy.faults.delay = 0.0  # what it is owed is brought before the next round
                    while await space.pay():
                        pass
    return found


async def _took(call: Awaitable[object]) -> float:
    began = time.perf_counter()
    await call
    return (time.perf_counter() - began) * 1000
