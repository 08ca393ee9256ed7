"""The memory store: a dictionary that keeps the contract of a store, power cuts aside.

Flow: pool -> MemoryStore
Never: outlives its process.
"""

from __future__ import annotations

import asyncio
import itertools
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
    hint_name,
    object_name,
)
from ropewalk.spaces.store.parts import checked_hint, checked_range, size_of

__all__ = ["MemoryStore"]


class MemoryStore:
    """Objects in memory, for tests and for what need not last.

    Like a folder it cannot hold both ``a`` and ``a/b``, so that tests meet the strictest store.
    """

    def __init__(self) -> None:
        self._objects: dict[ObjectName, bytes] = {}
        self._below: Counter[str] = Counter()  # how many objects lie below each folder of a name
        self._marks: dict[ObjectName, int] = {}  # of each hint that is there, another whenever it changed
        self._mark = itertools.count(1)
        self._waiting: set[asyncio.Future[None]] = set()  # for any hint to change
        self._closed = False

    async def put(self, name: ObjectName, parts: Parts) -> None:
        self._check_open()
        size_of(parts)
        held = self._objects.get(object_name(name))
        if held is None:
            self._keep(name, parts)
        elif held != b"".join(parts):
            raise NameTaken(f"name {name} is taken by other bytes in the store in memory")

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        for name, parts in objects:
            await self.put(name, parts)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        self._check_open()
        checked_hint(name, parts)
        if name in self._objects:
            self._objects[name] = b"".join(parts)
            self._changed(name)
        else:
            self._keep(name, parts)

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        hint_name(name)
        while True:
            self._check_open()
            now = self._marks.get(name, 0).to_bytes(8, "big")
            if now != mark:
                return now
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)

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
            self._changed(name)

    async def room(self) -> Room | None:
        self._check_open()
        return None

    async def aclose(self) -> None:
        self._closed = True
        self._wake()

    def _keep(self, name: ObjectName, parts: Parts) -> None:
        self._check_place(name)
        self._objects[name] = b"".join(parts)
        self._below.update(_folders(name))
        self._changed(name)

    def _changed(self, name: ObjectName) -> None:
        if "/hints/" not in name:
            return
        if name in self._objects:
            self._marks[name] = next(self._mark)
        else:
            self._marks.pop(name, None)
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

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
