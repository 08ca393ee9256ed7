"""Doors: an object whose methods are as calls may be: plain, slow, long, failing; and how a test looks behind it.

Flow: `Door` -> a pair or a raw peer -> `door_of`
Never: goes on by itself: who waits, waits for the `gate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ropewalk import broker as rope
from ropewalk.errors import Misuse
from tests.broker.pair import Pair

__all__ = ["Door", "Thing", "door_of"]


class Thing(rope.Object):
    @rope.remote
    def name(self) -> str:
        return "thing"


class Door(rope.Object):
    def __init__(self) -> None:
        self.log: list[Any] = []
        self.gate = asyncio.Event()
        self.stopped = 0
        self.thing = Thing()

    @rope.remote
    def echo(self, value: Any) -> Any:
        self.log.append(value)
        return value

    @rope.remote
    async def slow(self, value: Any) -> Any:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return value

    @rope.remote
    async def stubborn(self) -> Any:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
        return self.thing

    @rope.remote
    def give(self) -> Thing:
        return self.thing

    @rope.remote
    def text(self, size: int) -> str:
        return "x" * size

    @rope.remote
    def binary(self, size: int) -> bytes:
        return bytes(size)

    @rope.remote
    def gives_up(self) -> None:
        raise asyncio.CancelledError

    @rope.remote
    def long_error(self) -> None:
        raise Misuse("é" * 5000, hint="h" * 5000)

    @rope.remote
    def no_text(self) -> None:
        raise Misuse("\ud800")

    @rope.remote
    async def until(self) -> float | None:
        return rope.remaining()

    @rope.remote
    def until_now(self) -> float | None:
        return rope.remaining()

    @rope.remote
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number


def door_of(pair: Pair) -> Door:
    """What the server of a pair shows."""
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Door)
    return door
