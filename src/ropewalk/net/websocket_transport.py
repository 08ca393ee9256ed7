"""The transport over a WebSocket: what the user's protocol writes to.

Flow: the user's protocol -> WebSocketTransport -> Side, which frames
Never: holds bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["Bytes", "Side", "WebSocketTransport"]

Bytes = bytes | bytearray | memoryview


class Side(Protocol):
    """What a transport asks of the side of a WebSocket that it belongs to."""

    lower: asyncio.Transport
    protocol: asyncio.BaseProtocol | None
    closing: bool
    paused: bool

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed to speak."""

    def send(self, data: Bytes) -> None:
        """Bytes as messages."""

    def close(self) -> None:
        """Begin the closing."""

    def pause(self) -> None:
        """Show nothing for now."""

    def resume(self) -> None:
        """Show what comes again."""


class WebSocketTransport(asyncio.Transport):
    """The transport that the user's protocol is given."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self._side = side

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the lower transport knows, and ropewalk.subprotocol: the agreed one, or None."""
        if name == "ropewalk.subprotocol":
            return self._side.subprotocol
        return self._side.lower.get_extra_info(name, default)

    def write(self, data: Bytes) -> None:
        """Send one binary message, or several where it is long."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is {type(data).__name__!r}, expected a bytes-like object")
        self._side.send(data)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Send them joined."""
        self._side.send(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """A WebSocket ends in both directions at once (RFC 6455, 1.4)."""
        return False

    def write_eof(self) -> None:
        """Not possible.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a WebSocket has no half-close")

    def close(self) -> None:
        """Send what is written and a close frame, and wait for the peer's for some seconds."""
        self._side.close()

    def abort(self) -> None:
        """End at once."""
        self._side.closing = True
        self._side.lower.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._side.closing or self._side.lower.is_closing()

    def pause_reading(self) -> None:
        """Show nothing until `resume_reading`."""
        self._side.pause()

    def resume_reading(self) -> None:
        """Show what comes again."""
        self._side.resume()

    def is_reading(self) -> bool:
        """Whether what comes is shown."""
        return not self._side.paused and not self.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes of frames that the lower transport still has."""
        return self._side.lower.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high mark, of frames."""
        return self._side.lower.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Where the protocol is told to pause and to resume."""
        self._side.lower.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets what comes."""
        self._side.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what comes."""
        assert self._side.protocol is not None
        return self._side.protocol

    def __repr__(self) -> str:
        return f"<WebSocketTransport over {self._side.lower!r}>"
