"""Portal: an event loop in a thread of its own, for programs that have none.

Flow: portal -> a thread that runs a loop -> call, stream, enter -> Crossing -> the result, in the caller's thread
Never: lets a call outlive the portal, or swallows the Ctrl-C of the one who waits.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack

from ropewalk.errors import Misuse, Unavailable
from ropewalk.loops import LoopKind, kind, run
from ropewalk.threads.jobs import Crossing, Deadlock
from ropewalk.threads.pool import Late

__all__ = ["Cancelled", "Portal", "PortalClosed", "portal"]

_PIECE = 0.5  # seconds

_log = logging.getLogger("ropewalk.threads")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PortalClosed(Misuse):
    """The portal is not open, or not any more."""

    code = "threads.portal-closed"


class Cancelled(Unavailable):
    """The coroutine was cancelled, and not by the one who waits for it."""

    code = "threads.cancelled"


class Portal:
    """A loop in a thread; any number of threads may call it at a time.  Made by `portal`."""

    def __init__(self, kind: LoopKind) -> None:
        self._kind = kind
        self._up: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._lock = threading.Lock()
        self._open: set[Crossing[Any]] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ropewalk portal")

    def call(self, afn: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts, deadline: float | None = None) -> T:
        """Run ``afn(*args)`` in the loop, in a copy of this context, and wait for its result.

        Ctrl-C, or whatever else is raised in the thread that waits, cancels the coroutine; it has ended when the
        exception goes on.

        Args:
            afn: A coroutine function.
            args: Its arguments.
            deadline: Seconds, from now, then it is cancelled.

        Raises:
            Late: The deadline came first.
            Cancelled: It was cancelled from within.
            PortalClosed: The portal is not open.
            Deadlock: This is the portal's own thread.
        """

        async def called() -> T:
            return await afn(*args)

        return self._wait(self._cross(called), getattr(afn, "__name__", "call"), deadline, start=True)

    def stream(self, iterable: AsyncIterable[T]) -> Iterator[T]:
        """The items of an asynchronous iterable, each asked for when it is wanted, all in one task.

        An asynchronous generator is closed with the iterator: at its end, or when it is dropped.
        """
        wanted: asyncio.Queue[Future[T] | None] = asyncio.Queue()
        crossing = self._cross(lambda: _pump(iterable, wanted))
        item: Future[T] = Future()
        crossing.at_end(lambda: item.cancel())  # noqa: PLW0108 - the item of that time
        try:
            crossing.start()
            while True:
                item = Future()
                self._soon(wanted.put_nowait, item)
                if crossing.done():
                    item.cancel()
                try:
                    got = _result(item)
                except concurrent.futures.CancelledError:
                    self._wait(crossing, "stream", None)  # its end, or why there is no item
                    return
                yield got
        except GeneratorExit:
            if threading.get_ident() == self._thread.ident:
                crossing.cancel()  # dropped in the loop's own thread, which cannot wait for it
            else:
                self._soon(wanted.put_nowait, None)
                _end(crossing)
            raise
        except BaseException:
            if not crossing.done():
                crossing.cancel()
                _end(crossing)
            raise
        finally:
            self._forget(crossing)

    @contextmanager
    def enter(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """An asynchronous context manager as a plain one; it is entered and left in one task of the loop.

        What ends the program (KeyboardInterrupt, SystemExit) is a cancellation for the manager.
        """
        entered: Future[T] = Future()
        left = asyncio.Event()
        raised: list[BaseException] = []

        async def held() -> None:
            async with manager as value:
                entered.set_result(value)
                await left.wait()
                if raised:
                    raise raised[0]

        crossing = self._cross(held)
        crossing.at_end(entered.cancel)
        try:
            crossing.start()
            value = _result(entered)
        except concurrent.futures.CancelledError:
            self._wait(crossing, "entering", None)  # which raises
            raise
        except BaseException:
            crossing.cancel()
            _end(crossing)
            self._forget(crossing)
            raise
        try:
            yield value
        except Exception as error:  # noqa: BLE001 - the manager decides what becomes of it
            raised.append(error)
            self._soon(left.set)
            self._wait(crossing, "leaving", None)  # which raises it again, unless the manager holds it back
        except BaseException:
            raised.append(asyncio.CancelledError())
            self._soon(left.set)
            with suppress(Cancelled):
                self._wait(crossing, "leaving", None)
            raise
        else:
            self._soon(left.set)
            self._wait(crossing, "leaving", None)

    # ---- the loop's life ----

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._up.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._lock:
            self._closed = True
            still = list(self._open)
        try:
            for crossing in still:
                crossing.cancel()
            for crossing in still:
                _end(crossing)
        finally:
            self._soon(self._stop.set)
            self._thread.join()

    async def _main(self) -> None:
        self._up.set_result(asyncio.get_running_loop())
        await self._stop.wait()

    def _run(self) -> None:
        try:
            run(self._main(), loop=self._kind)
        except BaseException as error:  # noqa: BLE001 - the opener's, if it still waits
            if self._up.done():
                _log.exception("the portal's loop ended", extra={"code": "threads.portal"})
            else:
                self._up.set_exception(error)

    # ---- crossing over ----

    def _cross(self, afn: Callable[[], Awaitable[T]]) -> Crossing[T]:
        if threading.get_ident() == self._thread.ident:
            raise Deadlock("the portal's own thread cannot wait for a coroutine of it; use await")
        with self._lock:
            if self._closed or not self._up.done():
                raise PortalClosed("the portal is not open", hint="with portal() as it: ...")
            crossing = Crossing(self._up.result(), afn)
            self._open.add(crossing)
        return crossing

    def _wait(self, crossing: Crossing[T], what: str, deadline: float | None, *, start: bool = False) -> T:
        try:
            if start:
                crossing.start()  # here, so that an interrupt just after it cancels it
            return crossing.result(deadline)
        except TimeoutError as error:
            if crossing.done():
                return crossing.result()  # its own TimeoutError, or what came just now
            crossing.cancel()
            _end(crossing)
            raise Late(f"{what} did not end within {deadline} s") from error
        except asyncio.CancelledError:
            raise Cancelled(f"{what} was cancelled") from None
        except BaseException:
            if not crossing.done():
                crossing.cancel()
                _end(crossing)
            raise
        finally:
            self._forget(crossing)

    def _forget(self, crossing: Crossing[Any]) -> None:
        with self._lock:
            self._open.discard(crossing)

    def _soon(self, fn: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        with suppress(RuntimeError):  # the loop ended, and with it all that would have been told
            self._up.result().call_soon_threadsafe(fn, *args)


def portal(loop: str | LoopKind = "auto") -> Portal:
    """An event loop in a thread, for as long as the context lasts; calls that still run then are cancelled.

    Args:
        loop: A kind, or its name; one that stands alone and takes calls from other threads.

    Raises:
        Misuse: The kind does not run in a thread beside this one.
        LoopUnavailable: It cannot run here.  Raised when the context is entered.
    """
    chosen = kind(loop) if isinstance(loop, str) else loop
    if "threads" not in chosen.features or (chosen.why_not() is None and chosen.host() is not None):
        raise Misuse(f"loop {chosen.name} does not run in a thread beside the program", hint="use asyncio or uvloop")
    return Portal(chosen)


async def _pump(iterable: AsyncIterable[T], wanted: asyncio.Queue[Future[T] | None]) -> None:
    iterator: AsyncIterator[T] = aiter(iterable)
    try:
        while (item := await wanted.get()) is not None:
            try:
                got = await anext(iterator)
            except StopAsyncIteration:
                return
            item.set_result(got)
    finally:
        if (close := getattr(iterator, "aclose", None)) is not None:
            await close()


def _result(future: Future[T]) -> T:
    """What is handed over from the loop's thread.

    The wait is in pieces, since a signal that comes just before a wait does not end it: Python sees it after.
    """
    while True:
        try:
            return future.result(_PIECE)
        except TimeoutError:  # never the coroutine's: its errors come by the crossing
            continue


def _end(crossing: Crossing[Any]) -> None:
    """Wait until a coroutine has ended, whatever it ends with."""
    with suppress(Exception, asyncio.CancelledError):
        crossing.result()
