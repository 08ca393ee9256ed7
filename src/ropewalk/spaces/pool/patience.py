"""Patience: how long several stores are waited for, where fewer than all would do.

Flow: calls to stores, as tasks -> most_of -> those that have not come back
Never: cancels what it no longer waits for: it may come back yet, and then counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["DEADLINE", "LINGER", "most_of"]

DEADLINE = 60.0  # seconds for a call of a few bytes: what has not answered then does not answer
LINGER = 2.0  # seconds; a hung store delays what the others have done by no more, a slow one is still waited for


async def most_of(
    tasks: Iterable[asyncio.Task[Any]],
    will_do: Callable[[int], bool],
    *,
    linger: float | None = None,
    deadline: float | None = None,
) -> set[asyncio.Task[Any]]:
    """Wait for all of them, but once ``will_do``, only as long again as it took, or ``linger`` seconds if that is more.

    Args:
        tasks: Their results are not looked at.
        will_do: Told how many have not come back: whether to do without them.
        linger: `LINGER` by default.
        deadline: Seconds after which nothing is waited for.

    Returns:
        Those that have not come back.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    pending = set(tasks)
    patience = LINGER if linger is None else linger
    while pending:
        _, pending = await asyncio.wait(pending, timeout=patience)
        if will_do(len(pending)):
            break
        patience = max(loop.time() - started, patience)
        if deadline is not None:
            patience = min(patience, deadline - (loop.time() - started))
            if patience <= 0:
                break
    return pending
