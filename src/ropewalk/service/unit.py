"""Unit: one service under supervision: started when what it needs is up, restarted as its plan says, stopped in time.

Flow: Plan -> keep: (needs up -> a new Service: start, run, stop) again and again -> State, metrics, log
Never: lets a failing service harm another; what it raises ends here, as a state and a reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum

from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.metrics import Registry
from ropewalk.service.board import Board
from ropewalk.service.interface import Context, Service
from ropewalk.service.plan import Plan, Restart

__all__ = ["ServiceFailed", "Standing", "State", "Unit"]

_log = logging.getLogger("ropewalk.service")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds between a failure and the next start
_LONG_ENOUGH = 60.0  # seconds up, after which a failure counts as the first


class ServiceFailed(Unavailable):
    """A service without which the application is not to run has failed."""

    code = "service.failed"


class StartTooSlow(Unavailable):
    """A service did not start in time."""

    code = "service.start-too-slow"


class State(StrEnum):
    """How a service is."""

    WAITING = "waiting"  # for what it needs
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    PAUSING = "pausing"  # between a failure and the next start
    ENDED = "ended"  # by itself
    FAILED = "failed"  # and is not started again
    STOPPED = "stopped"


_RUNNING = frozenset({State.STARTING, State.UP, State.STOPPING})


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service is, for people and panels.

    Attributes:
        why: What its last failure was, "" without one.
        since: When it came into this state, in the loop's seconds.
    """

    name: str
    state: State
    why: str
    starts: int
    failures: int
    since: float
    statistics: Mapping[str, float]


class _Over(Exception):
    """The service has been stopped."""


class Unit:
    """One service of an application.

    Args:
        plan: What it is.
        context: Makes the context of a run, once its needs are up.
        board: Where changes are told.
        units: All of the application, by name.
        registry: Where it is counted.
        fail: Stops the application with an error.
        seconds_left: Until the application must be down; None while it is not stopping.
        jitter: From 0 to 1, so that many units do not start again all at once.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        context: Callable[[Plan, Mapping[str, Service]], Context],
        board: Board,
        units: Mapping[str, Unit],
        registry: Registry,
        fail: Callable[[RopewalkError], None],
        seconds_left: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.service: Service | None = None  # for as long as it is up
        self.state = State.WAITING
        self.why = ""
        self.starts = self.failures = 0
        self.since = asyncio.get_running_loop().time()
        self.leaving = False  # it is to go down, and to stay down
        self._again = False  # it is to go down, and to start anew
        self._going = False  # it waits for those that need it to be down
        self._context, self._board, self._units = context, board, units
        self._fail, self._seconds_left, self._jitter = fail, seconds_left, jitter
        name = plan.name
        self._up = registry.gauge("ropewalk_service_up", "1 while the service is up", ("service",)).of(name)
        self._starts = registry.counter("ropewalk_service_starts_total", "starts", ("service",)).of(name)
        failures = registry.counter("ropewalk_service_failures_total", "failures by phase", ("service", "phase"))
        self._failures = {phase: failures.of(name, phase) for phase in ("start", "run", "stop", "reload")}

    @property
    def standing(self) -> Standing:
        """How it is."""
        figures = dict(self.service.statistics()) if self.service is not None else {}
        return Standing(self.plan.name, self.state, self.why, self.starts, self.failures, self.since, figures)

    @property
    def stays_up(self) -> bool:
        """Whether it is up and not about to go down, by itself or with one that it needs."""
        return self.state == State.UP and not (self.leaving or self._again or self._going) and self._needs_up()

    def leave(self) -> None:
        """Go down and stay down."""
        self.leaving = True
        self._board.changed()

    def restart(self, plan: Plan | None = None) -> None:
        """Go down, and start anew, by another plan if one is given."""
        self.plan = plan or self.plan
        self._again = True
        self._board.changed()

    async def reload(self) -> None:
        """Let the service look again at what is outside of its configuration; it goes on as it was if that fails."""
        if self.service is None:
            return
        try:
            await self.service.reload()
        except Exception as error:  # noqa: BLE001 - user code: whatever it raises is told, and ends here
            self._failed("reload", error)

    async def keep(self) -> None:
        """Run the service as its plan says, until it is to stay down."""
        pauses = self._pauses()
        try:
            while await self._may_start():
                self._again = False
                began = asyncio.get_running_loop().time()
                ended, failure = await self._life()
                if asyncio.get_running_loop().time() - began >= _LONG_ENOUGH:
                    pauses = self._pauses()
                if ended or failure is not None:
                    await self._rest(failure, pauses)
        finally:
            self._set(State.FAILED if self.state == State.FAILED else State.STOPPED)

    async def _may_start(self) -> bool:
        """Wait for what it needs; False when it is to stay down."""
        if not self.leaving:
            self._set(State.WAITING)
            await self._board.until(lambda: self.leaving or self._needs_up())
        return not self.leaving

    async def _rest(self, failure: BaseException | None, pauses: Iterator[float]) -> None:
        """Stay down for as long as the plan says, or until someone says otherwise."""
        if self.leaving or self._again:
            return
        restart = self.plan.restart
        if failure is not None and (self.plan.critical or (self.starts == 0 and isinstance(failure, Misuse))):
            # A wrong configuration does not get better by trying again.
            self._set(State.FAILED)
            error = failure if isinstance(failure, RopewalkError) else ServiceFailed(self.why)
            self._fail(type(error)(f"service {self.plan.name!r}: {error}", hint=error.hint))
        elif failure is not None and restart == Restart.NEVER:
            self._set(State.FAILED)
        elif failure is None and restart != Restart.ALWAYS:
            self._set(State.ENDED)
        else:
            self._set(State.PAUSING)
            pause = next(pauses)
            _log.info("service %s starts again in %.1f s", self.plan.name, pause, extra={"service": self.plan.name})
            await self._board.until(lambda: self.leaving or self._again, pause)
            return
        await self._board.until(lambda: self.leaving or self._again)

    async def _life(self) -> tuple[bool, BaseException | None]:
        """One run of the service, from its making to its end; whether it ended by itself, and what it failed of."""
        ended, failure = False, None
        self._going = False
        self._set(State.STARTING)
        phase = "start"
        try:
            async with asyncio.TaskGroup() as tasks, AsyncExitStack() as owned:
                service = self._made(tasks, owned)
                await self._start(service)
                phase = "run"
                self._came_up(service)
                try:
                    main = tasks.create_task(service.run(), name=f"service {self.plan.name}")
                    main.add_done_callback(lambda _: self._board.changed())
                    await self._board.until(lambda: main.done() or self._to_go_down())
                    ended = main.done()
                    await self._dependants_down()
                finally:
                    self.service = None
                    self._set(State.STOPPING)
                    await self._stop(service)
                raise _Over  # noqa: TRY301 - this is how the rest of a group is cancelled
        except* _Over:
            pass
        except* Exception as group:  # noqa: BLE001 - user code: whatever it raises is told, and ends here
            failure = _first(group)
        if failure is not None:
            self._failed(phase, failure)
        return ended, failure

    def _made(self, tasks: asyncio.TaskGroup, owned: AsyncExitStack) -> Service:
        needed = {name: self._units[name].service for name in self.plan.needs}
        service = self.plan.make(
            self.plan.config, self._context(self.plan, {name: up for name, up in needed.items() if up is not None})
        )
        service.tasks, service.owned = tasks, owned
        return service

    async def _start(self, service: Service) -> None:
        limit = asyncio.timeout(self.plan.start_within)
        try:
            async with limit:
                await service.start()
        except TimeoutError:
            if not limit.expired():
                raise
            raise StartTooSlow(f"it did not start within {self.plan.start_within:g} s") from None

    async def _stop(self, service: Service) -> None:
        seconds = self._seconds_left()
        try:
            async with asyncio.timeout(seconds):
                await service.stop(seconds)
        except Exception as error:  # noqa: BLE001 - user code: whatever it raises is told, and ends here
            self._failed("stop", error if str(error) else Unavailable(f"it did not stop within {seconds:.1f} s"))

    async def _dependants_down(self) -> None:
        self._going = True
        self._board.changed()
        mine = [unit for unit in self._units.values() if self.plan.name in unit.plan.needs]
        await self._board.until(lambda: not any(unit.state in _RUNNING for unit in mine), self._seconds_left())

    def _needs_up(self) -> bool:
        return all(self._units[name].stays_up for name in self.plan.needs if name in self._units)

    def _to_go_down(self) -> bool:
        return self.leaving or self._again or not self._needs_up()

    def _came_up(self, service: Service) -> None:
        self.service = service
        self.starts += 1
        self._starts.inc()
        self._set(State.UP)
        _log.info("service %s is up", self.plan.name, extra={"service": self.plan.name})

    def _failed(self, phase: str, error: BaseException) -> None:
        self.failures += 1
        self.why = str(error) or type(error).__name__
        self._failures[phase].inc()
        code = error.code if isinstance(error, RopewalkError) else type(error).__name__
        fields = {"service": self.plan.name, "phase": phase, "code": code}
        # A stack is for faults of code; our own errors say in a line what is wrong.
        stack = None if isinstance(error, RopewalkError | OSError) else error
        _log.error("service %s failed at %s: %s", self.plan.name, phase, self.why, extra=fields, exc_info=stack)

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state, self.since = state, asyncio.get_running_loop().time()
            self._up.set(int(state == State.UP))
            self._board.changed()

    def _pauses(self) -> Iterator[float]:
        pause = _FIRST_PAUSE
        while True:
            yield pause * (1 + self._jitter()) / 2
            pause = min(2 * pause, _LONGEST_PAUSE)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
