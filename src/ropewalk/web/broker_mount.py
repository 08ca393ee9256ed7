"""Broker mount: remote objects at a path of a web server, over WebSocket.

Flow: Mounts({"/objects": RemoteObjects(host)}) -> a WebSocket at the path -> a session of the host
Never: takes anything but WebSockets, or one from a page of another origin unless that is allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from ropewalk.net.layers import LARGEST_MESSAGE
from ropewalk.web.mounts import not_here
from ropewalk.web.quick import Receive, Scope, Send
from ropewalk.web.taking import Takes

if TYPE_CHECKING:
    from ropewalk.broker import Host
    from ropewalk.broker.session import Session

__all__ = ["RemoteObjects"]


class RemoteObjects:
    """An app that gives WebSockets to a host of remote objects.

    Clients connect to ``ws://name:port/path`` or ``wss://``.

    Args:
        host: Whose sessions they are.
        most: Bytes of a message.
        origins: Of pages elsewhere that may connect; pages of this server and programs always may.
    """

    def __init__(self, host: Host, *, most: int = LARGEST_MESSAGE, origins: Iterable[str] = ()) -> None:
        self._takes = Takes(host.protocol, most, _stop, frozenset(origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is no WebSocket finds nothing."""
        await not_here(scope, receive, send)

    def takes(self, path: str, host: bytes) -> Takes | None:  # noqa: ARG002 - any host
        """Right at the mount's path, and nowhere below it."""
        return self._takes if path in {"", "/"} else None


def _stop(protocol: asyncio.BaseProtocol) -> None:
    cast("Session", protocol).close("the server stops")
