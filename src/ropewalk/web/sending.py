"""Sending: a part of a file over a transport, without its bytes passing through Python where that can be.

Flow: open file, offset, count -> os.sendfile on a socket of ours, or bounded reads in a thread -> the transport
Never: holds more of a file than one piece.

uvloop has no `loop.sendfile`, and no loop lets the descriptor of a transport be watched; a copy of it can be.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["DirectSending", "can_send_directly", "half_closed", "pieces_of"]

_PIECE = 256 * 1024  # bytes read at once: a thread's call costs 80 us, little beside reading and sending so much
_AT_ONCE = 1024 * 1024  # bytes given to the kernel in one turn of the loop


def half_closed(transport: asyncio.Transport) -> bool:
    """Say that this was all, and let the peer go on; False where neither can be, or where it has just gone."""
    if not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:  # what was written before was answered with a reset
        return False
    return True


def can_send_directly(transport: asyncio.Transport) -> bool:
    """Whether there is a socket to which the kernel can copy: no TLS, no other layer."""
    if not hasattr(os, "sendfile") or transport.get_extra_info("sslcontext") is not None:
        return False
    endpoint = transport.get_extra_info("endpoint")
    plain = endpoint is None or not {"tls", "ws"} & set(endpoint.layers)
    return plain and transport.get_extra_info("socket") is not None


class DirectSending:
    """The kernel copies from a file to a socket.

    Attributes:
        moved: Bytes that it took so far.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._ready: asyncio.Future[Any] | None = None
        self._stopped = False
        self.moved = 0

    def stop(self) -> None:
        """The connection is gone."""
        self._stopped = True
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def send(self, file: int, offset: int, count: int) -> int:
        """Send so many bytes.  Nothing may wait in the transport's own buffer.

        Returns:
            How many were sent; fewer where the file ended.

        Raises:
            OSError: The connection is gone, or the file cannot be read.
        """
        sock = os.dup(self._transport.get_extra_info("socket").fileno())
        self.moved = 0
        try:
            while self.moved < count:
                if self._stopped or self._transport.is_closing():
                    raise ConnectionResetError("connection closed while a file was sent")
                try:
                    sent = os.sendfile(sock, file, offset + self.moved, min(count - self.moved, _AT_ONCE))
                except BlockingIOError:
                    await self._writable(sock)
                    continue
                if not sent:
                    break
                self.moved += sent
                if self.moved < count:
                    await asyncio.sleep(0)  # the others have their turn
        finally:
            os.close(sock)
        return self.moved

    async def _writable(self, sock: int) -> None:
        loop = asyncio.get_running_loop()
        ready = self._ready = loop.create_future()
        loop.add_writer(sock, _set, ready)
        try:
            await ready
        finally:
            self._ready = None
            loop.remove_writer(sock)


def _set(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_result(None)


async def pieces_of(file: int, offset: int, count: int, take: Callable[[bytes], Awaitable[None]]) -> int:
    """Read a part of a file in a thread, piece by piece, each when the one before was taken.

    Returns:
        How many bytes; fewer where the file ended.
    """
    done = 0
    while done < count:
        piece = await asyncio.to_thread(os.pread, file, min(_PIECE, count - done), offset + done)
        if not piece:
            break
        done += len(piece)
        await take(piece)
    return done
