"""Portals to try hosts with."""

from __future__ import annotations

from ropewalk.auth import Checker, Credentials, Denied, Identity, Password, Perspectives, Portal, Visit
from ropewalk.errors import Refused


class Words:
    """Lets in whose password is their name backwards."""

    takes = (Password,)

    async def check(self, credentials: Credentials) -> Identity:
        if isinstance(credentials, Password) and credentials.password == credentials.name[::-1]:
            return Identity(credentials.name, how="password")
        raise Denied


class Desk:
    """A perspective."""

    def __init__(self, visit: Visit) -> None:
        self.name = visit.identity.name


class NotToday(Refused):
    """The realm's own refusal."""

    code = "test.not-today"


def portal(*checkers: Checker, left: list[str] | None = None) -> Portal:
    """A portal for desks; who has left is put into a list."""

    def desk(visit: Visit) -> Desk:
        if visit.identity.name == "eve":
            raise NotToday("not today", hint="come tomorrow")
        if left is not None:
            visit.owned.callback(left.append, visit.identity.name)
        return Desk(visit)

    realm = Perspectives()
    realm.give(Desk, desk)
    return Portal(realm, checkers or (Words(),), step=0.001)
