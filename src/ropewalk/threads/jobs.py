"""Jobs: one call of a blocking function in a worker thread, and the way back from there into the loop.

Flow: a coroutine -> Job -> perform, in a worker -> call, call_soon -> Crossing -> a task in the loop
Never: lets a worker wait for a coroutine that nobody runs any more.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from ropewalk.errors import Misuse, Unavailable

__all__ = ["Crossing", "Deadlock", "Job", "LoopOver", "NotAWorker", "call", "call_soon", "check_cancelled"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LOOK = 0.5  # seconds between two looks whether the loop is still there, and whether a signal came just before the wait


class NotAWorker(Misuse):
    """This thread does not work for a loop."""

    code = "threads.not-a-worker"


class Deadlock(Misuse):
    """The loop's own thread would wait for the loop."""

    code = "threads.deadlock"


class LoopOver(Unavailable):
    """The loop that was to run the coroutine has ended."""

    code = "threads.loop-over"


class Crossing(Generic[T]):
    """A coroutine that runs in a loop for another thread, in a copy of that thread's context, once it is started."""

    def __init__(self, loop: asyncio.AbstractEventLoop, afn: Callable[[], Awaitable[T]]) -> None:
        self._loop, self._afn = loop, afn
        self._ended = concurrent.futures.Future[T]()
        self._task: asyncio.Task[T] | None = None
        self._unwanted = False
        self._exit: BaseException | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            LoopOver: The loop has ended.
        """
        try:
            self._loop.call_soon_threadsafe(self._start, context=copy_context())
        except RuntimeError as error:
            raise LoopOver("the loop has ended") from error

    def cancel(self) -> None:
        """Cancel the coroutine, whether it was started or not.  From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            self._ended.cancel()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    def at_end(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called, in some thread, when the coroutine has ended."""
        self._ended.add_done_callback(lambda _: callback())

    def result(self, patience: float | None = None) -> T:
        """Wait for the coroutine's end: its result or its error.

        Raises:
            asyncio.CancelledError: It was cancelled.
            TimeoutError: It did not end within ``patience`` seconds.
            LoopOver: The loop has ended before it.
        """
        end = None if patience is None else time.monotonic() + patience
        while True:
            left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
            try:
                return self._ended.result(left)
            except concurrent.futures.CancelledError:
                raise asyncio.CancelledError from None
            except TimeoutError:
                if self._ended.done() and not self._ended.cancelled():
                    return self._ended.result()  # the coroutine's own, or what came just now
                if self._loop.is_closed():
                    raise LoopOver("the loop ended before the coroutine") from None
                if end is not None and time.monotonic() >= end:
                    raise

    def _start(self) -> None:
        if self._unwanted:
            return
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._finish)

    async def _run(self) -> T:
        try:
            return await self._afn()
        except (SystemExit, KeyboardInterrupt) as error:
            self._exit = error  # of the thread that waits; raised by a task, it would end the loop for everybody
            raise asyncio.CancelledError from error

    def _cancel(self) -> None:
        self._unwanted = True
        if self._task is None:
            self._ended.cancel()
        else:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if self._exit is not None:
            self._ended.set_exception(self._exit)
        elif task.cancelled():
            self._ended.cancel()
        elif (error := task.exception()) is not None:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(task.result())


class Job(Generic[T]):
    """A call of ``fn``, in a copy of the context in which the job is made.

    Attributes:
        began, ended: `time.monotonic`, or None as long as it did not.
    """

    __slots__ = ("_context", "_crossing", "_fn", "_lock", "_then", "began", "cancelled", "ended", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, fn: Callable[[], T]) -> None:
        self.loop = loop
        self.began: float | None = None
        self.ended: float | None = None
        self.cancelled = False
        self._fn = fn
        self._context = copy_context()
        self._lock = threading.Lock()
        self._then: list[Callable[[], object]] = []
        self._crossing: Crossing[Any] | None = None

    def perform(self) -> T:
        """Do it.  In a worker, once.

        Raises:
            asyncio.CancelledError: It was cancelled before it began.
        """
        with self._lock:
            if self.cancelled:
                raise asyncio.CancelledError
            self.began = time.monotonic()
        previous = getattr(_here, "job", None)
        _here.job = self
        try:
            return self._context.run(self._fn)
        except StopIteration as error:  # which a future cannot hold
            raise RuntimeError("the function raised StopIteration") from error
        finally:
            _here.job = previous
            with self._lock:
                self.ended = time.monotonic()
                then, self._then = self._then, []
            for callback in then:
                self._tell(callback)

    def cancel(self) -> None:
        """Have it not begin; if it did, cancel the coroutine that it waits for, and have `check_cancelled` raise."""
        with self._lock:
            self.cancelled = True
            crossing = self._crossing
        if crossing is not None:
            crossing.cancel()

    def afterwards(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called in the loop once nothing runs any more: at once if it ended or never begins."""
        with self._lock:
            running = self.began is not None and self.ended is None
            if running:
                self._then.append(callback)
        if not running:
            callback()

    async def settled(self) -> None:
        """Wait until nothing runs any more, whoever cancels meanwhile."""
        import anyio

        event = asyncio.Event()
        self.afterwards(event.set)
        with anyio.CancelScope(shield=True):
            while not event.is_set():
                try:
                    await event.wait()
                except asyncio.CancelledError:
                    continue  # a thread cannot be stopped; the caller raises it when the thread is done

    def cross(self, afn: Callable[[], Awaitable[Any]]) -> Any:
        """Run a coroutine in the loop, from the worker, and wait for it."""
        with self._lock:
            if self.cancelled:
                raise asyncio.CancelledError
            crossing = self._crossing = Crossing(self.loop, afn)
        try:
            crossing.start()
            return crossing.result()
        finally:
            self._crossing = None

    def _tell(self, callback: Callable[[], object]) -> None:
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return  # the loop ended: an abandoned job outlived it, and nobody is left to be told


_here = threading.local()


def call(afn: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """Run ``afn(*args)`` in the loop, from a worker of it, and wait for its result.

    It runs in a copy of the worker's context, and is cancelled when the one who waits for the worker is.

    Raises:
        NotAWorker: This thread works for no loop.
        Deadlock: This is the loop's own thread.
        LoopOver: The loop has ended.
        asyncio.CancelledError: It was cancelled.
    """
    job = _job()

    async def crossed() -> T:
        return await afn(*args)

    result: T = job.cross(crossed)
    return result


def call_soon(fn: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
    """Have ``fn(*args)`` called in the loop soon, from a worker of it, without waiting.

    Raises:
        NotAWorker: This thread works for no loop.
        LoopOver: The loop has ended.
    """
    try:
        _job(may_be_inside=True).loop.call_soon_threadsafe(fn, *args)
    except RuntimeError as error:
        raise LoopOver("the loop has ended") from error


def check_cancelled() -> None:
    """Raise CancelledError if nobody waits for this worker's job any more; long jobs call it now and then.

    Raises:
        NotAWorker: This thread works for no loop.
    """
    if _job(may_be_inside=True).cancelled:
        raise asyncio.CancelledError


def _job(*, may_be_inside: bool = False) -> Job[Any]:
    job: Job[Any] | None = getattr(_here, "job", None)
    if not may_be_inside:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise Deadlock("a loop's own thread cannot wait for a coroutine of it; use await")
    if job is None:
        raise NotAWorker(
            "this thread does not work for a loop", hint="only functions that threads.run or @half_sync calls may ask"
        )
    return job
