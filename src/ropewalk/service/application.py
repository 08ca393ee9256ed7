"""Application: services in order of need, supervised, reloaded, and stopped in reverse within a deadline.

Flow: plans -> a unit each, all kept side by side -> stop, in reverse -> run returns, or raises
Never: touches the process: signals, logs and systemd are `serving`'s. Two applications may run in one process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.metrics import Registry, using
from ropewalk.metrics.process import measure_loop, measure_process
from ropewalk.service.board import Board
from ropewalk.service.control import Control
from ropewalk.service.interface import Context, Service
from ropewalk.service.plan import Plan, checked_order
from ropewalk.service.standing import Standing
from ropewalk.service.unit import Unit

__all__ = ["Application"]

_log = logging.getLogger("ropewalk.service")


class Application:
    """Some services and how they hang together.

    Attributes:
        control: What an operator may do with it.

    Args:
        name: For people, logs and metrics.
        plans: The services.
        deadline: Seconds in which all of them must be down once they are to stop.
        registry: Where everything counts; a new one by default.
        again: Gives the plans anew for a reload; without it the services only look again at what is outside.
        folder: Where relative paths of configurations begin.
        file: What `again` reads; None where there is none.
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
        file: Path | None = None,
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
        self._turn = asyncio.Lock()  # of reloads
        self.control = Control(
            name,
            self._units,
            board=self._board,
            registry=self.registry,
            reload=self.reload,
            stopping=lambda: self._stop_asked,
            patience=2 * deadline,
            application=self,
            file=file,
            take=self.take,
        )
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs
        self._told: Callable[[], None] = lambda: None
        self._ran = self._stop_asked = False
        self._down_by: float | None = None  # loop time; set once it is stopping
        self._reloads = self.registry.counter("ropewalk_service_reloads_total", "reloads", ("outcome",))

    @property
    def standings(self) -> list[Standing]:
        """How each service is, each after those it needs."""
        return [unit.standing for unit in self._units.values()]

    def service(self, name: str) -> Service | None:
        """A service that is up."""
        return self._units[name].service if name in self._units else None

    @property
    def stopping(self) -> bool:
        """Whether it is to go down, or is down."""
        return self._stop_asked

    async def run(self, up: Callable[[], None] = lambda: None, stopping: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is called, a critical service fails, or this is cancelled; once.

        Args:
            up: Called once, when all services are up for the first time, but for those that are not started again.
            stopping: Called once, when it begins to stop, before any service does.

        Raises:
            ServiceFailed, or the error of a critical service.
            Misuse: It has run before.
        """
        if self._ran:
            raise Misuse(f"application {self.name!r} has run", hint="make another one of the same plans")
        self._ran, self._loop, self._told = True, asyncio.get_running_loop(), stopping
        try:
            with using(self.registry), self.control.running(), ExitStack() as measured:
                measured.callback(measure_process())
                measured.callback(measure_loop(self.name))
                await self._run(up)
        finally:
            self._stop_asked, self._loop, self._tasks = True, None, None
            self._board.changed()
        if self._error is not None:
            raise self._error

    async def _run(self, up: Callable[[], None]) -> None:
        if self._stop_asked:
            return
        async with asyncio.TaskGroup() as self._tasks:
            for plan in self._plans.values():
                self._add(plan)
            self._board.changed()
            try:
                await self._board.until(lambda: self._stop_asked or self._settled())
                if not self._stop_asked:
                    up()
                await self._board.until(lambda: self._stop_asked)
            except BaseException:
                # Units that were simply cancelled would all stop at once; those that others need are to go last.
                self.stop()
                await self._board.until(lambda: all(unit.over for unit in self._units.values()))
                raise

    async def wait_up(self) -> None:
        """Until all services are up, but for those that are not started again.

        Raises:
            Unavailable: It stops before.
        """
        await self._board.until(lambda: self._stop_asked or (self._tasks is not None and self._settled()))
        if self._stop_asked:
            raise Unavailable(f"application {self.name!r} stops before it is up")

    def stop(self) -> None:
        """Begin to stop: services go down in reverse, within the deadline.  From any thread."""
        loop = self._loop
        if loop is not None and loop is not _running_loop():
            with suppress(RuntimeError):  # closed, and so stopped
                loop.call_soon_threadsafe(self.stop)
            return
        if not self._stop_asked:
            self._stop_asked = True
            if loop is not None:
                self._down_by = loop.time() + self.deadline
            for unit in self._units.values():
                unit.leave()
            self._told()
        self._board.changed()

    async def reload(self) -> bool:
        """Make the plans anew: what changed is restarted, with what needs it; what is new starts, what is gone stops.

        What goes and what changes is down before anything of the new starts, so that ports can change hands.

        Returns:
            Whether the new plans are in force; if they are wrong, all goes on as it was.
        """
        return await self._to_the_end(self._reload())

    async def _reload(self) -> bool:
        async with self._turn:
            if self._tasks is None or self._stop_asked:
                return False
            try:
                plans = checked_order(self._replan()) if self._replan is not None else self._plans
            except Exception as error:  # noqa: BLE001 - what makes the plans is the user's; what runs is not to suffer
                self._reloads.of("refused").inc()
                ours = isinstance(error, RopewalkError)
                code = error.code if isinstance(error, RopewalkError) else type(error).__name__
                _log.error("not reloaded: %s", error, extra={"code": code}, exc_info=None if ours else error)
                return False
            if not await self._change_to(plans):
                return False
            self._reloads.of("done").inc()
            return True

    async def take(self, name: str) -> bool:
        """Read the plans anew for one service: where its own is another, it is restarted by that, with what needs it.

        All others go on as they are, whatever the plans say of them.

        Returns:
            Whether it was another.

        Raises:
            RopewalkError: The plans are wrong, or this one does not go with those that run.
        """
        return await self._to_the_end(self._take(name))

    async def _take(self, name: str) -> bool:
        async with self._turn:
            if self._tasks is None or self._stop_asked or self._replan is None:
                return False
            found = checked_order(self._replan()).get(name)
            if found is None or found == self._plans.get(name):
                return False
            return await self._change_to(checked_order({**self._plans, name: found}.values()), alone=True)

    async def _to_the_end(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Also where who asked for it waits no more: what is half done would leave services down for good."""
        if self._tasks is None:
            work.close()
            return False

        async def told() -> bool | Exception:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 - for who asked, and not for the other services
                return error

        found = await asyncio.shield(self._tasks.create_task(told(), name=f"change {self.name}"))
        if isinstance(found, Exception):
            raise found
        return found

    async def _change_to(self, plans: Mapping[str, Plan], *, alone: bool = False) -> bool:
        units = self._units
        gone = [unit for name, unit in units.items() if name not in plans]
        changed = [units[name] for name, plan in plans.items() if name in units and plan != self._plans[name]]
        kept = [units[name] for name, plan in plans.items() if name in units and plan == self._plans[name]]
        for unit in gone:
            unit.leave()
        for unit in changed:
            unit.renew(plans[unit.plan.name])
        await self._board.until(lambda: all(unit.over for unit in gone) and not any(unit.running for unit in changed))
        if self._stop_asked:
            return False
        self._plans = plans
        for unit in gone:
            del units[unit.plan.name]
        for name, plan in plans.items():
            if name not in units:
                self._add(plan, late=True)
            units[name] = units.pop(name)  # each after those it needs
        for unit in changed:
            unit.held = False
        self._board.changed()
        for unit in () if alone else kept:
            await unit.reload()
        return True

    def _settled(self) -> bool:
        return all(unit.settled for unit in self._units.values())

    def _seconds_left(self) -> float:
        if self._down_by is None:
            return self.deadline
        return max(0.0, self._down_by - asyncio.get_running_loop().time())

    def _fail(self, error: RopewalkError) -> None:
        self._error = self._error or error
        self.stop()

    def _context(self, plan: Plan, needed: Mapping[str, Service]) -> Context:
        return Context(plan.name, self.name, self.registry, needed, self._folder, self.control)

    def _add(self, plan: Plan, *, late: bool = False) -> None:
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
            late=late,
        )
        self._units[plan.name] = unit
        self._tasks.create_task(unit.keep(), name=f"keep {plan.name}")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
