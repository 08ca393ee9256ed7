"""Receiving: files that a browser sends, into a change while they come in.

Flow: pieces of a body -> blocks -> sealed in the space's threads -> Change
Never: holds more than a few blocks, keeps a part of a file, or lets somebody who stopped sending hold up the space.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

from ropewalk.errors import Misuse, Unavailable
from ropewalk.spaces.change import Change, file_entry
from ropewalk.spaces.chunk import CHUNK_SIZE, Sealed
from ropewalk.spaces.content import Stored, seal_cuts, seal_small, store_cuts
from ropewalk.spaces.core import Core
from ropewalk.spaces.tree.entry import MOST_CHUNKS

__all__ = ["LengthNeeded", "TooSlow", "at_hand", "in_time", "receive_file", "seconds_for"]

BLOCK = MOST_CHUNKS * CHUNK_SIZE  # bytes sealed by one job; a file of up to one block is sealed whole
AHEAD = 2  # blocks being sealed while the next comes in
SILENT = 30.0  # seconds in which nothing of a body comes, before it is given up
SLOWEST = 64 * 1024  # bytes a second: meanwhile nobody else can change the space from this machine
LEAST = 60.0  # seconds that even the smallest body may take
SMALL = 8 * 1024 * 1024  # bytes of a body that is taken whole before the change begins, so that nobody waits for it
_FILE_MODE = 0o644


class TooSlow(Unavailable):
    """The body came too slowly, or nothing of it came for too long."""

    code = "pages.too-slow"


class LengthNeeded(Misuse):
    """The request does not say how long its body is."""

    code = "pages.length-needed"


def seconds_for(length: int) -> float:
    """How long a body of so many bytes may take to come in."""
    return LEAST + length / SLOWEST


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """What is done here ends within so many seconds.

    Raises:
        TooSlow.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TooSlow("the upload came too slowly", hint="nothing was kept; send it again") from None


async def in_time(body: AsyncIterator[bytes], silent: float = SILENT) -> AsyncIterator[bytes]:
    """The pieces of a body, none of them later than so many seconds after the one before.

    Raises:
        TooSlow.
    """
    while True:
        try:
            async with asyncio.timeout(silent):
                piece = await anext(body)
        except TimeoutError:
            raise TooSlow(f"nothing came for {silent:.0f} s", hint="nothing was kept; send it again") from None
        except StopAsyncIteration:
            return
        yield piece


async def at_hand(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a small body, once all of them have come."""
    pieces = [piece async for piece in body]

    async def again() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return again()


async def receive_file(
    change: Change, core: Core, parts: tuple[bytes, ...], pieces: AsyncIterator[bytes], mtime: int | None = None
) -> int:
    """Put a file at a path of the change; how many bytes it has.

    Args:
        change: Being made.
        core: Its space.
        parts: The path; folders on the way are made.
        pieces: The file's bytes; where they raise, the change must not be made.
        mtime: Nanoseconds since 1970; now by default.

    Raises:
        AlreadyThere: A folder has the name.
        NotAFolder: One on the way is something else.
        BelowFloor.
    """
    async with aclosing(_blocks(pieces)) as source:
        first = await anext(source, b"")
        second = await anext(source, None) if len(first) == BLOCK else None
        if second is None:
            seal = partial(seal_small, first, core.keys, padded=core.padded)
            stored, cuts = await asyncio.get_running_loop().run_in_executor(core.cpu, seal)
            await change.add_chunks([(cut, None) for cut in cuts])
        else:
            async with aclosing(_sealed(first, second, source, core)) as sealed:
                stored = await store_cuts(sealed, change.writer, core.maps, core.keys)
    await _put(change, core, parts, stored, mtime)
    return stored.size


async def _put(change: Change, core: Core, parts: tuple[bytes, ...], stored: Stored, mtime: int | None) -> None:
    await change.put_entry(parts, file_entry(stored, core.now() if mtime is None else mtime, _FILE_MODE))


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same bytes in whole blocks, and the rest."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        while len(held) >= BLOCK:
            block = bytes(memoryview(held)[:BLOCK])
            del held[:BLOCK]
            yield block
    if held:
        yield bytes(held)


async def _sealed(
    first: bytes, second: bytes, rest: AsyncIterator[bytes], core: Core
) -> AsyncGenerator[Sequence[Sealed], None]:
    loop = asyncio.get_running_loop()
    jobs: deque[asyncio.Future[list[Sealed]]] = deque()

    def begin(block: bytes) -> None:
        jobs.append(loop.run_in_executor(core.cpu, partial(seal_cuts, block, core.keys, padded=core.padded)))

    try:
        begin(first)
        begin(second)
        async for block in rest:
            if len(jobs) >= AHEAD:
                yield await jobs.popleft()
            begin(block)
        while jobs:
            yield await jobs.popleft()
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
