"""Making: a space while it is prepared, with its stores and the homes of its devices.

Flow: shelves -> create, open, write -> files, objects
Never: lies; a fault is there only while a preparation asks for it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from msgspec.structs import replace

from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import authoring
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.store import Store
from ropewalk.testing.faults import FaultStore
from ropewalk.testing.liars.liar import kind_of
from ropewalk.testing.liars.stage import DEVICE, NEVER, PAPER_KEY, START, STORES, Shelf, identity_of

__all__ = ["SURVIVE", "Making", "bytes_of"]

SURVIVE = 2
TELLER = "d0"  # lies alone; it holds a data column of what is read
TRIES = 40  # files written until it does; each does with a chance of 3 in 5


def bytes_of(what: str, size: int) -> bytes:
    """Content that does not compress, the same each time."""
    return b"".join(hashed("test lie", f"{what} {at}".encode()) for at in range(size // 32 + 1))[:size]


class Making:
    """A space being prepared."""

    def __init__(self, folder: Path, shelves: dict[str, Shelf]) -> None:
        self.folder, self.shelves = folder, shelves
        self.faults = {name: FaultStore(shelf) for name, shelf in shelves.items()}
        self.files: dict[str, bytes] = {}
        self.clock = asyncio.get_running_loop().time

    def home(self, name: str) -> Home:
        return Home(self.folder / name / "config", self.folder / name / "state")

    async def open_store(self, path: str, _identity: bytes) -> Store:
        return self.faults[path]

    def now(self) -> int:
        return START + int(self.clock() * 1e9)

    async def create(self) -> bytes:
        def with_stores(settings: Settings) -> Settings:
            return replace(settings, stores={one: StoreSetting(one, identity_of(one).hex()) for one in STORES})

        home = self.home("warm")
        home.update(with_stores)
        policy = plan_policy([StoreDomains(name) for name in STORES], {"store": SURVIVE})
        with mock.patch.object(authoring, "NEW_LEVEL", 1):
            return await create_space(
                *(home, "photos", STORES, policy, 1, DEVICE, PAPER_KEY.public()),
                clock=self.clock,
                now=self.now,
                open_store=self.open_store,
            )

    def join(self, name: str) -> None:
        """A home that has the stores and the space, for another device."""
        warm = self.home("warm").load()
        self.home(name).update(lambda _: warm)

    def apart(self, name: str) -> Making:
        """The same space with copies of its stores, and of one home: what is done there is not done here."""
        twin = Making(self.folder / f"apart-{name}", {one: shelf.copied() for one, shelf in self.shelves.items()})
        shutil.copytree(self.folder / name, twin.folder / name)
        return twin

    def beside(self, other: Making) -> dict[str, bytes]:
        """What another one has in its stores that this one has not, hints aside."""
        return {
            name: data
            for one, shelf in other.shelves.items()
            for name, data in shelf.held.items()
            if name not in self.shelves[one].held and kind_of(name) != "hint"
        }

    @asynccontextmanager
    async def open(self, home: str = "warm", device: DeviceKeys = DEVICE) -> AsyncIterator[Space]:
        space = await open_space(
            *(self.home(home), "photos", device),
            clock=self.clock, now=self.now, threads=1, open_store=self.open_store, pay_every=NEVER,
        )  # fmt: skip
        async with space:
            yield space

    async def write(self, space: Space, path: str, data: bytes) -> None:
        await asyncio.sleep(1)
        await space.write(path, data)
        self.files[path] = data

    async def large(self, space: Space, path: str, size: int) -> None:
        """A file of which the teller holds a data column."""
        for attempt in range(TRIES):
            before = {name for name in self.shelves[TELLER].held if "/packs/" in name}
            await self.write(space, path, bytes_of(f"{path} {attempt}", size))
            after = {name for name in self.shelves[TELLER].held if "/packs/" in name} - before
            if any(int(name.split("-")[1], 16) < len(STORES) - SURVIVE for name in after):
                return
        raise AssertionError(f"{TRIES} packs in a row gave {TELLER} no data column")
