"""Threads: the few threads of one store, and calls into them from the event loop.

They are daemons: a call into a disk that hangs never ends, and must not keep the process from ending.  Whoever wants
calls to be over before that closes the threads first.

Flow: disk -> Threads.run -> a thread -> the event loop
Never: holds on to what a cancelled call was to work on, unless it has begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

__all__ = ["Threads", "ThreadsClosed"]

_T = TypeVar("_T")


class ThreadsClosed(Exception):
    """No call is begun any more.  Never leaves the store."""


class Threads:
    """At most ``most`` threads, started as they are needed.

    Leaner than the standard library's pool: a small object is put in less time than that takes to hand a call over.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._under_way = 0  # calls, those that wait for a thread too
        self._closed = False

    async def run(self, work: Callable[[], _T]) -> _T:
        """What ``work`` returns or raises, in a thread.  Cancelled, it is not begun; once begun, it goes on.

        Raises:
            ThreadsClosed.
        """
        call = _Call(work, asyncio.get_running_loop())
        self._begin(call)
        try:
            return await call.done
        except asyncio.CancelledError:
            call.work = None
            raise

    def submit(self, work: Callable[[], None]) -> Future[None]:
        """``work`` in a thread, for another thread to wait for.

        Raises:
            ThreadsClosed.
        """
        future: Future[None] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    work()
                except BaseException as error:  # noqa: BLE001 - it is raised where the future is waited for
                    future.set_exception(error)
                else:
                    future.set_result(None)

        self._begin(call)
        return future

    def stop(self) -> None:
        """Begin nothing more, and end each thread once it has nothing to do."""
        with self._turn:
            self._closed = True
        for _ in self._threads:
            self._calls.put(None)

    async def close(self, last: Callable[[], None]) -> None:
        """Begin nothing more; once what is under way has ended, do ``last``, and end the threads."""
        self.stop()

        def end() -> None:
            for thread in self._threads:
                thread.join()
            last()

        call = _Call(end, asyncio.get_running_loop())
        threading.Thread(target=call, name=f"{self._name}-end", daemon=True).start()
        await call.done

    def _begin(self, call: Callable[[], None]) -> None:
        with self._turn:
            if self._closed:
                raise ThreadsClosed
            self._under_way += 1
            if len(self._threads) < min(self._under_way, self._most):
                name = f"{self._name}-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._serve, name=name, daemon=True))
                self._threads[-1].start()
        self._calls.put(call)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # with what it worked on, before the wait for the next
            with self._turn:
                self._under_way -= 1


class _Call(Generic[_T]):
    def __init__(self, work: Callable[[], _T], loop: asyncio.AbstractEventLoop) -> None:
        self.work: Callable[[], _T] | None = work
        self.done: asyncio.Future[_T] = loop.create_future()
        self._loop = loop

    def __call__(self) -> None:
        if (work := self.work) is None:
            return
        self.work = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            self._tell(partial(self._fail, error))
        else:
            self._tell(partial(self._succeed, result))

    def _tell(self, told: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            self._loop.call_soon_threadsafe(told)

    def _succeed(self, result: _T) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)
