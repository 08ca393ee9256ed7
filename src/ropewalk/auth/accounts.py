"""Accounts: names with stretched passwords, groups, public keys and tokens, in one SQLite file.

Flow: `ropewalk account` and programs -> Accounts -> SQLite; AccountsChecker reads the same
Never: keeps a password or a token that could be read back.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ropewalk.auth.passwords import stretch
from ropewalk.errors import Damaged, Missing, Misuse, Unavailable

__all__ = ["Account", "Accounts", "AccountsDamaged", "BadAccount", "NoAccount", "checked_name"]

_NAME = re.compile(r"[\w.@+-]{1,64}")
_TABLES = """
create table if not exists account (name text primary key, password text, groups text not null) strict, without rowid;
create table if not exists key (key blob primary key, name text not null references account on delete cascade,
    comment text not null) strict, without rowid;
create table if not exists token (digest blob primary key, name text not null references account on delete cascade,
    ends real, comment text not null) strict, without rowid;
"""
_APPLICATION = 0x52574163  # "RWAc", so that another program's file is not taken for ours


class BadAccount(Misuse):
    """A name, a group, a password or a key that cannot be one."""

    code = "auth.bad-account"


class NoAccount(Missing):
    """There is no account of this name."""

    code = "auth.no-account"


class AccountsDamaged(Damaged):
    """The file is not one of accounts, or cannot be read as one."""

    code = "auth.accounts-damaged"


class AccountsBusy(Unavailable):
    """Another process writes to the file, or it cannot be opened."""

    code = "auth.accounts-unavailable"


@dataclass(frozen=True, slots=True)
class Account:
    """One account, without its secrets."""

    name: str
    groups: frozenset[str]
    has_password: bool
    keys: tuple[str, ...]  # comments
    tokens: tuple[str, ...]  # comments


def checked_name(name: str, what: str = "name") -> str:
    """``name``, once it is known to be one.

    Raises:
        BadAccount.
    """
    if not _NAME.fullmatch(name):
        raise BadAccount(f"got {name[:80]!r}, expected a {what} of 1 to 64 letters, digits, or any of _ . @ + -")
    return name


class Accounts:
    """The accounts in a file; each call opens it anew, so that other processes may change it meanwhile.

    Args:
        path: The file; made, readable for nobody else, when something is first written.
        clock: Seconds since 1970, for the ends of tokens.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock

    def add(self, name: str, password: str | None = None, groups: frozenset[str] = frozenset()) -> None:
        """A new account.

        Raises:
            BadAccount: The name is taken, or something cannot be what it is said to be.
        """
        checked_name(name)
        joined = " ".join(sorted(checked_name(group, "group") for group in groups))
        kept = stretch(_checked_password(password)) if password is not None else None
        with self._open(write=True) as file:
            try:
                file.execute("insert into account values (?, ?, ?)", (name, kept, joined))
            except sqlite3.IntegrityError:
                raise BadAccount(f"there is an account {name!r} already") from None

    def remove(self, name: str) -> None:
        """An account, with its keys and tokens.

        Raises:
            NoAccount.
        """
        with self._open(write=True) as file:
            if not file.execute("delete from account where name = ?", (name,)).rowcount:
                raise _none(name)

    def set_password(self, name: str, password: str | None) -> None:
        """Change a password; None: no password opens the account.

        Raises:
            NoAccount, BadAccount.
        """
        kept = stretch(_checked_password(password)) if password is not None else None
        with self._open(write=True) as file:
            if not file.execute("update account set password = ? where name = ?", (kept, name)).rowcount:
                raise _none(name)

    def add_key(self, name: str, key: bytes, comment: str = "") -> None:
        """Let the holder of a key in under this name.

        Args:
            name: Of the account.
            key: As SSH writes public keys, before base64.
            comment: For people.

        Raises:
            NoAccount, BadAccount: The key is somebody's already.
        """
        with self._open(write=True) as file:
            _check_there(file, name)
            try:
                file.execute("insert into key values (?, ?, ?)", (key, name, comment))
            except sqlite3.IntegrityError:
                raise BadAccount("the key belongs to an account already") from None

    def add_token(self, name: str, seconds: float | None = None, comment: str = "") -> str:
        """A new token; it is shown this once.

        Args:
            name: Of the account.
            seconds: How long it is good; None: until it is taken back.
            comment: For people, and for taking it back.

        Raises:
            NoAccount.
        """
        token = secrets.token_urlsafe(32)
        ends = self._clock() + seconds if seconds is not None else None
        with self._open(write=True) as file:
            _check_there(file, name)
            file.execute("delete from token where ends < ?", (self._clock(),))
            file.execute("insert into token values (?, ?, ?, ?)", (_digest(token), name, ends, comment))
        return token

    def drop_tokens(self, name: str, comment: str) -> int:
        """Take back the tokens of this comment; how many there were."""
        with self._open(write=True) as file:
            return file.execute("delete from token where name = ? and comment = ?", (name, comment)).rowcount

    def all(self) -> list[Account]:
        """Every account, by name."""
        with self._open() as file:
            return [
                Account(
                    name,
                    frozenset(groups.split()),
                    password is not None,
                    tuple(row[0] for row in file.execute("select comment from key where name = ?", (name,))),
                    tuple(row[0] for row in file.execute("select comment from token where name = ?", (name,))),
                )
                for name, password, groups in file.execute("select * from account order by name").fetchall()
            ]

    def password_of(self, name: str) -> tuple[str | None, frozenset[str]]:
        """The kept password and the groups; (None, none) for a name that there is not."""
        with self._open() as file:
            row = file.execute("select password, groups from account where name = ?", (name,)).fetchone()
        return (row[0], frozenset(row[1].split())) if row else (None, frozenset())

    def holder_of(self, key: bytes) -> tuple[str, frozenset[str]] | None:
        """Whose a key is."""
        return self._one("select name, groups from key join account using (name) where key = ?", key)

    def bearer_of(self, token: str) -> tuple[str, frozenset[str]] | None:
        """Whose a token is, unless its time is over."""
        return self._one(
            "select name, groups from token join account using (name) where digest = ? and (ends is null or ends >= ?)",
            _digest(token),
            self._clock(),
        )

    def _one(self, query: str, *values: object) -> tuple[str, frozenset[str]] | None:
        with self._open() as file:
            row = file.execute(query, values).fetchone()
        return (row[0], frozenset(row[1].split())) if row else None

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        if write and not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        try:
            file = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={'rw' if write else 'ro'}", uri=True, timeout=5
            )
        except sqlite3.Error as error:
            raise AccountsBusy(f"accounts in {self.path} cannot be opened: {error}") from None
        try:
            file.execute("pragma foreign_keys = on")
            (found,) = file.execute("pragma application_id").fetchone()
            if write and not found and not file.execute("select 1 from sqlite_master").fetchone():
                file.executescript(f"pragma application_id = {_APPLICATION}; {_TABLES}")
            elif found != _APPLICATION:
                raise AccountsDamaged(f"{self.path} is not a file of accounts", hint="`ropewalk account add` makes one")
            with file:
                yield file
        except sqlite3.OperationalError as error:
            raise AccountsBusy(f"accounts in {self.path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise AccountsDamaged(f"accounts in {self.path} cannot be read: {error}") from None
        finally:
            file.close()


def _check_there(file: sqlite3.Connection, name: str) -> None:
    if file.execute("select 1 from account where name = ?", (name,)).fetchone() is None:
        raise _none(name)


def _none(name: str) -> NoAccount:
    return NoAccount(f"no account {name[:80]!r}", hint="`ropewalk account list` shows them")


def _checked_password(password: str) -> str:
    if not 1 <= len(password) <= 1024:
        raise BadAccount(f"got a password of {len(password)} characters, expected 1 to 1,024")
    if not password.isprintable():
        raise BadAccount("the password has characters that nobody can type")
    return password


def _digest(token: str) -> bytes:
    """Tokens are random enough that a plain hash keeps them; passwords are not, and are stretched."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
