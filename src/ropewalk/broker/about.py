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
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from ropewalk.broker.errors import BadArguments, BadMessage, Late

__all__ = ["CURRENT", "About", "about_of", "deadline", "remaining", "trace", "tracing"]

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


def about_of(told: object, now: float) -> About | None:
    """What came with a call.

    Raises:
        BadMessage: It is not what it must be.
    """
    if told is None:
        return None
    if type(told) is not dict:
        raise BadMessage("what is told about a call is no map")
    left, parent = told.get("deadline"), told.get("trace")
    if left is not None and (type(left) is not int or not 0 < left <= _MOST):
        raise BadMessage(f"a deadline is {left!r:.40}, expected milliseconds")
    if parent is not None and (type(parent) is not str or len(parent) > _LONGEST_TRACE):
        raise BadMessage("a trace is not text, or long")
    if parent is not None and not _TRACE.fullmatch(parent):
        parent = None  # as if there were none, which is what its specification asks for
    return None if left is None and parent is None else About(None if left is None else now + left / 1000, parent)


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Give all that is awaited inside so many seconds, here and at the other end of each call.

    Inside of another deadline the earlier one counts.

    Raises:
        Late: They are over; calls that run are cancelled.
        BadArguments: It is no number of seconds.
    """
    if not math.isfinite(seconds):
        raise BadArguments(f"got a deadline of {seconds} s, expected a number of seconds")
    now = asyncio.get_running_loop().time()
    current = CURRENT.get() or About()
    until = now + seconds if current.until is None else min(now + seconds, current.until)
    limit = asyncio.timeout_at(until)
    mark = CURRENT.set(current._replace(until=until))
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Late(f"not done within {seconds:g} s") from error
    finally:
        CURRENT.reset(mark)


def remaining() -> float | None:
    """Seconds until the deadline of the call that is being served, or of the block; None without one."""
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
