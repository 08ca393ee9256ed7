"""Board: how tasks wait for what other tasks of the same loop bring about.

Flow: whoever changes something calls `changed` -> all that wait look again whether theirs has come
Never: polls, or is used from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Board"]


class Board:
    """Conditions on the state of an application; for tens of waiters, since each looks at each change."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}  # in order, which a set has not

    def changed(self) -> None:
        """Something did."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, came: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until ``came()``; whether it came within so many seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while not came():
                    waiter = loop.create_future()
                    self._waiting[waiter] = None
                    try:
                        await waiter
                    finally:
                        del self._waiting[waiter]
        except TimeoutError:
            return came()
        return True
