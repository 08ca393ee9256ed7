"""Listings: stores that list wrongly, or delete wrongly.

Flow: a test -> ropewalk.testing.unfit -> one of these
Never: loses an object that was not deleted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ropewalk.errors import Refused
from ropewalk.spaces.store import Listed, MemoryStore, ObjectName, Parts, object_name

__all__ = [
    "DeletesLater",
    "DeletesNothing",
    "HidesTheRest",
    "Invents",
    "ListsBackwards",
    "ListsForEver",
    "ListsFromTheStart",
    "ListsLate",
    "ListsNothing",
    "ListsSizes",
    "MayNotBeListed",
    "Remembers",
]


class ListsLate(MemoryStore):
    """Leaves what was put last out of its listings."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        newest = next(reversed(self._objects), "")
        async for listed in super().list(prefix, after):
            if listed.name != newest:
                yield listed


class ListsBackwards(MemoryStore):
    """Lists the last name first."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        for listed in reversed([listed async for listed in super().list(prefix, after)]):
            yield listed


class ListsFromTheStart(MemoryStore):
    """Heeds no ``after``."""

    async def list(self, prefix: str, _after: str = "") -> AsyncIterator[Listed]:
        async for listed in super().list(prefix):
            yield listed


class ListsSizes(MemoryStore):
    """Lists each object as a byte larger."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            yield Listed(listed.name, listed.size + 1)


class Invents(MemoryStore):
    """Lists an object that is not there."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            yield listed
        name = ObjectName(f"{prefix}~" if prefix.endswith("/") else f"{prefix}/~")
        if name > after:
            yield Listed(name, 1)


class ListsNothing(MemoryStore):
    """Its listings are empty."""

    async def list(self, _prefix: str, _after: str = "") -> AsyncIterator[Listed]:
        none: tuple[Listed, ...] = ()
        for listed in none:
            yield listed


class MayNotBeListed(MemoryStore):
    """Refuses to list."""

    async def list(self, _prefix: str, _after: str = "") -> AsyncIterator[Listed]:
        yield await self._refused()

    async def _refused(self) -> Listed:
        raise Refused("listings are not allowed")


class HidesTheRest(MemoryStore):
    """Lists nothing to who goes on from a name."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            if not after:
                yield listed


class ListsForEver(MemoryStore):
    """Its listings have no end."""

    async def list(self, prefix: str, _after: str = "") -> AsyncIterator[Listed]:
        while True:
            yield Listed(ObjectName(f"{prefix}x"), 1)


class DeletesNothing(MemoryStore):
    """Refuses to delete."""

    async def delete(self, _name: ObjectName) -> None:
        raise Refused("this key may not delete here")


class DeletesLater(MemoryStore):
    """Says that it has deleted, and has not."""

    async def delete(self, name: ObjectName) -> None:
        object_name(name)


class Remembers(MemoryStore):
    """Gives the old bytes where a name was deleted and is used again."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[ObjectName, bytes] = {}

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await super().put(name, parts)
        self._objects[name] = self._first.setdefault(name, self._objects[name])
