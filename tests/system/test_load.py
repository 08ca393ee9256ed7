"""The load takes for news that has not come only what it may, and holds each writer to what it was told."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.reader import ChunkMissing
from ropewalk.spaces.version import NoSuchPath
from ropewalk.testing.outages.load import Known, Load


class _Space:
    """A client's space that answers one read."""

    def __init__(self, answer: bytes | RopewalkError) -> None:
        self.answer = answer

    async def freshness(self) -> None:
        return None

    async def read(self, _: str) -> bytes:
        if isinstance(self.answer, RopewalkError):
            raise self.answer
        return self.answer


async def read(answer: bytes | RopewalkError, *, own: bool) -> Known:
    known = Known()
    for data in (b"first", b"second"):
        known.begin("w0/1", data)
        known.said("w0/1", data)
    known.begin("w0/1", b"under way")
    space: Any = _Space(answer)
    await Load(known, random.Random(1)).read_one(space, "w0/1", own=own)
    return known


async def test_what_was_not_heard_of_is_no_fault_but_for_its_writer() -> None:
    known = await read(NoSuchPath("no w0/1"), own=False)
    assert (known.count["not heard of yet"], known.wrong) == (1, [])
    known = await read(NoSuchPath("no w0/1"), own=True)
    assert known.wrong == ["w0/1 is not there for the client to which it was acknowledged"]


@pytest.mark.parametrize("error", [ChunkMissing("chunk 00 lies in no pack"), Unavailable("no store answers")])
async def test_a_chunk_that_lacks_is_no_news_that_has_not_come(error: RopewalkError) -> None:
    known = await read(error, own=False)
    assert (known.count["not heard of yet"], known.count["refused read"]) == (0, 1)
    assert known.why["read"].startswith(error.code)


@pytest.mark.parametrize("own", [False, True])
async def test_what_a_writer_replaced_is_old_for_it_alone(own: bool) -> None:
    assert (await read(b"second", own=own)).wrong == []
    assert (await read(b"under way", own=own)).wrong == []
    assert bool((await read(b"first", own=own)).wrong) == own
    assert (await read(b"nobody's", own=own)).wrong == ["w0/1 was read as 8 bytes that nobody wrote"]
