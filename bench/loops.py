"""Loops: what a turn of a loop inside a host costs beside asyncio's own, and what a hop between threads does.

Flow: loops and ways between threads, in turn -> microseconds of each -> goals
Never: measures a loop kind that says it cannot run here; the report says why instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.to_thread
from figures import Figure, Load, in_turns
from network import one_core, serving
from report import Goal, Report, beside
from servers import BARE, Echo

from ropewalk.loops import LoopKind, Simulated, kinds, run
from ropewalk.threads import Watchdog, call, half_sync, portal, sync
from ropewalk.threads import run as run_in_thread

__all__ = ["measure"]

GUESTS = ("qt",)
IDLES = 3  # rounds; each takes seconds
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

Work = Callable[[], Coroutine[Any, Any, float]]


class Ping(asyncio.Protocol):
    """Sends a byte when the last one came back."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.left -= 1
        if self.left:
            self.write(data)
        else:
            self.done.set_result(None)


async def round_trip(rounds: int, port: int | None) -> float:
    """Microseconds; the other side is in this loop, or at ``port``."""
    loop = asyncio.get_running_loop()
    server = None if port else await loop.create_server(Echo, "127.0.0.1", 0)
    to = port or server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    transport, ping = await loop.create_connection(lambda: Ping(rounds), "127.0.0.1", to)
    start = time.perf_counter()
    transport.write(b"x")
    await ping.done
    taken = time.perf_counter() - start
    transport.close()
    if server is not None:
        server.close()
    await asyncio.sleep(0.01)
    return taken / rounds * 1e6


async def idle(seconds: float, *, watched: bool = False) -> float:
    """Percent of a core."""
    with Watchdog() if watched else open(os.devnull):  # noqa: ASYNC230 - a context that does nothing
        await asyncio.sleep(0.1)
        start = time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - start) / seconds * 100


async def each(count: int, hop: Callable[[], Coroutine[Any, Any, Any]]) -> float:
    """Microseconds of one of ``count`` calls."""
    for _ in range(5):
        await hop()
    start = time.perf_counter()
    for _ in range(count):
        await hop()
    return (time.perf_counter() - start) / count * 1e6


async def nothing() -> None:
    """What is called in the loop."""


def no_op() -> None:
    """What is called in a worker."""


@half_sync(max_queue=10, workers=1)
def queued() -> None:
    """What is called behind a queue."""


async def through_queue(count: int) -> float:
    """One call at a time."""
    async with queued:
        return await each(count, queued)


async def many_through_queue(count: int) -> float:
    """As many calls as fit."""
    async with queued:
        start = time.perf_counter()
        await asyncio.gather(*(queued() for _ in range(count)))
        return (time.perf_counter() - start) / count * 1e6


async def back(count: int, hop: Callable[[], Any], run: Callable[[Callable[[], float]], Any] = run_in_thread) -> float:
    """From a worker into the loop."""

    def worker() -> float:
        start = time.perf_counter()
        for _ in range(count):
            hop()
        return (time.perf_counter() - start) / count * 1e6

    return float(await run(worker))


async def back_by_asyncio(count: int) -> float:
    """asyncio's own way."""
    loop = asyncio.get_running_loop()
    return await back(count, lambda: asyncio.run_coroutine_threadsafe(nothing(), loop).result())


async def back_by_anyio(count: int) -> float:
    """anyio's way."""
    return await back(count, lambda: anyio.from_thread.run(nothing), anyio.to_thread.run_sync)


def blocking(count: int, hop: Callable[[], Any]) -> float:
    """In a plain program."""
    hop()
    start = time.perf_counter()
    for _ in range(count):
        hop()
    return (time.perf_counter() - start) / count * 1e6


class Thing:
    """Something asynchronous."""

    async def nothing(self) -> None:
        """Do nothing."""


def by_portal(count: int, loop: str, *, face: bool = False) -> float:
    """By ours."""
    with portal(loop) as door:
        return blocking(count, sync(Thing(), door).nothing if face else partial(door.call, nothing))


def by_anyio_portal(count: int, *, uvloop: bool) -> float:
    """By anyio's."""
    with anyio.from_thread.start_blocking_portal("asyncio", {"use_uvloop": uvloop}) as door:
        return blocking(count, partial(door.call, nothing))


async def jumps(count: int) -> float:
    """Timers of simulated time."""
    start = time.perf_counter()
    for _ in range(count):
        await asyncio.sleep(1)
    return (time.perf_counter() - start) / count * 1e6


def measure(report: Report, load: Load, folder: Path) -> None:
    """All loops that can run here."""
    known = kinds()
    here = {name: one for name, one in known.items() if "tcp" in one.features and not one.why_not()}

    def on(loop: LoopKind, work: Work) -> Callable[[], float]:
        return lambda: run(work(), loop=loop)

    def by_loop(title: str, unit: str, work: Work, rounds: int = load.rounds) -> dict[str, Figure]:
        found = in_turns(title, unit, {name: on(one, work) for name, one in here.items()}, rounds)
        report.figures += found.values()
        return found

    inside = by_loop("TCP round trip, both ends in the loop", "us", partial(round_trip, load.hops, None))
    with one_core(), serving("tcp", folder) as server:
        port = int(server.addresses[BARE])
        apart = by_loop("TCP round trip, the other end apart", "us", partial(round_trip, load.hops, port))
    still = by_loop("idle loop", "% of a core", partial(idle, load.rest), IDLES)
    by_loop("idle loop, watched", "% of a core", partial(idle, load.rest, watched=True), IDLES)
    for name in ("asyncio", "uvloop"):
        if name in here:
            ways = hops(partial(on, here[name]), name, load.hops)
            report.figures += in_turns(f"hop on {name}", "us", ways, load.rounds).values()
    timer = on(Simulated(), partial(jumps, load.hops))
    report.figures += in_turns("simulated loop", "us", {"a timer": timer}, load.rounds).values()
    for guest in GUESTS:
        if guest not in here:
            report.notes.append(f"{guest} cannot be a host here, so its goals are missing: {known[guest].why_not()}")
            continue
        for where, trips in (("both ends in the loop", inside), ("the other end apart", apart)):
            what = f"TCP round trip in a guest of {guest}, {where}, beside asyncio"
            report.goals.append(beside(what, trips[guest], trips["asyncio"], 3))
        most = f"most {max(still[guest].values):.3f} %"
        report.goals.append(Goal(f"idle guest of {guest}, of a core", still[guest].median, 0.1, "%", most))


def hops(on: Callable[[Work], Callable[[], float]], loop: str, n: int) -> dict[str, Callable[[], float]]:
    """From loop to worker, from worker to loop, from a plain program to a loop."""
    return {
        "threads.run": on(partial(each, n, partial(run_in_thread, no_op))),
        "asyncio.to_thread": on(partial(each, n, partial(asyncio.to_thread, no_op))),
        "anyio.to_thread.run_sync": on(partial(each, n, partial(anyio.to_thread.run_sync, no_op))),
        "half_sync, one at a time": on(partial(through_queue, n)),
        "half_sync, queue kept full": on(partial(many_through_queue, n)),
        "threads.call": on(partial(back, n, partial(call, nothing))),
        "asyncio.run_coroutine_threadsafe": on(partial(back_by_asyncio, n)),
        "anyio.from_thread.run": on(partial(back_by_anyio, n)),
        "portal.call": partial(by_portal, n, loop),
        "sync(...).method": partial(by_portal, n, loop, face=True),
        "anyio's portal.call": partial(by_anyio_portal, n, uvloop=loop == "uvloop"),
    }
