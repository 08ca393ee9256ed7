"""What tests of applications share: simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from ropewalk import loops
from tests.service.stories import Simulated


@pytest.fixture(params=range(4))
def simulated(request: pytest.FixtureRequest) -> Simulated:
    """Runs a test in time of its own; each test in several orders of what happens at once."""

    def run(main: Coroutine[object, object, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(10_000):  # of the loop's own time: a test that hangs fails
                await main

        loops.run(bounded(), loop=loops.Simulated(request.param))

    return run
