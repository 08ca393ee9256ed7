"""Sturdy references: names by which an object is found again, in another session or after a restart.

Flow: what an object is called here -> `grant` -> a random name for those who may have it -> `fetch` -> the object
Never: keeps the name itself, but its hash; finds anything by a name that was revoked.
Source: docs/spec/broker.md section 6.3.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ropewalk.broker.errors import NoSturdy
from ropewalk.broker.offers import Object, Reference
from ropewalk.errors import Damaged, Unavailable

__all__ = ["BadSturdies", "NotKept", "Sturdies"]

_BYTES = 24  # of a name
_LEAST, _MOST = 16, 64
_FORMAT: Literal[1] = 1

Found = Object | Reference | None
Finds = Callable[[str], "Found | Awaitable[Found]"]


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    format: Literal[1]
    sturdy: dict[Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")], str]  # hash of a name -> label


class BadSturdies(Damaged):
    """The file of sturdy references is not what it must be."""

    code = "broker.bad-sturdies"


class NotKept(Unavailable):
    """The file of sturdy references cannot be written."""

    code = "broker.sturdies-not-kept"


class Sturdies:
    """The sturdy references of one server, the only one that has this file. Each change writes the file anew.

    Args:
        find: The object of this label, or None where there is none any more; labels are the program's own, such as
            ``room/kitchen``, and mean the same after a restart.
        file: Where they are kept; None for as long as this process.

    Raises:
        BadSturdies: The file is there and is not one.
    """

    def __init__(self, find: Finds, file: Path | None = None) -> None:
        self._find, self._file = find, file
        self._labels: dict[str, str] = {}
        if file is not None and file.exists():
            self._labels = _read(file)

    def grant(self, label: str) -> bytes:
        """A new name for what has this label; each call gives another.

        Raises:
            NotKept: It would not survive a restart, and so was not given.
        """
        name = secrets.token_bytes(_BYTES)
        labels = {**self._labels, _hash(name): label}
        self._write(labels)
        self._labels = labels
        return name

    def revoke(self, name: bytes) -> bool:
        """Let a name stand for nothing from now on; whether it stood for something.

        Raises:
            NotKept: It is revoked, and after a restart would not be.
        """
        return bool(self._revoke([_hash(name)]))

    def revoke_all(self, label: str) -> int:
        """Revoke all names of a label; how many.

        Raises:
            NotKept: See `revoke`.
        """
        return self._revoke([hashed for hashed, one in self._labels.items() if one == label])

    def _revoke(self, hashes: Iterable[str]) -> int:
        gone = sum(self._labels.pop(hashed, None) is not None for hashed in hashes)
        if gone:
            self._write(self._labels)
        return gone

    async def fetch(self, name: bytes) -> Object | Reference:
        """What a name stands for.

        Raises:
            NoSturdy: Nothing, or nothing any more.
        """
        label = self._labels.get(_hash(name)) if _LEAST <= len(name) <= _MOST else None
        if label is not None:
            found = self._find(label)
            if inspect.isawaitable(found):
                found = await found
            if found is not None:
                return found
        raise NoSturdy("this sturdy reference is not known, or was revoked")

    def _write(self, labels: dict[str, str]) -> None:
        """Put these in the place of what the file has: all of them, or, when it ends in the middle, none."""
        if self._file is None:
            return
        text = msgspec.json.format(msgspec.json.encode(_Kept(_FORMAT, labels)), indent=1)
        beside = self._file.with_name(self._file.name + ".new")
        try:
            beside.unlink(missing_ok=True)  # with whatever rights, and of whomever, it may be
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise NotKept(f"{self._file} cannot be written: {error}") from error


def _hash(name: bytes) -> str:
    # A name is random and long: a plain hash of it cannot be turned round, nor guessed by the time of a look-up.
    return hashlib.sha256(b"ropewalk sturdy 1\0" + name).hexdigest()


def _read(file: Path) -> dict[str, str]:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError) as error:
        raise BadSturdies(f"{file} cannot be read as sturdy references: {error}") from None
    return kept.sturdy
