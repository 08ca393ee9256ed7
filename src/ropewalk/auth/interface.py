"""Interface: what checks credentials, and what gives rights to those who are known.

Flow: Credentials -> Checker -> Identity -> Realm -> a perspective
Never: ties either to a protocol: web, telnet, SSH and broker use the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from ropewalk.auth.credentials import Credentials
from ropewalk.errors import Missing, Refused

__all__ = ["Checker", "Denied", "Identity", "NoPerspective", "Realm"]

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
    """

    name: str
    groups: frozenset[str] = frozenset()
    how: str = ""


class Checker(Protocol):
    """Knows whose some credentials are."""

    @property
    def takes(self) -> tuple[type[Credentials], ...]:
        """The kinds that it checks."""

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are; as long a time for names that it does not know as for those it knows.

        Raises:
            Denied: Nobody's.
            Unavailable: It cannot tell now.
            Damaged: Its file is not what it must be.
        """


class Realm(Protocol):
    """Gives rights: the object that is all that an identity may do."""

    async def perspective(self, identity: Identity, wanted: type[P]) -> P:
        """What this identity may see and do, of the kind that a server needs.

        Raises:
            NoPerspective, or Denied where the identity is known but has no business here.
        """
