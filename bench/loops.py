"""Loops and threads: what a turn inside a host costs, and what a hop between threads does, side by side in one run.

    python bench/loops.py              seven rounds of each row, interleaved; medians
    python bench/loops.py --quick      three short rounds

Goals: a guest's TCP round trip within 3x of asyncio's; an idle guest below 0.1 % of a core.

Flow: rows -> rounds of each in turn -> median of each -> standard output
Never: compares figures of two runs: this machine's speed changes between them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from statistics import median
from typing import Any

import anyio.from_thread
import anyio.to_thread

from ropewalk.loops import LoopKind, Simulated, kind, kinds, run
from ropewalk.threads import Watchdog, call, half_sync, portal, sync
from ropewalk.threads import run as run_in_thread

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

Row = tuple[str, Callable[[], float]]


class Echo(asyncio.Protocol):
    """Answers with what it gets."""

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


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


async def serve() -> None:
    """An echo in a process of its own; it says its port, and ends with its standard input."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


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


async def back(count: int, hop: Callable[[], Any]) -> float:
    """From a worker into the loop."""

    def worker() -> float:
        start = time.perf_counter()
        for _ in range(count):
            hop()
        return (time.perf_counter() - start) / count * 1e6

    return await run_in_thread(worker)


async def back_by_asyncio(count: int) -> float:
    """asyncio's own way."""
    loop = asyncio.get_running_loop()
    return await back(count, lambda: asyncio.run_coroutine_threadsafe(nothing(), loop).result())


async def back_by_anyio(count: int) -> float:
    """anyio's way."""
    return await back(count, lambda: anyio.from_thread.run(nothing))


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


def table(title: str, rows: list[Row], rounds: int, unit: str) -> dict[str, float]:
    """Run the rows in turn, so often, and print their medians."""
    taken: dict[str, list[float]] = {name: [] for name, _ in rows}
    for _ in range(rounds):
        for name, row in rows:
            taken[name].append(row())
    print(f"\n{title}")
    medians = {name: median(values) for name, values in taken.items()}
    for name, middle in medians.items():
        print(f"  {name:34}{middle:10.3f} {unit}   ({min(taken[name]):.3f} to {max(taken[name]):.3f})")
    return medians


def main() -> None:
    """Print all tables, and whether the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        run(serve(), loop="asyncio")
        return
    rounds, count, seconds = (3, 300, 1.0) if chosen.quick else (7, 2000, 3.0)
    here: list[LoopKind] = [one for one in kinds().values() if "tcp" in one.features and not one.why_not()]

    def on(one: LoopKind | str, work: Callable[[], Coroutine[Any, Any, float]]) -> Callable[[], float]:
        return lambda: run(work(), loop=one)

    trips = table(
        "TCP round trip, both ends in the loop",
        [(one.name, on(one, partial(round_trip, count, None))) for one in here],
        rounds,
        "us",
    )
    words = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        apart = table(
            "TCP round trip, the other end in another process (asyncio)",
            [(one.name, on(one, partial(round_trip, count, port))) for one in here],
            rounds,
            "us",
        )
        server.terminate()
    rest = [(one.name, on(one, partial(idle, seconds))) for one in here]
    rest += [(f"{one.name}, watched", on(one, partial(idle, seconds, watched=True))) for one in here]
    idles = table("Idle", rest, 3, "% of a core")
    for name in ("asyncio", "uvloop"):
        if any(one.name == name for one in here):
            table(f"Hops on {name}", hops(partial(on, kind(name)), name, count), rounds, "us")
    table("Simulated", [("a timer", on(Simulated(), partial(jumps, count)))], rounds, "us")
    print()
    for guest in ("qt",):
        if guest in trips:
            for where, figures in (("in the loop", trips), ("apart", apart)):
                times = figures[guest] / figures["asyncio"]
                print(f"{guest}: round trip {where} {times:.1f}x of asyncio's, goal 3x: {_said(times <= 3)}")
            print(f"{guest}: idle {idles[guest]:.3f} % of a core, goal 0.1 %: {_said(idles[guest] < 0.1)}")


def hops(on: Callable[[Callable[[], Coroutine[Any, Any, float]]], Callable[[], float]], loop: str, n: int) -> list[Row]:
    """From loop to worker, from worker to loop, from a plain program to a loop."""
    return [
        ("threads.run", on(partial(each, n, partial(run_in_thread, no_op)))),
        ("asyncio.to_thread", on(partial(each, n, partial(asyncio.to_thread, no_op)))),
        ("anyio.to_thread.run_sync", on(partial(each, n, partial(anyio.to_thread.run_sync, no_op)))),
        ("half_sync, one at a time", on(partial(through_queue, n))),
        ("half_sync, queue kept full", on(partial(many_through_queue, n))),
        ("threads.call", on(partial(back, n, partial(call, nothing)))),
        ("asyncio.run_coroutine_threadsafe", on(partial(back_by_asyncio, n))),
        ("anyio.from_thread.run", on(partial(back_by_anyio, n))),
        ("portal.call", partial(by_portal, n, loop)),
        ("sync(...).method", partial(by_portal, n, loop, face=True)),
        ("anyio's portal.call", partial(by_anyio_portal, n, uvloop=loop == "uvloop")),
    ]


def _said(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
