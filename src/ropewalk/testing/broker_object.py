"""The object that the broker's conformance suite talks to: annex A of docs/spec/broker.md.

Flow: URL -> `serving` -> a host that gives everybody a `Conformance`
Never: keeps anything from one session to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker, net
from ropewalk.auth import (
    AnonymousChecker,
    Credentials,
    Denied,
    FailureLimits,
    HeldKey,
    Identity,
    Password,
    Perspectives,
    Portal,
    Rate,
    Token,
    Visit,
    ed25519_blob,
)
from ropewalk.errors import Misuse
from ropewalk.testing.broker_logins import NAME, PASSWORD, SEED, TOKEN

__all__ = ["LIMITS", "Conformance", "serving"]

LIMITS = broker.Limits(hello=2.0, login=4.0, unread=3.0)  # annex A asks for such times, so that the suite ends soon
_OFTEN = Rate(1000, 0.1)  # logins that fail: the suite has many that must


class Wrong(Misuse):
    """What `fail` fails with."""

    code = "conformance.wrong"


class Thing(broker.Object):
    """An object with a number."""

    def __init__(self, number: int) -> None:
        self._number = number

    @broker.remote
    def number(self) -> int:
        """Which one it is."""
        return self._number

    @broker.remote
    def thing(self) -> Thing:
        """The next one."""
        return Thing(self._number + 1)

    @broker.remote
    def plus(self, one: Any, other: Any) -> list[Any]:
        """Its number and these."""
        return [self._number, one, other]


class Holder(broker.Object):
    """Gates at which calls wait."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    @broker.remote
    async def later(self, gate: str) -> str:
        """The gate's name, once it is open."""
        await self._gate(gate).wait()
        return gate

    @broker.remote
    def open(self, gate: str) -> None:
        """Open a gate."""
        self._gate(gate).set()

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())


class Conformance(broker.Perspective):
    """What everybody may do."""

    def __init__(self, visit: Visit) -> None:
        self._name = visit.identity.name
        self._watched: Any = None
        self._noted: list[Any] = []
        self._stopped = 0
        self._same = Thing(0)
        self._shared = broker.Shared({"n": 0})

    @broker.remote
    def who(self) -> str:
        """The name of who has logged in."""
        return self._name

    @broker.remote
    def echo(self, value: Any) -> Any:
        """The same."""
        return value

    @broker.remote
    def add(self, one: int, other: int) -> int:
        """Their sum."""
        return one + other

    @broker.remote
    def note(self, value: Any) -> None:
        """Remember it."""
        self._noted.append(value)

    @broker.remote
    def noted(self) -> list[Any]:
        """All that was noted, in order."""
        return self._noted

    @broker.remote
    async def never(self) -> None:
        """Wait until it is stopped."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._stopped += 1
            raise

    @broker.remote
    def holder(self) -> Holder:
        """A new one."""
        return Holder()

    @broker.remote
    def stopped(self) -> int:
        """How many calls of `never` were stopped."""
        return self._stopped

    @broker.remote
    def fail(self) -> None:
        """Fail as an interface does."""
        raise Wrong("as it should", hint="expect it")

    @broker.remote
    def bug(self) -> None:
        """Fail as a bug does."""
        raise ZeroDivisionError("a secret of the house")

    @broker.remote
    def thing(self, number: int) -> Thing:
        """A new thing."""
        return Thing(number)

    @broker.remote
    def same(self) -> Thing:
        """One thing, the same each time."""
        return self._same

    @broker.remote
    def is_same(self, thing: Any) -> bool:
        """Whether it is that one."""
        return thing is self._same

    @broker.remote
    async def call(self, target: Any, method: str, arguments: list[Any]) -> Any:
        """What a method of an object of the caller gives."""
        return await getattr(target, method)(*arguments)

    @broker.remote
    async def count(self, most: int) -> AsyncIterator[int]:
        """The numbers below."""
        for number in range(most):
            yield number

    @broker.remote
    async def total(self, items: AsyncIterator[int]) -> int:
        """The sum of a stream."""
        return sum([item async for item in items])

    @broker.remote
    def zeros(self, size: int) -> bytes:
        """So many."""
        return bytes(size)

    @broker.remote
    def size(self, data: bytes) -> int:
        """How many bytes came."""
        return len(data)

    @broker.remote
    def shared(self) -> broker.Shared:
        """A shared object: a map with n."""
        return self._shared

    @broker.remote
    def poke(self) -> None:
        """Make its n one more."""
        self._shared.put("n", value=self._shared.state["n"] + 1)

    @broker.remote
    def watch(self, shared: Any) -> None:
        """Hold a shared object of the caller's, in place of the one before; None: hold none."""
        self._watched = shared

    @broker.remote
    def watched(self) -> list[Any]:
        """Version and state of its copy."""
        return [self._watched.version, self._watched.state]


class Known:
    """Who annex A says can log in."""

    takes = (Password, Token, HeldKey)

    async def check(self, credentials: Credentials) -> Identity:
        """See `ropewalk.auth.Checker`."""
        match credentials:
            case Password(name, password) if (name, password) == (NAME, PASSWORD):
                return Identity(NAME, how="password")
            case Token(token) if token == TOKEN:
                return Identity(NAME, how="token")
            case HeldKey(name, key) if (name, key) == (NAME, _KEY):
                return Identity(NAME, how="key", key=key)
        raise Denied


_KEY = ed25519_blob(Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw())


@asynccontextmanager
async def serving(url: str, *, limits: broker.Limits = LIMITS, **options: Any) -> AsyncIterator[str]:
    """Serve the object; where."""
    realm = Perspectives()
    realm.give(Conformance, Conformance)
    often = FailureLimits(asyncio.get_running_loop().time, address=_OFTEN, pair=_OFTEN, name=_OFTEN, site=_OFTEN)
    portal = Portal(realm, [AnonymousChecker(), Known()], often, step=0.05)
    host = broker.Host(portal, {"": Conformance}, node=Ed25519PrivateKey.generate(), limits=limits)
    async with await net.listen(url, host.protocol, **options) as listener:
        yield str(listener.endpoint.peer())
