"""Client process: a space that is open, put to and got from; the seconds that each takes go to standard output.

    python client_process.py HOME SPACE      then on standard input: put SOURCE PATH, or get PATH TARGET; tabs between

Flow: nodes.py -> this, as a process -> lines on standard output
Never: counts its own start, or opening the space.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from town import SECRET

import ropewalk
from ropewalk import loops
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.transfer import get_tree, put_tree
from ropewalk.spaces.version import parse_path


async def serve(folder: Path, name: str) -> None:
    """Do what is asked, one after the other, until nothing more is."""
    home = Home(folder, folder / "state")
    async with await open_space(home, name, home.open_keys(SECRET), pay_every=3600) as space:
        print("open", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            what, one, other = line.rstrip("\n").split("\t")
            began = time.perf_counter()
            await (_put(space, one, other) if what == "put" else _get(space, one, other))
            print(time.perf_counter() - began, flush=True)


async def _put(space: Space, source: str, path: str) -> None:
    async with space.change() as change:
        report = await put_tree(change, space.core, source, parse_path(path))
    assert not report.skipped, report


async def _get(space: Space, path: str, target: str) -> None:
    report = await get_tree(await space.current(), space.core, path, target)
    assert not report.skipped, report


if __name__ == "__main__":
    ropewalk.keep_freed()
    loops.run(serve(Path(sys.argv[1]), sys.argv[2]))
