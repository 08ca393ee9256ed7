"""Guard and link: what stands between the loop's transport and the user's protocol, and costs nothing per read.

Flow: loop -> guard.data_received, which IS the protocol's own bound method; protocol -> link.write, the transport's own
      connection made and lost pass through the guard, and so does nothing else
Never: runs code of ours for a read or a write, but where an idle limit needs a count and the kernel has none.

The loops look at the protocol's methods when it is set: uvloop keeps them.  So a guard has its methods before the loop
sees it, and another protocol gets another guard.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

from ropewalk.net.connection import Connection

__all__ = ["BufferGuard", "Guard", "Link", "StreamGuard", "guard_for", "start_tls"]

# Methods of a transport that a link takes over as they are, when they are first asked for: an idle connection's link
# holds none of them.
_TAKEN_OVER = (
    "get_write_buffer_limits",
    "get_write_buffer_size",
    "is_closing",
    "is_reading",
    "pause_reading",
    "resume_reading",
    "set_write_buffer_limits",
    "write",
    "write_eof",
    "writelines",
)
_COUNTED = frozenset({"write", "writelines"})


class _Lost(asyncio.Transport):
    """What a transport does once its connection is lost."""

    def _nothing(self, *_: Any, **__: Any) -> None:
        pass

    pause_reading = resume_reading = set_write_buffer_limits = write = write_eof = writelines = _nothing

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 0

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return True

    def is_reading(self) -> bool:
        return False


_LOST = _Lost()


class Link(asyncio.Transport):
    """The transport that a protocol is given: the loop's own methods, and what we know about the connection.

    `get_extra_info` answers, beside what the loop's transport does: endpoint, listener, ropewalk.peer (for people),
    ropewalk.private (nobody between can read along) and ropewalk.proxy (what the PROXY header said).
    """

    __slots__ = ("connection", "real", *_TAKEN_OVER)
    # asyncio's own start_tls asks this of transports that it did not make; uvloop's takes only its own: see start_tls.
    _start_tls_compatible = True

    def __init__(self, real: asyncio.Transport, connection: Connection) -> None:
        super().__init__()
        self.real = real
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        if name not in _TAKEN_OVER:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        method = getattr(self.real, name)
        if name in _COUNTED and self.connection.counting:
            method = _counting_write(self.connection, method, many=name == "writelines")
        setattr(self, name, method)
        return method

    def end(self) -> None:
        """The connection is lost: whatever is called from now on does nothing.

        The loops differ here: asyncio's fails on an abort after a flushed close, uvloop's on a write after the loss.
        """
        for name in _TAKEN_OVER:
            setattr(self, name, getattr(_LOST, name))

    def close(self) -> None:
        """Read no more, send what is written, then be lost."""
        if not self.connection.over:
            self.connection.note()
            self.real.close()
            self.connection.leaving()

    def abort(self) -> None:
        """Be lost now; what is not sent is lost too."""
        if not self.connection.over:
            self.connection.note()
            self.real.abort()

    def can_write_eof(self) -> bool:
        """Whether write_eof ends only our direction."""
        try:
            return self.real.can_write_eof()
        except NotImplementedError:
            return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known about the connection under this name."""
        known, value = self.connection.answer(name)
        return value if known else self.real.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes from now on to another protocol, streaming or buffered."""
        connection = self.connection
        if connection.top is self:
            connection.protocol = protocol
        self.real.set_protocol(guard_for(protocol, connection))
        connection.bottom = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that gets what comes."""
        assert self.connection.bottom is not None
        return self.connection.bottom

    def __repr__(self) -> str:
        return f"<Link {self.connection.peer_text()} over {self.real!r}>"


class Guard(asyncio.BaseProtocol):
    """What the loop holds for the protocol.  Made by `guard_for`."""

    __slots__ = ("_inner", "connection", "pause_writing", "resume_writing")

    def __init__(self, inner: asyncio.BaseProtocol, connection: Connection) -> None:
        self._inner = inner
        self.connection = connection
        _take(self, "pause_writing", inner.pause_writing)
        _take(self, "resume_writing", inner.resume_writing)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check what must be checked first, then show the protocol its link."""
        connection = self.connection
        real = cast(asyncio.Transport, transport)
        try:
            if connection.check is not None:
                connection.check(real)
            link = Link(real, connection)
            connection.made(link)
            self._inner.connection_made(link)
        except Exception as error:
            connection.failure = error
            real.abort()
            if connection.link is not None:  # the protocol itself failed: the loop reports that
                raise

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: counted, then told to the protocol, if it ever was told of a beginning."""
        connection = self.connection
        if connection.lost(exc):
            if isinstance(connection.link, Link):
                connection.link.end()
            self._inner.connection_lost(exc)

    def _keeps(self, told: Callable[[], bool | None]) -> bool | None:
        """Tell the protocol that the peer sends no more; where it does not keep the connection, the loop closes it."""
        self.connection.note()
        keep = told()
        if not keep:
            self.connection.leaving()
        return keep


class StreamGuard(Guard, asyncio.Protocol):
    """The guard of a streaming protocol."""

    __slots__ = ("data_received",)

    def __init__(self, inner: asyncio.Protocol, connection: Connection) -> None:
        super().__init__(inner, connection)
        receive: Callable[[bytes], None] = inner.data_received
        if connection.counting:
            receive = _counting_read(connection, receive)
        _take(self, "data_received", receive)

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._keeps(cast(asyncio.Protocol, self._inner).eof_received)


class BufferGuard(Guard, asyncio.BufferedProtocol):
    """The guard of a protocol that lends its buffer."""

    __slots__ = ("buffer_updated", "get_buffer")

    def __init__(self, inner: asyncio.BufferedProtocol, connection: Connection) -> None:
        super().__init__(inner, connection)
        updated: Callable[[int], None] = inner.buffer_updated
        if connection.counting:
            updated = _counting_update(connection, updated)
        lend: Callable[[int], Any] = inner.get_buffer
        if connection.under_tls and isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            lend = _as_view(lend)
        _take(self, "get_buffer", lend)
        _take(self, "buffer_updated", updated)

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._keeps(cast(asyncio.BufferedProtocol, self._inner).eof_received)


def guard_for(protocol: asyncio.BaseProtocol, connection: Connection) -> Guard:
    """The guard that suits this protocol."""
    if isinstance(protocol, asyncio.BufferedProtocol):
        return BufferGuard(protocol, connection)
    return StreamGuard(cast(asyncio.Protocol, protocol), connection)


async def start_tls(
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
) -> asyncio.Transport:
    """`loop.start_tls` for transports that `listen` and `connect` gave, on every loop.

    Returns:
        The transport to use from now on; the old one must not be used again.

    Raises:
        TypeError: The transport is not one of the loop's sockets: a WebSocket, memory or stdio.
        OSError: The handshake failed; the connection is closed.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(transport, Link):
        return await _upgraded(loop, transport, protocol, context, server_side, server_hostname, ssl_handshake_timeout)
    connection = transport.connection
    connection.under_tls = True
    guard = guard_for(protocol, connection)
    real = await _upgraded(
        loop,
        transport.real,
        guard,
        context,
        server_side,
        server_hostname,
        ssl_handshake_timeout,
    )
    link = Link(real, connection)
    connection.upgraded(link, protocol)
    return link


async def _upgraded(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    server_side: bool,
    server_hostname: str | None,
    patience: float | None,
) -> asyncio.Transport:
    upgraded = await loop.start_tls(
        transport,
        protocol,
        context,
        server_side=server_side,
        server_hostname=server_hostname,
        ssl_handshake_timeout=patience,
    )
    if upgraded is None:
        raise ConnectionAbortedError("connection lost while TLS was started")
    return upgraded


def _take(guard: Guard, name: str, method: Callable[..., Any]) -> None:
    # The slot stands in for the method of the base class; to the type checker that is an assignment to a method.
    setattr(guard, name, method)


def _as_view(lend: Callable[[int], Any]) -> Callable[[int], memoryview]:
    """A lent buffer as a view: asyncio's TLS slices it, and what it reads into a slice of a bytearray is lost."""
    return lambda sizehint: memoryview(lend(sizehint))


def _counting_read(connection: Connection, receive: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def data_received(data: bytes) -> None:
        connection.bytes_in += len(data)
        receive(data)

    return data_received


def _counting_update(connection: Connection, updated: Callable[[int], None]) -> Callable[[int], None]:
    def buffer_updated(nbytes: int) -> None:
        connection.bytes_in += nbytes
        updated(nbytes)

    return buffer_updated


def _counting_write(connection: Connection, write: Callable[[Any], None], *, many: bool) -> Callable[[Any], None]:
    def counted(data: Any) -> None:
        if many:
            data = list(data)
            connection.bytes_out += sum(map(len, data))
        else:
            connection.bytes_out += len(data)
        write(data)

    return counted
