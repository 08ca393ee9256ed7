"""Probes: what can only be seen or timed inside an open space; a program of its own, one probe a run.

    python probes.py setup FOLDER...    device keys, a store in each folder, a space over them
    python probes.py changes COUNT WHERE
    python probes.py reads COUNT
    python probes.py listing
    python probes.py metadata COUNT

Flow: peers.Ropewalk.probe -> this, with $ROPEWALK_HOME -> JSON on standard output
Never: changes what it measures, or times its own preparations.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from floors import sync_five

import ropewalk
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.store import DiskStore

SPACE = "bench"
CHANGE = 4096  # bytes of a small change
READ = 64 * 1024  # bytes of a random read
LISTINGS = 5
BESIDE = 600  # bytes of each file beside the changed one: too many to stand in the entry, so it holds a reference


async def setup(folders: list[str]) -> object:
    home, device, paper = Home.of_user(), DeviceKeys.generate(), DeviceKeys.generate(PAPER)
    home.keep_keys(device, os.environ["ROPEWALK_PASSPHRASE"])
    names = []
    for folder in folders:
        store = await DiskStore.create(folder)
        names.append(Path(folder).name)
        home.add_store(names[-1], StoreSetting(folder, store.identity.hex(), {}))
        await store.aclose()
    policy = plan_policy([StoreDomains(name) for name in names], {"store": 2})
    await create_space(home, SPACE, names, policy, 1, device, paper.public(), time.monotonic, time.time_ns)
    return None


async def changes(count: int, where: Path) -> object:
    """Seconds of each small change, and of the same disk's five parallel file-and-folder syncs between them."""
    took: dict[str, list[float]] = {"change": [], "floor": []}
    folders = [where / str(number) for number in range(5)]
    for folder in folders:
        folder.mkdir(parents=True)
    numbers = random.Random(3)
    with ThreadPoolExecutor(len(folders)) as threads:
        async with ropewalk.open(SPACE) as space:
            for number in range(-2, count):  # the first two find everything as it is after a start
                data = numbers.randbytes(CHANGE)
                started = time.perf_counter()
                await space.write(f"changes/{number}", data)
                changed = time.perf_counter()
                sync_five(folders, f"{number}", data, threads)
                synced = time.perf_counter()
                if number >= 0:
                    took["change"].append(changed - started)
                    took["floor"].append(synced - changed)
    return took


async def reads(count: int) -> object:
    """Seconds and store reads of each random read of the large file, and the store reads that opening it took."""
    numbers = random.Random(4)
    took, counts = [], []
    async with ropewalk.open(SPACE) as space, space.file("data/large.bin") as file:
        reader = space.core.reader
        async for _ in (await space.current()).content.references(await (await space.current()).file("data/large.bin")):
            pass
        opening = reader.store_reads
        for _ in range(count):
            offset = numbers.randrange(max(file.size // READ, 1)) * READ
            before, started = reader.store_reads, time.perf_counter()
            data = await file.pread(offset, READ)
            took.append(time.perf_counter() - started)
            counts.append(reader.store_reads - before)
            assert len(data) == min(READ, file.size)
    return {"seconds": took, "counts": counts, "opening": opening}


async def listing() -> object:
    """Seconds of the first listing of a large folder, and of those after it."""
    took = []
    seen = 0
    async with ropewalk.open(SPACE) as space:
        for _ in range(1 + LISTINGS):
            started = time.perf_counter()
            seen = len([info async for info in space.list("data")])
            took.append(time.perf_counter() - started)
    return {"first": took[0], "again": took[1:], "entries": seen}


async def metadata(count: int) -> object:
    """Sealed bytes of new tree nodes for one changed file among ``count``, and for all of them at first."""
    numbers = random.Random(5)
    async with ropewalk.open(SPACE) as space:
        nodes = space.core.nodes
        async with space.change() as change:
            for number in range(count):
                await change.write(f"folder/{number:07}", numbers.randbytes(BESIDE))
        all_of_it = nodes.saved
        saved = []
        for _ in range(LISTINGS):
            before = nodes.saved
            await space.write(f"folder/{numbers.randrange(count):07}", numbers.randbytes(BESIDE))
            saved.append(nodes.saved - before)
    return {"saved": saved, "at_first": all_of_it}


async def main(words: list[str]) -> None:
    match words:
        case ["setup", *folders]:
            found = await setup(folders)
        case ["changes", count, where]:
            found = await changes(int(count), Path(where))
        case ["reads", count]:
            found = await reads(int(count))
        case ["listing"]:
            found = await listing()
        case ["metadata", count]:
            found = await metadata(int(count))
        case _:
            sys.exit(f"probes.py: {' '.join(words)}: no such probe")
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
