"""Past: what this process has counted, kept for its own charts, over restarts too.

Flow: Registry -> Agent -> memory:// -> Collector -> History, a file -> Queries -> charts, alerts
Never: takes numbers of others, or grows past what it is given.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from ropewalk.collector.agent import Agent
from ropewalk.collector.alerts import Rule
from ropewalk.collector.collector import Collector
from ropewalk.collector.history import History, Retention
from ropewalk.collector.queries import Queries
from ropewalk.metrics.page import Request
from ropewalk.net import connect, listen
from ropewalk.pages.panel.counted import NoAnswer, Stands, T, read
from ropewalk.service import Context, NoConfig, Service

__all__ = ["EVERY", "RULES", "NoAnswer", "Past"]

EVERY = 10.0  # seconds between two numbers of a series
_MOST_BYTES = 256 << 20
SOURCE = "process"  # what it calls itself

RULES = (
    Rule("a store is away", "ropewalk_space_stores", ">", 0, {"state": "away"}, seconds=300),
    Rule("shares are owed", "ropewalk_space_owed", ">", 0, seconds=3600),
    Rule("the loop is held up", "ropewalk_loop_lag_seconds_sum", ">", 0.2, seconds=60, clear=0.1),
)


class Past(Service):
    """A service that keeps what its application counts.

    Args:
        file: The history; made where there is none.
        context: Where it runs.
        every: Seconds between two numbers.
        clock: Seconds since 1970.
    """

    def __init__(
        self, file: Path, context: Context, *, every: float = EVERY, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(NoConfig(), context)
        self._file, self._every, self._clock = file, every, clock
        self._queries: Queries | None = None

    async def start(self) -> None:
        """Open the file."""
        token, registry = secrets.token_hex(16), self.context.registry
        url = f"memory://{self.name}-{secrets.token_hex(8)}"

        async def known(_: str, given: str) -> bool:
            return secrets.compare_digest(given, token)

        own: AsyncExitStack = self.owned
        history = await own.enter_async_context(History(self._file, Retention(size=_MOST_BYTES), clock=self._clock))
        self._collector = await own.enter_async_context(
            Collector(history, known, rules=RULES, clock=self._clock, registry=registry)
        )
        await own.enter_async_context(await listen(url, self._collector.protocol, name=self.name))

        async def connected(
            factory: Callable[[], asyncio.Protocol],
        ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
            return await connect(url, factory)

        self._agent = Agent(connected, SOURCE, token, registry=registry, every=self._every, clock=self._clock)
        self._queries = Queries(self._collector)

    async def run(self) -> None:
        """Keep, judge, tidy up."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collector.run())
            tasks.create_task(self._agent.run())

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    @property
    def standing(self) -> Sequence[Stands]:
        """Alerts that stand now."""
        if self._queries is None:
            return ()
        return [Stands(key.rule, key.source, json.loads(key.labels)) for key in self._collector.alerts.standing()]

    async def ask(self, told: type[T], query: Mapping[str, str]) -> T:
        """See `Counted`.

        Raises:
            NoAnswer, WrongQuestion.
        """
        answer = await self._queries.answer(Request(told.path, query)) if self._queries is not None else None
        if answer is None:
            raise NoAnswer("the history is not open", hint="the log says why")
        return read(told, answer.status, answer.body)
