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

PIECE = 2 << 20  # bytes of a large object that are in memory at a time
LONGEST_PAUSE = 30.0  # seconds that the other end is waited for: for a piece of a put, or to take one of a read
LEAST = 256 * 1024  # bytes in which these are made up for, so that a byte now and then does not keep a put alive


async def hastened(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, for `LEAST` of which so long is waited and no longer: what is reserved for them others may need."""
    now = asyncio.get_running_loop().time
    patience, came = LONGEST_PAUSE, 0
    while True:
        began = now()
        try:
            async with asyncio.timeout(patience):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Misuse(f"the next piece did not come in time: {LONGEST_PAUSE:g} s for {LEAST} bytes") from None
        if piece is None:
            return
        if len(piece) > PIECE:
            raise Misuse(f"a piece has {len(piece)} bytes, expected at most {PIECE}")
        patience, came = max(patience - (now() - began), 0), came + len(piece)
        if came >= LEAST:
            patience, came = LONGEST_PAUSE, 0
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
