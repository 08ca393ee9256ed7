"""Tickets: the right to look at one file under the name for previews, where nothing else shows who asks.

Flow: a page -> Tickets.give -> a word in an address -> find -> Ticket: one file of one version
Never: leads from one file to another, or outlives its session.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ropewalk.errors import Missing
from ropewalk.pages.sessions import Session
from ropewalk.spaces.tree.entry import Entry
from ropewalk.spaces.version import Version

__all__ = ["IDLE", "MOST", "NoTicket", "Ticket", "Tickets"]

IDLE = 15 * 60.0  # seconds since it was used last: a film that is paused is loaded again after that
MOST = 2000  # files of one node that are looked at; the one that was not for longest goes first


class NoTicket(Missing):
    """The address of a preview is not good, or not any more."""

    code = "pages.no-ticket"


@dataclass(slots=True, eq=False)
class Ticket:
    """One file that may be looked at.

    Attributes:
        session: For whom.
        version, entry: The file, as it was.
        name: Its name.
        kind: How it is shown; see `previews`.
        until: Seconds of the clock, unless it is used.
    """

    session: Session
    version: Version
    entry: Entry
    name: bytes
    kind: str
    until: float = 0.0


class Tickets:
    """All that are good.

    Args:
        clock: Seconds, monotonic.
        random: Gives so many random bytes.
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._clock, self._random = clock, random
        self._held: OrderedDict[bytes, Ticket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def give(self, ticket: Ticket) -> str:
        """The word for it."""
        word = urlsafe_b64encode(self._random(24)).decode()
        ticket.until = self._clock() + IDLE
        self._held[_hash(word)] = ticket
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        return word

    def find(self, word: str) -> Ticket:
        """What may be looked at.

        Raises:
            NoTicket.
        """
        key, now = _hash(word), self._clock()
        ticket = self._held.get(key)
        if ticket is None or ticket.until <= now or ticket.session.ended or now >= ticket.session.until:
            self._held.pop(key, None)
            raise NoTicket("this preview is not shown any more", hint="load the page that showed it again")
        ticket.until = now + IDLE
        self._held.move_to_end(key)
        return ticket

    def forget(self, session: Session) -> None:
        """A session ended."""
        for key in [key for key, ticket in self._held.items() if ticket.session is session]:
            del self._held[key]


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode(errors="replace")).digest()
