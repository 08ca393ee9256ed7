"""Vector door: the objects that docs/spec/vectors/broker/README.md says a server has.

Flow: conversation -> Door
Never: has more than the page says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ropewalk.broker.offers import Object, remote
from ropewalk.broker.shared import Shared
from ropewalk.errors import Refused

__all__ = ["Board", "Door", "Thing"]


class No(Refused):
    """The error of the vectors."""

    code = "vectors.refused"


class Thing(Object):
    """An object of the vectors."""

    @remote
    def echo(self, value: Any) -> Any:
        return value


class Board(Shared):
    """The shared object of the vectors."""


class Door(Object):
    """What docs/spec/vectors/broker/README.md says is at the door."""

    def __init__(self) -> None:
        self.always = Thing()
        self.kept: list[Any] = []
        self.state = Board({"a": 1}, run=bytes.fromhex("0011223344556677"))

    @remote
    def echo(self, value: Any) -> Any:
        return value

    @remote
    def thing(self) -> Thing:
        return Thing()

    @remote
    def same(self) -> Thing:
        return self.always

    @remote
    def nest(self) -> dict[str, list[Thing]]:
        return {"things": [self.always]}

    @remote
    async def hold(self) -> None:
        await asyncio.get_running_loop().create_future()

    @remote
    def fail(self) -> None:
        raise No("no")

    @remote
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    @remote
    async def blocks(self, most: int) -> AsyncIterator[bytes]:
        for _ in range(most):
            yield bytes(3000)

    @remote
    async def total(self, items: AsyncIterator[Any]) -> int:
        return len([item async for item in items])

    @remote
    async def keep(self, items: AsyncIterator[Any]) -> None:
        self.kept.append(items)
        await asyncio.get_running_loop().create_future()

    @remote
    def board(self) -> Board:
        return self.state

    @remote
    def put(self, value: Any) -> None:
        self.state.put("a", value=value)
