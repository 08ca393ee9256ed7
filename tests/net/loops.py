"""Tests that run once on each event loop that servers use here."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
DEADLINE = 30.0  # seconds for one test; only a test that hangs takes so long


def each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test on asyncio's loop and on uvloop, with a deadline."""

    def run(loop: str, **arguments: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE):
                await test(**arguments)

        with asyncio.Runner(loop_factory=FACTORIES[loop]) as runner:
            runner.run(bounded())

    own = inspect.signature(test)
    named = functools.update_wrapper(run, test)
    del named.__wrapped__
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    named.__signature__ = own.replace(parameters=[*own.parameters.values(), loop])  # type: ignore[attr-defined]  # pytest reads it
    marked: Callable[..., None] = pytest.mark.parametrize("loop", list(FACTORIES))(named)
    return marked
