"""Pieces: a large object on its way from or to a node, some of it at a time.

Flow: a range -> `cut` -> `asked_for`, several calls under way; parts of an object -> `streamed`
Never: copies what is put, or asks for more at once than a session takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

from ropewalk import broker
from ropewalk.spaces.store import Parts
from ropewalk.spaces.store.parts import pieces

__all__ = ["IN_FLIGHT", "PIECE", "asked_for", "cut", "streamed"]

PIECE = 2 << 20  # bytes of a large object in one message, at most
IN_FLIGHT = 4  # pieces of one read that are asked for at a time


def cut(start: int, length: int) -> list[tuple[int, int]]:
    """A range as pieces of one length, so that none waits for a small rest: where each begins, and how long it is."""
    count = max(-(-length // PIECE), 1)
    cuts = [start + length * at // count for at in range(count + 1)]
    return [(one, other - one) for one, other in pairwise(cuts)]


async def asked_for(store: Any, name: str, asked: Sequence[tuple[int, int]]) -> list[Any]:
    """What a node answers for each piece."""
    promises = [store.get(name, start, length) for start, length in asked]
    if len(promises) == 1:
        return [await promises[0]]
    return list(await broker.gather(*promises))


async def streamed(parts: Parts) -> AsyncIterator[memoryview]:
    """An object that is put, and does not change meanwhile."""
    for piece in pieces(parts, PIECE):
        yield piece.toreadonly()
