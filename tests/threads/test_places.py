"""Places, where handing over and closing meet."""

from __future__ import annotations

import asyncio

import pytest

from ropewalk.threads import NotStarted
from ropewalk.threads.places import Places
from tests.threads.turns import PATIENCE


async def test_a_place_that_was_handed_over_just_before_the_end_is_given_back() -> None:
    """Nobody would do what is put there."""
    places = Places("p", 1, None)
    await places.take()
    waits = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    places.give_back()
    places.close(NotStarted("it was stopped"))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(NotStarted):
            await waits
    assert places.taken == 0
