"""Work: what each side of the benchmark of remote objects is asked to do, and how that is timed.

Servers and clients of all sides import this, each in an interpreter of its own choice, so it needs nothing else.

    python SIDES.py NAME serve FOLDER           prints its address; then answers a line "memory" with bytes
    python SIDES.py NAME client ADDRESS PID     answers a line "WORK SECONDS" with what that took, PID is the server's

Flow: sides -> main -> serve; or client -> its works -> `section`: warm up, find how many calls fill the time, time them
Never: does for one side what it does not do for another; goes on when an answer is not what was sent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = [
    "BULK",
    "HOST",
    "INTEGER",
    "LARGE",
    "RECORD",
    "WORKS",
    "Side",
    "Work",
    "calls",
    "cpu_of",
    "expect",
    "main",
    "many",
    "private",
    "ready",
    "section",
    "together_twisted",
    "workers",
]

HOST = "127.0.0.1"
INTEGER = 7
RECORD = {
    "order": 20417,
    "customer": "Grace Hopper",
    "mail": "grace@example.com",
    "paid": False,
    "total": 1249.5,
    "items": 3,
    "town": "Arlington",
    "placed": 1789000000,
    "labels": ["urgent", "gift", "abroad"],
    "prices": [100, 250, 399, 12, 7, 88, 42, 351],
}
BULK = bytes(range(256)) * 256
LARGE = BULK * 16
_MOST = 5_000_000  # calls in one section
_FEW = 20
_DIGITS = 1e9  # nanoseconds in a second


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of call.

    Attributes:
        value: What is sent there and back.
        flying: Calls that are in flight.
        bare: Bytes of one message of the bare stream.
        payload: Bytes that count for a rate; 0 where calls are counted.
    """

    value: Any
    flying: int
    bare: int
    payload: int = 0


WORKS = {
    "a": Work(INTEGER, 1, 16),
    "b": Work(INTEGER, 100, 16),
    "c": Work(RECORD, 100, 192),
    "d": Work(BULK, 16, len(BULK), len(BULK)),
    "e": Work(LARGE, 4, len(LARGE), len(LARGE)),
}

Run = Callable[[int], Any]  # does so many calls; awaitable where the side has a loop
Runs = Mapping[str, Run]


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        serve: Begins to serve, from a folder of its own; prints its address by `ready`.
        client: Connects; a function for each work, by its name.
        loop: asyncio, uvloop, twisted, or nothing: then both functions are plain, and the first never returns.
        needs: Modules that it imports.
        within: A context that client and server run in, where they need one.
    """

    serve: Callable[[Path], Any]
    client: Callable[[str], Any]
    loop: str
    needs: tuple[str, ...] = ()
    within: Callable[[], Any] | None = None


def ready(address: object) -> None:
    """The server's address is this."""
    print(json.dumps(str(address)), flush=True)


def expect(got: object, sent: object) -> None:
    """Return if an answer is what was sent."""
    if got != sent:
        raise SystemExit(f"got {got!r:.80}, expected {sent!r:.80}")


async def _gathered(work: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*work)


async def together_twisted(work: list[Coroutine[Any, Any, None]]) -> None:
    """Wait for several coroutines of a side whose loop is Twisted's."""
    defer: Any = import_module("twisted.internet.defer")
    await defer.gatherResults([defer.ensureDeferred(one) for one in work])


Together = Callable[[list[Coroutine[Any, Any, None]]], Awaitable[None]]


def workers(call: Callable[[], Awaitable[None]], flying: int, together: Together = _gathered) -> Run:
    """So many coroutines, each with one call after the other."""

    async def run(total: int) -> None:
        left = total

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call()

        if flying == 1:
            await worker()
        else:
            await together([worker() for _ in range(flying)])

    return run


def many(begin: Callable[[], Awaitable[object]], sent: object, flying: int) -> Run:
    """One coroutine begins so many calls, then awaits each of them."""

    async def run(total: int) -> None:
        for _ in range(0, total, flying):
            for answer in [begin() for _ in range(flying)]:
                expect(await answer, sent)

    return run


def calls(
    echo: Callable[[Any], Awaitable[Any]],
    together: Together = _gathered,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Run]:
    """All works of a side that has ``echo``.

    Args:
        echo: Makes a call.
        together: Waits for several coroutines.
        values: What is sent in a work, where the side cannot send what the others do.
    """

    def one(value: Any) -> Callable[[], Awaitable[None]]:
        async def call() -> None:
            expect(await echo(value), value)

        return call

    told = values or {}
    return {name: workers(one(told.get(name, work.value)), work.flying, together) for name, work in WORKS.items()}


# Timing.


def cpu_of(process: int) -> float:
    """CPU seconds of all threads of a process so far; 0 where the system does not tell."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / _DIGITS
    except OSError:
        return 0.0


def _busy() -> float:
    """CPU seconds that all of the machine has used so far; 0 where the system does not tell."""
    try:
        ticks = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _, _, *rest = map(int, ticks)
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def private() -> int:
    """Bytes of memory that are this process's own."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Private_Dirty"):
            return int(line.split()[1]) * 1024
    return 0


def section(flying: int, seconds: float, server: int) -> Generator[int, float, dict[str, float]]:
    """Asks for so many calls to be made, is sent how long they took; in the end what one section took."""
    total = _FEW + 2 * flying
    took = yield total
    before = 0.0, 0.0, 0.0
    warm = seconds / 4
    for share in (warm, seconds) if took < warm else (seconds,):  # slow calls have warmed up by now
        total = max(flying, _FEW, min(_MOST, int(total / max(took, 1e-6) * share)))
        total -= total % flying
        before = cpu_of(os.getpid()), cpu_of(server), _busy()
        took = yield total
    client, there = cpu_of(os.getpid()) - before[0], cpu_of(server) - before[1]
    others = max(0.0, _busy() - before[2] - client - there) / took  # cores
    return {"calls": total, "seconds": took, "client": client, "server": there, "others": others}


def _asked(line: str, server: int) -> tuple[str, Generator[int, float, dict[str, float]]]:
    name, seconds = line.rsplit(" ", 1)
    return name, section(WORKS[name[-1]].flying, float(seconds), server)


def _answer(runs: Mapping[str, Run], server: int) -> None:
    print(json.dumps(sorted(runs)), flush=True)
    while line := sys.stdin.readline():
        name, steps = _asked(line, server)
        total = next(steps)
        try:
            while True:
                started = time.perf_counter()
                runs[name](total)
                total = steps.send(time.perf_counter() - started)
        except StopIteration as done:
            print(json.dumps(done.value), flush=True)


async def _answer_async(runs: Mapping[str, Run], server: int, next_line: Callable[[], Awaitable[str]]) -> None:
    print(json.dumps(sorted(runs)), flush=True)
    while line := await next_line():
        name, steps = _asked(line, server)
        total = next(steps)
        try:
            while True:
                started = time.perf_counter()
                await runs[name](total)
                total = steps.send(time.perf_counter() - started)
        except StopIteration as done:
            print(json.dumps(done.value), flush=True)


# Processes.


def _watch() -> None:
    """Answer questions about a server in a thread, whatever its loop; its end is the end of the questions."""
    while sys.stdin.readline():
        print(private(), flush=True)
    os._exit(0)


async def _inside(side: Side, work: Callable[[], Awaitable[None]]) -> None:
    if side.within is None:
        await work()
    else:
        async with side.within():
            await work()


async def _client(side: Side, address: str, server: int) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        runs = await side.client(address)
        await _answer_async(runs, server, lambda: loop.run_in_executor(None, sys.stdin.readline))

    await _inside(side, work)
    sys.stdout.flush()
    os._exit(0)


def _twisted(side: Side, act: str, words: list[str]) -> None:
    reactor: Any = import_module("twisted.internet.reactor")
    defer: Any = import_module("twisted.internet.defer")
    in_thread: Any = import_module("twisted.internet.threads").deferToThread

    async def run() -> None:
        try:
            if act == "serve":
                side.serve(Path(words[0]))
                return
            runs = await side.client(words[0])
            await _answer_async(runs, int(words[1]), lambda: in_thread(sys.stdin.readline))
        except BaseException:  # noqa: BLE001 - the reactor would note it and go on
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)

    reactor.callWhenRunning(lambda: defer.ensureDeferred(run()))
    reactor.run()


def main(sides: Mapping[str, Side], words: list[str]) -> None:
    """Be a server or a client of one of the sides."""
    name, act, *rest = words
    side = sides[name]
    if act == "serve":
        threading.Thread(target=_watch, daemon=True).start()
    if side.loop == "twisted":
        _twisted(side, act, rest)
    elif not side.loop:
        if act == "serve":
            side.serve(Path(rest[0]))
        else:
            _answer(side.client(rest[0]), int(rest[1]))
    else:
        run: Any = asyncio.run if side.loop == "asyncio" else import_module("uvloop").run
        if act == "serve":
            run(_inside(side, lambda: side.serve(Path(rest[0]))))
        else:
            run(_client(side, rest[0], int(rest[1])))
