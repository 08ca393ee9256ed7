"""What tests of threads wait with: functions that hold on until they are let go, and conditions that come true."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

__all__ = ["PATIENCE", "Brake", "until"]

PATIENCE = 20.0  # seconds; none of these tests needs more than a moment


class Brake:
    """A blocking function that returns when the test says so."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._lock = threading.Lock()
        self.begun = self.ended = self.most = 0

    @property
    def held(self) -> int:
        """How many are in it."""
        return self.begun - self.ended

    def hold(self, value: object = None) -> object:
        """Block."""
        with self._lock:
            self.begun += 1
            self.most = max(self.most, self.held)
        assert self._go.wait(PATIENCE)
        with self._lock:
            self.ended += 1
        return value

    def release(self) -> None:
        """Let all go on, those to come too."""
        self._go.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a thread has no asyncio.Event
            await asyncio.sleep(0)
