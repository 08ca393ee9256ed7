"""Turns: one process at a time changes a space from this device.

Flow: commit -> Turns.take -> flock on a file -> commit
Never: blocks the event loop, or waits without end.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ropewalk.errors import Unavailable

__all__ = ["LONGEST_WAIT", "Busy", "Turns"]

_PROCESS = 20  # characters for the number of a process
FIRST_WAIT, LONGEST_WAIT = 0.002, 0.25  # seconds between two looks at the lock


class Busy(Unavailable):
    """Another process of this device is changing the space."""

    code = "space.busy"


class Turns:
    """The lock of one space on one device.

    Args:
        path: The lock's file.
        patience: Seconds to wait for one's turn.
        begin: Done at the beginning of each turn.
    """

    def __init__(self, path: Path, patience: float = 600.0, begin: Callable[[], Awaitable[None]] | None = None) -> None:
        self._path, self._patience, self._begin = path, patience, begin
        self._here = asyncio.Lock()

    @asynccontextmanager
    async def take(self, patience: float | None = None) -> AsyncIterator[None]:
        """Have the turn.

        Args:
            patience: Seconds to wait for it, if not as long as usual.

        Raises:
            Busy: It did not come in time.
        """
        patience = self._patience if patience is None else patience
        try:
            async with asyncio.timeout(patience):
                await self._here.acquire()
        except TimeoutError:
            raise self._busy(f"process {os.getpid()}", patience) from None
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                await self._wait(descriptor, patience)
                os.pwrite(descriptor, f"{os.getpid():<{_PROCESS}}".encode(), 0)  # one width: to truncate costs a sync
                if self._begin is not None:
                    await self._begin()
                yield
            finally:
                os.close(descriptor)
        finally:
            self._here.release()

    async def _wait(self, descriptor: int, patience: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        wait = FIRST_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if loop.time() > deadline:
                    process = os.pread(descriptor, _PROCESS, 0).decode(errors="replace").strip() or "unknown"
                    raise self._busy(f"process {process}", patience) from None
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                return

    def _busy(self, who: str, patience: float) -> Busy:
        return Busy(
            f"{who} has been changing this space for {patience:.0f} s", hint="wait for it to end, then try again"
        )
