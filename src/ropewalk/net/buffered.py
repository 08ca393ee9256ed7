"""Delivering bytes to a protocol of either kind, for transports that we write ourselves.

Flow: memory, WebSocket, stdio -> deliver -> data_received, or get_buffer and buffer_updated
Never: keeps bytes.
"""

from __future__ import annotations

import asyncio
from typing import cast

__all__ = ["deliver", "report"]


def deliver(protocol: asyncio.BaseProtocol, data: bytes | bytearray | memoryview) -> None:
    """Hand bytes to a protocol.

    Raises:
        RuntimeError: A buffered protocol lent an empty buffer.
    """
    if not isinstance(protocol, asyncio.BufferedProtocol):
        cast(asyncio.Protocol, protocol).data_received(data if isinstance(data, bytes) else bytes(data))
        return
    rest = memoryview(data)
    while rest:
        # Asked for each time: the protocol may give another buffer after each update.
        room = memoryview(protocol.get_buffer(len(rest)))
        if not room.nbytes:
            raise RuntimeError("get_buffer() returned an empty buffer")
        size = min(room.nbytes, rest.nbytes)
        room.cast("B")[:size] = rest[:size]
        room.release()
        protocol.buffer_updated(size)
        rest = rest[size:]


def report(protocol: asyncio.BaseProtocol, transport: asyncio.BaseTransport, error: BaseException, what: str) -> None:
    """Tell the loop that the user's protocol failed, as the loop's own transports do."""
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": f"fatal error: {what} failed",
            "exception": error,
            "transport": transport,
            "protocol": protocol,
        }
    )
