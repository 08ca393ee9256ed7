"""Spaces over stores that stand where a test says, under names that a test gives.

Flow: a test -> names with domains -> World -> the pages of tests.pages.browser
Never: waits for a real disk.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space
from ropewalk.spaces.store import ObjectName, Room
from tests.spaces.making import KeptStore, World, device, paper

__all__ = ["FILLED", "HOUSES", "LARGE", "RoomyStore", "a_pool", "fill"]

GIB = 2**30
LARGE = random.Random(7).randbytes(1_500_000)
HOUSES: Mapping[str, Mapping[str, str]] = {
    "attic": {"site": "home", "machine": "nas", "disk": "a", "admin": "Ada"},
    "cellar": {"site": "home", "machine": "nas", "disk": "b", "admin": "Ada"},
    "desk": {"site": "home", "machine": "laptop", "admin": "Ada"},
    "aunt": {"site": "Bremen", "machine": "box", "admin": "Berta"},
    "cloud": {"account": "acme", "credential": "key 1"},
}
FILLED = Room(100 * GIB, 40 * GIB)


class RoomyStore(KeptStore):
    """One that says how much room it has, and counts what it is asked."""

    def __init__(self, room: Room = FILLED) -> None:
        super().__init__()
        self.said, self.asked = room, 0

    async def room(self) -> Room | None:
        await super().room()
        self.asked += 1
        return self.said

    def list(self, prefix: str, after: ObjectName | str = "") -> object:  # type: ignore[override]
        self.asked += 1
        return super().list(prefix, after)


async def a_pool(
    folder: Path,
    stores: Mapping[str, Mapping[str, str]] = HOUSES,
    survive: Mapping[str, int] | None = None,
    floor: int | None = None,
) -> World:
    """A new space called photos over these stores."""
    names = list(stores)
    kept = {name: RoomyStore() for name in names}
    world = World(Home(folder / "config", folder / "state"), dict(kept))
    settings = {name: StoreSetting(name, f"{at + 1:02x}" * 16, dict(stores[name])) for at, name in enumerate(names)}
    world.home.update(lambda now: msgspec.structs.replace(now, stores=settings))
    policy = plan_policy([StoreDomains(name, stores[name]) for name in names], survive or {"store": 2}, floor)
    await create_space(
        *(world.home, "photos", names, policy, 1, device(), paper().public()),
        clock=world.clock,
        now=world.now,
        open_store=world.open_store,
    )
    return world


async def fill(space: Space) -> None:
    """Something that lies in shares of its own."""
    await space.write("film.mkv", LARGE)
