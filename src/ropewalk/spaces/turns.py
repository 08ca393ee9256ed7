"""Turns: one process at a time changes a space from this device.

Flow: commit -> Turns.take -> flock on a file -> commit
Never: blocks the event loop, or waits without end.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ropewalk.errors import Unavailable

__all__ = ["Busy", "Turns"]

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
    """

    def __init__(self, path: Path, patience: float = 600.0) -> None:
        self._path, self._patience = path, patience
        self._here = asyncio.Lock()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Have the turn.

        Raises:
            Busy: It did not come in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._here.acquire()
        except TimeoutError:
            raise self._busy(f"process {os.getpid()}") from None
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                await self._wait(descriptor)
                os.pwrite(descriptor, f"{os.getpid():<{_PROCESS}}".encode(), 0)  # one width: to truncate costs a sync
                yield
            finally:
                os.close(descriptor)
        finally:
            self._here.release()

    async def _wait(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        wait = FIRST_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if loop.time() > deadline:
                    process = os.pread(descriptor, _PROCESS, 0).decode(errors="replace").strip() or "unknown"
                    raise self._busy(f"process {process}") from None
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                return

    def _busy(self, who: str) -> Busy:
        return Busy(
            f"{who} has been changing this space for {self._patience:.0f} s", hint="wait for it to end, then try again"
        )
