"""Interface: what checks credentials, and what gives rights to those who are known.

Flow: Credentials -> Checker -> Identity; Identity, Channel -> Visit -> Realm -> a perspective
Never: ties either to a protocol: web, telnet, SSH and broker use the same.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ropewalk.auth.credentials import Channel, Credentials
from ropewalk.errors import Missing, Refused

__all__ = ["Checker", "Denied", "Identity", "NoPerspective", "Realm", "Visit"]

P = TypeVar("P")


class Denied(Refused):
    """These credentials are nobody's; which part of them is wrong is not told."""

    code = "auth.denied"

    def __init__(self, message: str = "login failed", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class NoPerspective(Missing):
    """The realm has nothing of this kind to give to this identity."""

    code = "auth.no-perspective"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as one checker knows it.

    Attributes:
        name: Unique among all checkers of a portal; "" for nobody in particular.
        groups: What it belongs to.
        how: Which kind of credentials showed it: password, token, key, anonymous.
        key: The public key that showed it, as SSH writes it; b"" where none did.
    """

    name: str
    groups: frozenset[str] = frozenset()
    how: str = ""
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Visit:
    """One login as the realm sees it, from before it has a perspective until its logout.

    Attributes:
        identity: Who.
        channel: How they came; what they may do can depend on it, as on whether encryption ended at a proxy.
        owned: What ends with the visit, once: after logout, or where the login fails or is cancelled after all.
    """

    identity: Identity
    channel: Channel
    owned: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False, compare=False)


class Checker(Protocol):
    """Knows whose some credentials are."""

    @property
    def takes(self) -> tuple[type[Credentials], ...]:
        """The kinds that it checks."""

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are; as long a time for names that it does not know as for those it knows.

        Names are in one spelling (`plain`), secrets neither empty nor long. The caller may be cancelled at any time.

        Raises:
            Denied: Nobody's, for whatever reason; any other error of the families that is not one of these two is
                taken for it, so that no checker tells which names there are.
            Unavailable: It cannot tell now, whoever asks.
            Damaged: Its file is not what it must be, whoever asks.
        """


class Realm(Protocol):
    """Gives rights: the object that is all that an identity may do."""

    async def perspective(self, visit: Visit, wanted: type[P]) -> P:
        """What this visitor may see and do, of the kind that a server needs.

        What must end with it is put on ``visit.owned``.

        Raises:
            NoPerspective, or Denied where the identity is known but has no business here.
        """
