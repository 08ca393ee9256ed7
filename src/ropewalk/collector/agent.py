"""Agent: pushes this process' metrics to a collector, over any connection.

Flow: every so often Registry.read -> Sampler -> Outbox -> connection -> collector -> Ack -> out of the Outbox
Never: makes those who count wait; counts twice or loses a count because a connection broke; shows its token to others.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import cast

from ropewalk.auth import Channel
from ropewalk.collector.outbox import Outbox, Sampler
from ropewalk.collector.wire import (
    VERSION,
    Ack,
    BadFrame,
    Define,
    FromCollector,
    Hello,
    NotWelcome,
    Push,
    Reader,
    Refusal,
    Welcome,
    encode,
)
from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.metrics import Registry, current_registry

__all__ = ["Agent", "Connect", "Lost", "NotPrivate"]

_log = logging.getLogger("ropewalk.collector")

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]
_DEFINED_TOGETHER = 200  # in one frame: at their longest they fit
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds before another try
# What a collector may say of why it refuses (docs/spec/metrics-push.md, 5).
_CODES = frozenset(
    f"collector.{word}"
    for word in (
        "frame",
        "limit",
        "silent",
        "version",
        "token",
        "sources",
        "connections",
        "replaced",
        "history",
        "history-damaged",
    )
)
_MOST_FROM_COLLECTOR = 4 * 1024  # bytes of a frame


class Lost(Unavailable):
    """The connection to the collector ended or did not answer."""

    code = "collector.lost"


class NotPrivate(Misuse):
    """A token does not cross where others can read along."""

    code = "collector.not-private"


class Agent:
    """Pushes for as long as `run` runs.

    Args:
        connect: Makes a connection for a protocol factory; one that is not private is not used.
        source: What this process is called at the collector.
        token: Shows that it may be called so.
        registry: This context's own by default.
        every: Seconds between pushes.
        deadline: Seconds for connecting, and for each answer.
        buffer: Pushes kept while there is no connection, before the oldest become one.
        clock: Seconds since 1970.
        sleep: Waits.
        rng: For waits that differ between agents.
    """

    def __init__(
        self,
        connect: Connect,
        source: str,
        token: str,
        *,
        registry: Registry | None = None,
        every: float = 10.0,
        deadline: float = 30.0,
        buffer: int = 60,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._connect, self._every, self._deadline = connect, every, deadline
        self._registry = registry or current_registry()
        self._clock, self._sleep = clock, sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads waits, guards nothing
        self._hello = Hello(VERSION, source, token, secrets.token_bytes(16), every)
        encode(self._hello)
        self._sampler = Sampler()
        self._outbox = Outbox(self._sampler.definitions, buffer)
        self._something = asyncio.Event()
        counter, gauge = self._registry.counter, self._registry.gauge
        self._acked = counter("ropewalk_collector_agent_pushes_total", "pushes that the collector has kept").of()
        self._folded = counter(
            "ropewalk_collector_agent_folded_total", "pushes made one with the next, since too many waited"
        ).of()
        self._refused = counter("ropewalk_collector_agent_refused_total", "values past the bounds of the wire").of()
        self._failures = counter(
            "ropewalk_collector_agent_failures_total", "connections that failed or ended, by reason", ("reason",)
        )
        self._waiting = gauge("ropewalk_collector_agent_waiting", "pushes that are not acknowledged").of()

    async def run(self) -> None:
        """Measure and push until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure())
            tasks.create_task(self._push())

    def measure(self) -> None:
        """Read the registry once and put what it says in line."""
        self._waiting.set(len(self._outbox))
        values = self._sampler.sample(self._registry.read())
        self._refused.inc(self._sampler.refused)
        folded = self._outbox.folded
        self._outbox.put(int(self._clock() * 1000), values)
        self._folded.inc(self._outbox.folded - folded)
        self._something.set()

    async def _measure(self) -> None:
        while True:
            self.measure()
            await self._sleep(self._every)

    async def _push(self) -> None:
        failed = 0
        while True:
            least, acked = 0.0, self._acked.value
            try:
                await self._converse()
            except _Refused as refused:
                least = refused.wait
                self._note(refused.reason, refused)
            except RopewalkError as error:
                self._note(error.code, error)
            except (OSError, TimeoutError) as error:
                self._note(Lost.code, error)
            failed = 0 if self._acked.value > acked else failed + 1
            longest = min(_FIRST_WAIT * 2 ** min(failed, 10), _LONGEST_WAIT)
            await self._sleep(max(least, longest * self._rng.uniform(0.5, 1.0)))

    def _note(self, reason: str, error: Exception) -> None:
        self._failures.of(reason).inc()
        _log.warning("pushing metrics failed: %s", str(error) or type(error).__name__, extra={"code": reason})

    async def _converse(self) -> None:
        """One connection, from hello to its end."""
        protocol = _Conversation(self._something)
        async with asyncio.timeout(self._deadline):
            transport, _ = await self._connect(lambda: protocol)
        try:
            if not Channel.of(transport).verified:
                raise NotPrivate("the token is not sent: others can read along", hint="use tls, wss or a Unix socket")
            await self._exchange(cast("asyncio.Transport", transport), protocol)
        finally:
            cast("asyncio.Transport", transport).abort()

    async def _exchange(self, transport: asyncio.Transport, protocol: _Conversation) -> None:
        """Send what there is, and settle what is answered, until that fails."""
        loop, welcomed, defined = asyncio.get_running_loop(), False, 0
        transport.write(encode(self._hello))
        answered = loop.time()
        while True:
            self._something.clear()
            while message := protocol.next():
                answered = loop.time()
                if isinstance(message, Refusal):
                    raise _Refused(message)
                if isinstance(message, Ack) is not welcomed:
                    raise BadFrame(f"got {message}, expected {'an ack' if welcomed else 'a welcome'}")
                self._settle(message)
                welcomed = True
            while welcomed and (measured := self._outbox.take()):
                if not self._outbox.under_way > 1:
                    answered = loop.time()  # from now on an answer is due
                definitions = self._sampler.definitions
                for begin in range(defined, len(definitions), _DEFINED_TOGETHER):
                    transport.write(encode(Define(definitions[begin : begin + _DEFINED_TOGETHER])))
                defined = len(definitions)
                transport.write(encode(Push(measured.sequence, measured.time, list(measured.values.items()))))
            left = answered + self._deadline - loop.time() if self._outbox.under_way or not welcomed else None
            if left is not None and left <= 0:
                raise Lost(f"the collector did not answer within {self._deadline:g} seconds")
            try:
                async with asyncio.timeout(left):
                    await self._something.wait()
            except TimeoutError:
                continue  # and is found to be late above

    def _settle(self, message: Welcome | Ack) -> None:
        before = len(self._outbox)
        if isinstance(message, Ack):
            is_ours = self._outbox.settle(message.sequence)
        else:
            is_ours = message.version == VERSION and self._outbox.begin(message.sequence)
        if not is_ours:
            raise BadFrame(f"got {message}, expected a push that was sent")
        self._acked.inc(before - len(self._outbox))


class _Refused(NotWelcome):
    """What the collector said before it ended the conversation."""

    code = "collector.agent-refused"

    def __init__(self, refusal: Refusal) -> None:
        # The other side's words: for the log without what a terminal would act on, for the metric only those we know.
        said = "".join(character if character.isprintable() else "?" for character in refusal.message)
        super().__init__(f"the collector refused: {said}")
        self.reason = refusal.code if refusal.code in _CODES else self.code
        self.wait = refusal.wait


class _Conversation(asyncio.Protocol):
    """Collects what the collector says."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake, self._lost = wake, False
        self._reader: Reader[FromCollector] = Reader(FromCollector, _MOST_FROM_COLLECTOR)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        self._lost = True
        self._wake.set()

    def next(self) -> FromCollector | None:
        """The next message, or None while there is none.

        Raises:
            Lost: There will be none.
        """
        message = self._reader.next()
        if message is None and self._lost:
            raise Lost("the connection to the collector ended")
        return message
