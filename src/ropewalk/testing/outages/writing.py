"""A client as a process of its own: it writes files, each as a change, and says when it begins and what it was told.

Flow: python -m ropewalk.testing.outages.writing CONFIG STATE PREFIX -> words and paths on standard output
Never: says that something is done or queued before it was told so, or ends by itself.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import open_space
from ropewalk.testing.outages.load import content
from ropewalk.testing.outages.stage import DEVICE, SPACE

__all__: list[str] = []


def _say(word: str, path: str) -> None:
    sys.stdout.write(f"{word}\t{path}\n")
    sys.stdout.flush()


async def _write(home: Home, prefix: str) -> None:
    async with await open_space(home, SPACE, DEVICE, threads=1) as space:
        number = 0
        while True:
            path = f"{prefix}/{number}"
            _say("begin", path)
            try:
                outcome = await space.write(path, content(path))
            except RopewalkError:
                _say("refused", path)
            else:
                _say("queued" if outcome is not None and outcome.queued else "done", path)
            number += 1


if __name__ == "__main__":
    asyncio.run(_write(Home(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3]))
