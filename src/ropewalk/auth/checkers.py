"""Checkers: whose credentials are, by files that people keep; others come by entry points `ropewalk.checkers`.

Flow: "accounts:users.db", "passwords:users.txt", "keys:authorized", "anonymous:" -> checker_of -> Checker
Never: answers sooner for a name that it does not know.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ropewalk.auth.accounts import Accounts, AccountsDamaged, checked_name
from ropewalk.auth.credentials import Anonymous, Credentials, HeldKey, Password, Token
from ropewalk.auth.interface import Checker, Denied, Identity
from ropewalk.auth.passwords import Stretcher, is_hash
from ropewalk.errors import Misuse, Unavailable

__all__ = [
    "GROUP",
    "AccountsChecker",
    "AnonymousChecker",
    "KeysChecker",
    "PasswordsChecker",
    "UnknownChecker",
    "checker_of",
    "public_key",
]

GROUP = "ropewalk.checkers"
_KINDS = frozenset({"ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521))})
_MOST = 4 * 1024 * 1024  # bytes of a file that people keep


class UnknownChecker(Misuse):
    """There is no checker of this name, or it is told something that it does not take."""

    code = "auth.unknown-checker"


class FileSilent(Unavailable):
    """A checker's file cannot be read now."""

    code = "auth.file-unavailable"


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
                kept, groups = await asyncio.to_thread(self._accounts.password_of, name)
                if not await self._stretcher.agree(password, kept):
                    raise Denied
                return Identity(name, groups, "password")
            case Token(token):
                found, how = await asyncio.to_thread(self._accounts.bearer_of, token), "token"
            case HeldKey(name, key):
                found, how = await asyncio.to_thread(self._accounts.holder_of, key), "key"
                if found is not None and name not in ("", found[0]):
                    raise Denied
            case _:
                raise Denied
        if found is None:
            raise Denied
        return Identity(*found, how)


@dataclass
class _Watched:
    """A text file that is read again when it has changed."""

    path: Path
    seen: tuple[int, int, int] | None = None
    lines: list[str] = field(default_factory=list)

    def read(self) -> bool:
        """Whether it changed since the last time.

        Raises:
            FileSilent, AccountsDamaged.
        """
        try:
            found = os.stat(self.path)
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
            if now == self.seen:
                return False
            with self.path.open("rb") as file:
                data = file.read(_MOST + 1)
        except OSError as error:
            raise FileSilent(f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}") from None
        if len(data) > _MOST:
            raise AccountsDamaged(f"{self.path} has more than {_MOST:,} bytes")
        try:
            self.lines = data.decode().splitlines()
        except UnicodeDecodeError as error:
            raise AccountsDamaged(f"{self.path} is not UTF-8 at byte {error.start}") from None
        self.seen = now
        return True


class PasswordsChecker:
    """A text file with a line for each account: ``name:hash`` or ``name:hash:group,group``.

    Hashes are Argon2id's, as PHC strings. Empty lines and those that begin with ``#`` are passed over. It is read again
    when it has changed; if it is wrong then, the error is raised to whoever logs in, and nobody gets in.
    """

    takes = (Password,)

    def __init__(self, path: Path, stretcher: Stretcher | None = None) -> None:
        self._file = _Watched(path)
        self._stretcher = stretcher or Stretcher()
        self._kept: Mapping[str, tuple[str, frozenset[str]]] = {}

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are."""
        if not isinstance(credentials, Password):
            raise Denied
        if self._file.read():
            self._kept = {}
            self._kept = self._parsed()
        kept, groups = self._kept.get(credentials.name, (None, frozenset()))
        if not await self._stretcher.agree(credentials.password, kept):
            raise Denied
        return Identity(credentials.name, groups, "password")

    def _parsed(self) -> dict[str, tuple[str, frozenset[str]]]:
        found: dict[str, tuple[str, frozenset[str]]] = {}
        for number, line in _told(self._file.lines):
            name, _, rest = line.partition(":")
            kept, _, groups = rest.partition(":")
            if not is_hash(kept):
                raise _wrong(self._file, number, "expected name:$argon2id$... or name:$argon2id$...:group,group")
            if name in found:
                raise _wrong(self._file, number, f"{name!r} was there before")
            try:
                checked_name(name)
                found[name] = kept, frozenset(checked_name(group, "group") for group in groups.split(",") if group)
            except Misuse as error:
                raise _wrong(self._file, number, str(error)) from None
        return found


class KeysChecker:
    """A folder with a file for each account, named like it, as ``authorized_keys`` of OpenSSH: a public key a line.

    Lines with options are refused: an option takes rights away, and to pass over one would give them.
    """

    takes = (HeldKey,)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[_Watched, frozenset[bytes]]] = {}

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are; the name must be given."""
        if not isinstance(credentials, HeldKey):
            raise Denied
        try:
            name = checked_name(credentials.name)
        except Misuse:
            raise Denied from None
        if name.startswith(".") or not (self._folder / name).is_file():
            raise Denied
        file, keys = self._files.get(name) or (_Watched(self._folder / name), frozenset())
        if file.read():
            self._files.pop(name, None)
            keys = frozenset(self._keys(file))
            self._files[name] = file, keys
        if credentials.key not in keys:
            raise Denied
        return Identity(name, frozenset(), "key")

    def _keys(self, file: _Watched) -> list[bytes]:
        keys = []
        for number, line in _told(file.lines):
            try:
                keys.append(public_key(line))
            except Misuse as error:
                raise _wrong(file, number, str(error)) from None
        return keys


class BadKey(Misuse):
    """Not a public key as OpenSSH writes it."""

    code = "auth.bad-key"


def public_key(line: str) -> bytes:
    """The key in a line like ``ssh-ed25519 AAAA... comment``, as it goes over the wire.

    Raises:
        BadKey: It has options, is of a kind that is too weak or not known, or is damaged.
    """
    words = line.split()
    if len(words) < 2 or words[0] not in _KINDS:
        raise BadKey(
            f"expected one of {', '.join(sorted(_KINDS))} and the key in base64",
            hint="lines with options before the key are not taken, since an option takes rights away",
        )
    try:
        blob = base64.b64decode(words[1], validate=True)
        load_ssh_public_key(f"{words[0]} {words[1]}".encode())
    except (ValueError, binascii.Error, TypeError):
        raise BadKey("the key is damaged: expected base64 of a key of the kind that is named") from None
    except UnsupportedAlgorithm as error:
        raise BadKey(f"not a public key that is taken: {error}") from None
    return blob


def checker_of(description: str, folder: Path | None = None) -> Checker:
    """A checker by its description: what kind, a colon, and what that kind wants to know.

    Args:
        description: ``accounts:FILE``, ``passwords:FILE``, ``keys:FOLDER``, ``anonymous:``, or a kind of a plug-in.
        folder: Where relative paths begin.

    Raises:
        UnknownChecker.
    """
    kind, colon, rest = description.partition(":")
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
    found = list(importlib.metadata.entry_points(group=GROUP, name=kind)) if colon else []
    if not found:
        known = sorted({*ours, "anonymous", *(point.name for point in importlib.metadata.entry_points(group=GROUP))})
        raise UnknownChecker(f"no checker {kind!r}, known are: {', '.join(known)}", hint="as in accounts:users.db")
    made: Checker = found[0].load()(rest, folder or Path())
    return made


def _told(lines: list[str]) -> list[tuple[int, str]]:
    return [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]


def _wrong(file: _Watched, number: int, what: str) -> AccountsDamaged:
    file.seen = None  # looked at again next time
    return AccountsDamaged(f"{file.path}:{number}: {what}")
