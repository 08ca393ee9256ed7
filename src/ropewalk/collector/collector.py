"""Collector: takes what agents push, keeps it, and says what is wrong.

Flow: any listener -> Collector.protocol() -> Intake -> History -> Ack; run -> sources, alerts, roll-ups, retention
Never: acknowledges what is not on disk, lets one source hold up another, keeps two connections of one source.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, cast

from ropewalk.collector.alerts import Alerts, Event, Rule
from ropewalk.collector.history import History
from ropewalk.collector.intake import Intake, Sample
from ropewalk.collector.sources import Change, Source, Sources
from ropewalk.collector.wire import VERSION, Ack, Hello, NotWelcome, Refusal, Welcome, encode
from ropewalk.errors import PeerFault, RopewalkError
from ropewalk.metrics import Registry, current_registry

__all__ = ["UP", "Collector", "Replaced", "WrongToken", "WrongVersion"]

_log = logging.getLogger("ropewalk.collector")

UP = "up"  # the metric that rules may name for whether a source pushes: 1 or 0
_ROLL, _PRUNE = 600.0, 3_600.0  # seconds
_SOONEST_IDLE, _IDLE = 60.0, 10  # seconds and paces without a push, after which a connection is ended
_WAIT_FAULT, _WAIT_REFUSED, _WAIT_BUSY = 60.0, 300.0, 5.0  # seconds that an agent is told to wait


class WrongToken(NotWelcome):
    """The token is not that of the source."""

    code = "collector.token"


class WrongVersion(NotWelcome):
    """The agent speaks another version."""

    code = "collector.version"


class Replaced(NotWelcome):
    """The same source has connected anew."""

    code = "collector.replaced"


class _Full(NotWelcome):
    code = "collector.connections"


class _Silent(PeerFault):
    code = "collector.silent"


class Collector:
    """Used as `async with`; `run` for as long as it shall judge and tidy up.

    Args:
        history: Open.
        check: Whether this is the token of this source.
        rules: What raises alerts.
        on_event: Told of each alert raised or cleared; an exception in it is logged.
        most_connections: More are refused.
        hello_within: Seconds for the first message.
        every: Seconds between judgements.
        clock: Seconds since 1970.
        sleep: Waits.
        registry: This context's own by default.
    """

    def __init__(
        self,
        history: History,
        check: Callable[[str, str], Awaitable[bool]],
        *,
        rules: Iterable[Rule] = (),
        on_event: Callable[[Event], Awaitable[None]] | None = None,
        most_connections: int = 2_000,
        hello_within: float = 10.0,
        every: float = 5.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        registry: Registry | None = None,
    ) -> None:
        self.history, self.check, self.clock = history, check, clock
        self.most_connections, self.hello_within = most_connections, hello_within
        self.sources = Sources()
        self.alerts = Alerts(())
        self.tasks = asyncio.TaskGroup()
        self.connections: set[_Connection] = set()
        self.of_source: dict[str, _Connection] = {}
        self.closing = False
        self._rules, self._on_event, self._every, self._sleep = tuple(rules), on_event, every, sleep
        self._rolled = self._pruned = clock()
        registry = registry or current_registry()
        self.pushes = registry.counter("ropewalk_collector_pushes_total", "pushes taken, by result", ("result",))
        self.refusals = registry.counter("ropewalk_collector_refusals_total", "agents refused, by reason", ("reason",))
        self.no_place = registry.counter(
            "ropewalk_collector_values_dropped_total", "values for which the history has no place"
        ).of()
        self._states = registry.gauge("ropewalk_collector_sources", "sources, by state", ("state",))
        self._standing = registry.gauge("ropewalk_collector_alerts", "alerts that stand").of()
        self._connected = registry.gauge("ropewalk_collector_connections", "connections of agents").of()
        self._take_back = registry.before_collect(self._measure)

    async def __aenter__(self) -> Self:
        self.alerts = Alerts(self._rules, await self.history.standing())
        rows = await self.history.ask(lambda db: db.execute("SELECT name, every, first, seen FROM sources").fetchall())
        self.sources = Sources(Source(name, every, first, seen, since=seen) for name, every, first, seen in rows)
        await self.tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections.  What was not acknowledged, agents send again."""
        self.closing = True
        self._take_back()
        for connection in list(self.connections):
            connection.end()
        await self.tasks.__aexit__(kind, error, trace)

    def protocol(self) -> asyncio.Protocol:
        """The factory that a listener wants."""
        return _Connection(self)

    async def run(self) -> None:
        """Judge every few seconds, and tidy up beside it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for act in (self.judge, self.tidy):
                tasks.create_task(self._repeat(act))

    async def _repeat(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except RopewalkError as error:
                _log.error("history failed: %s", error, extra={"code": error.code})
            await self._sleep(self._every)

    async def judge(self) -> None:
        """Judge who is alive and what is worth an alert, once.

        Raises:
            Busy, BrokenHistory: The alerts could not be kept.
        """
        now = self.clock()
        for change in self.sources.judge(now):
            self.tell(change)
            if change.after == "dead":
                self.alerts.forget(change.source)
        for source in self.sources.all():
            self.alerts.see(source.name, UP, "{}", float(source.state != "dead"))
        if events := self.alerts.judge(now):
            await self._deliver(events)

    async def tidy(self) -> None:
        """Move and remove what is old, where it is time.

        Raises:
            Busy, BrokenHistory: Not now; it is tried again when it is time again.
        """
        now = self.clock()
        if not 0 <= now - self._rolled < _ROLL:  # also where the clock was set back
            self._rolled = now
            await self.history.roll()
        if not 0 <= now - self._pruned < _PRUNE:
            self._pruned = now
            await self.history.prune()

    async def _deliver(self, events: list[Event]) -> None:
        try:
            await self.history.record(events)
        finally:
            for event in events:
                _log.warning(
                    "alert %s %s for %s: value is %g",
                    *(event.key.rule, event.kind, event.key.source, event.value),
                    extra={"code": "collector.alert", "rule": event.key.rule, "source": event.key.source},
                )
                try:
                    if self._on_event:
                        await self._on_event(event)
                except Exception:  # noqa: BLE001 - whatever it is, the other events and the collector go on
                    _log.exception("alert could not be delivered", extra={"code": "collector.alert"})

    def tell(self, change: Change | None) -> None:
        """Log that a source changed."""
        if change:
            _log.info(
                "source %s is %s, was %s",
                *(change.source, change.after, change.before),
                extra={"code": "collector.source", "source": change.source},
            )

    def _measure(self) -> None:
        states = [source.state for source in self.sources.all()]
        for state in ("alive", "late", "dead"):
            self._states.of(state).set(states.count(state))
        self._standing.set(len(self.alerts.standing()))
        self._connected.set(len(self.connections))


class _Connection(asyncio.Protocol):
    """One agent: a task reads its messages one after the other."""

    transport: asyncio.Transport

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._intake = Intake()
        self._more, self._can_write = asyncio.Event(), asyncio.Event()
        self._can_write.set()
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self._sampled = 0  # milliseconds since 1970

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        collector, loop = self._collector, asyncio.get_running_loop()
        self._limit = collector.hello_within
        self._heard = loop.time()
        self._timer = loop.call_later(self._limit, self._check_time)
        full = len(collector.connections) >= collector.most_connections
        collector.connections.add(self)
        if collector.closing:
            self.transport.close()
        elif full:
            self._refuse(_Full(f"more than {collector.most_connections} agents are connected"), _WAIT_REFUSED)
        else:
            self._task = collector.tasks.create_task(self._work())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        self._timer.cancel()
        self._collector.connections.discard(self)
        self.end()

    def data_received(self, data: bytes) -> None:
        if self._task:
            self._intake.feed(data)
            if self._intake.waiting > 2 * self._intake.most and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            self._more.set()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def _check_time(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._heard + self._limit - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._check_time)
        elif self.transport.is_closing():
            self.transport.abort()
        else:
            self._timer = loop.call_later(self._limit, self.transport.abort)
            self._refuse(_Silent(f"nothing was pushed for {self._limit:.0f} seconds"), 0.0)
            self.end()

    def end(self) -> None:
        """No more of this conversation."""
        if self._task:
            self._task.cancel()
        self.transport.close()

    async def _work(self) -> None:
        try:
            while True:
                item = self._intake.next()
                if item is None:
                    if self._paused:
                        self._paused = False
                        self.transport.resume_reading()
                    self._more.clear()
                    await self._more.wait()
                elif isinstance(item, Hello):
                    await self._greet(item)
                else:
                    await self._keep(item)
                await self._can_write.wait()
        except PeerFault as fault:
            self._refuse(fault, _WAIT_FAULT)
        except NotWelcome as refused:
            self._refuse(refused, _WAIT_REFUSED)
        except RopewalkError as error:
            self._refuse(error, _WAIT_BUSY)
        except Exception:  # noqa: BLE001 - a fault of ours, or of who checks tokens, ends this conversation alone
            _log.exception("agent could not be served", extra={"code": "collector.fault"})
        finally:
            hello = self._intake.hello
            if hello and self._collector.of_source.get(hello.source) is self:
                del self._collector.of_source[hello.source]
            self.transport.close()

    async def _greet(self, hello: Hello) -> None:
        collector = self._collector
        if hello.version != VERSION:
            raise WrongVersion(f"version is {hello.version}, expected {VERSION}")
        if not await collector.check(hello.source, hello.token):
            raise WrongToken(f"the token is not that of {hello.source}")
        collector.sources.admit(hello.source)
        while (other := collector.of_source.get(hello.source)) and other._task:  # noqa: SLF001 - one of us
            # Nothing of it may reach the history after we say up to where its pushes are kept.
            other._refuse(Replaced(f"{hello.source} connected anew"), _WAIT_FAULT)  # noqa: SLF001
            other.end()
            await asyncio.wait([other._task])  # noqa: SLF001
        collector.of_source[hello.source] = self
        sequence = await collector.history.begin(hello.source, hello.run, hello.every)
        self._limit = max(_SOONEST_IDLE, _IDLE * hello.every)
        self._note(hello)
        self.transport.write(encode(Welcome(VERSION, sequence)))
        _log.info("source %s connected", hello.source, extra={"code": "collector.source", "source": hello.source})

    async def _keep(self, sample: Sample) -> None:
        collector, hello = self._collector, self._intake.hello
        assert hello
        no_place = await collector.history.add(hello.source, hello.run, sample)
        self.transport.write(encode(Ack(sample.sequence)))
        collector.pushes.of("again" if no_place is None else "kept").inc()
        collector.no_place.inc(no_place or 0)
        self._note(hello)
        self._judge(hello, sample)

    def _note(self, hello: Hello) -> None:
        self._heard = asyncio.get_running_loop().time()
        collector = self._collector
        collector.tell(collector.sources.saw(hello.source, hello.every, collector.clock()))

    def _judge(self, hello: Hello, sample: Sample) -> None:
        alerts = self._collector.alerts
        seconds = (sample.time - self._sampled) / 1000 if self._sampled else hello.every
        self._sampled = sample.time
        values = {key: value for key, value in sample.values if alerts.wants(key.name)}
        for key in self._intake.defined:  # a counter that did not grow is not sent
            if key.kind == "counter" and key not in values and alerts.wants(key.name):
                values[key] = 0.0
        for key, value in values.items():
            if key.kind == "gauge":
                alerts.see(hello.source, key.name, key.labels, value)
            elif seconds > 0:
                alerts.see(hello.source, key.name, key.labels, value / seconds)

    def _refuse(self, error: RopewalkError, wait: float) -> None:
        self._collector.refusals.of(error.code).inc()
        hello = self._intake.hello
        _log.warning(
            "agent refused: %s",
            error,
            extra={"code": error.code, "source": hello.source if hello else "", "wait": wait},
        )
        with contextlib.suppress(RuntimeError):  # uvloop's word for a transport that is closed
            if not self.transport.is_closing():
                self.transport.write(encode(Refusal(error.code, str(error)[:256], wait)))
        self.transport.close()
