"""Hosts to talk to, and peers that speak frame by frame.

Flow: `Me` and what it gives -> `host` -> `served`, `simulated`; `Raw` -> frames as they are
Never: waits without a deadline.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ropewalk import broker, loops, net
from ropewalk.auth import (
    AnonymousChecker,
    Checker,
    Credentials,
    Denied,
    HeldKey,
    Identity,
    Password,
    Perspectives,
    Portal,
    Token,
    Visit,
)
from ropewalk.broker.frames import size_of
from ropewalk.broker.outbox import frame_of
from ropewalk.metrics import Registry, using

DEADLINE = 3600.0  # of simulated seconds, or of a test that hangs


class Desk(broker.Object):
    """What a perspective gives."""

    def __init__(self, name: str) -> None:
        self.name = name

    @broker.remote
    def quote(self, word: str) -> str:
        return f"{self.name}: {word}"


class Me(broker.Perspective):
    """Does a bit of everything, and counts who has left."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.said: list[Any] = []
        self.stopped = 0
        self.shared = broker.Shared({"n": 0})
        self.gate = asyncio.Event()
        self.gone = 0

    def left(self) -> None:
        self.gone += 1

    @broker.remote
    def echo(self, value: Any) -> Any:
        return value

    @broker.remote
    def who(self) -> list[Any]:
        channel = self.visit.channel
        return [self.visit.identity.name, self.visit.identity.how, channel.verified, channel.at_proxy]

    @broker.remote
    def say(self, value: Any) -> None:
        self.said.append(value)

    @broker.remote
    def desk(self, name: str) -> Desk:
        return Desk(name)

    @broker.remote
    def ask(self, desk: Desk) -> Any:
        return desk.quote("you")

    @broker.remote
    async def slow(self, seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return seconds

    @broker.remote
    async def wait(self) -> str:
        await self.gate.wait()
        return "open"

    @broker.remote
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @broker.remote
    async def total(self, items: AsyncIterator[bytes]) -> int:
        return sum([len(item) async for item in items])

    @broker.remote
    def state(self) -> broker.Shared:
        return self.shared

    @broker.remote
    def fail(self) -> None:
        raise ValueError("a secret of the house")


class Other(Me):
    """Has limits of its own."""

    limits = broker.Limits(frame=200_000, questions=100)


class Everyone:
    """Knows a password, a token and keys."""

    takes = (Password, Token, HeldKey)

    def __init__(self, *keys: bytes) -> None:
        self.keys = keys

    async def check(self, credentials: Credentials) -> Identity:
        match credentials:
            case Password("ann", "right"):
                return Identity("ann", how="password")
            case Token("word"):
                return Identity("bob", how="token")
            case HeldKey(name, key) if key[-32:] in self.keys and name in ("", "eve"):
                return Identity("eve", how="key", key=key)
        raise Denied


class House(broker.Host):
    """A host that remembers whom it gave what.

    Attributes:
        given: The perspectives, in their order.
        logouts: How often each was logged out.
    """

    def __init__(
        self, *checkers: Checker, make: Callable[[Visit], Any] = Me, step: float = 0.01, **options: Any
    ) -> None:
        realm = Perspectives()
        self.given: list[Any] = []
        self.logouts: Counter[int] = Counter()

        def give(kind: Callable[[Visit], Any]) -> Callable[[Visit], Any]:
            def made(visit: Visit) -> Any:
                number = len(self.given)
                visit.owned.callback(lambda: self.logouts.update([number]))
                self.given.append(kind(visit))
                return self.given[-1]

            return made

        realm.give(Me, give(make))
        realm.give(Other, give(Other))
        portal = Portal(realm, checkers or [AnonymousChecker()], step=step)
        super().__init__(portal, {"": Me, "other": Other}, **options)


@asynccontextmanager
async def served(house: broker.Host, url: str = "memory://house", **options: Any) -> AsyncIterator[net.Listener]:
    """A host that listens."""
    async with await net.listen(url, house.protocol, **options) as listener:
        yield listener


def simulated(main: Callable[[], Coroutine[Any, Any, None]], seed: int = 0) -> None:
    """Run a test in simulated time, with metrics of its own."""

    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE):
            await main()

    with using(Registry()):
        loops.run(bounded(), loop=loops.Simulated(seed))


async def until(true: Callable[[], object]) -> None:
    """Give the loop turns until something is so; where no time passes by itself, let it pass."""
    turn = 0.01 if isinstance(asyncio.get_running_loop(), loops.SimulatedLoop) else 0.0
    while not true():  # noqa: ASYNC110 - what is looked at has no event
        await asyncio.sleep(turn)


class Raw(asyncio.Protocol):
    """A client that says what it is told to."""

    def __init__(self) -> None:
        self.frames: list[Any] = []  # bodies
        self.messages: list[int] = []  # lengths of what came by WebSocket at once, and what it said of itself
        self.lost = False
        self._rest = b""
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while 0 <= (size := size_of(self._rest)) <= len(self._rest) and self._rest:
            head, self._rest = self._rest[:size], self._rest[size:]
            body = int.from_bytes(head[:4], "big")
            count = int.from_bytes(head[4:6], "big")
            self.frames.append(msgspec.msgpack.decode(head[8 + 4 * count : 8 + 4 * count + body], ext_hook=_as_it_is))
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._news.set()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something has come."""
        async with asyncio.timeout(DEADLINE):
            while not true():
                self._news.clear()
                await self._news.wait()

    def say(self, *messages: Any) -> None:
        """Send a frame."""
        self.transport.write(b"".join(frame_of(msgspec.msgpack.encode(list(messages)))))

    def hello(self, **more: Any) -> None:
        """Send one."""
        told = {"ropewalk": "broker", "version": 1, "least": 1, "nonce": bytes(32), "limits": {}, **more}
        self.transport.write(b"".join(frame_of(msgspec.msgpack.encode(told))))

    @property
    def said(self) -> list[Any]:
        """The messages that came after the hello."""
        return [message for body in self.frames[1:] for message in body]

    async def answer(self, question: int) -> Any:
        """The answer to a question: RETURN or ERROR."""

        def there() -> list[Any]:
            return [one for one in self.said if one[0] in (1, 2) and one[1] == question]

        await self.until(lambda: there() or self.lost)
        return there()[0]

    async def enter(self) -> None:
        """Say hello and log in as nobody in particular."""
        self.hello()
        self.say([0, 1, 0, "login", ["anonymous", {}, ""]])
        await self.answer(1)


class RawMessages(Raw):
    """The same over a WebSocket, with what is in each message."""

    def message_received(self, data: bytes) -> None:
        self.messages.append(len(data))
        assert size_of(data) == len(data)
        self.data_received(data)


def _as_it_is(code: int, data: memoryview) -> Any:
    return (code, bytes(data))
