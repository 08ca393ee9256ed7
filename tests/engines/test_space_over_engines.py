"""A whole space over a folder, a cluster and a server that ignores conditions, of which each may go."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from ropewalk.engines import create_engine
from ropewalk.spaces.check import check
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import open_space
from ropewalk.spaces.store import DiskStore
from tests.engines.conftest import Prefix
from tests.engines.servers import SECRET, Rclone, Seaweed
from tests.spaces.making import device, paper

pytestmark = [pytest.mark.system, pytest.mark.slow]

NAMES = ("folder", "seaweed", "rclone")


async def a_space(home: Home, folder: Path, places: Sequence[str]) -> None:
    """A space called photos, which survives the loss of one store."""
    disk = await DiskStore.create(folder)
    stores = {"folder": StoreSetting(str(folder), disk.identity.hex())}
    await disk.aclose()
    for name, place in zip(NAMES[1:], places, strict=True):
        made = await create_engine(place, home=home)
        stores[name] = StoreSetting(place, made.identity.hex())
        await made.aclose()

    def with_stores(settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, stores=stores)

    home.update(with_stores)
    policy = plan_policy([StoreDomains(name) for name in NAMES], {"store": 1})
    await create_space(
        *(home, "photos", NAMES, policy, 1, device(), paper().public()), clock=time.monotonic, now=time.time_ns
    )


async def test_a_space_over_three_kinds_of_store_loses_one_and_is_repaired(
    tmp_path: Path, seaweed: Seaweed, home: Home, fresh: Prefix, seed: int
) -> None:
    random_bytes = random.Random(seed).randbytes
    files = {f"file{number}": random_bytes(size) for number, size in enumerate((10, 70_000, 3_000_000, 9_000_000))}
    with Rclone(tmp_path / "rclone") as rclone:
        await a_space(home, tmp_path / "disk", (seaweed.place(fresh()), rclone.place("x")))
        async with await open_space(home, "photos", device()) as space:
            for name, data in files.items():
                await space.write(name, data)
            rclone.server.kill()
            for name, data in files.items():
                assert await space.read(name) == data
        async with await open_space(home, "photos", device()) as space:
            for name, data in files.items():
                assert await space.read(name, 5, 100_000) == data[5:100_005]
        rclone.start()
        # The engine comes back with an empty disk: all but its marker is gone.
        served = rclone.folder / "bucket" / "x"
        lost = [path for path in served.rglob("*") if path.is_file() and path.parent != served]
        for path in lost:
            path.unlink()
        assert lost
        async with await open_space(home, "photos", device()) as space:
            await space.repair()
            assert (await check(space.core, everything=True)).ok
            for name, data in files.items():
                assert await space.read(name) == data
    for kept in (home.config / "settings.toml", tmp_path / "disk"):
        for path in [kept] if kept.is_file() else kept.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes()
