"""Accounts: names with stretched passwords, groups, public keys and tokens, in one SQLite file.

Flow: `ropewalk account` and programs -> Accounts -> SQLite; AccountsChecker reads the same
Never: keeps a password or a token that could be read back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ropewalk.auth.keys import checked_key
from ropewalk.auth.names import BadAccount, checked_name
from ropewalk.auth.passwords import plain_password, stretch
from ropewalk.errors import Damaged, Missing, Unavailable

__all__ = ["Account", "Accounts", "AccountsBusy", "AccountsDamaged", "KeptPassword", "NoAccount", "check_mode"]

_TABLES = (
    # folded: so that no two names differ in their case alone
    """create table account (name text primary key, folded text not null unique, password text, groups text not null)
        strict, without rowid""",
    """create table key (key blob primary key, name text not null references account on delete cascade,
        comment text not null) strict, without rowid""",
    # groups: what of the account's the token is good for; null: all
    """create table token (digest blob primary key, name text not null references account on delete cascade,
        ends real, comment text not null, groups text) strict, without rowid""",
)
_APPLICATION = 0x52574163  # "RWAc", so that another program's file is not taken for ours
_VERSION = 1
_LONGEST_COMMENT = 128


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


@dataclass(frozen=True, slots=True)
class KeptPassword:
    """What a login by password is checked against.

    Attributes:
        kept: The PHC string; None where there is no such account, or no password opens it.
        like: That of another account; a name that is not known is made to cost as much.
        groups: What the account belongs to.
    """

    kept: str | None = field(repr=False)
    like: str | None = field(repr=False)
    groups: frozenset[str]


class Accounts:
    """The accounts in a file; each call opens it anew, so that other processes may change it meanwhile.

    Args:
        path: The file; `add` makes it, readable for nobody else.
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
        joined = _joined(groups)
        kept = stretch(_checked_password(password)) if password is not None else None
        with self._open(write=True, make=True) as file:
            try:
                file.execute("insert into account values (?, ?, ?, ?)", (name, name.casefold(), kept, joined))
            except sqlite3.IntegrityError:
                raise BadAccount(
                    f"there is an account {name!r} already, or one that differs in its case alone"
                ) from None

    def remove(self, name: str) -> None:
        """An account, with its keys and tokens.

        Raises:
            NoAccount.
        """
        with self._open(write=True) as file:
            if not file.execute("delete from account where name = ?", (_text(name),)).rowcount:
                raise _none(name)

    def set_password(self, name: str, password: str | None) -> None:
        """Change a password; None: no password opens the account.

        Raises:
            NoAccount, BadAccount.
        """
        kept = stretch(_checked_password(password)) if password is not None else None
        with self._open(write=True) as file:
            if not file.execute("update account set password = ? where name = ?", (kept, _text(name))).rowcount:
                raise _none(name)

    def set_groups(self, name: str, groups: frozenset[str]) -> None:
        """Change what an account belongs to; who is in stays as they came.

        Raises:
            NoAccount, BadAccount.
        """
        joined = _joined(groups)
        with self._open(write=True) as file:
            if not file.execute("update account set groups = ? where name = ?", (joined, _text(name))).rowcount:
                raise _none(name)

    def stretched_anew(self, name: str, old: str, new: str) -> None:
        """Keep a password at today's cost, unless somebody has changed it meanwhile."""
        with self._open(write=True) as file:
            file.execute("update account set password = ? where name = ? and password = ?", (new, name, old))

    def add_key(self, name: str, key: bytes, comment: str = "") -> None:
        """Let the holder of a key in under this name.

        Args:
            name: Of the account.
            key: As SSH writes public keys, before base64.
            comment: For people.

        Raises:
            NoAccount, BadAccount: The key is somebody's already.
        """
        checked_key(key)
        _check_comment(comment)
        with self._open(write=True) as file:
            _check_there(file, name)
            try:
                file.execute("insert into key values (?, ?, ?)", (key, name, comment))
            except sqlite3.IntegrityError:
                raise BadAccount("the key belongs to an account already") from None

    def drop_keys(self, name: str, comment: str) -> int:
        """Take back the keys of this comment; how many there were."""
        with self._open(write=True) as file:
            return file.execute("delete from key where name = ? and comment = ?", (_text(name), comment)).rowcount

    def add_token(
        self, name: str, seconds: float | None = None, comment: str = "", groups: frozenset[str] | None = None
    ) -> str:
        """A new token; it is shown this once.

        Args:
            name: Of the account.
            seconds: How long it is good; None: until it is taken back.
            comment: For people, and for taking it back.
            groups: Its bearer belongs to these alone, as far as the account does; None: to all of the account's.

        Raises:
            NoAccount, BadAccount.
        """
        _check_comment(comment)
        if seconds is not None and not seconds > 0:
            raise BadAccount(f"got {seconds:g} seconds for a token, expected more than 0")
        joined = None if groups is None else _joined(groups)
        token = secrets.token_urlsafe(32)
        ends = self._clock() + seconds if seconds is not None else None
        with self._open(write=True) as file:
            _check_there(file, name)
            file.execute("delete from token where ends < ?", (self._clock(),))
            file.execute("insert into token values (?, ?, ?, ?, ?)", (_digest(token), name, ends, comment, joined))
        return token

    def drop_tokens(self, name: str, comment: str) -> int:
        """Take back the tokens of this comment; how many there were."""
        with self._open(write=True) as file:
            return file.execute("delete from token where name = ? and comment = ?", (_text(name), comment)).rowcount

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
                for name, password, groups in file.execute(
                    "select name, password, groups from account order by name"
                ).fetchall()
            ]

    def password_of(self, name: str) -> KeptPassword:
        """What a password for this name is checked against, whether there is such an account or not."""
        with self._open() as file:
            found = file.execute("select password, groups from account where name = ?", (_text(name),)).fetchone()
            # The neighbour by name: so names that there are not cost what the accounts of this file cost.
            like = file.execute(
                "select password from account where name > ? and password is not null order by name limit 1",
                (_text(name),),
            ).fetchone()
            like = like or file.execute("select password from account where password is not null limit 1").fetchone()
        kept, groups = found or (None, "")
        return KeptPassword(kept, like[0] if like else None, frozenset(groups.split()))

    def holder_of(self, key: bytes) -> tuple[str, frozenset[str]] | None:
        """Whose a key is."""
        with self._open() as file:
            row = file.execute(
                "select name, groups from key join account using (name) where key = ?", (key,)
            ).fetchone()
        return (row[0], frozenset(row[1].split())) if row else None

    def bearer_of(self, token: str) -> tuple[str, frozenset[str]] | None:
        """Whose a token is, unless its time is over; with the groups that it is good for."""
        with self._open() as file:
            row = file.execute(
                "select name, account.groups, token.groups from token join account using (name) "
                "where digest = ? and (ends is null or ends > ?)",
                (_digest(token), self._clock()),
            ).fetchone()
        if not row:
            return None
        groups = frozenset(row[1].split())
        return row[0], groups if row[2] is None else groups & frozenset(row[2].split())

    @contextmanager
    def _open(self, *, write: bool = False, make: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if make and not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o600)
            check_mode(self.path, self.path.stat())
            # A reader may write too, where the system lets it: what a writer left half done must be undone first.
            file = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=5, isolation_level=None
            )
        except FileNotFoundError:
            raise AccountsBusy(f"no file of accounts {self.path}", hint="`ropewalk account add` makes it") from None
        except (sqlite3.Error, OSError) as error:
            raise AccountsBusy(f"accounts in {self.path} cannot be opened: {error}") from None
        try:
            file.execute("pragma foreign_keys = on")
            file.execute(f"pragma query_only = {not write}")
            # Writers take their turn before they look: what was seen still holds when it is written.
            file.execute("begin immediate" if write else "begin")
            with file:
                self._check_ours(file, make)
                yield file
        except sqlite3.OperationalError as error:
            raise AccountsBusy(f"accounts in {self.path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise AccountsDamaged(f"accounts in {self.path} cannot be read: {error}") from None
        finally:
            file.close()

    def _check_ours(self, file: sqlite3.Connection, make: bool) -> None:
        (found,) = file.execute("pragma application_id").fetchone()
        if make and not found and not file.execute("select 1 from sqlite_master").fetchone():
            for statement in (*_TABLES, f"pragma application_id = {_APPLICATION}", f"pragma user_version = {_VERSION}"):
                file.execute(statement)
            return
        if found != _APPLICATION:
            raise AccountsDamaged(f"{self.path} is not a file of accounts", hint="`ropewalk account add` makes one")
        (version,) = file.execute("pragma user_version").fetchone()
        if version != _VERSION:
            raise AccountsDamaged(f"{self.path} is a file of accounts of version {version}, expected {_VERSION}")


def check_mode(path: Path, found: os.stat_result) -> None:
    """Whether a file may be believed about who is let in.

    Raises:
        AccountsDamaged: Anybody on this machine can write to it.
    """
    if os.name == "posix" and found.st_mode & stat.S_IWOTH:
        raise AccountsDamaged(f"{path} can be changed by anybody on this machine", hint=f"chmod o-w {path}")


def _check_there(file: sqlite3.Connection, name: str) -> None:
    if file.execute("select 1 from account where name = ?", (_text(name),)).fetchone() is None:
        raise _none(name)


def _none(name: str) -> NoAccount:
    return NoAccount(f"no account {name[:80]!a}", hint="`ropewalk account list` shows them")


def _checked_password(password: str) -> str:
    if not 1 <= len(password) <= 1024:
        raise BadAccount(f"got a password of {len(password)} characters, expected 1 to 1,024")
    if not plain_password(password).isprintable():
        raise BadAccount("the password has characters that nobody can type")
    return password


def _check_comment(comment: str) -> None:
    if not comment.isprintable() or len(comment) > _LONGEST_COMMENT:
        raise BadAccount(f"got the comment {comment[:80]!a}, expected a line of at most {_LONGEST_COMMENT}")


def _joined(groups: frozenset[str]) -> str:
    return " ".join(sorted(checked_name(group, "group") for group in groups))


def _text(name: str) -> str:
    """As SQLite takes it: what has no UTF-8 is nobody's name."""
    return name.encode(errors="replace").decode()


def _digest(token: str) -> bytes:
    """Tokens are random enough that a plain hash keeps them; passwords are not, and are stretched."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
