"""Machines: several devices of a space, each with a home of its own, over the same stores.

Flow: Machines.make -> invite -> open any of them, as often as a test likes -> what each shows
Never: shares anything but the stores between two machines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Role
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.store import Store
from ropewalk.testing.letting_in import let_in
from tests.spaces.making import World, a_space, device

__all__ = ["Machine", "Machines", "keys_of", "shown"]


@cache
def keys_of(name: str) -> DeviceKeys:
    """The keys of a machine by its name; of "admin" those that all worlds begin with."""
    return device() if name == "admin" else DeviceKeys(hashed("test machine", name.encode()))


@dataclass
class Machine:
    """One device: its home, and how it sees the stores."""

    name: str
    home: Home
    keys: DeviceKeys
    around: Callable[[Store], Store] = lambda store: store

    @property
    def id(self) -> bytes:
        """Of the device."""
        return self.keys.public().id


@dataclass
class Machines:
    """Devices over the stores of one world."""

    world: World
    root: Path
    all: dict[str, Machine] = field(default_factory=dict)
    member: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    async def make(cls, root: Path, stores: int = 5, privacy: int = 1) -> Machines:
        """A space of one admin, with one machine."""
        world = await a_space(root / "admin", stores, privacy=privacy)
        made = cls(world, root)
        made.all["admin"] = Machine("admin", world.home, device())
        async with made.open("admin") as space:
            made.member["admin"] = space.core.membership.state.devices[device().public().id]
        return made

    def home_of(self, name: str, stores: Sequence[str] | None = None) -> Home:
        """A home that has these stores, or all, and the space."""
        home = Home(self.root / name / "config", self.root / name / "state")
        known = self.world.home.load()
        setting = known.spaces["photos"]
        spaces = {"photos": SpaceSetting(setting.id, list(setting.stores if stores is None else stores))}

        def settings(one: Settings) -> Settings:
            return msgspec.structs.replace(one, stores=known.stores, spaces=spaces)

        home.update(settings)
        return home

    def add(self, name: str, keys: DeviceKeys | None = None) -> Machine:
        """One more machine, which nobody has let in yet."""
        self.all[name] = Machine(name, self.home_of(name), keys or keys_of(name))
        return self.all[name]

    async def invite(self, name: str, role: Role, by: str = "admin") -> Machine:
        """One more member with one machine."""
        machine = self.add(name)
        async with self.open(by) as space, space.group() as group:
            self.member[name], _ = await let_in(group, role, name, machine.keys)
        return machine

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Space]:
        """The space, on one machine."""
        machine = self.all[name]

        async def open_store(path: str, identity: bytes) -> Store:
            return machine.around(await self.world.open_store(path, identity))

        space = await open_space(
            *(machine.home, "photos", machine.keys),
            clock=self.world.clock,
            now=self.world.now,
            threads=1,
            open_store=open_store,
            pay_every=3600,  # a test says when
        )
        async with space:
            yield space

    def away(self, stores: Collection[str]) -> None:
        """These stores do not answer, and all others do."""
        for name, store in self.world.stores.items():
            store.gone = name in stores
        self.world.clock.seconds += 100

    async def records(self) -> dict[str, set[bytes]]:
        """All membership records in any store, with the bytes that they have there."""
        found: dict[str, set[bytes]] = {}
        for store in self.world.stores.values():
            for name, data in (await store.snapshot()).items():
                if "/records/" in name:
                    found.setdefault(name, set()).add(data)
        return found


async def shown(space: Space) -> dict[str, bytes]:
    """What a space shows after a look at the stores."""
    await space._list()
    return {info.path: await space.read(info.path) async for info in space.list()}
