"""Patience: how long several stores are waited for, where fewer than all would do.

Flow: calls to stores, as tasks -> most_of -> those that have not come back
Never: cancels what it no longer waits for: it may come back yet, and then counts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

__all__ = ["DEADLINE", "GRACE", "LINGER", "limit_of", "most_of"]

DEADLINE = 60.0  # seconds for a call of a few bytes: what has not answered then does not answer
LINGER = 2.0  # seconds after which a call of a few bytes that has not come back is one that hangs
GRACE = 0.25  # seconds that stores are waited for beyond those that will do: a disk that is busy, a way across an ocean


async def most_of(
    tasks: Iterable[asyncio.Task[Any]],
    will_do: Callable[[int], bool],
    *,
    linger: float | None = None,
    deadline: float | None = None,
    slow: Collection[asyncio.Task[Any]] = (),
    briefly: float = 0.0,
) -> set[asyncio.Task[Any]]:
    """Wait until they will do, and then for the others as long again as that took, or ``linger`` if that is more.

    Args:
        tasks: Their results are not looked at.
        will_do: Told how many have not come back: whether to do without them.
        linger: Seconds; `GRACE` by default.
        deadline: Seconds after which nothing is waited for.
        slow: Those that are waited for only ``briefly`` once the others will do.
        briefly: Seconds.

    Returns:
        Those that have not come back.
    """
    now = asyncio.get_running_loop().time
    started, pending = now(), set(tasks)
    soon = started
    last = math.inf if deadline is None else started + deadline
    until = last
    done = False
    while pending:
        if not done and will_do(len(pending)):
            done, until, soon = True, min(last, started + limit_of(now() - started, linger)), now() + briefly
        if done and pending.issubset(slow):
            until = min(until, soon)
        if now() >= until:
            break
        timeout = None if until == math.inf else until - now()
        _, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return pending


def limit_of(took: float, linger: float | None = None) -> float:
    """Seconds in all that calls are waited for, where those that will do took so long."""
    return took + max(took, GRACE if linger is None else linger)
