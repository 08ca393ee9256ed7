"""Passwords: stretched before they are kept, and compared so that time tells nothing.

Flow: password -> Argon2id in a thread -> PHC string -> file; password, PHC string -> whether they agree
Never: keeps a password, or stretches more at once than its memory allows.
Source: RFC 9106; the PHC string format; RFC 8265 section 4 for how a password is spelled.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from ropewalk import argon2
from ropewalk.errors import Unavailable

__all__ = ["Stretcher", "TooBusy", "is_current", "is_hash", "plain_password", "stretch"]

T = TypeVar("T")

_HASH = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}")
# What others wrote may ask for more than we do, but not for so much that one login stops the machine; nor for less
# than the weakest choice that OWASP's password storage cheat sheet names, 7 MiB and 5 passes or as much in all.
_LEAST_MEMORY, _LEAST_WORK = 7 * 1024, 7 * 1024 * 5
_MOST_MEMORY, _MOST_WORK, _MOST_LANES = 256 * 1024, 1024 * 1024, 16  # KiB; KiB times passes: about 0.6 s


class TooBusy(Unavailable):
    """More logins wait to be checked than ought to."""

    code = "auth.busy"


def plain_password(password: str) -> str:
    """The one spelling of a password, however its accents and spaces were typed."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


def stretch(password: str) -> str:
    """The PHC string to keep (about 0.1 s and 64 MiB)."""
    return argon2.kept(_bytes(password))


def is_hash(text: str) -> bool:
    """Whether this is a PHC string that may be checked here: neither too weak nor too dear."""
    found = _HASH.fullmatch(text)
    if not found:
        return False
    memory, passes, lanes = (int(part) for part in found.groups())
    dear_enough = memory >= _LEAST_MEMORY and memory * passes >= _LEAST_WORK
    return dear_enough and memory <= _MOST_MEMORY and memory * passes <= _MOST_WORK and 1 <= lanes <= _MOST_LANES


def is_current(kept: str) -> bool:
    """Whether a PHC string costs what `stretch` would make it cost now."""
    return kept.startswith(_COSTS)


class Stretcher:
    """Checks passwords in a thread, one after the other: each takes 64 MiB and a core or two for about 0.1 s.

    Args:
        waiting: How many more may wait for their turn.
    """

    def __init__(self, waiting: int = 64) -> None:
        self._turn = asyncio.Lock()
        self._room = 1 + waiting

    async def agree(self, password: str, kept: str | None, like: str | None = None) -> bool:
        """Whether a password is the kept one.

        Args:
            password: The password.
            kept: The PHC string; None, for a name that is not known, takes as long and is False, as does what is none.
            like: What is kept of somebody else, so that a name that is not known costs what another does.

        Raises:
            TooBusy.
        """
        return await self._in_turn(lambda: self._agree(password, kept, like))

    async def stretched(self, password: str) -> str:
        """As `stretch`, in turn.

        Raises:
            TooBusy.
        """
        return await self._in_turn(lambda: stretch(password))

    async def _in_turn(self, call: Callable[[], T]) -> T:
        if self._room <= 0:
            raise TooBusy("too many logins at once", hint="try again in a moment")
        self._room -= 1
        try:
            await self._turn.acquire()
        except BaseException:
            self._room += 1
            raise
        try:
            work = asyncio.get_running_loop().run_in_executor(None, call)
        except BaseException:
            self._leave()
            raise
        # A thread cannot be stopped: who gives up leaves it the turn and the room until it is done. Else peers that
        # hang up at once would fill the executor with work that nobody waits for.
        work.add_done_callback(self._done)
        return await asyncio.shield(work)

    def _done(self, work: asyncio.Future[T]) -> None:
        self._leave()
        if not work.cancelled():
            work.exception()  # was raised to whoever waits, if somebody does

    def _leave(self) -> None:
        self._turn.release()
        self._room += 1

    def _agree(self, password: str, kept: str | None, like: str | None) -> bool:
        known = kept is not None and is_hash(kept)
        against = kept if known and kept else like if like and is_hash(like) else _NOBODYS
        right = argon2.agrees(_bytes(password), against)
        return right and known


def _bytes(password: str) -> bytes:
    return plain_password(password).encode(errors="surrogatepass")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


_COSTS = f"$argon2id$v=19$m={argon2.MEMORY},t={argon2.PASSES},p={argon2.LANES}$"
_NOBODYS = f"{_COSTS}{_text(os.urandom(16))}${_text(os.urandom(32))}"  # agrees with no password, and costs as much
