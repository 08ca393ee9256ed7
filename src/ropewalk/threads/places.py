"""Places: so many at a time, so many waiting, first come, first served.

Flow: take -> one of the places, or a wait for it -> give_back -> whoever waits longest
Never: lets a place be lost to one who was cancelled while it was handed over.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ropewalk.errors import RopewalkError, Unavailable

__all__ = ["Places", "PoolFull"]


class PoolFull(Unavailable):
    """As many calls wait as may."""

    code = "threads.full"


class Places:
    """For the coroutines of one loop.

    Args:
        name: For the message of `PoolFull`.
        size: How many hold a place at a time.
        max_waiting: How many wait for one; None for any number, each of which is a task of the caller's own.
    """

    def __init__(self, name: str, size: int, max_waiting: int | None) -> None:
        self._name, self.size, self._max_waiting = name, size, max_waiting
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed: RopewalkError | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self) -> None:
        """Wait for a place.

        Raises:
            PoolFull: Too many wait already.
        """
        self._refuse_if_closed()
        if self.taken < self.size:
            self.taken += 1
            return
        if self._max_waiting is not None and len(self._waiting) >= self._max_waiting:
            raise PoolFull(f"{self._name} is full: {self.taken} running, {len(self._waiting)} waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back()  # it was handed over just now
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        try:
            self._refuse_if_closed()
        except RopewalkError:  # it was closed just after the place was handed over
            self.give_back()
            raise

    def give_back(self) -> None:
        """Hand a place on to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1

    def close(self, error: RopewalkError) -> None:
        """Let nobody in any more: those who wait and those who come get ``error``."""
        self._closed = error
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)

    def _refuse_if_closed(self) -> None:
        if self._closed is not None:
            raise self._closed
