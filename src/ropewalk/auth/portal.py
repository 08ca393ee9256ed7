"""Portal: the one way in, for web, telnet, SSH and broker alike.

Flow: credentials, channel -> limits -> the checker for their kind -> Identity -> realm -> Login with a perspective
Never: tells a failed login which part was wrong, neither in words nor by its time; checks a password that came by a
       channel that others may read.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ropewalk.auth.credentials import Anonymous, Channel, Credentials, HeldKey, Password, Token, too_long
from ropewalk.auth.interface import Checker, Denied, Identity, NoPerspective, Realm
from ropewalk.auth.limits import FailureLimits
from ropewalk.errors import Refused, RopewalkError, Unavailable
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
    """Somebody is in.

    Attributes:
        identity: Who.
        perspective: What they may see and do.
        channel: How they came.
    """

    identity: Identity
    perspective: P
    channel: Channel


class Portal:
    """Lets in whom one of its checkers knows.

    Args:
        realm: Gives the perspectives.
        checkers: The first that takes a kind of credentials and does not deny decides.
        limits: How often a login may fail; by the loop's clock where none are given.
        step: Seconds: a failed login takes a whole number of these, whatever made it fail.
        deadline: Seconds that checkers and realm may take.
    """

    def __init__(
        self,
        realm: Realm,
        checkers: Sequence[Checker],
        limits: FailureLimits | None = None,
        step: float = 0.5,
        deadline: float = 20.0,
    ) -> None:
        self._realm, self._checkers = realm, checkers
        self._limits = limits
        self._step, self._deadline = step, deadline
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
            ChannelNotVerified, TooManyFailures: They were not looked at.
            NoPerspective: The realm has nothing of the wanted kind.
            LoginSilent: It cannot be told now.
        """
        clock = asyncio.get_running_loop().time
        limits = self._limits = self._limits or FailureLimits(clock)
        how = _WORDS[type(credentials)]
        if isinstance(credentials, Password | Token) and not channel.verified:
            self._logins.of(how, "channel").inc()
            raise ChannelNotVerified(f"a {how} is not taken by this connection", hint="use TLS, SSH or a Unix socket")
        name = credentials.name[:256]
        if wait := limits.wait_for(channel.address, name):
            self._logins.of(how, "limited").inc()
            raise TooManyFailures("too many logins failed", hint=f"try again in {math.ceil(wait)} s")
        limits.attempted(channel.address, name)
        began = clock()
        try:
            async with asyncio.timeout(self._deadline):
                identity = await self._identity(credentials)
                perspective = await self._realm.perspective(identity, wanted)
        except Denied:
            self._logins.of(how, "denied").inc()
            extra = {"code": Denied.code, "how": how, "login": name, "peer": channel.address}
            _log.warning("login denied", extra=extra)
            await _until_a_whole(self._step, began, clock)
            raise Denied from None
        except (TimeoutError, OSError, RopewalkError) as error:
            if isinstance(error, Refused | NoPerspective):
                self._logins.of(how, "refused").inc()
                raise
            self._logins.of(how, "unavailable").inc()
            code = error.code if isinstance(error, RopewalkError) else type(error).__name__
            _log.error("login not possible: %s", error, extra={"code": code, "how": how})
            await _until_a_whole(self._step, began, clock)
            raise LoginSilent("login is not possible now", hint="try again later") from error
        limits.succeeded(channel.address, name)
        self._logins.of(how, "in").inc()
        extra = {"how": how, "login": identity.name, "peer": channel.address}
        _log.info("login of %s", identity.name or "nobody in particular", extra=extra)
        return Login(identity, perspective, channel)

    async def _identity(self, credentials: Credentials) -> Identity:
        if not too_long(credentials):
            for checker in self._checkers:
                if isinstance(credentials, checker.takes):
                    try:
                        return await checker.check(credentials)
                    except Denied:
                        continue
        raise Denied


async def _until_a_whole(step: float, began: float, clock: Callable[[], float]) -> None:
    """Rounding up hides which of several quick ways to fail it was, and how loaded the machine is stays out of it."""
    taken = clock() - began
    await asyncio.sleep(max(1, math.ceil(taken / step)) * step - taken)
