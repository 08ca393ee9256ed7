"""Abilities: stores that cannot do something, do it badly, or say so of themselves.

Flow: a test -> ropewalk.testing.unfit -> one of these
Never: loses a small object while it runs.
"""

from __future__ import annotations

import asyncio

from ropewalk.errors import Refused
from ropewalk.spaces.store import (
    Examined,
    MemoryStore,
    NameTaken,
    ObjectName,
    Parts,
    Room,
    StoreGone,
    StoreReadOnly,
    TellsNothing,
    object_name,
)
from ropewalk.spaces.store.parts import checked_hint, size_of

__all__ = [
    "AllTaken",
    "CutsNames",
    "HasToBeAsked",
    "NoHints",
    "NothingLarge",
    "ReadOnly",
    "Restarts",
    "RoomIsWrong",
    "Says",
    "ShortNames",
    "Slow",
    "StaleHints",
    "TearsLarge",
    "TellsTooLate",
]

_MIB = 1024 * 1024


class NoHints(MemoryStore):
    """Replaces nothing."""

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        checked_hint(name, parts)
        raise StoreReadOnly("nothing is replaced here")


class StaleHints(MemoryStore):
    """Shows the hint before the last."""

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        checked_hint(name, parts)
        before = self._objects.get(name)
        await super().replace(name, parts)
        if before is not None:
            self._objects[name] = before


class HasToBeAsked(MemoryStore):
    """Has to be asked for hints."""

    async def wait_changed(self, _name: ObjectName, _mark: bytes) -> bytes:
        raise TellsNothing("this store does not tell of changes")


class TellsTooLate(MemoryStore):
    """Says where a hint stands, and never that it has changed."""

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        if not mark:
            return await super().wait_changed(name, mark)
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await never


class ShortNames(MemoryStore):
    """Takes no name of more than 180 characters."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        if len(name) > 180:
            raise Refused(f"name of {len(name)} characters is too long")
        await super().put(name, parts)


class CutsNames(MemoryStore):
    """Takes two names that are alike in their first 180 characters for one; the last put is kept."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        object_name(name)
        if len(name) > 180:
            await super().delete(ObjectName(name[:180]))
        await super().put(ObjectName(name[:180]), parts)

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await super().get(ObjectName(object_name(name)[:180]), offset, length)

    async def delete(self, name: ObjectName) -> None:
        await super().delete(ObjectName(object_name(name)[:180]))


class NothingLarge(MemoryStore):
    """Breaks the line where more than 20 MiB come."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        if size_of(parts) > 20 * _MIB:
            raise StoreGone("connection was reset")
        await super().put(name, parts)


class TearsLarge(MemoryStore):
    """Keeps the first 20 MiB of what is larger."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await super().put(name, [b"".join(parts)[: 20 * _MIB]])


class ReadOnly(MemoryStore):
    """Takes nothing."""

    async def put(self, _name: ObjectName, _parts: Parts) -> None:
        raise StoreReadOnly("it is mounted to be read only")

    async def delete(self, _name: ObjectName) -> None:
        raise StoreReadOnly("it is mounted to be read only")


class AllTaken(MemoryStore):
    """Says of every name that it is taken."""

    async def put(self, _name: ObjectName, _parts: Parts) -> None:
        raise NameTaken("this name is taken by other bytes")


class RoomIsWrong(MemoryStore):
    """Says that more is free than there is."""

    async def room(self) -> Room | None:
        return Room(1, 1 << 40)


class Says(MemoryStore):
    """Says what a test wants of its ground."""

    def __init__(self, said: Examined) -> None:
        super().__init__()
        self._said = said

    async def examine(self) -> Examined:
        """As `Examines.examine`."""
        return self._said


class Slow(MemoryStore):
    """Takes long for each read, by a clock that only it moves."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def clock(self) -> float:
        """Seconds."""
        return self.seconds

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        self.seconds += 10.0
        return await super().get(name, offset, length)


class Restarts(MemoryStore):
    """Loses at a restart what was put by `put` since the last one, unless told to keep it."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self._keeps = keeps

    def restart(self) -> None:
        """Start again."""
        if not self._keeps:
            self._objects.clear()

    async def aclose(self) -> None:
        """It runs on."""
