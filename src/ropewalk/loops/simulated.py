"""Simulated: a loop for tests in which no real time passes and a seed decides who goes first.

The clock stands still while anything is ready, and then jumps to the next timer.  What asyncio promises about order is
kept: callbacks of `call_soon` run in the order in which they were given.  What it does not promise is drawn by lot:
which of several tasks goes on first, which of several timers due at the same instant, and when among all these a job
given to an executor ends.  So a seed finds mistakes that depend on such luck, and finds them again.

Flow: Simulated(seed) -> SimulatedLoop: _Choice picks what is next; _Clock moves time
Never: touches a socket, a process, a signal or another thread: the order would be theirs, not the seed's.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from ropewalk.errors import Misuse
from ropewalk.loops.interface import LoopUnavailable
from ropewalk.loops.private import SIMULATED, lacking

__all__ = ["Deadlock", "NotSimulated", "Simulated", "SimulatedLoop", "explore"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SHOWN = 20  # tasks that a deadlock names
_RESOLUTION = 1e-9  # seconds


class NotSimulated(Misuse):
    """The simulated loop has nothing of the kind."""

    code = "loops.not-simulated"


class Deadlock(Misuse):
    """Nothing is ready, no timer is set, and the main coroutine waits: it would wait for ever."""

    code = "loops.deadlock"


class Simulated:
    """The kind.  ``run(main(), loop="simulated")`` takes seed 0, ``run(main(), loop=Simulated(7))`` another.

    Args:
        seed: Decides what is drawn by lot.  With None nothing is: the order is the standard loop's.
        start: What the loop's clock shows at first, in seconds.
    """

    name = "simulated"
    features = frozenset({"cancellation", "timers"})

    def __init__(self, seed: int | None = 0, *, start: float = 0.0) -> None:
        self.seed, self.start = seed, start

    def why_not(self) -> str | None:
        """Why it cannot run here, or None."""
        return lacking(SIMULATED)

    def new_loop(self) -> SimulatedLoop:
        """A loop with this seed.

        Raises:
            LoopUnavailable: This Python's asyncio is not one that we know.
        """
        if reason := self.why_not():
            raise LoopUnavailable(f"loop simulated cannot run here: {reason}")
        return SimulatedLoop(self.seed, start=self.start)

    def host(self) -> None:
        """None: it stands alone."""
        return


def explore(main: Callable[[], Coroutine[Any, Any, object]], seeds: Iterable[int] = range(100)) -> None:
    """Run ``main()`` in a simulated loop for each seed, until one fails: its error has a note that names the seed."""
    for seed in seeds:
        with asyncio.Runner(loop_factory=Simulated(seed).new_loop) as runner:
            runner.run(main())


class _Clock(selectors.BaseSelector):
    """In the place of a selector: where the loop would wait, time is moved instead."""

    def __init__(self, now: float, deadlock: Callable[[], BaseException]) -> None:
        self.now = now
        self._deadlock = deadlock
        self._own: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise self._deadlock()
        if timeout > 0:
            # A wait may be shorter than the clock can show at a late hour; then it shows the next that it can.
            self.now = max(self.now + timeout, math.nextafter(self.now, math.inf))
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._own:  # the first is the pipe that every standard loop wakes itself with
            raise NotSimulated("the simulated loop watches no files or sockets")
        key = self._own[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._own.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._own


class _Choice:
    """In the place of the queue of what is ready: tasks and timers in any order, plain callbacks in theirs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a seed must give the same again
        self._plain: deque[asyncio.Handle] = deque()
        self._free: list[asyncio.Handle] = []

    def append(self, handle: asyncio.Handle) -> None:
        # A handle shows by its callback whether it is a step of a task.
        callback: object = handle._callback  # type: ignore[attr-defined]  # noqa: SLF001 - private.SIMULATED
        if isinstance(handle, asyncio.TimerHandle) or isinstance(getattr(callback, "__self__", None), asyncio.Task):
            self._free.append(handle)
        else:
            self._plain.append(handle)

    def popleft(self) -> asyncio.Handle:
        place = self._random.randrange(len(self._free) + bool(self._plain))
        if place == len(self._free):
            return self._plain.popleft()
        self._free[place], self._free[-1] = self._free[-1], self._free[place]
        return self._free.pop()

    def clear(self) -> None:
        self._plain.clear()
        self._free.clear()

    def __len__(self) -> int:
        return len(self._plain) + len(self._free)


def _refuse(what: str) -> Any:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise NotSimulated(
            f"the simulated loop has no {what}", hint="use memory:// endpoints and fakes, or run on the loop asyncio"
        )

    return refuse


class SimulatedLoop(asyncio.SelectorEventLoop):
    """See `Simulated`.  A failure gets a note with the seed."""

    def __init__(self, seed: int | None = 0, *, start: float = 0.0) -> None:
        self._clock = _Clock(start, self._deadlock)
        super().__init__(self._clock)
        self.seed = seed
        self._thread = threading.get_ident()
        if seed is not None:
            self._ready: Any = _Choice(seed)

    def time(self) -> float:
        """Seconds of simulated time."""
        # A timer is due when it is less than the resolution away; late, a float cannot tell nanoseconds apart.
        self._clock_resolution = max(_RESOLUTION, math.ulp(self._clock.now))
        return self._clock.now

    def run_until_complete(self, future: Any) -> Any:
        """As any loop's.

        Raises:
            Deadlock: It would never end.
        """
        self._thread = threading.get_ident()
        try:
            return super().run_until_complete(future)
        except BaseException as error:
            note = f"in a simulated loop with seed {self.seed}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """The job runs in this thread, as one step, before the clock moves.

        One for an executor of the caller's runs there, and this thread waits for it.
        """

        async def job() -> T:
            return func(*args) if executor is None else executor.submit(func, *args).result()

        return self.create_task(job(), name=f"job {getattr(func, '__name__', func)}")

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """From this thread alone.

        Raises:
            NotSimulated: Another thread calls.
        """
        if threading.get_ident() != self._thread:
            raise NotSimulated("the simulated loop takes no calls from other threads: when they come is not repeatable")
        return self.call_soon(callback, *args, context=context)

    def _deadlock(self) -> BaseException:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        waiting = ", ".join(f"{task.get_name()} at {_place(task)}" for task in tasks[:_SHOWN])
        more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
        seed = f" (seed {self.seed})" if self.seed is not None else ""
        return Deadlock(f"nothing is ready and no timer is set{seed}; waiting for ever: {waiting or 'nobody'}{more}")

    # Any: what is refused has no other signature than that.
    create_connection: Any = _refuse("sockets (create_connection)")
    create_server: Any = _refuse("sockets (create_server)")
    create_datagram_endpoint: Any = _refuse("sockets (create_datagram_endpoint)")
    create_unix_connection: Any = _refuse("sockets (create_unix_connection)")
    create_unix_server: Any = _refuse("sockets (create_unix_server)")
    connect_accepted_socket: Any = _refuse("sockets (connect_accepted_socket)")
    sock_connect: Any = _refuse("sockets (sock_connect)")
    sock_accept: Any = _refuse("sockets (sock_accept)")
    sock_recv: Any = _refuse("sockets (sock_recv)")
    sock_recv_into: Any = _refuse("sockets (sock_recv_into)")
    sock_recvfrom: Any = _refuse("sockets (sock_recvfrom)")
    sock_recvfrom_into: Any = _refuse("sockets (sock_recvfrom_into)")
    sock_sendall: Any = _refuse("sockets (sock_sendall)")
    sock_sendto: Any = _refuse("sockets (sock_sendto)")
    sock_sendfile: Any = _refuse("sockets (sock_sendfile)")
    getaddrinfo: Any = _refuse("resolver (getaddrinfo)")
    getnameinfo: Any = _refuse("resolver (getnameinfo)")
    connect_read_pipe: Any = _refuse("pipes (connect_read_pipe)")
    connect_write_pipe: Any = _refuse("pipes (connect_write_pipe)")
    subprocess_exec: Any = _refuse("processes (subprocess_exec)")
    subprocess_shell: Any = _refuse("processes (subprocess_shell)")
    add_signal_handler: Any = _refuse("signals (add_signal_handler)")
    add_reader: Any = _refuse("files to watch (add_reader)")
    add_writer: Any = _refuse("files to watch (add_writer)")


def _place(task: asyncio.Task[Any]) -> str:
    """Where a task waits: the innermost line of its coroutines that can be seen."""
    awaitable: Any = task.get_coro()
    place = "its start"
    while (frame := getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)) is not None:
        place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} ({frame.f_code.co_name})"
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return place
