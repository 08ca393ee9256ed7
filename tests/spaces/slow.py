"""Stores of a space that take their time for some calls, by the loop's clock.

Flow: World, rules by store -> Slow around what is opened -> the store in memory
Never: fails a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from ropewalk.spaces.home import Home
from ropewalk.spaces.store import Listed, ObjectName, Parts, Store
from tests.spaces.making import World

__all__ = ["Slow", "slow_world"]


class Slow:
    """A store; ``seconds`` says how many each call takes, by the call and a part of the name."""

    def __init__(self, store: Store, seconds: Mapping[tuple[str, str], float]) -> None:
        self._store, self._seconds = store, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def _take(self, call: str, name: str) -> None:
        await asyncio.sleep(sum(took for (of, part), took in self._seconds.items() if of == call and part in name))

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        await self._take("get", name)
        return await self._store.get(name, offset, length)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self._take("put", name)
        await self._store.put(name, parts)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        await self._take("list", prefix)
        async for listed in self._store.list(prefix, after):
            yield listed


def slow_world(world: World, slow: Mapping[str, Mapping[tuple[str, str], float]], home: Home | None = None) -> World:
    """The same space over stores some of which are slow: by store, call and part of a name, the seconds.

    Args:
        world: Over stores that are quick.
        slow: May be changed at any time.
        home: Another memory of it.
    """
    made = replace(world, home=home or world.home)

    async def open_store(path: str, identity: bytes) -> Store:
        store = await World.open_store(made, path, identity)
        return Slow(store, slow[path]) if path in slow else store

    made.open_store = open_store  # type: ignore[method-assign]
    return made
