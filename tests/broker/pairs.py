"""Pairs: fixtures that several files of tests use; a file that wants one imports it.

Flow: an object -> a pair whose server shows it -> the test -> both ends stopped
Never: outlives a test that hangs: half a minute is enough for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ropewalk import broker as rope
from tests.broker import sharing
from tests.broker.pair import Pair
from tests.broker.streaming import SMALL, Desk

__all__ = ["shared_pair", "shared_state", "stream_desk", "stream_pair"]

_LONGEST = 30.0


@pytest.fixture(name="desk")
async def stream_desk() -> Desk:
    """What makes streams and takes them."""
    return Desk()


@pytest.fixture(name="pair")
async def stream_pair(desk: Desk) -> AsyncIterator[Pair]:
    """Two ends with small windows for streams."""
    async with asyncio.timeout(_LONGEST):
        made = Pair(desk, limits=SMALL, client_limits=SMALL)
        yield made
        await made.stop()


@pytest.fixture(name="shared")
async def shared_state() -> rope.Shared:
    """A state with a bit of everything in it."""
    return rope.Shared({"a": 1, "list": [1, 2], "deep": {"er": {}}})


@pytest.fixture(name="pair")
async def shared_pair(shared: rope.Shared) -> AsyncIterator[Pair]:
    """Two ends, of which one shows what is shared."""
    async with asyncio.timeout(_LONGEST):
        made = Pair(sharing.Desk(shared))
        yield made
        await made.stop()
