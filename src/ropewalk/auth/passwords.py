"""Passwords: stretched before they are kept, and compared so that time tells nothing.

Flow: password -> Argon2id in a thread -> PHC string -> file; password, PHC string -> whether they agree
Never: keeps a password, or stretches more at once than its memory allows.
Source: RFC 9106; the PHC string format.
"""

from __future__ import annotations

import asyncio
import os
import re

from ropewalk import argon2
from ropewalk.errors import Unavailable

__all__ = ["Stretcher", "TooBusy", "is_hash", "stretch"]

# What others wrote may ask for more than we do, but not for so much that one login stops the machine.
_HASH = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}")
_MOST_MEMORY, _MOST_PASSES, _MOST_LANES = 1024 * 1024, 20, 16


class TooBusy(Unavailable):
    """More passwords wait to be checked than ought to."""

    code = "auth.busy"


def stretch(password: str) -> str:
    """The PHC string to keep (about 0.1 s and 64 MiB)."""
    return argon2.kept(password.encode())


def is_hash(text: str) -> bool:
    """Whether this is a PHC string that may be checked here."""
    found = _HASH.fullmatch(text)
    if not found:
        return False
    memory, passes, lanes = (int(part) for part in found.groups())
    return 8 * lanes <= memory <= _MOST_MEMORY and 1 <= passes <= _MOST_PASSES and 1 <= lanes <= _MOST_LANES


class Stretcher:
    """Checks passwords in a thread, one after the other: each takes 64 MiB and a core or two for about 0.1 s.

    Args:
        waiting: How many more may wait for their turn.
    """

    def __init__(self, waiting: int = 64) -> None:
        self._turn = asyncio.Lock()
        self._room = 1 + waiting
        self._nobodys: str | None = None

    async def agree(self, password: str, kept: str | None) -> bool:
        """Whether a password is the kept one; None, for a name that is not known, takes as long and is False.

        Raises:
            TooBusy.
        """
        if self._room <= 0:
            raise TooBusy("too many logins at once", hint="try again in a moment")
        self._room -= 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._agree, password, kept)
        finally:
            self._room += 1

    def _agree(self, password: str, kept: str | None) -> bool:
        if self._nobodys is None:
            self._nobodys = stretch(os.urandom(16).hex())
        right = argon2.agrees(password.encode(errors="surrogateescape"), kept or self._nobodys)
        return right and kept is not None
