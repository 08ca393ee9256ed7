"""Files: passwords in one text file, SSH keys in a folder, as people keep them with an editor.

Flow: login -> the file, read again in a thread if it has changed -> Identity
Never: reads on the event loop, passes over a line that it does not understand, or follows a name out of its folder.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from ropewalk.auth.accounts import AccountsDamaged, check_mode
from ropewalk.auth.credentials import Credentials, HeldKey, Password
from ropewalk.auth.interface import Denied, Identity
from ropewalk.auth.keys import public_key
from ropewalk.auth.names import checked_name
from ropewalk.auth.passwords import Stretcher, is_hash
from ropewalk.errors import Misuse, Unavailable

__all__ = ["FileSilent", "KeysChecker", "PasswordsChecker"]

T = TypeVar("T")

_log = logging.getLogger("ropewalk.auth")
_MOST = 4 * 1024 * 1024  # bytes of a file that people keep
_MOST_KEYS = 64 * 1024  # bytes of one account's keys: some hundred
_MOST_FILES = 1000  # accounts whose keys are remembered

Line = tuple[int, str]
Kept = dict[str, tuple[str, frozenset[str]]]


class FileSilent(Unavailable):
    """A checker's file cannot be read now."""

    code = "auth.file-unavailable"


class _Watched(Generic[T]):
    """What a text file says, read again when it has changed. Any thread may ask."""

    def __init__(self, path: Path, parse: Callable[[list[Line]], T], most: int) -> None:
        self.path = path
        self._parse, self._most = parse, most
        self._lock = Lock()
        self._seen: tuple[int, ...] = ()
        self._said: T

    def said(self) -> T:
        """What it says now.

        Raises:
            FileSilent: It cannot be read.
            AccountsDamaged: It is not what it must be; so it stays until it is right, whatever it said before.
        """
        with self._lock:
            try:
                with open(self.path, "rb", opener=_at_once) as file:
                    found = os.fstat(file.fileno())
                    # The time of change too: a copy can bring its old time of writing with it.
                    seen = (found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
                    if seen == self._seen:
                        return self._said
                    self._seen = ()
                    if not stat.S_ISREG(found.st_mode):
                        raise AccountsDamaged(f"{self.path} is not a file")
                    check_mode(self.path, found)
                    data = file.read(self._most + 1)
            except OSError as error:
                self._seen = ()
                raise FileSilent(f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}") from None
            self._said = self._read(data)
            self._seen = seen
            return self._said

    def _read(self, data: bytes) -> T:
        if len(data) > self._most:
            raise AccountsDamaged(f"{self.path} has more than {self._most:,} bytes")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise AccountsDamaged(f"{self.path} is not UTF-8 at byte {error.start}") from None
        # At line feeds alone: to an editor, other characters at which Python would cut are part of a line.
        lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
        try:
            return self._parse([(number, line) for number, line in lines if line and not line.startswith("#")])
        except _Wrong as error:
            raise AccountsDamaged(f"{self.path}:{error.args[0]}: {error.args[1]}") from None


def _at_once(path: str, flags: int) -> int:
    """A pipe would else let us wait for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Wrong(Exception):
    """A line number, and what is wrong there."""


class PasswordsChecker:
    """A text file with a line for each account: ``name:hash`` or ``name:hash:group,group``.

    Hashes are Argon2id's, as PHC strings. Empty lines and those that begin with ``#`` are passed over. It is read again
    when it has changed; if it is wrong then, the error is raised to whoever logs in, and nobody gets in.
    """

    takes = (Password,)

    def __init__(self, path: Path, stretcher: Stretcher | None = None) -> None:
        self._file = _Watched(path, _accounts, _MOST)
        self._stretcher = stretcher or Stretcher()

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are."""
        if not isinstance(credentials, Password):
            raise Denied
        accounts = await asyncio.to_thread(self._file.said)
        kept, groups = accounts.get(credentials.name, (None, frozenset()))
        # Hashes that others made may cost more or less than ours: a name that there is not costs what one of those
        # that there are does, and always the same one's.
        other = hash(credentials.name) % max(1, len(accounts))
        like, _ = next(islice(accounts.values(), other, None), (None, None))
        if not await self._stretcher.agree(credentials.password, kept, like):
            raise Denied
        return Identity(credentials.name, groups, "password")


def _accounts(lines: list[Line]) -> Kept:
    found: Kept = {}
    folded: set[str] = set()
    for number, line in lines:
        name, _, rest = line.partition(":")
        kept, _, groups = rest.partition(":")
        if not is_hash(kept):
            wanted = "expected name:$argon2id$... or name:$argon2id$...:group,group"
            raise _Wrong(number, f"{wanted}, neither weak nor too dear")
        try:
            checked_name(name)
            belongs = frozenset(checked_name(group, "group") for group in groups.split(",") if group)
        except Misuse as error:
            raise _Wrong(number, str(error)) from None
        if name.casefold() in folded:
            raise _Wrong(number, f"{name!r} was there before")
        folded.add(name.casefold())
        found[name] = kept, belongs
    return found


class KeysChecker:
    """A folder with a file for each account, named like it, as ``authorized_keys`` of OpenSSH: a public key a line.

    Lines with options are refused: an option takes rights away, and to pass over one would give them.
    A file that is wrong does not let its owner in, and the log alone says why: an error would tell that there is one.
    """

    takes = (HeldKey,)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Watched[frozenset[bytes]]] = {}

    async def check(self, credentials: Credentials) -> Identity:
        """Whose they are; the name must be given.

        Raises:
            FileSilent: The folder is not there.
            AccountsDamaged: Anybody can add to it.
        """
        if not isinstance(credentials, HeldKey):
            raise Denied
        try:
            name = checked_name(credentials.name)
        except Misuse:
            raise Denied from None
        if credentials.key not in await asyncio.to_thread(self._keys_of, name):
            raise Denied
        return Identity(name, frozenset(), "key", credentials.key)

    def _keys_of(self, name: str) -> frozenset[bytes]:
        try:
            check_mode(self._folder, self._folder.stat())
            names = os.listdir(self._folder)  # and not the file itself: some systems find ANNA where anna is
        except OSError as error:
            raise FileSilent(f"{self._folder} cannot be read: {(error.strerror or str(error)).lower()}") from None
        if name.startswith(".") or name not in names:
            return frozenset()
        while len(self._files) >= _MOST_FILES and name not in self._files:
            self._files.clear()
        file = self._files.setdefault(name, _Watched(self._folder / name, _keys, _MOST_KEYS))
        try:
            return file.said()
        except (FileSilent, AccountsDamaged) as error:
            _log.error("keys of an account cannot be used: %s", error, extra={"code": error.code})
            return frozenset()


def _keys(lines: list[Line]) -> frozenset[bytes]:
    keys = []
    for number, line in lines:
        try:
            keys.append(public_key(line))
        except Misuse as error:
            raise _Wrong(number, str(error)) from None
    return frozenset(keys)
