"""Echo: gives back what it gets; the smallest protocol there is, to try endpoints with.

Flow: bytes -> the same bytes, in order
Never: holds more than the transport's own buffers: while the peer does not read, nothing is read from it.
Source: RFC 862.
"""

from __future__ import annotations

import asyncio
from typing import cast

from ropewalk.net.serving import Serving

__all__ = ["Echo", "EchoService"]


class Echo(asyncio.Protocol):
    """Gives back what it gets."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class EchoService(Serving):
    """Kind ``echo``."""

    def protocol(self) -> asyncio.Protocol:
        """An echo."""
        return Echo()
