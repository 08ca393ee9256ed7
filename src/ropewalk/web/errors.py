"""Errors of the web: what an app or its configuration does wrong, and what peers do.

Flow: configuration, lifespan, exchange -> one of these -> the caller, the app, or an answer to the peer
Never: carries what a peer sent.
"""

from __future__ import annotations

from ropewalk.errors import Misuse, PeerFault, Unavailable

__all__ = ["BadApp", "BadRequest", "BrokenAnswer", "Disconnected", "NotStarted"]


class BadApp(Misuse):
    """What a configuration names as an app cannot be imported, or is none; or its mounts contradict each other."""

    code = "web.bad-app"


class BrokenAnswer(Misuse):
    """An app sent what HTTP or ASGI does not allow, or in the wrong order."""

    code = "web.broken-answer"


class NotStarted(Unavailable):
    """The app says, or shows by what it raised, that it could not start."""

    code = "web.not-started"


class Disconnected(Unavailable, OSError):
    """The peer has gone, or was refused meanwhile: what an app sends reaches nobody."""

    code = "web.disconnected"


class BadRequest(PeerFault):
    """A request that is not taken.

    Attributes:
        answer: Status of the answer.
        lines: More header lines of it, with their ends.
    """

    code = "web.bad-request"

    def __init__(self, answer: int, message: str, *, lines: bytes = b"") -> None:
        super().__init__(message)
        self.answer, self.lines = answer, lines
