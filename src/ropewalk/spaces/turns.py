"""Turns: one process at a time changes a space from this device.

Flow: commit -> Turns.take -> flock on the place of who is next -> flock on the turn -> commit
Never: blocks the event loop, waits without end, or lets one process have turn after turn while another waits.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from ropewalk.errors import Unavailable

__all__ = ["LONGEST_WAIT", "Busy", "Turns"]

_PROCESS = 20  # characters for the number of a process
FIRST_WAIT, LONGEST_WAIT = 0.002, 0.05  # seconds between two looks at a lock


class Busy(Unavailable):
    """Another process of this device is changing the space."""

    code = "space.busy"


class Turns:
    """The lock of one space on one device.

    Who waits has the place of who is next before it looks for the turn: whoever just had a turn finds that place taken
    and lines up again, however short a time the turn was free.  For the place itself, those that wait are equals.

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
        deadline = asyncio.get_running_loop().time() + patience
        try:
            async with asyncio.timeout_at(deadline):
                await self._here.acquire()
        except TimeoutError:
            raise self._busy(f"process {os.getpid()}", patience) from None
        try:
            with _opened(self._path) as turn:
                with _opened(self._path.with_name(f"{self._path.name}.next")) as place:
                    if not await _locked(place, deadline):
                        raise self._stuck(place, patience)
                    if not await _locked(turn, deadline):
                        raise self._busy(_whose(turn), patience)
                if self._begin is not None:
                    await self._begin()
                yield
        finally:
            self._here.release()

    def _busy(self, who: str, patience: float) -> Busy:
        return Busy(
            f"{who} has been changing this space for {patience:.0f} s", hint="wait for it to end, then try again"
        )

    def _stuck(self, place: int, patience: float) -> Busy:
        return Busy(
            f"{_whose(place)} has been waiting for its turn before this one for {patience:.0f} s",
            hint="if it was stopped, let it go on or end it; then try again",
        )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # and with it goes its lock


async def _locked(descriptor: int, deadline: float) -> bool:
    """Whether the lock came before the deadline; it says whose it is."""
    loop, wait = asyncio.get_running_loop(), FIRST_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        else:
            os.pwrite(descriptor, f"{os.getpid():<{_PROCESS}}".encode(), 0)  # one width: to truncate costs a sync
            return True


def _whose(descriptor: int) -> str:
    return f"process {os.pread(descriptor, _PROCESS, 0).decode(errors='replace').strip() or 'unknown'}"
