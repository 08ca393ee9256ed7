"""Collected: what a collector elsewhere keeps of many processes, for the panel.

Flow: every few seconds /sources, /alerts -> what pages show without asking; charts -> ask -> Numbers
Never: makes a page wait for a collector that is away, or believes an answer that cannot be.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ropewalk.collector.asking import ask_page
from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.net import Endpoint
from ropewalk.net.connect import check_reachable
from ropewalk.pages.panel.counted import Alerts, Process, Sources, Stands, T, WrongQuestion, read
from ropewalk.service import Context, NoConfig, Service

__all__ = ["Away", "Collected", "CollectorAway"]

_log = logging.getLogger("ropewalk.pages")

EVERY = 10.0  # seconds between two looks at who pushes and what stands
DEADLINE = 5.0  # seconds for an answer, with the time that others ask
_AT_ONCE = 4  # questions; each may hold an answer of the largest size
_WHAT_TO_DO = "see that it runs, and that its key `page` listens there; it is asked again every {every:g} seconds"


class CollectorAway(Unavailable):
    """The collector cannot be asked now."""

    code = "pages.collector-away"


@dataclass(frozen=True, slots=True)
class Away:
    """Since when nothing is heard (seconds since 1970), why, and what to do."""

    since: float
    why: str
    hint: str


class Collected(Service):
    """A service that knows how a collector is, and asks it.

    Args:
        url: The endpoint of its key ``page``.
        context: Where it runs.
        every: Seconds between two looks.
        deadline: Seconds for an answer.
        clock: Seconds since 1970.
        sleep: Waits.

    Attributes:
        where: The endpoint, for people; no secret of it.
        away: Why it cannot be asked; None while it can.
        processes: Who pushes there, as last heard.

    Raises:
        BadEndpoint: There is nothing to connect to.
    """

    def __init__(
        self,
        url: str,
        context: Context,
        *,
        every: float = EVERY,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(NoConfig(), context)
        self._endpoint = Endpoint.parse(url)
        check_reachable(self._endpoint)
        self._every, self._deadline, self._clock, self._sleep = every, deadline, clock, sleep
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.where = self._endpoint.place
        self.away: Away | None = Away(clock(), "it is being asked for the first time", "")
        self.processes: Sequence[Process] = ()
        self._alerts = Alerts()

    async def run(self) -> None:
        """Look every few seconds."""
        while True:
            await self.look()
            await self._sleep(self._every)

    async def look(self) -> None:
        """Ask who pushes and what stands, once."""
        try:
            processes = (await self._asked(Sources, {})).sources
            self._alerts = await self._asked(Alerts, {"from": str(int(self._clock()) - 60)})
        except RopewalkError as error:
            if self.away is None or not self.away.hint:
                _log.warning("collector at %s is away: %s", self.where, error, extra={"code": CollectorAway.code})
            since = self.away.since if self.away is not None else self._clock()
            self.away = Away(since, str(error), error.hint or _WHAT_TO_DO.format(every=self._every))
            return
        if self.away is not None:
            _log.info("collector at %s answers", self.where, extra={"code": "pages.collector"})
        self.processes, self.away = processes, None

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    @property
    def standing(self) -> Sequence[Stands]:
        """Alerts that stood when it was last heard."""
        return self._alerts.standing

    @property
    def silent(self) -> Sequence[Process]:
        """Those that push no more."""
        return [process for process in self.processes if process.state == "dead"]

    async def ask(self, told: type[T], query: Mapping[str, str]) -> T:
        """See `Counted`; at once where it is away.

        Raises:
            CollectorAway, NoAnswer, WrongQuestion, BadAnswer.
        """
        if self.away is not None:
            raise CollectorAway(f"the collector at {self.where} is away: {self.away.why}", hint=self.away.hint)
        try:
            return await self._asked(told, query)
        except WrongQuestion:
            raise
        except RopewalkError as error:
            hint = error.hint or _WHAT_TO_DO.format(every=self._every)
            raise CollectorAway(f"the collector at {self.where} did not tell: {error}", hint=hint) from error

    async def _asked(self, told: type[T], query: Mapping[str, str]) -> T:
        try:
            async with asyncio.timeout(self._deadline), self._places:
                status, body = await ask_page(self._endpoint, told.path, query, deadline=self._deadline)
        except TimeoutError:  # others' questions took all of it
            raise CollectorAway(f"no answer came within {self._deadline:g} seconds") from None
        return read(told, status, body)
