"""A store in memory each of whose calls takes its time, and a pack to put."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.store import Listed, MemoryStore, ObjectName, Parts, Room, StoreGone
from tests.spaces.making import some_keys

__all__ = ["TimedStore", "a_pack"]


class TimedStore(MemoryStore):
    """Takes ``seconds`` for each call; may be changed at any time, as may whether it is there."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.gone = seconds, False
        self.gets: list[str] = []
        self.puts: list[bytes] = []

    async def _take(self) -> None:
        if self.gone:
            raise StoreGone("it went")
        await asyncio.sleep(self.seconds)

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        self.gets.append(name)
        await self._take()
        return await super().get(name, offset, length)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        if not self.gone:
            self.puts.append(b"".join(parts))
        await self._take()
        await super().put(name, parts)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        await self._take()
        async for listed in super().list(prefix, after):
            yield listed

    async def room(self) -> Room | None:
        await self._take()
        return await super().room()


def a_pack() -> Pack:
    """Of five shares, three of which are needed."""
    packing = Packing(3, 5)
    for at in range(6):
        packing.add(bytes((at,)) * 32, bytes((at,)) * 100)
    return packing.finish(some_keys())
