"""Client: connecting to a server of remote objects, and logging in.

Flow: URL -> `connect` -> Session -> `login` -> a reference to one's perspective
Never: uses a perspective before the node has shown that it is the one that was meant.
Source: docs/spec/broker.md sections 2 and 6.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ropewalk.auth import Anonymous, Credentials
from ropewalk.broker.about import CURRENT
from ropewalk.broker.addresses import agreed, pinned
from ropewalk.broker.errors import BadMessage, Ended, Late
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import Key, another_node, check_node, credentials_of
from ropewalk.broker.objects import Remote
from ropewalk.broker.offers import Object
from ropewalk.broker.promise import Path
from ropewalk.broker.session import Session
from ropewalk.errors import RopewalkError
from ropewalk.net import Endpoint
from ropewalk.net import connect as net_connect

__all__ = ["Ahead", "connect", "entered", "login", "opened"]

_LEAVING = 5.0  # seconds for what is open, when the program has left

# Told what a login will give, before it is given: a promise, through which it may make calls.  They say no more than
# the address does, and nobody uses what they give before the login has: only then is it known whose word it is.
Ahead = Callable[[Path], object]


class ClientDoor(Object):
    """What a client shows before anything else: nothing."""

    __slots__ = ()


async def opened(
    url: str | Endpoint,
    *,
    limits: Limits | None = None,
    deadline: float = 30.0,
    random: Callable[[int], bytes] = os.urandom,
) -> Session:
    """A session with a server, before any login; close it, or use `connect`.

    Args:
        url: See docs/reference/endpoints.md. With ``#ed25519:`` and a key at its end, the server must be that node.
        limits: What this end accepts.
        deadline: Seconds for the connection and the server's hello.
        random: Gives random bytes.

    Raises:
        WrongNode: The server is not the node of the address.
        Misuse: The address is none.
        RopewalkError: There is no connection, or what is there speaks something else.
    """
    ours = limits or Limits()
    endpoint, node = pinned(url)
    # A session outlives the block that it is opened in: what comes by it is not part of that.
    around = CURRENT.set(None)
    try:
        async with asyncio.timeout(deadline):
            _, session = await net_connect(
                endpoint,
                lambda: Session(lambda _: ClientDoor(), ours=ours, server=False, nonce=random(32)),
                deadline=deadline,
            )
            session.meant = node
            try:
                await asyncio.shield(session.opened)
                _check(session, node)
            except BaseException:
                if session.error is None:
                    session.abort(Ended("the session was not wanted any more"))
                await session.ended(_LEAVING)  # where the other end broke a rule, it hears which
                raise
    except TimeoutError:
        raise Late(f"no session within {deadline:g} s") from None
    finally:
        CURRENT.reset(around)
    return session


def _check(session: Session, node: bytes | None) -> None:
    """Return if the server says that it is the node that is meant."""
    if node is not None and session.hellos.node != node:
        error = another_node(session.hellos.node, node)
        session.abort(error)
        raise error


async def login(
    session: Session,
    credentials: Key | Credentials | None = None,
    *,
    wanted: str = "",
    node: bytes | None = None,
    ahead: Ahead | None = None,
) -> Remote:
    """Log in: the perspective.

    Args:
        session: One that this end has opened.
        credentials: Who; None for nobody in particular.
        wanted: The kind of perspective, "" for the one that the server gives without a choice.
        node: The server's key, where it is known and not in the address: 32 bytes.
        ahead: Makes calls that go with the login and need not wait for its answer; see `Ahead`.

    Raises:
        WrongNode: The server is not that node; the session is over.
        BadArguments: These are no credentials, or no key.
        Refused: The login failed.
    """
    node = agreed(session.meant, node)
    wire, hellos = session.wire, session.hellos
    _check(session, node)
    given = Anonymous() if credentials is None else credentials
    kind, sent, challenge, bound = credentials_of(given, hellos, wire, wanted)
    asked = session.door.login(kind, sent, wanted)
    if ahead is not None:
        ahead(asked[0])
    answer = await asked
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[0], Remote):
        raise BadMessage("the answer to a login is no perspective")
    perspective: Remote = answer[0]
    proof = answer[1]
    if node is not None:
        try:
            check_node(node, proof, hellos, wire, challenge, bound=bound)
        except RopewalkError as error:
            session.abort(error)
            raise
    return perspective


@asynccontextmanager
async def connect(
    url: str | Endpoint,
    credentials: Key | Credentials | None = None,
    *,
    wanted: str = "",
    node: bytes | None = None,
    limits: Limits | None = None,
    deadline: float = 30.0,
) -> AsyncIterator[Any]:
    """Connect, log in, and give the perspective: ``async with connect(url) as me:``. See `opened` and `login`.

    Raises:
        RopewalkError: See there.
    """
    session, perspective = await entered(url, credentials, wanted=wanted, node=node, limits=limits, deadline=deadline)
    try:
        yield perspective
    finally:
        session.close()
        await session.ended(deadline=_LEAVING)


async def entered(
    url: str | Endpoint,
    credentials: Key | Credentials | None = None,
    *,
    wanted: str = "",
    node: bytes | None = None,
    limits: Limits | None = None,
    deadline: float = 30.0,
    ahead: Ahead | None = None,
) -> tuple[Session, Remote]:
    """A session in which somebody has logged in, and the perspective; close it, or use `connect`.

    Raises:
        RopewalkError: See `opened` and `login`.
    """
    endpoint, meant = pinned(url)
    agreed(meant, node)  # a mistake is told before there is a connection
    limit = asyncio.timeout(deadline)
    try:
        async with limit:
            session = await opened(endpoint, limits=limits, deadline=deadline)
            try:
                return session, await login(session, credentials, wanted=wanted, node=node, ahead=ahead)
            except BaseException:
                session.close("there was no login")
                await session.ended(deadline=_LEAVING)
                raise
    except TimeoutError:
        if not limit.expired():
            raise
        raise Late(f"no login within {deadline:g} s") from None
