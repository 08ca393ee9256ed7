"""Drives: what the engine asks of who drives it: a session, or a test that needs no socket.

Flow: Broker -> `Drives` -> loop, tasks, timers, and when there is something to take
Never: has anything of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

from ropewalk.broker.offers import Object, Offer
from ropewalk.broker.streams import Tasks
from ropewalk.errors import RopewalkError

__all__ = ["Drives", "Loop", "Runs", "Spawns"]


class Spawns(Protocol):
    """What runs calls."""

    def spawn(self, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Run something for the session, no longer than it lasts."""


class Loop(Spawns, Protocol):
    """What asking needs."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future."""

    def time(self) -> float:
        """The loop's clock, in seconds."""


class Runs(Spawns, Protocol):
    """What answering needs."""

    def at(self, when: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call at a time of the loop's clock."""

    def time(self) -> float:
        """That clock."""


class Drives(Runs, Loop, Tasks, Protocol):
    """What a broker needs."""

    def wake(self, alone: bool) -> None:
        """There is something to take; ``alone``: nothing more is expected soon."""

    def soon(self) -> None:
        """Something is left of a frame: `Broker.go_on` is to be called, and before the next bytes are read."""

    def late(self) -> None:
        """There is something to say that is in no hurry. This may be called in any thread."""

    def table(self, kind: type[Object]) -> dict[str, Offer]:
        """The remote methods of a class."""

    def fault(self, error: RopewalkError) -> None:
        """The other end broke a rule, which was seen only now."""
