"""Reconnect: a link has a session whenever it can, and finds in it again what was had in the one before.

Flow: `reconnecting` -> connect, log in -> waiting calls, followed views -> lost -> back-off -> connect, log in ..
Never: makes a call twice: what was under way when a session was lost has failed, and who made it may repeat it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

from ropewalk.auth import ChannelNotVerified, Credentials, Denied, NoPerspective
from ropewalk.broker.about import CURRENT
from ropewalk.broker.client import Ahead, entered
from ropewalk.broker.errors import BadArguments, Busy, Ended, WrongNode, WrongVersion
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import Key
from ropewalk.broker.objects import Remote
from ropewalk.broker.session import Session
from ropewalk.broker.standing import Call, Followed, Promised, Standing
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.net import Endpoint

__all__ = ["Backoff", "Link", "reconnecting"]

_log = logging.getLogger("ropewalk.broker")
_LEAVING = 5.0  # seconds for what is open, when the program has left
_STEADY = 10.0  # seconds after which a session is taken as one that works
# What the next try would find again. All else, such as a certificate that is over, may be put right meanwhile.
_FINAL = frozenset(
    kind.code for kind in (Denied, NoPerspective, ChannelNotVerified, BadArguments, WrongNode, WrongVersion)
)

Enter = Callable[[], Awaitable[tuple[Session, Remote]]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between tries: a time that doubles, at random in its upper half.

    Attributes:
        first: Seconds, at most, before the first try again.
        most: Seconds, at most, before any.
        jitter: Gives numbers from 0 to 1.
        sleep: Waits.
    """

    first: float = 0.5
    most: float = 60.0
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def seconds(self, failures: int) -> float:
        """How long, after so many failures in a row."""
        longest = min(self.most, self.first * 2.0 ** min(failures, 60))
        return longest * (1 + self.jitter()) / 2


class Link:
    """A session that comes back. Made by `reconnecting`.

    Attributes:
        perspective: What was given to us by the login, in whatever session.
        error: Why there will be no other session; None as long as there may be.
        sessions: How many there were.
    """

    def __init__(
        self, enter: Enter, backoff: Backoff, patience: float, most_waiting: int, *, insist: bool = True
    ) -> None:
        self._insist = insist
        self._enter, self._backoff, self._patience, self._most = enter, backoff, patience, most_waiting
        self.perspective: Any = Standing(self, lambda _session, perspective: perspective)
        self.error: RopewalkError | None = None
        self.sessions = 0
        self._session: Session | None = None
        self._perspective: Remote
        self._waiting: dict[Call, None] = {}  # in their order
        self._why: RopewalkError | None = None  # there was no session at the last try
        self._followed: WeakSet[Followed] = WeakSet()

    @property
    def connected(self) -> bool:
        """Whether there is a session now."""
        return self._session is not None and not self._session.leaving

    def sturdy(self, name: bytes) -> Any:
        """A reference to what a sturdy reference stands for, in whatever session."""
        return Standing(self, lambda session, _perspective: session.door.fetch(name))

    async def follow(self, give: Callable[[], Promised]) -> Followed:
        """Follow a shared object over all sessions.

        Args:
            give: The call that gives it, without arguments, such as ``link.perspective.portfolio``; it is made again
                in each new session.

        Raises:
            RopewalkError: What the call ends with, the first time.
        """
        followed = Followed(self, give)
        while followed._view is None:
            await self._call(lambda: None)  # there is a session
            await followed._again()
            if followed.error is not None:
                raise followed.error
        self._followed.add(followed)
        return followed

    # What standing references ask.

    def _there(self) -> tuple[Session, Remote]:
        assert self._session is not None
        return self._session, self._perspective

    def _call(self, make: Callable[[], Promised | None]) -> Any:
        """Make a call now, or when there is a session.

        Raises:
            Ended: The link is closed.
            Busy: Too many calls wait.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # the same one each time
        if self.connected and not self._waiting:
            return make() or _NOTHING
        if len(self._waiting) >= self._most:
            raise Busy(f"{self._most:,} calls wait for a session, which is the most")
        until = asyncio.get_running_loop().time() + self._patience
        about = CURRENT.get()
        if about is not None and about.until is not None:
            until = min(until, about.until)
        call = Call(self, make, until)
        self._waiting[call] = None
        return call

    def _forget(self, call: Call) -> None:
        self._waiting.pop(call, None)

    # Sessions, one after the other.

    async def run(self, first: asyncio.Future[None]) -> None:
        """Have a session, again and again; ``first`` is told of the first one."""
        try:
            await self._run(first)
        except Exception as error:
            _log.exception("a link broke", extra={"code": "broker.link"})
            self._end(Ended(f"the link broke: {error}"))
            if not first.done():
                first.set_exception(error)

    async def _run(self, first: asyncio.Future[None]) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            try:
                self._session, self._perspective = session, _ = await self._enter()
            except RopewalkError as error:
                if isinstance(error, Misuse) or error.code in _FINAL or not (self._insist or first.done()):
                    self._end(error)
                    if not first.done():
                        first.set_exception(error)
                    return
                again = self._why is not None and str(self._why) == str(error)
                _log.log(
                    logging.DEBUG if again else logging.WARNING, "no session: %s", error, extra={"code": error.code}
                )
                self._why = error
            else:
                self.sessions, self._why = self.sessions + 1, None
                began = loop.time()
                if not first.done():
                    first.set_result(None)
                try:
                    await self._use(session)
                finally:
                    session.close("the link is closed")
                    await session.ended(_LEAVING)
                if loop.time() - began >= _STEADY:
                    failures = 0
            await self._backoff.sleep(self._backoff.seconds(failures))
            failures += 1

    async def _use(self, session: Session) -> None:
        """Until the session is over."""
        followed = list(self._followed)
        for one in followed:
            with suppress(RopewalkError):  # which is told by `_again`
                one._now()
        waiting, self._waiting = self._waiting, {}
        for call in list(waiting):
            if self.connected:
                del waiting[call]
                call._begin()
        self._waiting = waiting
        for one in followed:
            await one._again()
        followed.clear()
        await session.broken()
        error = session.error
        _log.info("session over: %s", error, extra={"code": "" if error is None else error.code})

    def _end(self, error: RopewalkError) -> None:
        self.error = self.error or error
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            call._fail(self.error)
        for one in self._followed:
            one._wake()

    def __repr__(self) -> str:
        return f"<link, {'connected' if self.connected else 'away' if self.error is None else 'closed'}>"


class _Nothing:
    """What a call gives that wants no answer."""

    def __await__(self) -> Any:
        return None
        yield  # pragma: no cover


_NOTHING = _Nothing()


@asynccontextmanager
async def reconnecting(
    url: str | Endpoint,
    credentials: Key | Credentials | None = None,
    *,
    wanted: str = "",
    node: bytes | None = None,
    limits: Limits | None = None,
    deadline: float = 30.0,
    patience: float = 30.0,
    most_waiting: int = 1000,
    backoff: Backoff | None = None,
    insist: bool = True,
    ahead: Ahead | None = None,
) -> AsyncIterator[Link]:
    """A link to a server, whose first session is there when the block begins.

    Calls that are under way when a session is lost fail with `Lost`; calls that are made while there is none wait for
    the next one, up to their deadline.

    Args:
        url, credentials, wanted, node, limits: See `connect`.
        deadline: Seconds for each connection and login, and for the first session.
        patience: Seconds that a call waits for a session, where it has no nearer deadline.
        most_waiting: Calls that may wait.
        backoff: How long to wait between tries.
        insist: Whether the first session is tried for more than once.
        ahead: Makes calls that go with the login of each session; see `client.Ahead`.

    Raises:
        RopewalkError: There is no first session.
    """
    enter = partial(entered, url, credentials, wanted=wanted, node=node, limits=limits, deadline=deadline, ahead=ahead)
    link = Link(enter, backoff or Backoff(), patience, most_waiting, insist=insist)
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(link.run(first), name="ropewalk broker link")
    try:
        try:
            async with asyncio.timeout(deadline):
                await first
        except TimeoutError:
            raise link._why or Ended(f"there was no session within {deadline:g} s") from None
        yield link
    finally:
        link._end(Ended("the link is closed"))
        task.cancel()
        await asyncio.wait([task])
