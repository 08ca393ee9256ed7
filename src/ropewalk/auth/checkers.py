"""Checkers: whose credentials are, by accounts in SQLite or for everybody; others by entry points `ropewalk.checkers`.

Flow: "accounts:users.db", "passwords:users.txt", "keys:authorized", "anonymous:" -> checker_of -> Checker
Never: answers sooner for a name that it does not know.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from ropewalk.auth.accounts import Accounts
from ropewalk.auth.credentials import Anonymous, Credentials, HeldKey, Password, Token
from ropewalk.auth.files import KeysChecker, PasswordsChecker
from ropewalk.auth.interface import Checker, Denied, Identity
from ropewalk.auth.passwords import Stretcher, is_current
from ropewalk.errors import Misuse, RopewalkError, Unavailable

__all__ = ["GROUP", "AccountsChecker", "AnonymousChecker", "UnknownChecker", "checker_of"]

GROUP = "ropewalk.checkers"

_log = logging.getLogger("ropewalk.auth")


class UnknownChecker(Misuse):
    """There is no checker of this name, it cannot be loaded, or it is told something that it does not take."""

    code = "auth.unknown-checker"


class AnonymousChecker:
    """Everybody is nobody in particular."""

    takes = (Anonymous,)

    async def check(self, credentials: Credentials) -> Identity:
        """An identity without a name."""
        if not isinstance(credentials, Anonymous):
            raise Denied
        return Identity("", frozenset(), "anonymous")


class AccountsChecker:
    """The accounts of a SQLite file: passwords, keys, tokens."""

    takes = (Password, Token, HeldKey)

    def __init__(self, accounts: Accounts, stretcher: Stretcher | None = None) -> None:
        self._accounts = accounts
        self._stretcher = stretcher or Stretcher()

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are."""
        match credentials:
            case Password(name, password):
                found = await asyncio.to_thread(self._accounts.password_of, name)
                if not await self._stretcher.agree(password, found.kept, found.like):
                    raise Denied
                if found.kept and not is_current(found.kept):
                    await self._stretch_anew(name, password, found.kept)
                return Identity(name, found.groups, "password")
            case Token(token):
                bearer = await asyncio.to_thread(self._accounts.bearer_of, token)
                if bearer is None:
                    raise Denied
                return Identity(*bearer, "token")
            case HeldKey(name, key):
                holder = await asyncio.to_thread(self._accounts.holder_of, key)
                if holder is None or name not in ("", holder[0]):
                    raise Denied
                return Identity(*holder, "key", key)
        raise Denied

    async def _stretch_anew(self, name: str, password: str, kept: str) -> None:
        """Only now is the password there to be kept at today's cost; if that cannot be, the next login tries again."""
        try:
            new = await self._stretcher.stretched(password)
            await asyncio.to_thread(self._accounts.stretched_anew, name, kept, new)
        except Unavailable as error:
            _log.warning("a password was not stretched anew: %s", error, extra={"code": error.code, "login": name})


def checker_of(description: str, folder: Path | None = None) -> Checker:
    """A checker by its description: what kind, a colon, and what that kind wants to know.

    Args:
        description: ``accounts:FILE``, ``passwords:FILE``, ``keys:FOLDER``, ``anonymous:``, or a kind of a plug-in.
        folder: Where relative paths begin.

    Raises:
        UnknownChecker.
    """
    kind, _, rest = description.partition(":")
    ours: Mapping[str, Callable[[Path], Checker]] = {
        "accounts": lambda path: AccountsChecker(Accounts(path)),
        "passwords": PasswordsChecker,
        "keys": KeysChecker,
    }
    if kind == "anonymous" and not rest:
        return AnonymousChecker()
    if kind in ours:
        if not rest:
            raise UnknownChecker(f"got {description!r}, expected {kind}: and a path")
        return ours[kind]((folder or Path()) / rest)
    points = importlib.metadata.entry_points(group=GROUP)
    found = sorted({point for point in points if point.name == kind}, key=lambda point: point.value)
    if not found or kind == "anonymous":
        known = sorted({*ours, "anonymous", *points.names})
        raise UnknownChecker(f"no checker {kind!r}, known are: {', '.join(known)}", hint="as in accounts:users.db")
    if len(found) > 1:
        raise UnknownChecker(f"checker {kind!r} is given by {' and by '.join(point.value for point in found)}")
    try:
        made = found[0].load()(rest, folder or Path())
    except RopewalkError:
        raise
    except Exception as error:
        raise UnknownChecker(f"checker {kind!r} of {found[0].value} cannot be made: {error}") from error
    if not callable(getattr(made, "check", None)) or not isinstance(getattr(made, "takes", None), tuple):
        raise UnknownChecker(f"checker {kind!r} of {found[0].value} has no check, or no tuple of what it takes")
    return cast(Checker, made)
