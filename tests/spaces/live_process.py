"""A process of its own that watches a space, and says how many entries it has after each change that it hears of.

Flow: python -m tests.spaces.live_process HOME STATE COUNT -> "ready", then "entries nanoseconds" on standard output
Never: learns of a change by anything but the stores: its local state is its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space, open_space
from tests.spaces.making import device

__all__ = ["watched"]


@asynccontextmanager
async def watched(home: Path, state: Path) -> AsyncIterator[Space]:
    """A space over folders, whose local state is its own."""
    async with await open_space(Home(home, state), "photos", device()) as space:
        yield space


async def hear(home: Path, state: Path, count: int) -> None:
    """Say what is heard, until there are so many entries."""
    async with watched(home, state) as space:
        await space.live.start()
        print("ready", flush=True)  # noqa: T201 - the parent reads it
        async for change in space.watch():
            entries = max(head.entries for head in change.after.heads)
            print(entries, time.monotonic_ns(), flush=True)  # noqa: T201
            if entries >= count:
                return


if __name__ == "__main__":
    asyncio.run(hear(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
