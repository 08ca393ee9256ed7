"""Quick: answers that are in memory, given from within the read, without a coroutine.

Flow: connection, idle -> Asked -> an app's `quick` -> Answer, or None: then the same request goes the ASGI way
Never: waits, or has more of a request than its head.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["Answer", "App", "Asked", "Message", "Quick", "Receive", "Scope", "Send", "quick_of"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Asked(NamedTuple):
    """What is asked for.

    Attributes:
        method: GET or HEAD.
        path: Below the mount, its %-codes decoded: "" or begins with a slash.
        headers: Names in lower case.
    """

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: Not below 200.
        lines: Header lines with their line ends, with the length of the body, without date and connection.
        body: Also where only the head is wanted: it is left out then.
    """

    status: int
    lines: bytes
    body: bytes


class Quick(Protocol):
    """An app that may answer without being run."""

    def quick(self, asked: Asked) -> Answer | None:
        """The answer, if it is here; None has the app run for the same request."""


def quick_of(app: App) -> Callable[[Asked], Answer | None] | None:
    """The app's quick way, if it has one."""
    quick: Callable[[Asked], Answer | None] | None = getattr(app, "quick", None)
    return quick
