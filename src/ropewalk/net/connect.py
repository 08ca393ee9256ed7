"""connect: from a URL and a protocol factory to a transport and a protocol that knows it is connected.

Flow: URL -> Endpoint -> a connected socket, of the address that answers first -> PROXY, TLS, pin, WebSocket
Never: shows the protocol a connection whose other side is not verified as the endpoint asks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from aiohappyeyeballs import start_connection

from ropewalk.errors import RopewalkError
from ropewalk.net.carriers import carrier_of
from ropewalk.net.certificates import client_context, server_name_of
from ropewalk.net.connection import Connection
from ropewalk.net.counting import connect_counter
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import BadEndpoint, NotCarried, no_connection
from ropewalk.net.guard import Guard
from ropewalk.net.inherited import inherited, is_listening, socket_of
from ropewalk.net.kernel import CountedSocket, keep_alive
from ropewalk.net.layers import Factory, guard_of
from ropewalk.net.pins import check_pin
from ropewalk.net.proxied import header_to_send

__all__ = ["check_reachable", "connect"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_NEXT_ADDRESS = 0.25  # seconds until the next address is tried beside the first (RFC 8305, 8)


async def connect(
    url: str | Endpoint, factory: Callable[[], P], *, deadline: float = 30.0, close_after: float = 5.0
) -> tuple[asyncio.Transport, P]:
    """Connect a protocol of the factory to an endpoint.

    Args:
        url: See docs/reference/endpoints.md.
        factory: Makes an `asyncio.Protocol` or `asyncio.BufferedProtocol`.
        deadline: Seconds for all of it: the name, the address, TLS and WebSocket.
        close_after: Seconds to wait for the peer's part of a TLS or WebSocket close.

    Returns:
        The transport and the protocol, whose `connection_made` has been called.

    Raises:
        BadEndpoint: The URL is none, or none to connect to.
        ConnectionRefused, Unreachable, ConnectTimeout, Overloaded: Not now; try again.
        NameNotFound, NoSuchSocket: It is not there.
        NotVerified: The other side is not who was asked for.
        HandshakeFailed: It does not speak what the endpoint says.
    """
    endpoint = url if isinstance(url, Endpoint) else Endpoint.parse(url)
    outcome = "failed"
    connection = Connection(endpoint)
    if endpoint.has("pin"):
        connection.check = lambda transport: check_pin(transport, endpoint.option("pin"), endpoint.place)
    try:
        async with asyncio.timeout(deadline):
            await _connected(endpoint, factory, connection, close_after)
            top, protocol = await connection.wait_ready()
        outcome = "connected"
    except BaseException as error:
        if connection.link is not None:
            connection.link.abort()
        if isinstance(error, RopewalkError):
            outcome = error.code
            raise
        if not isinstance(error, OSError):  # TimeoutError is one, and so are TLS's errors
            raise
        told = no_connection(endpoint.place, error)
        outcome = told.code
        raise told from error
    finally:
        connect_counter(endpoint.carrier, outcome).inc()
    return top, cast(P, protocol)  # what the factory made, which a connection does not know by its type


def check_reachable(endpoint: Endpoint) -> None:
    """Refuse an endpoint that can only be listened on.

    Raises:
        BadEndpoint.
    """
    if endpoint.carrier == "tcp" and (endpoint.host == "*" or endpoint.port == 0):
        raise BadEndpoint(
            f"cannot connect to {endpoint.place}: it has no {'port' if endpoint.port == 0 else 'host'}",
            hint="a listener's endpoint.peer() is what its clients need",
        )


async def _connected(endpoint: Endpoint, factory: Factory, connection: Connection, close_after: float) -> None:
    if endpoint.carrier not in {"tcp", "unix", "fd", "systemd"}:
        carrier = carrier_of(endpoint.carrier)
        await carrier.connect(endpoint, lambda: guard_of(factory, connection, server=False, close_after=close_after))
        return
    context = client_context(endpoint) if "tls" in endpoint.layers else None
    sock = await _socket(endpoint)
    try:
        if sock.internet:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
        connection.socket = sock
        if "proxy" in endpoint.layers:
            await asyncio.get_running_loop().sock_sendall(sock, header_to_send(endpoint, sock))
        guard = guard_of(factory, connection, server=False, close_after=close_after)
    except BaseException:
        sock.close()
        raise
    await _adopt(endpoint, sock, guard, context, close_after)


async def _adopt(
    endpoint: Endpoint, sock: CountedSocket, guard: Guard, context: ssl.SSLContext | None, close_after: float
) -> None:
    """Give the socket to the loop, which closes it from now on."""
    loop = asyncio.get_running_loop()
    make = loop.create_connection if sock.internet else loop.create_unix_connection
    if context is None:
        await make(lambda: guard, sock=sock)
        return
    await make(
        lambda: guard,
        sock=sock,
        ssl=context,
        server_hostname=server_name_of(endpoint),
        ssl_shutdown_timeout=close_after,
    )


async def _socket(endpoint: Endpoint) -> CountedSocket:
    match endpoint.carrier:
        case "tcp":
            plain = await _tcp(endpoint)
        case "unix":
            plain = await _unix(endpoint)
        case "fd":
            plain = socket_of(int(endpoint.host))
        case _:
            found = inherited(endpoint.host, os.environ, os.getpid())
            plain = found[0]
            for other in found[1:]:
                other.close()
    if endpoint.carrier in {"fd", "systemd"} and is_listening(plain):
        plain.close()
        raise NotCarried(f"socket of {endpoint.place} is a listening one, expected one that is connected")
    sock = CountedSocket(plain.family, plain.type, plain.proto, plain.detach())
    sock.setblocking(False)
    return sock


async def _tcp(endpoint: Endpoint) -> socket.socket:
    check_reachable(endpoint)
    loop = asyncio.get_running_loop()
    family = {"": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}[endpoint.option("family")]
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, family=family, type=socket.SOCK_STREAM)
    try:
        return await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1, loop=loop)
    except RuntimeError as error:  # what uvloop makes of some failures
        raise ConnectionError(str(error)) from error


async def _unix(endpoint: Endpoint) -> socket.socket:
    path: str | bytes = endpoint.path
    if endpoint.path.startswith("@"):
        path = b"\0" + os.fsencode(endpoint.path[1:])
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, path)
    except BaseException:
        with suppress(OSError):
            sock.close()
        raise
    return sock
