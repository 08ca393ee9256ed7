"""About: what goes with a call beside its arguments: until when, and as part of what.

Flow: `deadline`, `trace` -> a context variable -> each call made inside -> the method's context at the other end
Never: is sent where nothing is set.
Source: docs/spec/broker.md section 3; https://www.w3.org/TR/trace-context/ for the form of a trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple

from ropewalk.broker.errors import BadArguments, Late
from ropewalk.broker.messages import AboutTold

__all__ = ["CURRENT", "PLAIN", "About", "about_of", "deadline", "remaining", "trace", "tracing"]

_MOST = 2**31 - 1
_LONGEST_TRACE = 256
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")


class About(NamedTuple):
    """Of one call.

    Attributes:
        until: The loop's time after which its answer is of no use.
        trace: A traceparent.
    """

    until: float | None = None
    trace: str | None = None

    def wire(self, now: float) -> dict[str, Any]:
        """As it is sent.

        Raises:
            Late: It is too late already.
        """
        told: dict[str, Any] = {}
        if self.until is not None:
            left = int((self.until - now) * 1000)
            if left < 1:
                raise Late("the deadline was over before the call was made")
            told["deadline"] = min(left, _MOST)
        if self.trace is not None:
            told["trace"] = self.trace
        return told


CURRENT: ContextVar[About | None] = ContextVar("ropewalk.broker.about", default=None)
# A plain program's deadline, by `time.monotonic`: it does not know the clock of whatever loop its calls will run in.
PLAIN: ContextVar[float | None] = ContextVar("ropewalk.broker.about.plain", default=None)


def about_of(told: AboutTold | None, now: float) -> About | None:
    """What came with a call."""
    if told is None:
        return None
    left, parent = told.deadline, told.trace
    if parent is not None and not _TRACE.fullmatch(parent):
        parent = None  # as if there were none, which is what its specification asks for
    return None if left is None and parent is None else About(None if left is None else now + left / 1000, parent)


class deadline:  # noqa: N801 - used as a function is
    """Give all that is awaited inside so many seconds, here and at the other end of each call.

    Inside of another deadline the earlier one counts. ``async with`` it; a plain program, which has no loop, uses
    ``with``: each of its calls ends then, and what it does between them is not cut.

    Raises:
        Late: They are over; calls that run are cancelled.
        BadArguments: It is no number of seconds; or ``with`` is used where ``async with`` has to be.
    """

    def __init__(self, seconds: float) -> None:
        if not math.isfinite(seconds):
            raise BadArguments(f"got a deadline of {seconds} s, expected a number of seconds")
        self._seconds = seconds

    async def __aenter__(self) -> None:
        now = asyncio.get_running_loop().time()
        current = CURRENT.get() or About()
        until = now + self._seconds if current.until is None else min(now + self._seconds, current.until)
        self._limit = asyncio.timeout_at(until)
        await self._limit.__aenter__()
        self._mark = CURRENT.set(current._replace(until=until))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._mark)
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise Late(f"not done within {self._seconds:g} s") from late

    def __enter__(self) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise BadArguments("got `with deadline(..)` beside a loop, expected `async with deadline(..)`")
        until, earlier = time.monotonic() + self._seconds, PLAIN.get()
        self._plain = PLAIN.set(until if earlier is None else min(until, earlier))

    def __exit__(self, *_error: object) -> None:
        PLAIN.reset(self._plain)


def remaining() -> float | None:
    """Seconds until the deadline of the call that is being served, or of the block; None without one."""
    plain = PLAIN.get()
    if plain is not None:
        return max(0.0, plain - time.monotonic())
    current = CURRENT.get()
    if current is None or current.until is None:
        return None
    return max(0.0, current.until - asyncio.get_running_loop().time())


@contextlib.contextmanager
def tracing(parent: str) -> Iterator[None]:
    """Send this traceparent with each call made inside.

    Raises:
        BadArguments: It is none.
    """
    if len(parent) > _LONGEST_TRACE or not _TRACE.fullmatch(parent):
        raise BadArguments(f"got {parent!r:.60}, expected a traceparent as W3C Trace Context has it")
    mark = CURRENT.set((CURRENT.get() or About())._replace(trace=parent))
    try:
        yield
    finally:
        CURRENT.reset(mark)


def trace() -> str | None:
    """The traceparent of the call that is being served, or of the block."""
    current = CURRENT.get()
    return None if current is None else current.trace
