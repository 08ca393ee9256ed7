"""Host: what one server of remote objects is: who may log in, what they get, and the sessions that are open.

Flow: connection -> `protocol` -> Session, whose door asks the portal -> a perspective, which leaves with the session
Never: gives anything before a login that its realm would not give to everybody.
Source: docs/spec/broker.md section 6.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk.auth import Login, NoPerspective, Portal
from ropewalk.broker.addresses import with_node
from ropewalk.broker.counts import Counts
from ropewalk.broker.errors import NoSturdy
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import node_proof, taken
from ropewalk.broker.offers import Object, Perspective, Reference, remote
from ropewalk.broker.session import Session
from ropewalk.broker.sturdy import Sturdies
from ropewalk.errors import Misuse, Refused
from ropewalk.net import Endpoint

__all__ = ["BadKind", "Host", "LoginRequired"]

_log = logging.getLogger("ropewalk.broker")


class LoginRequired(Refused):
    """This is given only after a login."""

    code = "auth.required"


class BadKind(Misuse):
    """What a host is to give to who has logged in is no kind of perspective."""

    code = "broker.bad-kind"


class Host:
    """A server of remote objects.

    Args:
        portal: Lets people in; its realm gives a `Perspective` of the kind that they want.
        kinds: The kinds of perspective by the names that clients ask for; "" for who asks for none.
        node: This server's key, which clients may have pinned.
        sturdies: What sturdy references stand for; None where there are none.
        open_sturdies: They are given before a login too.
        limits: Of a session after login, where its perspective has none of its own; the times are those of all.

    Raises:
        BadKind: One of the kinds is no `Perspective`.

    Attributes:
        sessions: Those that are connected, or whose work has not ended.
    """

    def __init__(
        self,
        portal: Portal,
        kinds: Mapping[str, type[Perspective]],
        *,
        node: Ed25519PrivateKey | None = None,
        sturdies: Sturdies | None = None,
        open_sturdies: bool = False,
        limits: Limits | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.portal, self.kinds, self.node = portal, dict(kinds), node
        for name, kind in self.kinds.items():
            _check(name, kind)
        self.sturdies, self.open_sturdies = sturdies, open_sturdies
        self.limits = limits or Limits()
        self.sessions: set[Session] = set()
        self._random = random
        self._counts = Counts.current()

    def address(self, endpoint: Endpoint) -> Endpoint:
        """Where clients find this node, with its key, which they then pin: ``host.address(listener.endpoint.peer())``.

        Raises:
            Misuse: It has no key.
        """
        if self.node is None:
            raise Misuse("this host has no key, expected one to be put into its address", hint="Host(.., node=key)")
        return with_node(endpoint, self.node.public_key().public_bytes_raw())

    def protocol(self) -> Session:
        """The protocol of a new connection."""
        return Session(
            lambda session: Door(self, session),
            ours=self.limits,
            server=True,
            nonce=self._random(32),
            node=None if self.node is None else self.node.public_key().public_bytes_raw(),
            came=self.sessions.add,  # not before: a handshake may fail
            gone=self.sessions.discard,
            counts=self._counts,
        )

    async def close(self, seconds: float, why: str = "the server stops") -> None:
        """Ask all sessions to end, let what runs be answered, and cut those that are left after so many seconds."""
        sessions = list(self.sessions)
        for session in sessions:
            session.close(why)
        await asyncio.gather(*(session.ended(seconds) for session in sessions))


class _NoKind(Perspective):
    """What is wanted by a name that nobody gave."""


class Door(Object):
    """What a server shows before anybody has logged in."""

    __slots__ = ("_host", "_session")

    def __init__(self, host: Host, session: Session) -> None:
        self._host, self._session = host, session

    @remote
    async def login(self, kind: str, credentials: dict[str, Any], wanted: str) -> list[Any]:
        """Log in; see docs/spec/broker.md section 6."""
        host, session = self._host, self._session
        wire, hellos = session.wire, session.hellos
        got, bound = taken(kind, credentials, hellos, wire, wanted)
        channel = wire.channel if bound else replace(wire.channel, verified=False, at_proxy=True)
        # Which kinds there are is told to those who are known, and to nobody else.
        try:
            login: Login[Perspective] = await host.portal.login(got, host.kinds.get(wanted, _NoKind), channel)
        except NoPerspective:
            if wanted in host.kinds:
                raise
            raise self._no_kind(wanted) from None
        given: object = login.perspective
        if wanted not in host.kinds or not isinstance(given, Perspective):
            await login.logout()
            if wanted not in host.kinds:
                raise self._no_kind(wanted)
            raise TypeError(f"the realm gave a {type(given).__name__} for {wanted!r}, expected a Perspective")
        session.entered(login.perspective.limits, partial(_leave, login))
        proof = None if host.node is None else node_proof(host.node, hellos, wire, wanted, bound=bound)
        return [login.perspective, proof]

    def _no_kind(self, wanted: str) -> NoPerspective:
        known = ", ".join(repr(kind) for kind in sorted(self._host.kinds)) or "none"
        return NoPerspective(f"got the kind of perspective {wanted!r:.60}, expected one of: {known}")

    @remote
    async def fetch(self, name: bytes) -> Object | Reference:
        """What a sturdy reference stands for."""
        host = self._host
        if not host.open_sturdies and not self._session.logged_in:
            raise LoginRequired("a sturdy reference is given only after a login")
        if host.sturdies is None:
            raise NoSturdy("there are no sturdy references here")
        return await host.sturdies.fetch(name)


def _check(name: str, kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Perspective)):
        found = kind.__qualname__ if isinstance(kind, type) else repr(kind)
        raise BadKind(f"kind {name!r:.60} is {found:.60}, expected a subclass of Perspective")


async def _leave(login: Login[Perspective]) -> None:
    """Tell what a login made that it is over, each part whatever the other one does."""
    try:
        try:
            login.perspective.left()
        finally:
            await login.logout()
    except Exception as error:
        _log.error("the end of a login failed: %s", error, exc_info=error, extra={"code": "broker.left-failed"})
