"""A process of its own that writes into a space where changes may wait, and ends by SIGKILL at a given step.

A step is a call of a store or of the file system of the queue's folder.

Flow: python -m tests.spaces.dying_process HOME PREFIX COUNT STEP -> names of what was kept, a line each -> "waiting N"
Never: says a name before its change is acknowledged or queued, or of one that was refused.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ropewalk.errors import Unavailable
from ropewalk.spaces.home import Home
from ropewalk.spaces.offline import files
from ropewalk.spaces.space import open_space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import DiskStore, OsFileSystem, Store
from ropewalk.testing.faults import StopAfter
from tests.spaces.making import device
from tests.spaces.model import contents
from tests.spaces.writing_process import size_of

__all__: list[str] = []


def _die() -> BaseException:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives that")


class _Counted:
    """The operating system's file system, each call of which is a step."""

    def __init__(self, stop: StopAfter) -> None:
        self._files, self._stop = OsFileSystem(), stop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self._stop.calls += 1
            if self._stop.stopped:
                _die()
            return getattr(self._files, name)(*args)

        assert inspect.isroutine(getattr(self._files, name))
        return call


async def write_files(home: Path, prefix: str, count: int, step: int) -> None:
    stop = StopAfter(step, _die)
    vars(files)["OsFileSystem"] = lambda: _Counted(stop)

    async def open_store(place: str, identity: bytes) -> Store:
        return stop.around(await DiskStore.open(place, identity))

    async with await open_space(Home(home, home / "state"), "photos", device(), open_store=open_store) as space:
        for number in range(count):
            try:
                await space.write(f"{prefix}/{number}", contents(number, size_of(number)))
            except Unavailable:
                continue  # it rests on what another process wrote, and was not read here while it could be
            print(f"{prefix}/{number}", flush=True)  # noqa: T201 - the parent reads it
        await space.pay()
        waiting = len(await space.core.ledger.do(State.queued_names))
    print(f"waiting {waiting} after {stop.calls}", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(write_files(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
