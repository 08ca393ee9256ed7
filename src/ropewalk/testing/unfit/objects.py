"""Objects: stores that lose, tear, mix or overwrite what they acknowledged.

Flow: a test -> ropewalk.testing.unfit -> one of these
Never: what it does wrong is done to every object alike, as far as it can be.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ropewalk.errors import Refused
from ropewalk.spaces.store import MemoryStore, NameTaken, NoSuchObject, ObjectName, Parts, StoreDamaged, object_name
from ropewalk.spaces.store.parts import checked_range, size_of

__all__ = [
    "AnswersAnything",
    "CannotRead",
    "Claims",
    "Flips",
    "Forgets",
    "ForgetsLater",
    "Halves",
    "LooksThenPuts",
    "Mixes",
    "NoRanges",
    "NobodyReads",
    "Overwrites",
    "PutsOnce",
    "Shifts",
    "ShowsParts",
    "StopsAtTheEnd",
    "TearsInARace",
]


class Forgets(MemoryStore):
    """Acknowledges and keeps nothing."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        size_of(parts)
        object_name(name)


class Halves(MemoryStore):
    """Keeps half of what it acknowledges."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        held = b"".join(parts)
        await super().put(name, [held[: len(held) // 2]])


class Flips(MemoryStore):
    """Gives a bit turned over."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        held = await super().get(name, offset, length)
        return bytes([held[0] ^ 1]) + held[1:] if held else held


class CannotRead(MemoryStore):
    """Has an error of its disk for each object."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        await super().get(name, offset, length)
        raise StoreDamaged(f"object {name} cannot be read")


class ForgetsLater(MemoryStore):
    """Loses an object once ten others were put."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await super().put(name, parts)
        if len(self._objects) > 10:
            await self.delete(next(iter(self._objects)))


class ShowsParts(MemoryStore):
    """Shows the first half of an object while it is put."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        held = b"".join(parts)
        size_of(parts)
        if object_name(name) not in self._objects:
            self._objects[name] = held[: len(held) // 2]
            await asyncio.sleep(0)
            del self._objects[name]
        await super().put(name, parts)


class NobodyReads(MemoryStore):
    """Takes everything, and lets nobody read it."""

    async def get(self, _name: ObjectName, _offset: int = 0, _length: int | None = None) -> bytes:
        raise Refused("reads are not allowed")


class NoRanges(MemoryStore):
    """Gives whole objects, and what begins at their beginning."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        if offset:
            raise Refused("ranges are not served")
        return await super().get(name, offset, length)


class Shifts(MemoryStore):
    """Gives a range that begins one byte too early."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await super().get(name, offset - 1 if offset > 0 else offset, length)


class StopsAtTheEnd(MemoryStore):
    """Refuses a range that begins where the object has ended."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        checked_range(offset, length)
        if offset and offset >= len(await super().get(name)):
            raise Refused(f"range from {offset} cannot be satisfied")
        return await super().get(name, offset, length)


class AnswersAnything(MemoryStore):
    """Gives bytes under names that were never put."""

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        try:
            return await super().get(name, offset, length)
        except NoSuchObject:
            return b"something"


class Overwrites(MemoryStore):
    """The last put is kept."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        size_of(parts)
        await self.delete(name)
        await super().put(name, parts)


class Mixes(MemoryStore):
    """Keeps some of both where a name is taken."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        held, size = self._objects.get(object_name(name)), size_of(parts)
        if held is not None and held != b"".join(parts):
            self._objects[name] = held[: size // 2] + b"".join(parts)[size // 2 :]
        else:
            await super().put(name, parts)


class Claims(MemoryStore):
    """Acknowledges other bytes under a taken name, and keeps the first."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        with suppress(NameTaken):
            await super().put(name, parts)


class PutsOnce(MemoryStore):
    """Refuses the same bytes too where a name is taken."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        if object_name(name) in self._objects:
            raise NameTaken(f"name {name} is taken")
        await super().put(name, parts)


class LooksThenPuts(MemoryStore):
    """Looks whether a name is free, and puts a moment later whatever lies there by then."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        held = self._objects.get(object_name(name))
        if held is None:
            size_of(parts)
            await asyncio.sleep(0)
            await self.delete(name)
        await super().put(name, parts)


class TearsInARace(MemoryStore):
    """Of two puts at once the second writes over the end of the first."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: dict[ObjectName, bytes] = {}

    async def put(self, name: ObjectName, parts: Parts) -> None:
        held, size = b"".join(parts), size_of(parts)
        if (other := self._under_way.get(object_name(name))) is not None and other != held:
            self._under_way[name] = other[: size // 2] + held[size // 2 :]
            await asyncio.sleep(0)
            return
        self._under_way[name] = held
        await asyncio.sleep(0)
        await super().put(name, [self._under_way.pop(name, held)])
