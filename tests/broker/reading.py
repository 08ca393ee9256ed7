"""Reading: a reader whose frames a test gets."""

from __future__ import annotations

from ropewalk.broker.frames import Reader, Taker

__all__ = ["reading"]


def reading(taker: Taker, limit: int) -> Reader:
    """A reader for this taker, of frames up to so many bytes."""
    reader = Reader(limit)
    reader.taker = taker
    return reader
