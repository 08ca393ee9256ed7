"""Pools: blocking functions in worker threads, so many at a time and so many waiting.

Flow: run -> the pool's gate -> its worker threads -> the result, in the loop
Never: has more threads or more waiting calls than the pool allows, cancelled ones that still run included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple, Unpack
from weakref import WeakKeyDictionary

from ropewalk.errors import Misuse, Unavailable
from ropewalk.loops import SimulatedLoop
from ropewalk.threads.counts import PoolCounts
from ropewalk.threads.jobs import Job
from ropewalk.threads.places import Places, PoolFull

__all__ = ["DEFAULT", "Late", "NoSuchPool", "Pool", "PoolFull", "declare", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Late(Unavailable):
    """It did not end in the time that the caller gave it."""

    code = "threads.late"


class NoSuchPool(Misuse):
    """No pool of this name was declared on this loop, or another one was."""

    code = "threads.pool"


@dataclass(frozen=True, slots=True)
class Pool:
    """How many calls run and wait at a time, on each loop.

    Attributes:
        size: Threads.
        max_waiting: Calls that wait for one of them; the next is refused.
    """

    name: str
    size: int
    max_waiting: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.max_waiting < 0:
            raise NoSuchPool(f"pool {self.name} has {self.size} threads and {self.max_waiting} places to wait")


DEFAULT = Pool("default", size=40, max_waiting=10_000)


class _Gate:
    """A pool, on one loop."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._places = Places(f"pool {pool.name}", pool.size, pool.max_waiting)
        self._threads = ThreadPoolExecutor(pool.size, f"ropewalk pool {pool.name}")  # the places bound what comes to it
        self._counts = PoolCounts(pool.name)

    async def run(self, fn: Callable[[], T], *, abandon: bool) -> T:
        loop, called = asyncio.get_running_loop(), time.monotonic()
        await self._enter()
        job = Job(loop, fn)
        try:
            threads = None if isinstance(loop, SimulatedLoop) else self._threads
            return await loop.run_in_executor(threads, job.perform)
        except asyncio.CancelledError:
            job.cancel()
            if not abandon:
                await job.settled()
            raise
        finally:
            job.afterwards(lambda: self._leave(job, called))

    async def _enter(self) -> None:
        if self._places.taken >= self._places.size:
            self._count(more=1)
        try:
            await self._places.take()
        except PoolFull:
            self._counts.refused.inc()
            raise
        finally:
            self._count()

    def _leave(self, job: Job[Any], called: float) -> None:
        self._places.give_back()
        self._counts.ended(job, called)
        self._count()

    def _count(self, more: int = 0) -> None:
        self._counts.now(self._places.taken, self._places.waiting + more)


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Gate]] = WeakKeyDictionary()


def declare(pool: Pool) -> None:
    """Let ``pool`` be known by its name on the running loop; saying it again does nothing.

    Raises:
        NoSuchPool: Another pool has the name.
    """
    _gate(pool)


async def run(
    fn: Callable[[Unpack[Ts]], T],
    *args: *Ts,
    pool: str | Pool = "default",
    abandon: bool = False,
    deadline: float | None = None,
) -> T:
    """Run ``fn(*args)`` in a worker thread, in a copy of this context, and give its result or raise its error.

    When the one who waits is cancelled, a call that has not begun is taken back.  One that runs is waited for, since a
    thread cannot be stopped; the coroutine that it waits for by `call` is cancelled, and `check_cancelled` raises.

    Args:
        fn: What blocks.
        args: Its arguments.
        pool: A pool, or the name of one that was declared.  It is the same pool wherever its name is used on a loop.
        abandon: Do not wait when cancelled.  The thread goes on, and counts towards the pool's size until it ends.
        deadline: Seconds, from now, then it is cancelled.

    Raises:
        PoolFull: Too many wait already.
        NoSuchPool: No pool has this name.
        Late: The deadline came first.
    """

    def called() -> T:
        return fn(*args)

    gate = _gate(pool)
    if deadline is None:
        return await gate.run(called, abandon=abandon)
    limit = asyncio.timeout(deadline)
    try:
        async with limit:
            return await gate.run(called, abandon=abandon)
    except TimeoutError as error:
        if limit.expired():
            raise Late(f"{getattr(fn, '__name__', fn)} did not end within {deadline} s") from error
        raise


def _gate(pool: str | Pool) -> _Gate:
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    name = pool if isinstance(pool, str) else pool.name
    gate = gates.get(name)
    if gate is None:
        if pool == DEFAULT.name:
            pool = DEFAULT
        if isinstance(pool, str):
            known = ", ".join(sorted({DEFAULT.name, *gates}))
            raise NoSuchPool(f"no pool is called {pool!r} on this loop; there are: {known}", hint="threads.declare it")
        gate = gates[name] = _Gate(pool)
    elif isinstance(pool, Pool) and pool != gate.pool:
        raise NoSuchPool(f"pool {name} is already another on this loop: {gate.pool}, got {pool}")
    return gate
