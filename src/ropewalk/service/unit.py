"""Unit: one service under supervision: started when what it needs is up, restarted as its plan says, stopped in time.

Flow: Plan -> keep: (needs up -> a new Life, until it is over) again and again -> State, metrics, log
Never: lets a failing service harm another; what it raises ends here, as a state and a reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.metrics import Registry
from ropewalk.service.board import Board
from ropewalk.service.interface import Context, Service
from ropewalk.service.life import Escaped, Life, within
from ropewalk.service.peers import Peer
from ropewalk.service.plan import Plan, Restart
from ropewalk.service.standing import Standing, State

__all__ = ["ServiceFailed", "Unit"]

_log = logging.getLogger("ropewalk.service")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds between a failure and the next start
_LONG_ENOUGH = 60.0  # seconds up, after which a failure counts as the first
_GRACE = 1.0  # seconds beyond the time for a stop, for what is left to be cancelled and closed


class ServiceFailed(Unavailable):
    """A service without which the application is not to run has failed."""

    code = "service.failed"


class StartTooSlow(Unavailable):
    """A service did not start in time."""

    code = "service.start-too-slow"


class LeftBehind(Unavailable):
    """A service did not end, though it was cancelled."""

    code = "service.left-behind"


_RUNNING = frozenset({State.STARTING, State.UP, State.STOPPING})


class Unit:
    """One service of an application.

    Args:
        plan: What it is.
        context: Makes the context of a run, once its needs are up.
        board: Where changes are told.
        units: All of the application, by name.
        registry: Where it is counted.
        fail: Stops the application with an error.
        seconds_left: That a stop may take: until the application must be down, or as long as that would be.
        jitter: From 0 to 1, so that many units do not start again all at once.
        late: Whether it came with a reload; then a wrong configuration is its own failure alone.
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
        late: bool = False,
    ) -> None:
        self.plan = plan
        self.service: Service | None = None  # for as long as it is up
        self.state = State.WAITING
        self.why = ""
        self.starts = self.failures = 0
        self.since = asyncio.get_running_loop().time()
        self.leaving = False  # it is to go down, and to stay down
        self.over = False  # it is down, and stays down
        self.held = False  # it is not to start yet
        self.halted = False  # an operator wants it down: it stays so, through reloads, until one says otherwise
        self._again = False  # it is to go down, and to start anew
        self._going = False  # it waits for those that need it to be down
        self._proven = False  # it has been up with this plan
        self._late = late
        self._needs: tuple[str, ...] = ()  # of the present life: a reload may have changed those of the plan
        self._up_for = 0.0  # seconds, of the last life
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
        return Standing(self.plan.name, self.state, self.why, self.starts, self.failures, self.since, self._figures())

    @property
    def running(self) -> bool:
        """Whether there is a service that has not ended."""
        return self.state in _RUNNING

    @property
    def stays_up(self) -> bool:
        """Whether it is up and not about to go down, by itself or with one that it needs."""
        return self.state == State.UP and not self._going and not self._to_go_down()

    @property
    def settled(self) -> bool:
        """Whether it is up, or will not come up by itself."""
        return self.stays_up or self._given_up()

    @property
    def at_rest(self) -> bool:
        """Whether nothing happens to it now: it is up or down, or waits for a time or for others to come up."""
        if self.over or self.halted:
            return self.state == State.STOPPED or self.over
        if self.state == State.WAITING:
            lacks = self.lacks
            return bool(lacks) and not self.held and all(self._units[one].at_rest for one in lacks)
        return self.stays_up or (self.state in (State.PAUSING, State.FAILED, State.ENDED) and not self._again)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Those that it needs and that are not up."""
        return tuple(name for name in self.plan.needs if name in self._units and not self._units[name].stays_up)

    def peers(self) -> list[Peer]:
        """The connections that it has accepted and that are open."""
        if self.service is None:
            return []
        try:
            return list(self.service.peers())
        except Exception as error:  # noqa: BLE001 - user code, as in `_figures`
            _log.warning("service %s does not tell its peers: %s", self.plan.name, error)
            return []

    def halt(self) -> None:
        """Go down, after those that need it, and stay down until `resume`."""
        self.halted = True
        self._board.changed()

    def resume(self, *, anew: bool = False) -> None:
        """Start once all that it needs is up, without waiting for the end of a pause; no matter if it is up.

        Args:
            anew: Go down first.
        """
        self.halted = False
        if (anew and self.running) or self.state in (State.PAUSING, State.FAILED, State.ENDED):
            self._again = True
        self._board.changed()

    def leave(self) -> None:
        """Go down and stay down."""
        self.leaving = True
        self._board.changed()

    def renew(self, plan: Plan) -> None:
        """Go down, and start by another plan once `held` is taken back."""
        self.plan, self._proven, self._late = plan, False, True
        self.held = True
        self._again = self._again or self.state not in (State.WAITING, State.STOPPED)
        self._board.changed()

    async def reload(self) -> None:
        """Let the service look again at what is outside of its configuration; it goes on as it was if that fails."""
        if self.service is None:
            return
        if failure := await within(self.plan.start_within, self.service.reload(), "reload"):
            self._failed("reload", failure)

    async def keep(self) -> None:
        """Run the service as its plan says, until it is to stay down."""
        pauses = self._pauses()
        try:
            while await self._may_start():
                self._again = False
                ended, failure = await self._live()
                if self._up_for >= _LONG_ENOUGH:
                    pauses = self._pauses()
                if ended or failure is not None:
                    await self._rest(failure, pauses)
        finally:
            self._set(State.FAILED if self.state == State.FAILED else State.STOPPED)
            self.over = True
            self._board.changed()

    async def _may_start(self) -> bool:
        """Wait for what it needs; False when it is to stay down."""
        self._again = False
        while not self.leaving:
            self._set(State.STOPPED if self.halted else State.WAITING)
            await self._board.until(
                lambda: self.leaving or self._is_free() or self.halted != (self.state == State.STOPPED)
            )
            if self._is_free():
                break
        return not self.leaving

    def _is_free(self) -> bool:
        return not self.held and not self.halted and self._up_are(self.plan.needs)

    async def _live(self) -> tuple[bool, BaseException | None]:
        """One life of the service; whether it ended by itself, and what it failed of.

        The service is waited for here, from outside of its life, since it may not heed that it is cancelled.
        """
        plan = self.plan
        self._needs, self._going, self._up_for = plan.needs, False, 0.0
        self._set(State.STARTING)
        life = Life(
            self._made,
            board=self._board,
            came_up=self._came_up,
            goes_down=self._goes_down,
            to_go_down=self._to_go_down,
            free=self._dependants_down,
            seconds_left=self._seconds_left,
            failed=self._failed,
        )
        task = asyncio.create_task(life.live(), name=f"service {plan.name}")
        task.add_done_callback(lambda _: self._board.changed())
        failure: BaseException | None = None
        try:
            if not await self._board.until(
                lambda: task.done() or self.state != State.STARTING or self._to_go_down(), plan.start_within
            ):
                failure = StartTooSlow(f"it did not start within {plan.start_within:g} s")
            elif self.state != State.STARTING:
                await self._board.until(lambda: task.done() or self.state == State.STOPPING)
                await self._board.until(task.done, self._seconds_left() + _GRACE)
        finally:
            await self._cut(life, task)
        if not task.done():
            failure = LeftBehind("it does not end although it was cancelled, and is left behind")
        elif task.cancelled():
            failure = failure or (None if life.cut else Escaped("it was cancelled by something of its own"))
        else:
            failure = failure or _first(task.exception())
        if failure is not None:
            self._failed(life.phase, failure)
        _log.info("service %s is down", plan.name, extra={"service": plan.name})
        return life.ended, failure

    async def _cut(self, life: Life, task: asyncio.Task[None]) -> None:
        """Cancel a life that is not over, and wait for it, though not for ever."""
        if not task.done():
            life.cut = True
            task.cancel()
            await self._board.until(task.done, self._seconds_left() + _GRACE)

    async def _rest(self, failure: BaseException | None, pauses: Iterator[float]) -> None:
        """Stay down for as long as the plan says, or until someone says otherwise."""
        if self._summoned():
            return
        restart = self.plan.restart
        # A wrong configuration does not get better by trying again, and who is left behind may still hold everything.
        wrong = isinstance(failure, Misuse) and not self._proven
        if failure is not None and (self.plan.critical or (wrong and not self._late)):
            self._set(State.FAILED)
            error = failure if isinstance(failure, RopewalkError) else ServiceFailed(self.why)
            error.args = (f"service {self.plan.name!r}: {error}",)
            self._fail(error)
        elif failure is not None and (wrong or restart == Restart.NEVER or isinstance(failure, LeftBehind)):
            self._set(State.FAILED)
        elif failure is None and restart != Restart.ALWAYS:
            self._set(State.ENDED)
        else:
            self._set(State.PAUSING)
            pause = next(pauses)
            _log.info("service %s starts again in %.1f s", self.plan.name, pause, extra={"service": self.plan.name})
            await self._board.until(self._summoned, pause)
            return
        self._say_who_waits()
        await self._board.until(self._summoned)

    def _summoned(self) -> bool:
        """Whether somebody wants something of it, so that it does not rest."""
        return self.leaving or self._again or self.halted

    def _made(self) -> Service:
        needed = {name: self._units[name].service for name in self._needs}
        context = self._context(self.plan, {name: up for name, up in needed.items() if up is not None})
        return self.plan.make(self.plan.config, context)

    async def _dependants_down(self) -> None:
        self._going = True
        self._board.changed()
        mine = [unit for unit in self._units.values() if self.plan.name in unit._needs]  # noqa: SLF001 - our own kind
        await self._board.until(lambda: not any(unit.running for unit in mine), self._seconds_left())

    def _up_are(self, needs: tuple[str, ...]) -> bool:
        return all(self._units[name].stays_up for name in needs if name in self._units)

    def _to_go_down(self) -> bool:
        return self._summoned() or not self._up_are(self._needs)

    def _given_up(self) -> bool:
        if self._again and not self.halted:
            return False
        if self.state == State.WAITING:
            return any(self._units[name]._given_up() for name in self.plan.needs)  # noqa: SLF001 - our own kind
        return self.state in (State.ENDED, State.FAILED, State.STOPPED)

    def _came_up(self, service: Service) -> None:
        self.service = service
        self.starts += 1
        self._proven = True
        self._starts.inc()
        self._set(State.UP)
        _log.info("service %s is up", self.plan.name, extra={"service": self.plan.name})

    def _goes_down(self) -> None:
        lost = ", ".join(name for name in self._needs if name in self._units and not self._units[name].stays_up)
        if lost and not self.leaving:
            _log.info("service %s goes down with %s", self.plan.name, lost, extra={"service": self.plan.name})
        self.service = None
        self._up_for = asyncio.get_running_loop().time() - self.since
        self._set(State.STOPPING)

    def _figures(self) -> Mapping[str, float]:
        if self.service is None:
            return {}
        try:
            return dict(self.service.statistics())
        except Exception as error:  # noqa: BLE001 - user code: who looks at figures must not suffer for it
            _log.warning("service %s has no statistics: %s", self.plan.name, error, extra={"service": self.plan.name})
            return {}

    def _say_who_waits(self) -> None:
        waiting = ", ".join(unit.plan.name for unit in self._units.values() if self.plan.name in unit.plan.needs)
        rest = f", and so do not start: {waiting}" if waiting else ""
        _log.log(
            logging.WARNING if waiting or self.state == State.FAILED else logging.INFO,
            "service %s has %s and is not started again%s",
            self.plan.name,
            self.state,
            rest,
            extra={"service": self.plan.name},
        )

    def _failed(self, phase: str, error: BaseException) -> None:
        self.failures += 1
        plain = isinstance(error, RopewalkError | OSError)
        self.why = str(error) if plain and str(error) else f"{type(error).__name__}: {error}".removesuffix(": ")
        self._failures[phase].inc()
        code = error.code if isinstance(error, RopewalkError) else type(error).__name__
        fields = {"service": self.plan.name, "phase": phase, "code": code}
        if isinstance(error, RopewalkError) and error.hint:
            fields["hint"] = error.hint
        # A stack is for faults of code; our own errors say in a line what is wrong.
        stack = None if plain and not isinstance(error, Escaped) else error
        _log.error(
            "service %s failed at %s: %s",
            self.plan.name,
            phase,
            self.why,
            extra=fields,
            exc_info=stack,
        )

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


def _first(error: BaseException | None) -> BaseException | None:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
