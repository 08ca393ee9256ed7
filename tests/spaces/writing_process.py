"""A process of its own that writes files into a space, each as a change, and says so once it is acknowledged.

Flow: python -m tests.spaces.writing_process HOME PREFIX COUNT -> lines of names on standard output
Never: says a name before its change is acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ropewalk.spaces.home import Home
from ropewalk.spaces.space import open_space
from tests.spaces.making import device
from tests.spaces.model import contents

__all__ = ["size_of"]


def size_of(number: int) -> int:
    """Bytes of a file: every third is a pack of its own, the others lie in their heads."""
    return 300_000 if number % 3 == 2 else 900


async def write_files(home: Path, prefix: str, count: int) -> None:
    async with await open_space(Home(home, home / "state"), "photos", device()) as space:
        for number in range(count):
            await space.write(f"{prefix}/{number}", contents(number, size_of(number)))
            print(f"{prefix}/{number}", flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    asyncio.run(write_files(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
