"""Pieces: what comes of an object, one after the other, with a bound on each and on the wait for it.

Flow: a stream of a session -> hastened -> the folder; or, of a record, gathered -> bytes
Never: holds more of an object than one piece, but of a record, which is small.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ropewalk.errors import Misuse
from ropewalk.node.rights import NotGranted
from ropewalk.spaces.members import LARGEST_RECORD

__all__ = ["PIECE", "gathered", "hastened"]

PIECE = 1 << 20  # bytes of a large object that are in memory at a time
LONGEST_PAUSE = 30.0  # seconds between two pieces of one put


async def hastened(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, none of which is waited for long: what is reserved for them others may need."""
    while True:
        try:
            async with asyncio.timeout(LONGEST_PAUSE):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Misuse(f"the next piece did not come within {LONGEST_PAUSE:g} s") from None
        if piece is None:
            return
        if len(piece) > PIECE:
            raise Misuse(f"a piece has {len(piece)} bytes, expected at most {PIECE}")
        yield piece


async def gathered(name: str, size: int, pieces: AsyncIterator[bytes]) -> bytes:
    """A membership record.

    Raises:
        NotGranted: None is so large.
        Misuse: Other than the bytes that were announced came.
    """
    if size > LARGEST_RECORD:
        raise NotGranted(f"{name} has {size} bytes, a membership record at most {LARGEST_RECORD}")
    data = bytearray()
    async for piece in hastened(pieces):
        data += piece
        if len(data) > size:
            break
    if len(data) != size:
        raise Misuse(f"object {name} has other than the {size} bytes that were announced")
    return bytes(data)
