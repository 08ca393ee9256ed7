"""Guest: asyncio's own selector loop inside a host's loop, such as that of a graphical interface.

A thread waits for sockets and timers in the place of the loop; as soon as there is something to do, it posts a turn to
the host, which runs it among its other events.  A turn goes on while there is more to do, for `TURN` at most.

Flow: poller thread -> Host.post -> turn, in the host's thread -> how long to wait -> poller thread
Never: two turns at once, or one inside another: under a modal dialog that a coroutine opened, asyncio stands still
       (`call_in_host` opens it outside of a turn).
"""

from __future__ import annotations

import asyncio
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextvars import Context
from queue import SimpleQueue
from typing import Any, TypeVar, TypeVarTuple, Unpack

from ropewalk.errors import Misuse
from ropewalk.loops.interface import Host
from ropewalk.loops.private import get_running, set_running

__all__ = ["TURN", "GuestLoop", "NotAGuest", "call_in_host"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Seconds; then the host gets its thread back, so that 60 frames a second can still be drawn.
TURN = 0.004


class NotAGuest(Misuse):
    """The running loop has no host."""

    code = "loops.not-a-guest"


class _Ready(selectors.BaseSelector):
    """A selector that never waits inside a turn; it notes how long the loop would have waited."""

    def __init__(self) -> None:
        self.real = selectors.DefaultSelector()
        self.hosted = False  # whether there is somebody else to wait
        self.idle = False  # whether the loop had nothing to do when it asked last
        self.wanted: float | None = None  # seconds it would have waited
        self.changed: Callable[[], object] = lambda: None  # told when a file is added or taken away

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.hosted:
            return self.real.select(timeout)
        found = self.real.select(0)
        self.wanted, self.idle = timeout, not found and timeout != 0
        return found

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self.real.register(fileobj, events, data)
        self.changed()
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self.real.modify(fileobj, events, data)
        self.changed()
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.real.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self.real.get_key(fileobj)

    def close(self) -> None:
        self.real.close()


class GuestLoop(asyncio.SelectorEventLoop):
    """The standard selector loop, as a guest of ``host``.

    It is for `asyncio.Runner` and `run_until_complete` like any other.  While it runs, it is the running loop of the
    host's thread, so the host's own callbacks may call ``asyncio.create_task``, ``call_soon`` and ``call_later``.
    Where the host ends by itself (its last window was closed), the coroutine that runs is cancelled, and what it still
    does then happens without the host.

    Args:
        host: Its `run` is called in the thread that runs this loop.
        turn: Seconds after which a turn ends though there is more to do.
    """

    # private.GUEST: asyncio's own names, which the types of its stubs lack.
    _run_once: Callable[[], None]
    _stopping: bool
    _csock: socket.socket
    _asyncgen_firstiter_hook: Callable[[AsyncGenerator[Any, Any]], None]
    _asyncgen_finalizer_hook: Callable[[AsyncGenerator[Any, Any]], None]

    def __init__(self, host: Host, *, turn: float = TURN) -> None:
        self._guest_selector = _Ready()
        self._in_turn = False
        self._hosted = False
        super().__init__(self._guest_selector)
        self.host = host
        self._turn_seconds = turn
        self._orders: SimpleQueue[tuple[float | None] | None] = SimpleQueue()
        self._alone = False  # whether the host ended by itself
        self._ending = False  # whether the loop is being shut down, which goes to its end in any case
        self._failed: BaseException | None = None
        self._main: asyncio.Future[Any] | None = None
        self._hooks = sys.get_asyncgen_hooks()
        self._guest_selector.changed = self._tell_poller

    # ---- running ----

    def run_until_complete(self, future: Any) -> Any:
        """Run until ``future`` is done, inside the host."""
        if self.is_running() or get_running() is not None:
            return super().run_until_complete(future)  # which says what is wrong
        self._main = asyncio.ensure_future(future, loop=self)
        try:
            return super().run_until_complete(self._main)
        finally:
            self._main = None

    def run_forever(self) -> None:
        """Run inside the host, until `stop` is called or the host ends."""
        if self._alone or self.is_closed() or self.is_running() or get_running() is not None:
            super().run_forever()
            return
        ended = self._run_hosted()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        if ended and self._main is not None:
            if not self._main.done() and not self._ending:
                self._main.cancel("the host's loop ended")
            super().run_forever()

    def shutdown_asyncgens(self) -> Coroutine[Any, Any, None]:
        """As any loop's."""
        self._ending = True
        return super().shutdown_asyncgens()

    def _run_hosted(self) -> bool:
        """Run, and say whether the host ended by itself."""
        poller = threading.Thread(target=self._poll, name="ropewalk guest poller", daemon=True)
        previous = self._listen_for_signals()
        self._hosted = self._guest_selector.hosted = True
        self.host.post(self._enter)
        poller.start()
        try:
            self.host.run()
        finally:
            self._alone = self._hosted  # if it still is: the host ended by itself, or failed
            if self._alone:
                self._leave()
            self._orders.put(None)
            self.call_soon_threadsafe(_nothing)  # which ends a wait of the poller's
            poller.join()
            self._orders = SimpleQueue()
            if previous is not None:
                signal.set_wakeup_fd(previous)
        return self._alone

    def _enter(self) -> None:
        self._thread_id = threading.get_ident()
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
        set_running(self)
        self._turn()

    def _leave(self) -> None:
        self._hosted = self._guest_selector.hosted = False
        self._thread_id = None  # type: ignore[assignment]
        set_running(None)
        sys.set_asyncgen_hooks(*self._hooks)

    def _turn(self) -> None:
        """Do what there is to do, for a while.  Called by the host."""
        if not self._hosted or self._in_turn:  # posted before the host ended, or by nobody we know
            return
        selector, end = self._guest_selector, time.perf_counter() + self._turn_seconds
        self._in_turn = True
        try:
            while True:
                self._run_once()
                if self._stopping or selector.idle or time.perf_counter() >= end:
                    break
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt and SystemExit: `run_forever` raises them
            self._failed = error
        finally:
            self._in_turn = False
        if self._stopping or self._failed is not None:
            self._leave()
            self._stopping = False
            self.host.quit()
        else:
            # Through the poller even with more to do: a host that runs what is posted before all else would starve.
            self._orders.put((selector.wanted if selector.idle else 0,))

    def _poll(self) -> None:
        """Wait in the place of the loop.  Runs in a thread."""
        orders, select, post = self._orders, self._guest_selector.real.select, self.host.post
        while (order := orders.get()) is not None:
            # What was found is found again by the turn: the host may close files and open others before it.
            select(order[0])
            if self._hosted:
                post(self._turn)

    # ---- what the host's own callbacks call, outside of a turn ----

    def _tell_poller(self) -> None:
        if self._hosted and not self._in_turn:
            self.call_soon_threadsafe(_nothing)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As any loop's; it wakes the loop when it is the host that calls."""
        if self._in_turn or not self._hosted:
            return super().call_soon(callback, *args, context=context)
        return self.call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As any loop's; it wakes the loop when it is the host that calls."""
        handle = super().call_at(when, callback, *args, context=context)
        self._tell_poller()
        return handle

    def stop(self) -> None:
        """Stop after what is ready now."""
        super().stop()
        self._tell_poller()

    # ---- signals: the host is somewhere in its own code when one comes, where Python's handlers do not run ----

    def _listen_for_signals(self) -> int | None:
        if threading.current_thread() is not threading.main_thread():
            return None
        return signal.set_wakeup_fd(self._csock.fileno(), warn_on_full_buffer=False)

    def remove_signal_handler(self, sig: int) -> bool:
        """As any loop's; signals that Python itself handles still get through."""
        removed = super().remove_signal_handler(sig)
        if self._hosted:
            self._listen_for_signals()
        return removed


async def call_in_host(fn: Callable[..., T], *args: object) -> T:
    """Call ``fn`` from the host's loop, outside of any turn: asyncio goes on under a modal dialog that it opens.

    Cancelled, it stops waiting, or does not call ``fn`` at all if that did not begin.

    Raises:
        NotAGuest: The running loop has no host.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, GuestLoop):
        raise NotAGuest("call_in_host needs a loop that is the guest of another, got one that stands alone")
    future: asyncio.Future[T] = loop.create_future()

    def call() -> None:
        if future.done():
            return
        try:
            result = fn(*args)
        except Exception as error:  # noqa: BLE001 - it is the coroutine's that asked
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    loop.host.post(call)
    return await future


def _nothing() -> None:
    pass
