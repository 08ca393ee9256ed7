"""Life: one run of a service, from its making to the end of all that it owns.

Flow: make -> start -> run, until it is to go down -> stop -> its tasks are cancelled -> what it owns is closed
Never: decides whether the service lives again, or waits for longer than it was told where the service listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from ropewalk.errors import Unavailable
from ropewalk.service.board import Board
from ropewalk.service.interface import Service

__all__ = ["Escaped", "Life", "within"]


class Escaped(Unavailable):
    """A service raised what would have ended more than itself."""

    code = "service.escaped"


class _Over(Exception):
    """The service has been stopped."""


class Life:
    """One run.

    Args:
        make: Makes the service.
        board: Where changes are told.
        came_up: Called when it has started.
        goes_down: Called when it is about to be stopped.
        to_go_down: Whether it is to.
        free: Until those that need it are down.
        seconds_left: That its stop may take.
        failed: Told what its stop raised.

    Attributes:
        phase: "start", "run" or "stop": in which of them it failed, if it did.
        ended: By itself.
        cut: It has been cancelled.
    """

    def __init__(
        self,
        make: Callable[[], Service],
        *,
        board: Board,
        came_up: Callable[[Service], None],
        goes_down: Callable[[], None],
        to_go_down: Callable[[], bool],
        free: Callable[[], Awaitable[None]],
        seconds_left: Callable[[], float],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.phase, self.ended, self.cut = "start", False, False
        self._make, self._board = make, board
        self._came_up, self._goes_down = came_up, goes_down
        self._to_go_down, self._free = to_go_down, free
        self._seconds_left, self._failed = seconds_left, failed

    async def live(self) -> None:
        """All of it.

        Raises:
            Whatever the service or a task of it did, in a group if it was a task.
        """
        async with AsyncExitStack() as owned:  # around the tasks: they may use what is in it until they have ended
            try:
                async with asyncio.TaskGroup() as tasks:
                    service = self._make()
                    service.tasks, service.owned = tasks, owned
                    await contained(service.start())
                    if self.cut:  # and `start` did not heed it
                        raise asyncio.CancelledError
                    await self._up(service, tasks)
                    raise _Over  # noqa: TRY301 - this is how the rest of a group is cancelled
            except* _Over:
                pass

    async def _up(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        main = tasks.create_task(_ran(service), name=f"run {service.name}")
        main.add_done_callback(lambda _: self._board.changed())
        self.phase = "run"
        self._came_up(service)
        try:
            await self._board.until(lambda: main.done() or self._to_go_down())
            self.ended = main.done()
            if not self.ended or main.result() is None:
                await self._free()
                self.phase = "stop"
        finally:
            self._goes_down()
            await self._stop(service)
        if main.done() and (failure := main.result()) is not None:
            raise failure

    async def _stop(self, service: Service) -> None:
        seconds = self._seconds_left()
        if failure := await within(seconds, service.stop(seconds), "stop"):
            self._failed("stop", failure)


async def within(seconds: float, work: Awaitable[None], verb: str) -> Exception | None:
    """Await what a service does, for so long; what it failed of."""
    failure: Exception | None = None
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await contained(work)
    except Exception as error:  # noqa: BLE001 - user code: whatever it raises is told, and ends here
        failure = error
    if limit.expired() and (failure is None or isinstance(failure, TimeoutError)):
        return Unavailable(f"it did not {verb} within {seconds:.1f} s")
    return failure


async def contained(work: Awaitable[None]) -> None:
    """Await what a service does; what would end more than itself becomes an ordinary error.

    A service may not end the process (SystemExit), nor our task (a CancelledError that nobody asked for).
    A KeyboardInterrupt is the user's, and passes.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        await work
    except asyncio.CancelledError:
        if task and task.cancelling() > before:
            raise
        raise Escaped("it was cancelled by something of its own") from None
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise Escaped(f"it raised {error!r}") from error


async def _ran(service: Service) -> BaseException | None:
    """What `run` failed of; as a value, so that the failure does not cut the stop short that follows it."""
    try:
        await contained(service.run())
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - user code: whatever it raises is told, and ends with this life
        return error
    return None
