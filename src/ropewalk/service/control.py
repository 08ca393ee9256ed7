"""Control: what an operator may see of an application and do with it, in values that JSON can carry.

Flow: console, control panel -> Control -> units, which act in their own time -> how they are then
Never: decides who may: whoever gives it to a peer has asked for their rights. Shows a secret of a configuration.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ropewalk.errors import Missing, Refused, Unavailable
from ropewalk.metrics import Registry
from ropewalk.service.board import Board
from ropewalk.service.called import kind_of
from ropewalk.service.hiding import shown_config
from ropewalk.service.levels import Levels
from ropewalk.service.near import hint_of
from ropewalk.service.peers import Peer
from ropewalk.service.presence import Presence
from ropewalk.service.recent import RECENT
from ropewalk.service.standing import Standing
from ropewalk.service.tasks import TaskShown, tasks_now

__all__ = ["Control", "CutsOff", "NoConnection", "NoService", "PeerShown", "ServiceShown", "StopsNow"]

_STARTS = 30.0  # seconds beside those for a stop, in which a service is expected to have started


class NoService(Missing):
    """The application has no service of this name."""

    code = "service.no-service"


class NoConnection(Missing):
    """No connection of a service has this number, or it is closed."""

    code = "service.no-connection"


class CutsOff(Refused):
    """It would end the very connection by which it was asked for."""

    code = "service.cuts-off"


class StopsNow(Unavailable):
    """The application stops, and its services do what that takes and nothing else."""

    code = "service.stops-now"


@dataclass(frozen=True, slots=True)
class ServiceShown:
    """How a service is and what it is.

    Attributes:
        seconds: For how long it has been in this state.
        why: What its last failure was, "" without one.
        halted: An operator wants it down.
        needed_by: Those that go down with it.
        lacks: Those that it needs and that are not up.
        kind: ``module:name`` of what makes it.
    """

    name: str
    state: str
    seconds: float
    why: str
    starts: int
    failures: int
    halted: bool
    critical: bool
    restart: str
    needs: tuple[str, ...]
    needed_by: tuple[str, ...]
    lacks: tuple[str, ...]
    kind: str
    statistics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PeerShown:
    """A connection that a service has accepted; `seconds` is for how long it has been open."""

    number: int
    service: str
    listener: str
    peer: str
    seconds: float
    received: int
    sent: int


class Planned(Protocol):
    """What is asked of a plan."""

    @property
    def name(self) -> str: ...
    @property
    def make(self) -> Callable[..., object]: ...
    @property
    def config(self) -> msgspec.Struct: ...
    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def restart(self) -> str: ...
    @property
    def critical(self) -> bool: ...


class Steered(Protocol):
    """What is asked of a unit."""

    halted: bool

    @property
    def plan(self) -> Planned: ...
    @property
    def standing(self) -> Standing: ...
    @property
    def lacks(self) -> tuple[str, ...]: ...
    @property
    def service(self) -> object | None: ...
    @property
    def at_rest(self) -> bool: ...
    def halt(self) -> None: ...
    def resume(self, *, anew: bool = False) -> None: ...
    def peers(self) -> Sequence[Peer]: ...


class Control:
    """Made by an `Application`, which services find it at as ``context.control``.

    Args:
        name: The application's.
        units: Its services.
        board: Where changes are told.
        registry: Where it counts.
        reload: Makes the plans anew.
        stopping: Whether it goes down.
        patience: Seconds that stopping a service, and those that need it, is waited for.
        application: The whole of it.
        file: What it is described in; None where it is made by a program.
        take: Reads that anew for one service, and restarts it where it says something else of it.

    Attributes:
        levels: From where on loggers speak.
        log: The last lines of the process's log.
        presence: Who is there.
        application: What this controls, for those who may do anything with it.
        file: What the application is described in; None where it is made by a program.
    """

    def __init__(
        self,
        name: str,
        units: Mapping[str, Steered],
        *,
        board: Board,
        registry: Registry,
        reload: Callable[[], Awaitable[bool]],
        stopping: Callable[[], bool],
        patience: float,
        application: object = None,
        file: Path | None = None,
        take: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self.name, self.registry, self.application, self.file = name, registry, application, file
        self.levels, self.log = Levels(), RECENT
        self.presence = Presence(_now)
        self._units, self._board = units, board
        self._reload, self._take, self._stopping, self._patience = reload, take, stopping, patience
        self._began = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the application runs; what was changed of the whole process is put back after it."""
        self._began = _now()
        try:
            yield
        finally:
            self.levels.put_all_back()

    # -- services ------------------------------------------------------------------------------------------------

    @property
    def uptime(self) -> float:
        """Seconds for which the application has been running."""
        return _now() - self._began

    def names(self) -> list[str]:
        """All services, each after those it needs."""
        return list(self._units)

    def services(self) -> list[ServiceShown]:
        """All services, each after those it needs."""
        return [self._shown(unit) for unit in self._units.values()]

    def service(self, name: str) -> ServiceShown:
        """One service.

        Raises:
            NoService.
        """
        return self._shown(self._unit(name))

    def live(self) -> dict[str, object]:
        """The services that are up, themselves; for those who may do anything with them."""
        return {name: unit.service for name, unit in self._units.items() if unit.service is not None}

    def with_it(self, name: str) -> list[str]:
        """A service and all that go down with it, itself first.

        Raises:
            NoService.
        """
        self._unit(name)
        found = {name: None}
        for other, unit in self._units.items():  # each after those it needs
            if any(need in found for need in unit.plan.needs):
                found[other] = None
        return list(found)

    async def start(self, name: str) -> list[ServiceShown]:
        """Start a service that is down, once all that it needs is up; at once if it pauses after a failure.

        What needs it comes back with it, unless that was stopped for itself.

        Returns:
            How it and those that need it are when nothing more happens to them, or after `patience` and more.

        Raises:
            NoService, StopsNow.
        """
        return await self._steered(name, lambda unit: unit.resume(), wait=True)

    async def stop(self, name: str, *, by: str = "", force: bool = False) -> list[ServiceShown]:
        """Stop a service, and keep it down until it is started, through reloads too; those that need it wait meanwhile.

        That it is critical does not matter: this is no failure.

        Args:
            name: The service.
            by: The service by which the operator is connected.
            force: End that connection, too, if it must be so; then this does not wait.

        Raises:
            NoService, StopsNow, CutsOff.
        """
        wait = self._may_cut(name, by, "stop", force=force)
        return await self._steered(name, lambda unit: unit.halt(), wait=wait)

    async def restart(self, name: str, *, by: str = "", force: bool = False) -> list[ServiceShown]:
        """Stop a service and start it anew, and with it those that need it; arguments and errors as of `stop`."""
        wait = self._may_cut(name, by, "restart", force=force)
        return await self._steered(name, lambda unit: unit.resume(anew=True), wait=wait)

    async def take(self, name: str, *, by: str = "") -> list[ServiceShown]:
        """Restart a service by what the file says of it now; arguments and what comes back as of `restart`.

        Raises:
            NoService, StopsNow, CutsOff.
            RopewalkError: The file is wrong, or what it says of the service does not go with the others.
        """
        wait = self._may_cut(name, by, "restart", force=False)
        self._check_runs()
        taken = await self._take(name) if self._take is not None else False
        return await self._steered(name, lambda unit: unit.resume(anew=not taken), wait=wait)

    async def reload(self) -> bool:
        """Read the configuration again; whether it is in force. If it is wrong, the log says why.

        Raises:
            StopsNow.
        """
        self._check_runs()
        return await self._reload()

    # -- what there is besides -----------------------------------------------------------------------------------

    def connections(self, most: int, service: str = "") -> tuple[list[PeerShown], int]:
        """Connections that services have accepted, the oldest first, so many of them; and how many there are.

        Raises:
            NoService.
        """
        names = [self._unit(service).plan.name] if service else self.names()
        found = [(peer, name) for name in names for peer in self._units[name].peers()]
        now = _now()
        first = heapq.nsmallest(most, found, key=lambda one: one[0].number)
        return [
            PeerShown(peer.number, name, peer.listener, peer.peer_text(), now - peer.began, *peer.moved())
            for peer, name in first
        ], len(found)

    def end_connection(self, number: int, *, now: bool = False) -> PeerShown:
        """Close a connection: once all that is written is sent, or now.

        Raises:
            NoConnection.
        """
        for name, unit in self._units.items():
            for peer in unit.peers():
                if peer.number == number:
                    shown = PeerShown(number, name, peer.listener, peer.peer_text(), _now() - peer.began, *peer.moved())
                    peer.end(now=now)
                    return shown
        raise NoConnection(f"no connection {number}", hint="it may have been closed")

    def tasks(self, most: int) -> tuple[list[TaskShown], int]:
        """Tasks of the loop by name, so many of them, with their stacks; and how many there are."""
        return tasks_now(most)

    def configuration(self, name: str) -> dict[str, Any]:
        """What a service was told, without its secrets.

        Raises:
            NoService.
        """
        plan = self.plan(name)
        config: dict[str, Any] = shown_config(plan.config)
        common = {
            "kind": kind_of(plan.make),
            "needs": list(plan.needs),
            "restart": str(plan.restart),
            "critical": plan.critical,
        }
        return {**common, **config}

    def plan(self, name: str) -> Planned:
        """By what a service runs, or would start; or NoService."""
        return self._unit(name).plan

    # -- how -----------------------------------------------------------------------------------------------------

    def _unit(self, name: str) -> Steered:
        if name not in self._units:
            raise NoService(f"no service {name[:64]!r}", hint=hint_of(name, self._units))
        return self._units[name]

    def _check_runs(self) -> None:
        if self._stopping():
            raise StopsNow(f"application {self.name!r} stops")

    def _may_cut(self, name: str, by: str, verb: str, *, force: bool) -> bool:
        """Whether the one who asks is still there afterwards."""
        mine = by in self.with_it(name)
        if mine and not force:
            way = "it" if by == name else f"{by}, which needs it"
            raise CutsOff(f"to {verb} {name} ends this connection, which is by {way}", hint="say that you mean it")
        return not mine

    async def _steered(self, name: str, act: Callable[[Steered], None], *, wait: bool) -> list[ServiceShown]:
        """Do something with a unit, and wait until it and those that need it have come to rest."""
        names = self.with_it(name)
        self._check_runs()
        act(self._units[name])
        if wait:
            await self._board.until(lambda: self._stopping() or self._at_rest(names), self._patience + _STARTS)
            self._check_runs()
        return [self._shown(self._units[one]) for one in names if one in self._units]

    def _at_rest(self, names: Sequence[str]) -> bool:
        return all(self._units[name].at_rest for name in names if name in self._units)

    def _shown(self, unit: Steered) -> ServiceShown:
        now, plan = unit.standing, unit.plan
        return ServiceShown(
            now.name,
            str(now.state),
            _now() - now.since,
            now.why,
            now.starts,
            now.failures,
            unit.halted,
            plan.critical,
            str(plan.restart),
            plan.needs,
            tuple(self.with_it(now.name)[1:]),
            unit.lacks,
            kind_of(plan.make),
            now.statistics,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
