"""Application: services in order of need, supervised, reloaded, and stopped in reverse within a deadline.

Flow: plans -> a unit each, all kept side by side -> stop, in reverse -> run returns, or raises
Never: touches the process: signals, logs and systemd are `serving`'s. Two applications may run in one process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ropewalk.errors import RopewalkError
from ropewalk.metrics import Registry, using
from ropewalk.service.board import Board
from ropewalk.service.interface import Context, Service
from ropewalk.service.plan import Plan, checked_order
from ropewalk.service.unit import Standing, State, Unit

__all__ = ["Application"]

_log = logging.getLogger("ropewalk.service")


class Application:
    """Some services and how they hang together.

    Args:
        name: For people, logs and metrics.
        plans: The services.
        deadline: Seconds in which all of them must be down once they are to stop.
        registry: Where everything counts; a new one by default.
        again: Gives the plans anew for a reload; without it the services only look again at what is outside.
        folder: Where relative paths of configurations begin.
        jitter: Random numbers from 0 to 1.

    Raises:
        BadPlan: They cannot be started in any order.
    """

    def __init__(
        self,
        name: str,
        plans: Iterable[Plan],
        *,
        deadline: float = 10.0,
        registry: Registry | None = None,
        again: Callable[[], Iterable[Plan]] | None = None,
        folder: Path | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.registry = registry or Registry()
        self.deadline = deadline
        self._plans = checked_order(plans)
        self._replan, self._jitter = again, jitter
        self._folder = folder or Path()
        self._units: dict[str, Unit] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._board = Board()
        self._error: RopewalkError | None = None
        self._down_by: float | None = None  # loop time; set once it is stopping
        self._reloads = self.registry.counter("ropewalk_service_reloads_total", "reloads", ("outcome",))

    @property
    def standings(self) -> list[Standing]:
        """How each service is, each after those it needs."""
        return [unit.standing for unit in self._units.values()]

    def service(self, name: str) -> Service | None:
        """A service that is up."""
        return self._units[name].service if name in self._units else None

    async def run(self, up: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is called, or a critical service fails.

        Args:
            up: Called once, when all services are up for the first time.

        Raises:
            ServiceFailed, or the error of a critical service.
        """
        with using(self.registry):
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    for plan in self._plans.values():
                        self._add(plan)
                    await self._board.until(lambda: self._stopping or self._all_up())
                    if not self._stopping:
                        up()
                    await self._board.until(lambda: self._stopping)
            finally:
                self._tasks = None
        if self._error is not None:
            raise self._error

    async def wait_up(self) -> None:
        """Until all services are up."""
        await self._board.until(lambda: bool(self._units) and self._all_up())

    def stop(self) -> None:
        """Begin to stop: services go down in reverse, within the deadline."""
        if self._tasks is not None and not self._stopping:
            self._down_by = asyncio.get_running_loop().time() + self.deadline
            for unit in self._units.values():
                unit.leave()
        self._board.changed()

    async def reload(self) -> bool:
        """Make the plans anew: what changed is restarted, with what needs it; what is new starts, what is gone stops.

        Returns:
            Whether the new plans are sound; if they are not, all goes on as it was.
        """
        if self._tasks is None or self._stopping:
            return False
        try:
            plans = checked_order(self._replan()) if self._replan is not None else self._plans
        except RopewalkError as error:
            self._reloads.of("refused").inc()
            _log.error("not reloaded: %s", error, extra={"code": error.code})
            return False
        old, self._plans = self._plans, plans
        for name in [name for name in self._units if name not in plans]:
            await self._remove(name)
        for name, plan in plans.items():
            if name not in self._units:
                self._add(plan)
            elif plan != old[name]:
                self._units[name].restart(plan)
            else:
                await self._units[name].reload()
        self._reloads.of("done").inc()
        return True

    @property
    def _stopping(self) -> bool:
        return self._down_by is not None

    def _all_up(self) -> bool:
        return all(unit.stays_up or unit.state == State.ENDED for unit in self._units.values())

    def _seconds_left(self) -> float:
        if self._down_by is None:
            return self.deadline
        return max(0.0, self._down_by - asyncio.get_running_loop().time())

    def _fail(self, error: RopewalkError) -> None:
        self._error = self._error or error
        self.stop()

    def _context(self, plan: Plan, needed: Mapping[str, Service]) -> Context:
        return Context(plan.name, self.name, self.registry, needed, self._folder)

    def _add(self, plan: Plan) -> None:
        assert self._tasks is not None
        unit = Unit(
            plan,
            context=self._context,
            board=self._board,
            units=self._units,
            registry=self.registry,
            fail=self._fail,
            seconds_left=self._seconds_left,
            jitter=self._jitter,
        )
        self._units[plan.name] = unit
        self._tasks.create_task(unit.keep(), name=f"keep {plan.name}")

    async def _remove(self, name: str) -> None:
        unit = self._units[name]
        unit.leave()
        await self._board.until(lambda: unit.state in (State.STOPPED, State.FAILED))
        del self._units[name]
