"""Costs: what input makes a session take, measured.

Flow: frames, made by hand -> `fed` -> a session over a transport to nowhere -> bytes of memory at most in use at once
Never: makes frames with the package's own code; leaves a session behind.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

from ropewalk import broker as rope
from ropewalk.broker.errors import Ended
from ropewalk.broker.limits import Limits
from ropewalk.broker.session import Session
from tests.broker.raw import frame, hello
from tests.broker.shapes import array

__all__ = ["MEBIBYTE", "Door", "Wire", "calls", "fed", "filling", "heard", "number", "opened", "stopped"]

MEBIBYTE = 1 << 20


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    __slots__ = ()

    def write(self, data: Any) -> None:
        """Nobody reads."""

    def writelines(self, list_of_data: Any) -> None:
        """Nobody reads."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        """There is nothing to cut."""

    close = abort


class Door(rope.Object):
    """What the peer calls."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    @rope.remote
    async def hold(self, value: Any = None) -> Any:
        """Never answer."""
        await asyncio.get_running_loop().create_future()
        return value

    @rope.remote
    async def keep(self, value: Any) -> None:
        """Hold on to it."""
        self.kept.append(value)

    @rope.remote
    def echo(self, value: Any) -> Any:
        """The same."""
        return value

    @rope.remote
    async def late_echo(self, value: Any) -> Any:
        """The same, in a while."""
        await asyncio.sleep(0)
        return value

    @rope.remote
    def number(self, value: int) -> int:
        """A number, and nothing else."""
        return value


def opened(door: rope.Object, limits: Limits | None = None) -> Session:
    """A session after a login."""
    session = Session(lambda _: door, ours=limits or Limits(), server=True, nonce=bytes(32))
    session.connection_made(Wire())
    heard(session, hello(limits={"frame": 1 << 20, "weight": 1 << 30}))

    async def leave() -> None:
        pass

    session.entered(None, leave)
    return session


def heard(session: Session, data: bytes) -> None:
    """Bytes that come."""
    at = 0
    while at < len(data) and session.error is None:
        buffer = session.get_buffer(-1)
        size = min(len(buffer), len(data) - at)
        buffer[:size] = data[at : at + size]
        session.buffer_updated(size)
        at += size


async def fed(session: Session, frames: Iterable[bytes]) -> tuple[int, int]:
    """Bytes of these frames, and of memory that was at most in use at once, beside that before."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        size = 0
        for one in frames:
            size += len(one)
            heard(session, one)
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        return size, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


async def stopped(session: Session) -> None:
    """End it."""
    session.abort(Ended("the test is over"))
    session.connection_lost(None)
    await session.wait_closed()


# Frames.


def number(value: int) -> bytes:
    """An integer, as short as it can be."""
    if value < 128:
        return bytes([value])
    return b"\xcd" + value.to_bytes(2, "big") if value < 65_536 else b"\xce" + value.to_bytes(4, "big")


def calls(method: str, *arguments: bytes, first: int = 1, target: bytes = b"\x00") -> Iterator[bytes]:
    """Frames, each with a CALL of this method with one of these arguments."""
    name = bytes([0xA0 | len(method)]) + method.encode()
    for question, argument in enumerate(arguments, first):
        yield frame(array([b"\x95\x00" + number(question) + target + name + b"\x91" + argument]))


def filling(item: bytes, size: int, most: int = MEBIBYTE) -> Iterator[bytes]:
    """Arrays of the same item, of about so many bytes each, a mebibyte in all with what frames need beside."""
    one = array([item] * max(1, size // len(item)))
    for _ in range(most // (len(one) + 32)):
        yield one
