"""One connection: what we know of it from accept to loss, and who is told.

Flow: accepting or connecting -> Connection -> guard -> made, opened, lost -> the listener's book
Never: touches the bytes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from ropewalk.errors import PeerFault
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.kernel import CountedSocket
from ropewalk.net.proxy import Proxied

__all__ = ["Book", "Connection", "fault"]

_CREDENTIALS = struct.Struct("3i")  # struct ucred of sys/socket.h: process, user, group


class Book(Protocol):
    """Who keeps count of connections."""

    def opened(self, connection: Connection) -> None:
        """The user's protocol is about to be told that it is connected."""

    def leaving(self, connection: Connection) -> None:
        """It closes once all that is written is sent; nothing more is read."""

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """It is lost, whether or not it was ever opened."""


class Connection:
    """What is known of one connection.

    Attributes:
        endpoint: What it came by.
        listener: Name of the listener, or "" at the side that connected.
        socket: What the kernel is asked about; None where there is no socket of ours.
        link: The transport above the loop's, once it is made.
        top: The transport that the user's protocol has: the link, or a WebSocket over it.
        bottom: The protocol that the link serves: the user's, or a WebSocket's.
        protocol: The user's protocol.
        ready: For layers whose handshake goes on above the loop's transport: done when the user's protocol is told.
        check: Called before anybody is told; what it raises ends the connection.
        failure: Why it ended before it was open.
        fault: Which rule the peer broke once it was open, of a layer or of the user's protocol.
        under_tls: TLS stands below the protocol, from the beginning or since `start_tls`.
        counting: Bytes are counted here, since a limit needs them and the kernel does not count.
        number: Unique among those that listeners of this process accepted, later ones higher; 0 until it is open.
    """

    __slots__ = (
        "address",
        "asked",
        "began",
        "book",
        "bottom",
        "bytes_in",
        "bytes_out",
        "check",
        "counting",
        "endpoint",
        "failure",
        "fault",
        "link",
        "listener",
        "marked",
        "number",
        "over",
        "protocol",
        "proxied",
        "ready",
        "reported",
        "since",
        "socket",
        "top",
        "under_tls",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        listener: str = "",
        book: Book | None = None,
        sock: CountedSocket | None = None,
        counting: bool = False,
        proxied: Proxied | None = None,
        check: Callable[[asyncio.Transport], None] | None = None,
    ) -> None:
        self.endpoint, self.listener, self.book, self.socket = endpoint, listener, book, sock
        self.counting, self.proxied, self.check = counting, proxied, check
        self.under_tls = "tls" in endpoint.layers
        self.link: asyncio.Transport | None = None
        self.top: asyncio.Transport | None = None
        self.bottom: asyncio.BaseProtocol | None = None
        self.protocol: asyncio.BaseProtocol | None = None
        self.ready: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None
        self.fault: Exception | None = None
        self.address: bytes | None = None  # what the admission counts it by
        self.bytes_in = self.bytes_out = 0
        self.number = 0
        self.reported = (0, 0)  # bytes that are in the metrics already
        self.marked = -1  # bytes in all when the idle sweep last saw some move
        self.since = self.began = 0.0  # when that was; when it was opened
        self.over = self.asked = False  # lost; asked to go by the idle sweep

    def made(self, link: asyncio.Transport) -> None:
        """The loop's transport is there."""
        self.link = link
        if self.ready is None:
            self.top, self.protocol = link, self.bottom
            if self.book is not None:
                self.book.opened(self)

    def raised(self, top: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        """A layer above the loop's transport has ended its handshake."""
        self.top, self.protocol = top, protocol
        if self.book is not None:
            self.book.opened(self)
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)

    def fail(self, why: Exception) -> None:
        """A layer above the loop's transport has failed, in its handshake or after it."""
        if self.top is not None:
            self.fault = why
            return
        self.failure = self.failure or why
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)  # who waits looks at `failure`; an exception nobody fetched would be logged

    async def wait_ready(self) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Wait until all handshakes are done: the user's transport and protocol.

        Raises:
            Exception: One of them failed; this is why.
        """
        if self.ready is not None:
            await self.ready
        if self.failure is not None:
            raise self.failure
        if self.top is None or self.protocol is None:
            raise ConnectionResetError("connection lost in its handshake")
        return self.top, self.protocol

    def upgraded(self, link: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        """TLS was started in the middle: another transport, and maybe another protocol."""
        self.link = self.top = link
        self.bottom = self.protocol = protocol

    def end(self, *, now: bool = False) -> None:
        """Close it: once all that is written is sent, as far as its peer takes it, or now."""
        if now and self.link is not None:
            self.link.abort()
        elif self.top is not None:
            self.top.close()

    def leaving(self) -> None:
        """It closes, for whatever reason, once all that is written is sent."""
        if self.book is not None and not self.over:
            self.book.leaving(self)

    def lost(self, error: Exception | None = None) -> bool:
        """It is over.  Whether the protocol below must be told."""
        if self.over:
            return False
        self.over = True
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)
        if self.book is not None:
            self.book.gone(self, error)
        return self.link is not None

    def note(self) -> None:
        """The end is near: keep what the kernel knows."""
        if self.socket is not None:
            self.socket.note()

    def moved(self) -> tuple[int, int]:
        """Bytes received and sent so far, as far as anybody knows."""
        if self.socket is not None and self.socket.counted:
            return self.socket.moved()
        return self.bytes_in, self.bytes_out

    def answer(self, name: str) -> tuple[bool, Any]:
        """Whether we know what the loop's transport does not, or knows wrongly; and what."""
        if name in {"peername", "sockname"}:
            if self.proxied is not None and self.proxied.source is not None:
                return True, self.proxied.source if name == "peername" else self.proxied.destination
            return False, None
        if name == "endpoint":
            return True, self.endpoint
        if name == "listener":
            return True, self.listener
        if name == "ropewalk.peer":
            return True, self.peer_text()
        if name == "ropewalk.private":
            return True, self.private
        if name == "ropewalk.proxy":
            return True, self.proxied
        if name == "ropewalk.connection":
            return True, self
        return False, None

    @property
    def private(self) -> bool:
        """Whether nobody between the two can read along: TLS that ends here, or inside this machine's kernel."""
        if self.under_tls or (self.link is not None and self.link.get_extra_info("sslcontext")):
            return True
        local = self.endpoint.carrier in {"unix", "memory", "stdio"}
        if self.socket is not None and not self.socket.internet:
            local = True
        return local and "proxy" not in self.endpoint.layers

    def peer_text(self) -> str:
        """Who is at the other side, for people: an address, or the process and user behind a Unix socket."""
        if self.proxied is not None and self.proxied.source is not None:
            return _written(self.proxied.source)
        sock = self.socket
        if sock is not None and not sock.internet and hasattr(socket, "SO_PEERCRED"):
            try:
                found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            except OSError:
                return "unix"
            process, user, _ = _CREDENTIALS.unpack(found)
            return f"unix pid={process} uid={user}"
        name = None if self.link is None else self.link.get_extra_info("peername")
        return _written(name) if isinstance(name, tuple) else str(name or self.endpoint.place)


def fault(transport: asyncio.Transport, error: PeerFault) -> None:
    """Close a connection whose peer broke the rules; its listener tells why, with the error's code, in log and metric.

    A protocol that raises instead has each peer's fault logged by the loop as its own.
    """
    connection = transport.get_extra_info("ropewalk.connection")
    if isinstance(connection, Connection):
        connection.fault = connection.fault or error
    transport.close()


def _written(name: tuple[Any, ...]) -> str:
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
