"""Reads over remote stores of which one is slow: others serve them, it is tried again, and used where it is needed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk import broker, net
from ropewalk.auth import Perspectives, Portal
from ropewalk.loops import Simulated, run
from ropewalk.node.node import _AnyKey
from ropewalk.remote import Nodes
from ropewalk.spaces.pool.health import REST
from ropewalk.spaces.space import Space
from ropewalk.spaces.store import ObjectName, Store
from tests.node.making import GUEST, STRANGER
from tests.spaces.making import KeptStore, World, a_space

FILE = random.Random(11).randbytes(100_000)  # one chunk, in one share
LONG = 30.0  # seconds in which a test that does not hang is done


class Door(broker.Object):
    """A store behind a link; reads of shares wait while it is shut."""

    def __init__(self, store: KeptStore, identity: bytes) -> None:
        self.store, self.identity = store, identity
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.reads = 0  # of shares

    @broker.remote
    def about(self) -> Any:
        return {"name": "disk", "id": self.identity}

    @broker.remote
    async def get(self, name: str, offset: int, length: int) -> bytes:
        if "/packs/" in name:
            self.reads += 1
            self.asked.set()
            await self.open.wait()
        return await self.store.get(ObjectName(name), offset, length)

    @broker.remote
    async def names(self, prefix: str, after: str) -> Any:
        return [[one.name, one.size] async for one in self.store.list(prefix, after)]

    @broker.remote
    async def room(self) -> Any:
        return None


class Hall(broker.Perspective):
    """All doors."""

    def __init__(self, doors: dict[str, Door]) -> None:
        self.doors = doors

    @broker.remote
    def open(self, name: str) -> Door:
        return self.doors[name]


@dataclass
class Remote:
    """A space that is read over links."""

    world: World
    space: Space
    doors: dict[str, Door]
    slow: Door  # of the store that has the file
    name: str

    async def read(self) -> dict[str, int]:
        """Read the file; how often each store was asked for a share."""
        before = {name: door.reads for name, door in self.doors.items()}
        async with asyncio.timeout(LONG):
            assert await self.space.read("file") == FILE
        return {name: door.reads - before[name] for name, door in self.doors.items() if door.reads > before[name]}

    @property
    def late(self) -> bool:
        return self.space.core.pool.is_late(self.name)


@asynccontextmanager
async def _remote(tmp_path: Path) -> AsyncIterator[Remote]:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("file", FILE)
    stores = world.home.stores(list(world.stores))
    doors = {
        name: Door(world.stores[name], bytes.fromhex(setting.id))
        for name, setting in zip(world.stores, stores, strict=True)
    }
    realm = Perspectives()
    realm.give(Hall, lambda _: Hall(doors))
    host = broker.Host(Portal(realm, [_AnyKey()]), {"store": Hall}, node=STRANGER)
    async with await net.listen("memory://hall", host.protocol) as listener:
        address, nodes = host.address(listener.endpoint.peer()), Nodes(GUEST)

        async def open_store(path: str, identity: bytes) -> Store:
            return await nodes.open(f"{address}/{path}", identity)

        world.open_store = open_store  # type: ignore[method-assign]
        async with world.open() as space:
            async with asyncio.timeout(LONG):
                await space.read("file")  # the tree's nodes are read and kept
                before = {name: door.reads for name, door in doors.items()}
                await space.read("file")
            (name,) = [name for name, door in doors.items() if door.reads > before[name]]
            yield Remote(world, space, doors, doors[name], name)
            for door in doors.values():
                door.open.set()
        await host.close(1)


def _play(tmp_path: Path, act: Callable[[Remote], Awaitable[None]]) -> None:
    """In simulated time: how long a store may take before another is asked does not pass by itself."""

    async def main() -> None:
        async with _remote(tmp_path) as remote:
            await act(remote)

    run(main(), loop=Simulated(3))


def are_no_more_than_needed(asked: dict[str, int]) -> bool:
    """Three columns of five give a range of any other; one that ends before it is not asked for."""
    return 0 < len(asked) <= 3 and set(asked.values()) == {1}


def test_a_healthy_read_is_one_and_a_slow_store_holds_none_up(tmp_path: Path) -> None:
    async def act(remote: Remote) -> None:
        assert await remote.read() == {remote.name: 1}
        remote.slow.open.clear()
        asked = await remote.read()
        assert asked.pop(remote.name) == 1
        assert are_no_more_than_needed(asked)

    _play(tmp_path, act)


def test_a_slow_store_is_avoided_and_costs_the_others_no_more_than_is_needed(tmp_path: Path) -> None:
    async def act(remote: Remote) -> None:
        remote.slow.open.clear()
        await remote.read()
        assert remote.late
        for _ in range(5):
            asked = await remote.read()
            assert remote.name not in asked
            assert are_no_more_than_needed(asked)

    _play(tmp_path, act)


def test_a_slow_store_is_tried_again_while_others_serve_and_is_used_once_it_is_quick(tmp_path: Path) -> None:
    async def act(remote: Remote) -> None:
        remote.slow.open.clear()
        await remote.read()
        remote.world.clock.seconds += REST
        remote.slow.asked.clear()
        asked = await remote.read()
        asked.pop(remote.name, None)
        assert are_no_more_than_needed(asked)
        async with asyncio.timeout(LONG):
            await remote.slow.asked.wait()
        assert remote.name not in await remote.read(), "one trial at a time"
        remote.slow.open.set()
        async with asyncio.timeout(LONG):
            while remote.late:  # noqa: ASYNC110 - a trial has no event to wait for
                await asyncio.sleep(0)
        assert await remote.read() == {remote.name: 1}

    _play(tmp_path, act)


def test_a_slow_store_is_used_where_too_few_others_are_left(tmp_path: Path) -> None:
    async def act(remote: Remote) -> None:
        remote.slow.open.clear()
        await remote.read()
        for name in [name for name in remote.doors if name != remote.name][:2]:
            remote.space.core.pool.part(name)
        remote.slow.asked.clear()
        reading = asyncio.create_task(remote.read())
        async with asyncio.timeout(LONG):
            await remote.slow.asked.wait()
        assert not reading.done()
        remote.slow.open.set()
        assert remote.name in await reading

    _play(tmp_path, act)
