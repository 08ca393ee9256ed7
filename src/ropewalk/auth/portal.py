"""Portal: the one way in, for web, telnet, SSH and broker alike.

Flow: credentials, channel -> limits -> the checker for their kind -> Identity -> realm -> Login with a perspective
Never: tells a failed login which part was wrong, neither in words nor by its time; checks a password that came by a
       channel that others may read; leaves behind what a realm made for a login that came to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from ropewalk.auth.credentials import Anonymous, Channel, Credentials, HeldKey, Password, Token, normal, subject
from ropewalk.auth.interface import Checker, Denied, Identity, NoPerspective, Realm, Visit
from ropewalk.auth.limits import FailureLimits
from ropewalk.auth.passwords import TooBusy
from ropewalk.errors import Damaged, Refused, RopewalkError, Unavailable
from ropewalk.metrics import current_registry

__all__ = ["ChannelNotVerified", "Login", "LoginSilent", "Portal", "TooManyFailures"]

P = TypeVar("P")

_log = logging.getLogger("ropewalk.auth")
_WORDS = {Anonymous: "anonymous", Password: "password", Token: "token", HeldKey: "key"}


class ChannelNotVerified(Refused):
    """Secrets are not taken by a connection that others may read."""

    code = "auth.channel-not-verified"


class TooManyFailures(Refused):
    """Too many logins failed; this one was not looked at."""

    code = "auth.too-many-failures"


class LoginSilent(Unavailable):
    """Who would know does not answer in time, or is out of order; the log says more."""

    code = "auth.unavailable"


@dataclass(frozen=True, slots=True)
class Login(Generic[P]):
    """Somebody is in, until `logout`: ``async with await portal.login(...) as login``.

    Attributes:
        perspective: What they may see and do.
        visit: Who they are and how they came.
    """

    perspective: P
    visit: Visit

    @property
    def identity(self) -> Identity:
        """Who."""
        return self.visit.identity

    @property
    def channel(self) -> Channel:
        """How they came."""
        return self.visit.channel

    async def logout(self) -> None:
        """End what the realm made for this login: each thing once, however often this is called or cancelled."""
        await self.visit.owned.pop_all().aclose()

    async def __aenter__(self) -> Login[P]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.logout()


class Portal:
    """Lets in whom one of its checkers knows. It belongs to one event loop.

    Args:
        realm: Gives the perspectives.
        checkers: The first that takes a kind of credentials and does not deny decides.
        limits: How often a login may fail; by the loop's clock where none are given.
        step: Seconds: a failed login takes a whole number of these, whatever made it fail.
        deadline: Seconds that checkers and realm may take, and as many to end what came to nothing.
        at_once: Logins of one kind that may be looked at at a time; the next are told to come back.
    """

    def __init__(
        self,
        realm: Realm,
        checkers: Sequence[Checker],
        limits: FailureLimits | None = None,
        step: float = 0.5,
        deadline: float = 20.0,
        at_once: int = 100,
    ) -> None:
        self._realm, self._checkers = realm, tuple(checkers)
        self._limits = limits
        self._step, self._deadline, self._at_once = step, deadline, at_once
        self._looking: Counter[str] = Counter()
        self._logins = current_registry().counter("ropewalk_auth_logins_total", "logins", ("how", "outcome"))

    @property
    def takes(self) -> frozenset[type[Credentials]]:
        """The kinds of credentials that can get somebody in, for servers that offer a choice."""
        return frozenset(kind for checker in self._checkers for kind in checker.takes)

    async def login(self, credentials: Credentials, wanted: type[P], channel: Channel) -> Login[P]:
        """Let somebody in.

        Args:
            credentials: What they gave.
            wanted: The kind of perspective that the server of this protocol works with.
            channel: How they are connected.

        Raises:
            Denied: They are nobody's, or have no business here.
            ChannelNotVerified, TooManyFailures, TooBusy: They were not looked at.
            NoPerspective: The realm has nothing of the wanted kind.
            LoginSilent: It cannot be told now.
            Refused: Who they are is known, and the realm says more of why they may not enter.
        """
        clock = asyncio.get_running_loop().time
        limits = self._limits = self._limits or FailureLimits(clock)
        how = _WORDS[type(credentials)]
        if isinstance(credentials, Password | Token) and not channel.verified:
            self._logins.of(how, "channel").inc()
            raise ChannelNotVerified(f"a {how} is not taken by this connection", hint="use TLS, SSH or a Unix socket")
        given = normal(credentials)
        whom = subject(given) if given else ""
        if wait := limits.wait_for(channel.address, whom):
            self._logins.of(how, "limited").inc()
            raise TooManyFailures("too many logins failed", hint=f"try again in {math.ceil(wait)} s")
        if self._looking[how] >= self._at_once:
            self._logins.of(how, "busy").inc()
            raise TooBusy("too many logins at once", hint="try again in a moment")
        limits.attempted(channel.address, whom)
        began = clock()
        self._looking[how] += 1
        try:
            async with asyncio.timeout(self._deadline):
                login = await self._let_in(given, wanted, channel)
        except (Refused, NoPerspective) as error:
            if not isinstance(error, Denied):
                limits.succeeded(channel.address, whom)  # the realm was asked, so they are who they say
                self._logins.of(how, "refused").inc()
                raise
            failure: RopewalkError = Denied()
            self._logins.of(how, "denied").inc()
            extra = {"code": Denied.code, "how": how, "login": _shown(credentials.name), "peer": channel.address}
            _log.warning("login denied", extra=extra)
        except Exception as error:  # noqa: BLE001 - of plug-ins; peers are told nothing of it
            failure = LoginSilent("login is not possible now", hint="try again later")
            self._logins.of(how, "unavailable").inc()
            code = error.code if isinstance(error, RopewalkError) else type(error).__name__
            _log.error("login not possible: %s", _told(error), extra={"code": code, "how": how})
        else:
            limits.succeeded(channel.address, whom)
            self._logins.of(how, "in").inc()
            extra = {"how": how, "login": _shown(login.identity.name), "peer": channel.address}
            _log.info("login of %s", _shown(login.identity.name) or "nobody in particular", extra=extra)
            return login
        finally:
            self._looking[how] -= 1
        await _until_a_whole(self._step, began, clock)
        raise failure

    async def _let_in(self, credentials: Credentials | None, wanted: type[P], channel: Channel) -> Login[P]:
        visit = Visit(await self._identity(credentials), channel)
        try:
            return Login(await self._realm.perspective(visit, wanted), visit)
        except BaseException:
            # It must not hide why there is no login, nor that the caller was cancelled.
            try:
                async with asyncio.timeout(self._deadline):
                    await visit.owned.aclose()
            except Exception as error:  # noqa: BLE001 - of a realm
                _log.error("ending a login that failed: %s", _told(error), extra={"code": type(error).__name__})
            raise

    async def _identity(self, credentials: Credentials | None) -> Identity:
        for checker in self._checkers:
            if credentials is None or not isinstance(credentials, checker.takes):
                continue
            try:
                identity = await checker.check(credentials)
            except Denied:
                continue
            except (Unavailable, Damaged):
                raise
            except RopewalkError as error:  # its own words would tell which names there are
                _log.warning("login denied by a checker: %s", _told(error), extra={"code": error.code})
                continue
            if identity.name or isinstance(credentials, Anonymous):
                return identity
            _log.error("a checker let somebody in without a name", extra={"checker": type(checker).__name__})
        raise Denied


def _shown(name: str) -> str:
    """A name for the log, which must not be led by it."""
    return name[:64] if name.isprintable() else ascii(name[:64])[1:-1]


def _told(error: Exception) -> str:
    """An error for the log; of one that is not ours its place, since its words may be those of the peer."""
    if isinstance(error, RopewalkError | OSError):
        return str(error) or type(error).__name__
    places = traceback.extract_tb(error.__traceback__)[-3:]
    return f"{type(error).__name__} at " + ", ".join(f"{place.filename}:{place.lineno}" for place in places)


async def _until_a_whole(step: float, began: float, clock: Callable[[], float]) -> None:
    """Rounding up hides which of several quick ways to fail it was, and how loaded the machine is stays out of it."""
    taken = clock() - began
    await asyncio.sleep(max(1, math.ceil(taken / step)) * step - taken)
