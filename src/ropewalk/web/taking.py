"""Taking over: a WebSocket that goes to an asyncio protocol, as bytes, instead of to an app as messages.

Flow: request for an upgrade -> an app's `takes(path, host)` -> Takes: a protocol's factory -> the connection is its own
Never: runs an app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ropewalk.web.quick import App

__all__ = ["Takes", "TakesOver", "takes_of"]


class Takes(NamedTuple):
    """What a WebSocket is given to.

    Attributes:
        factory: Of the protocol that gets its messages as bytes.
        most: Bytes of a message.
        stop: Asks such a protocol to end.
        origins: Of pages elsewhere that may open one, as browsers name them: https://www.example.org.
    """

    factory: Callable[[], asyncio.BaseProtocol]
    most: int
    stop: Callable[[asyncio.BaseProtocol], None]
    origins: frozenset[str] = frozenset()


class TakesOver(Protocol):
    """An app that takes WebSockets over."""

    def takes(self, path: str, host: bytes) -> Takes | None:
        """For a path below the app's mount, and a host as it came; None has the app run instead."""


def takes_of(app: App, path: str, host: bytes) -> Takes | None:
    """What an app would have take over a WebSocket at a path below its mount, if it would."""
    takes: Callable[[str, bytes], Takes | None] | None = getattr(app, "takes", None)
    return None if takes is None else takes(path, host)
