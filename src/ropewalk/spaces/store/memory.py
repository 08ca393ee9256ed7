"""The memory store: a dictionary that keeps the contract of a store, power cuts aside.

Flow: pool -> MemoryStore
Never: outlives its process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from ropewalk.errors import Misuse
from ropewalk.spaces.store.interface import (
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    Room,
    object_name,
)
from ropewalk.spaces.store.parts import checked_range, size_of

__all__ = ["MemoryStore"]


class MemoryStore:
    """Objects in memory, for tests and for what need not last.

    Like a folder it cannot hold both ``a`` and ``a/b``, so that tests meet the strictest store.
    """

    def __init__(self) -> None:
        self._objects: dict[ObjectName, bytes] = {}
        self._below: Counter[str] = Counter()  # how many objects lie below each folder of a name
        self._closed = False

    async def put(self, name: ObjectName, parts: Parts) -> None:
        self._check_open()
        size_of(parts)
        held = self._objects.get(object_name(name))
        if held is None:
            self._check_place(name)
            self._objects[name] = b"".join(parts)
            self._below.update(_folders(name))
        elif held != b"".join(parts):
            raise NameTaken(f"name {name} is taken by other bytes in the store in memory")

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        for name, parts in objects:
            await self.put(name, parts)

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        self._check_open()
        checked_range(offset, length)
        held = self._objects.get(object_name(name))
        if held is None:
            raise NoSuchObject(f"no object {name} in the store in memory")
        return held[offset:] if length is None else held[offset : offset + length]

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        self._check_open()
        for name in sorted(name for name in self._objects if name.startswith(prefix) and name > after):
            if (held := self._objects.get(name)) is not None:  # else deleted since
                yield Listed(name, len(held))

    async def delete(self, name: ObjectName) -> None:
        self._check_open()
        if self._objects.pop(object_name(name), None) is not None:
            self._below.subtract(_folders(name))

    async def room(self) -> Room | None:
        self._check_open()
        return None

    async def aclose(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Misuse("store in memory is closed")

    def _check_place(self, name: ObjectName) -> None:
        if any(folder in self._objects for folder in _folders(name)):
            raise NameTaken(f"name {name} is taken in the store in memory: it is below an object")
        if self._below[name]:
            raise NameTaken(f"name {name} is taken in the store in memory: objects lie below it")


def _folders(name: ObjectName) -> list[ObjectName]:
    """The folders a name goes through: of ``a/b/c``, ``a`` and ``a/b``."""
    return [ObjectName(name[:index]) for index, character in enumerate(name) if character == "/"]
