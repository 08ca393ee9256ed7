"""Lies about time and identity: answers that come late or in drops, clocks that jump, another store in its place.

Flow: Liar -> Lie -> the same answer, later; another time; another identity
Never: gives a wrong answer in time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ropewalk.spaces.store import Listed, ObjectName, Room
from ropewalk.testing.liars.liar import Lie, Place

__all__ = ["AnotherStore", "ClockJump", "Delay", "SlowLoris"]

LATE = 10.0  # seconds; past every patience that others make up for, and before a call is given up
DROP = 50.0  # seconds a byte, and a name; just before a name is given up
YEARS = 10 * 365 * 24 * 3600 * 10**9  # nanoseconds


class Delay(Lie):
    """Does all it is asked to, ten seconds late."""

    number, name = "2", "delay"

    async def put(self, name: ObjectName, data: bytes) -> None:
        await self.wait("put", LATE)
        await super().put(name, data)

    async def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        await self.wait("get", LATE)
        return await super().get(name, offset, length)

    async def list(self, prefix: str, after: str) -> AsyncIterator[Listed]:
        await self.wait("list", LATE)
        async for listed in super().list(prefix, after):
            yield listed

    async def delete(self, name: ObjectName) -> None:
        await self.wait("delete", LATE)
        await super().delete(name)

    async def room(self) -> Room | None:
        await self.wait("room", LATE)
        return await super().room()


class SlowLoris(Lie):
    """Gives a byte, or a name, in 50 seconds."""

    number, name = "22", "slow-loris"

    async def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        data = await super().get(name, offset, length)
        await self.wait("get", DROP * len(data))
        return data

    async def list(self, prefix: str, after: str) -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            await self.wait("list", DROP)
            yield listed


class ClockJump(Lie):
    """Sets the clock of the machine ten years back and ten years ahead, in turn."""

    number, name = "21", "clock jump"
    by_clock = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.asked: list[int] = []

    def time(self, true: int) -> int:
        self.asked.append(true)
        self.place.account.told("time")
        return true + (YEARS if len(self.asked) % 2 else -YEARS)


class AnotherStore(Lie):
    """Stands in the place of a store and has another's identity."""

    number, name = "37", "marker id of another store"

    def answers_to(self, identity: bytes) -> bytes:
        self.place.account.told("open")
        return bytes(byte ^ 0xFF for byte in identity)
