"""Watchdog: how late a loop is, and what blocks it.

A heart beats in the loop; how late each beat comes is the loop's lag.  One thread looks at the hearts of all loops, and
when one stands still for too long, it logs what that loop's thread is doing, once for each stall.

Flow: heartbeat in the loop -> histogram; watching thread -> heart is late -> stack of the loop's thread -> log
Never: stops anything, or reads the arguments and variables of what it finds.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from ropewalk.errors import Misuse
from ropewalk.loops import SimulatedLoop
from ropewalk.metrics import current_registry

__all__ = ["Watchdog"]

_log = logging.getLogger("ropewalk.threads")

THRESHOLD = 0.1  # seconds
_SLACK = 0.001  # seconds, beside the threshold: so that a look does not come just before the time
_FRAMES = 30  # of a stack, the innermost; more is the loop's own and its caller's


class Watchdog:
    """Watches the running loop for as long as the context lasts.

    Args:
        threshold: Seconds that a loop may block; the heart beats as often.
        clock: Seconds.
    """

    def __init__(self, threshold: float = THRESHOLD, *, clock: Callable[[], float] = time.monotonic) -> None:
        if threshold <= 0:
            raise Misuse(f"threshold is {threshold} s, expected more than 0")
        self.threshold = threshold
        self.stalls = 0  # since it was made
        self._clock = clock
        self._thread_id = 0
        self._due = 0.0
        self._told = False
        self._beat_handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        if self._loop is not None:
            raise Misuse("the watchdog watches already")
        self._loop = asyncio.get_running_loop()
        if not isinstance(self._loop, SimulatedLoop):  # whose time is not that of its thread
            self._lag = (
                current_registry().histogram("ropewalk_loop_lag_seconds", "how late the loop calls what is due").of()
            )
            self._thread_id = threading.get_ident()
            self._next()
            _watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        _watch.remove(self)
        if self._beat_handle is not None:
            self._beat_handle.cancel()
            self._beat_handle = None

    def _beat(self) -> None:
        self._lag.observe(max(0.0, self._clock() - self._due))
        self._next()

    def _next(self) -> None:
        if self._loop is not None:
            self._due = self._clock() + self.threshold
            self._told = False
            self._beat_handle = self._loop.call_later(self.threshold, self._beat)

    def rest(self) -> float:
        """Seconds until the heart would be late enough; most hearts have beaten anew by then."""
        late_at = self._due + self.threshold
        return self.threshold if self._told else min(max(0.0, late_at - self._clock()) + _SLACK, 2 * self.threshold)

    def look(self) -> None:
        """Log the stack if the heart is late, and was not late at the last look.  Called by the watching thread."""
        late = self._clock() - self._due
        if late < self.threshold or self._told:
            return
        self._told = True
        self.stalls += 1
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - documented, and the only way
        if frame is not None and self._loop is not None:
            extra = {"code": "threads.loop-blocked", "late": late, "loop_thread": self._thread_id}
            _log.warning("the event loop is blocked for %.0f ms by\n%s", late * 1000, _stack(frame), extra=extra)


class _Watch:
    """The thread that looks at all watchdogs; it is there as long as any of them watches."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._dogs: list[Watchdog] = []
        self._thread: threading.Thread | None = None

    def add(self, dog: Watchdog) -> None:
        with self._change:
            self._dogs.append(dog)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="ropewalk watchdog", daemon=True)
                self._thread.start()
            self._change.notify()

    def remove(self, dog: Watchdog) -> None:
        with self._change:
            if dog in self._dogs:
                self._dogs.remove(dog)
            if not self._dogs:
                self._change.notify()

    def _look(self) -> None:
        while True:
            with self._change:
                if not self._dogs:
                    self._thread = None
                    return
                self._change.wait(min(dog.rest() for dog in self._dogs))
                dogs = list(self._dogs)
            for dog in dogs:
                dog.look()


_watch = _Watch()


def _stack(frame: FrameType) -> str:
    lines = traceback.extract_stack(frame)[-_FRAMES:]
    return "".join(traceback.format_list(lines)).rstrip()
