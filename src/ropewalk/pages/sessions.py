"""Sessions: which browsers are in, until they leave, fall silent, or this process ends.

Flow: begin -> a word for a cookie -> find, by its hash -> Session -> end
Never: keeps the word itself, or one session more than there is room for.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["IDLE", "LONGEST", "MOST", "Session", "Sessions", "csrf_of"]

_log = logging.getLogger("ropewalk.pages")

IDLE, LONGEST = 8 * 3600.0, 24 * 3600.0  # seconds: a working day, and one day and night
MOST = 64  # people and browsers of one node; the one that was silent longest makes room
_WORD = 43  # characters of 32 bytes in base64


@dataclass(slots=True, eq=False)
class Session:
    """One browser that is in.

    Attributes:
        who: A name for people: whom the portal let in, or "" for the owner of this process.
        csrf: What forms of its pages carry.
        until: Seconds of the clock, at the latest.
        idle: Seconds of the clock, unless it is heard of.
        leave: Ends the login, where there was one.
        told: Called when it ends: what goes on for it ends then, too.
    """

    who: str
    csrf: str = field(repr=False)
    until: float
    idle: float
    leave: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    ended: bool = False
    told: list[Callable[[], None]] = field(default_factory=list, repr=False)


class Sessions:
    """All of them, in this process alone.

    Args:
        clock: Seconds, monotonic.
        random: Gives so many random bytes.
        on_end: Told of each that ended.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[int], bytes] = secrets.token_bytes,
        on_end: Callable[[Session], None] = lambda _: None,
    ) -> None:
        self._clock, self._random, self._on_end = clock, random, on_end
        self._held: dict[bytes, Session] = {}  # hash of the word, least lately heard of first

    def __len__(self) -> int:
        return len(self._held)

    async def begin(self, who: str = "", leave: Callable[[], Awaitable[None]] | None = None) -> str:
        """Let somebody in; the word for their cookie."""
        await self._drop_old()
        while len(self._held) >= MOST:
            await self._end(next(iter(self._held)))
        word, now = urlsafe_b64encode(self._random(32)).decode().rstrip("="), self._clock()
        self._held[_hash(word)] = Session(who, csrf_of(word), now + LONGEST, now + IDLE, leave)
        return word

    async def find(self, word: str) -> Session | None:
        """Whose word it is."""
        if len(word) != _WORD:
            return None
        await self._drop_old()
        key = _hash(word)
        session = self._held.pop(key, None)
        if session is not None:
            self._held[key] = session
            session.idle = self._clock() + IDLE
        return session

    def heard(self, session: Session) -> None:
        """Somebody is there who asks for no page, but types."""
        for key in [key for key, held in self._held.items() if held is session]:
            self._held[key] = self._held.pop(key)
            session.idle = self._clock() + IDLE

    async def left(self, session: Session) -> float:
        """Seconds until it ends unless it is heard of; 0 for one that has ended."""
        await self._drop_old()
        return 0.0 if session.ended else min(session.until, session.idle) - self._clock()

    async def end(self, session: Session) -> None:
        """Somebody leaves."""
        for key in [key for key, held in self._held.items() if held is session]:
            await self._end(key)

    async def aclose(self) -> None:
        """All leave."""
        for key in list(self._held):
            await self._end(key)

    async def _drop_old(self) -> None:
        now = self._clock()
        for key in [key for key, held in self._held.items() if now >= min(held.until, held.idle)]:
            await self._end(key)

    async def _end(self, key: bytes) -> None:
        session = self._held.pop(key, None)
        if session is None:
            return
        session.ended = True
        self._on_end(session)
        for call in session.told[:]:
            call()
        if session.leave is not None:
            try:
                await session.leave()
            except Exception:  # noqa: BLE001 - of a realm: it is not to end the request of somebody else
                _log.exception("ending a login", extra={"code": "pages.leave"})


def csrf_of(word: str) -> str:
    """What forms carry: made from the cookie, which no other page can read, and not leading back to it."""
    return hmac.new(word.encode(), b"ropewalk csrf", hashlib.sha256).hexdigest()


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode(errors="replace")).digest()
