"""Lies about what was taken: kept and then lost, kept in part, not kept, or said to be other than it is.

Flow: Liar -> Lie -> the answer to a put, and what is there afterwards
Never: lies about what it was not asked to take while it lied, but for `LoseLater`, which has held it for long enough.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk.errors import RopewalkError
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.store import (
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Room,
    StoreDamaged,
    StoreFull,
    StoreReadOnly,
)
from ropewalk.testing.liars.liar import Lie, Place, kind_of

__all__ = [
    "AcceptThenLose",
    "FakeDamaged",
    "FakeFull",
    "FakeReadOnly",
    "FakeTaken",
    "LoseLater",
    "OtherBytesAccepted",
    "PartialPut",
]

DAY = 24 * 3600 * 10**9  # nanoseconds
KEEPS = 30  # days


class AcceptThenLose(Lie):
    """Answers a put as done and has nothing afterwards."""

    number, name = "14", "accept-then-lose"
    spoils = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.lost: set[str] = set()

    async def put(self, name: ObjectName, data: bytes) -> None:
        if await self.shown(name) is None:
            await super().put(name, data)
            self.lost.add(name)
            self.place.account.told(f"put {kind_of(name)}")

    async def shown(self, name: ObjectName) -> bytes | None:
        return None if name in self.lost else await self.kept(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) if one.name not in self.lost]


class LoseLater(Lie):
    """Loses every second object 30 days after it took it."""

    number, name = "15", "lose after N days"
    spoils = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.since: dict[str, int] = {}

    async def put(self, name: ObjectName, data: bytes) -> None:
        if name in self.since and self._is_lost(name):
            del self.since[name]  # it takes it again, for as long
        await super().put(name, data)
        self.since.setdefault(name, self.place.now())
        self.place.account.served[f"put {kind_of(name)}"] += 1

    async def shown(self, name: ObjectName) -> bytes | None:
        return None if self._is_lost(name) else await self.kept(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) if not self._is_lost(one.name)]

    def _is_lost(self, name: str) -> bool:
        taken = self.since.get(name, 0)  # what was there before it began to lie is old
        return self.place.now() - taken > KEEPS * DAY and hashed("test lie", name.encode())[0] % 2 == 0


class OtherBytesAccepted(Lie):
    """Answers a put as done, though other bytes lie under the name."""

    number, name = "16a", "fake 200 on conditional put"
    spoils = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.held: dict[str, bytes] = {}

    async def put(self, name: ObjectName, data: bytes) -> None:
        if await self.kept(name) is None:
            self.held[name] = bytes(len(data))
            self.place.account.told(f"put {kind_of(name)}")
        await super().put(name, data)

    async def shown(self, name: ObjectName) -> bytes | None:
        return self.held.get(name) or await self.kept(name)


class FakeTaken(Lie):
    """Says of every name that other bytes lie under it."""

    number, name = "16b", "fake 412 on conditional put"

    async def put(self, name: ObjectName, _data: bytes) -> None:
        self.place.account.told(f"put {kind_of(name)}")
        raise NameTaken(f"name {name} is taken by other bytes")


class PartialPut(Lie):
    """Answers a put as done and keeps the first half."""

    number, name = "23", "partial PUT"
    spoils = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.halved: set[str] = set()

    async def put(self, name: ObjectName, data: bytes) -> None:
        if await self.kept(name) is None:
            self.halved.add(name)
            self.place.account.told(f"put {kind_of(name)}")
        await super().put(name, data)

    async def delete(self, name: ObjectName) -> None:
        self.halved.discard(name)
        await super().delete(name)

    async def shown(self, name: ObjectName) -> bytes | None:
        whole = await self.kept(name)
        return whole[: len(whole) // 2] if whole and name in self.halved else whole

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [
            Listed(one.name, one.size // 2 if one.name in self.halved else one.size)
            for one in await super().names(prefix)
        ]


class _Refuses(Lie):
    """Says that it cannot take anything."""

    error: type[RopewalkError] = StoreFull

    async def put(self, name: ObjectName, _data: bytes) -> None:
        self.place.account.told(f"put {kind_of(name)}")
        raise self.error(f"put {name} fails")


class FakeFull(_Refuses):
    """Refuses all puts as full, though it has room."""

    number, name = "40a", "says it is full"

    async def room(self) -> Room | None:
        return Room(1 << 40, 1 << 39)


class FakeReadOnly(_Refuses):
    """Refuses all puts and deletions."""

    number, name = "40b", "says it is read-only"
    error = StoreReadOnly

    async def delete(self, name: ObjectName) -> None:
        self.place.account.told(f"delete {kind_of(name)}")
        raise StoreReadOnly(f"delete {name} fails")


class FakeDamaged(Lie):
    """Answers every get with an error of its disk."""

    number, name = "40c", "says that all is damaged"
    spoils = True

    async def get(self, name: ObjectName, _offset: int, _length: int | None) -> bytes:
        if await self.kept(name) is None:
            raise NoSuchObject(f"no object {name}")
        raise StoreDamaged(f"object {name} cannot be read")
