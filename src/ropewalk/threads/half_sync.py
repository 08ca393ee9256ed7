"""Half-sync/half-async: a blocking function behind a bounded queue, with worker threads of its own.

Coroutines call it like one of theirs.  Between the two halves stands the queue: when it is full, callers wait or are
refused, so what comes in faster than the workers can do it shows where it comes from instead of filling memory.

Flow: await f(...) -> queue of jobs -> worker threads -> result, in the loop
Never: takes a call before it was started or after it is stopped, or holds more calls than it was given room for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar
from weakref import WeakKeyDictionary

from ropewalk.errors import Misuse, Unavailable
from ropewalk.loops import SimulatedLoop
from ropewalk.threads.counts import PoolCounts
from ropewalk.threads.jobs import Job
from ropewalk.threads.places import Places, PoolFull

__all__ = ["HalfSync", "HalfSyncStatistics", "NotStarted", "half_sync"]

_log = logging.getLogger("ropewalk.threads")

P = ParamSpec("P")
T = TypeVar("T")


class NotStarted(Unavailable):
    """Its workers are not there: not yet, or not any more."""

    code = "threads.not-started"


@dataclass(frozen=True, slots=True)
class HalfSyncStatistics:
    """What its workers have done on this loop since they were started."""

    running: int
    waiting: int  # in the queue, and for a place in it
    done: int
    failed: int  # ended with an error, done included
    cancelled: int
    refused: int


class HalfSync(Generic[P, T]):
    """A blocking function as an asynchronous one; made by `half_sync`, started by ``async with``.

    Each loop in which it is started has its own workers and queue.
    """

    def __init__(
        self, fn: Callable[P, T], *, max_queue: int, workers: int, when_full: Literal["wait", "refuse"], name: str
    ) -> None:
        if max_queue < 0 or workers < 1:
            raise Misuse(f"{name} has {workers} workers and {max_queue} places in its queue, expected at least 1 and 0")
        self._fn = fn
        self.name, self.max_queue, self.workers, self.when_full = name, max_queue, workers, when_full
        self._crews: WeakKeyDictionary[asyncio.AbstractEventLoop, _Crew] = WeakKeyDictionary()
        update_wrapper(self, fn)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a worker call the function, and wait.

        Cancelled, a call that waits in the queue leaves it; one that runs is waited for.

        Raises:
            NotStarted: It is not started in this loop.
            PoolFull: The queue is full, and ``when_full`` is "refuse".
        """
        return await self._crew().run(partial(self._fn, *args, **kwargs))

    async def start(self) -> None:
        """Start the workers.

        Raises:
            Misuse: They are there already.
        """
        loop = asyncio.get_running_loop()
        if loop in self._crews:
            raise Misuse(f"{self.name} is started already in this loop")
        self._crews[loop] = _Crew(self, loop)

    async def stop(self, *, drain: bool = True, deadline: float | None = None) -> None:
        """Take no more calls, do those in the queue, and end the workers.

        Args:
            drain: Whether to do what is in the queue; otherwise it fails with `NotStarted`.
            deadline: Seconds, from now.  Then what is in the queue fails, and calls that still run are left behind.
        """
        crew = self._crews.pop(asyncio.get_running_loop(), None)
        if crew is not None:
            await crew.stop(drain=drain, deadline=deadline)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(drain=kind is None)

    def statistics(self) -> HalfSyncStatistics:
        """What was done so far.

        Raises:
            NotStarted: It is not started in this loop.
        """
        return self._crew().statistics()

    def _crew(self) -> _Crew:
        crew = self._crews.get(asyncio.get_running_loop())
        if crew is None:
            raise NotStarted(f"{self.name} has no workers in this loop: call it inside `async with`, which starts them")
        return crew


def half_sync(
    *, max_queue: int, workers: int = 1, when_full: Literal["wait", "refuse"] = "wait", name: str = ""
) -> Callable[[Callable[P, T]], HalfSync[P, T]]:
    """Turn a blocking function into an asynchronous one with a bounded queue and workers of its own.

    Args:
        max_queue: Calls that may wait beside those that the workers do.
        workers: Threads.
        when_full: What a call finds at a full queue: it waits for its turn, or is refused with `PoolFull`.
        name: For metrics, by default the function's.
    """

    def made(fn: Callable[P, T]) -> HalfSync[P, T]:
        shown = name or getattr(fn, "__name__", "half_sync")
        return HalfSync(fn, max_queue=max_queue, workers=workers, when_full=when_full, name=shown)

    return made


class _Crew:
    """The workers and the queue in one loop."""

    def __init__(self, of: HalfSync[..., Any], loop: asyncio.AbstractEventLoop) -> None:
        self._name, self._loop = of.name, loop
        self._counts = PoolCounts(of.name)
        self._places = Places(of.name, of.workers + of.max_queue, None if of.when_full == "wait" else 0)
        self._empty = asyncio.Event()
        self._empty.set()
        self._done = self._failed = self._cancelled = self._refused = 0
        # Shared with the workers, guarded by `_change`.
        self._change = threading.Condition()
        self._queue: deque[tuple[Job[Any], asyncio.Future[Any]]] = deque()
        self._ending = False
        self._inline = isinstance(loop, SimulatedLoop)
        self._threads = [
            threading.Thread(target=self._work, name=f"{of.name} {number}", daemon=True)
            for number in range(0 if self._inline else of.workers)
        ]
        for thread in self._threads:
            thread.start()

    # ---- in the loop ----

    async def run(self, fn: Callable[[], T]) -> T:
        called = time.monotonic()
        try:
            await self._places.take()
        except PoolFull:
            self._refused += 1
            self._counts.refused.inc()
            running, waiting = self._now()
            raise PoolFull(f"{self._name} is full: {running} running, {waiting} waiting") from None
        job, result = Job(self._loop, fn), self._loop.create_future()
        self._empty.clear()
        self._put(job, result)
        try:
            value: T = await result
        except asyncio.CancelledError:
            self._cancelled += 1
            job.cancel()
            self._take_back(job)
            await job.settled()
            raise
        except BaseException:
            self._failed += job.began is not None
            raise
        else:
            return value
        finally:
            self._done += job.ended is not None
            self._counts.ended(job, called)
            self._places.give_back()
            if not self._places.taken:
                self._empty.set()
            self._count()

    def statistics(self) -> HalfSyncStatistics:
        running, waiting = self._now()
        return HalfSyncStatistics(running, waiting, self._done, self._failed, self._cancelled, self._refused)

    async def stop(self, *, drain: bool, deadline: float | None) -> None:
        self._places.close(NotStarted(f"{self._name} was stopped"))
        if not drain:
            self._drop()
        try:
            async with asyncio.timeout(deadline):
                await self._empty.wait()
        except TimeoutError:
            extra = {"code": "threads.left-behind", "pool": self._name, "calls": self._places.taken}
            _log.warning("%s was stopped with %d calls unfinished", self._name, self._places.taken, extra=extra)
        finally:
            self._drop()
            with self._change:
                self._ending = True
                self._change.notify_all()
            self._count()
        if not self._places.taken:
            for thread in self._threads:
                thread.join()  # it is on its way out

    def _put(self, job: Job[Any], result: asyncio.Future[Any]) -> None:
        with self._change:
            self._queue.append((job, result))
            self._change.notify()
        if self._inline:
            self._loop.call_soon(self._work_once)
        self._count()

    def _take_back(self, job: Job[Any]) -> None:
        with self._change:
            for place, (queued, _) in enumerate(self._queue):
                if queued is job:
                    del self._queue[place]
                    return

    def _drop(self) -> None:
        """Fail what is in the queue."""
        with self._change:
            dropped, self._queue = self._queue, deque()
        for job, result in dropped:
            job.cancel()
            if not result.done():
                result.set_exception(NotStarted(f"{self._name} was stopped"))

    def _deliver(self, result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        if result.done():
            return  # nobody waits any more
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)

    def _now(self) -> tuple[int, int]:
        waiting = len(self._queue)
        return max(0, self._places.taken - waiting), waiting + self._places.waiting

    def _count(self) -> None:
        self._counts.now(*self._now())

    # ---- in the workers ----

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._queue:
                    if self._ending:
                        return
                    self._change.wait()
                job, result = self._queue.popleft()
            try:
                self._perform(job, result)
            except RuntimeError:
                return  # the loop ended without stopping us

    def _perform(self, job: Job[Any], result: asyncio.Future[Any]) -> None:
        value, error = None, None
        try:
            value = job.perform()
        except BaseException as raised:  # noqa: BLE001 - it is the caller's
            error = raised
        self._loop.call_soon_threadsafe(self._deliver, result, value, error)

    def _work_once(self) -> None:
        """In a simulated loop: do one job in the loop's thread."""
        if self._queue:
            self._perform(*self._queue.popleft())
