"""listen: from a URL and a protocol factory to a listener.

Flow: URL -> Endpoint -> sockets or carrier, certificates -> Listener
Never: leaves a socket open when it fails.
"""

from __future__ import annotations

import logging
import socket
import ssl

from ropewalk.net.binding import BACKLOG, bound_sockets, endpoint_of
from ropewalk.net.carriers import carrier_of
from ropewalk.net.certificates import Certificates, FixedContext, GivesContext, certificates_of
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import NotCarried
from ropewalk.net.inherited import is_listening, socket_of
from ropewalk.net.kernel import CountedSocket
from ropewalk.net.layers import Factory
from ropewalk.net.limits import Limits
from ropewalk.net.listener import Listener

__all__ = ["listen"]

_log = logging.getLogger("ropewalk.net")


async def listen(
    url: str | Endpoint,
    factory: Factory,
    *,
    name: str | None = None,
    limits: Limits | None = None,
    certificates: GivesContext | ssl.SSLContext | None = None,
    backlog: int = BACKLOG,
) -> Listener:
    """Serve protocols of the factory to whoever comes to the endpoint.

    Args:
        url: See docs/reference/endpoints.md.
        factory: Makes an `asyncio.Protocol` or `asyncio.BufferedProtocol` for each connection.
        name: What logs and metrics call it; without one the endpoint's place.
        limits: Bounds; the defaults bound all but rate, idle time and connections of one address.
        certificates: What a TLS endpoint shows, where its options do not say.
        backlog: Connections that may wait to be accepted.

    Returns:
        The listener: close it, or use it in ``async with``.

    Raises:
        BadEndpoint: The URL is none.
        AddressInUse, NotPermitted, NoSuchSocket, NameNotFound, NotCarried: It cannot be listened on.
        BadCertificate: Certificate or key cannot be read.
    """
    endpoint = url if isinstance(url, Endpoint) else Endpoint.parse(url)
    limits = limits or Limits()
    given = FixedContext(certificates) if isinstance(certificates, ssl.SSLContext) else certificates
    if "tls" in endpoint.layers and given is None:
        given = certificates_of(endpoint)
    if endpoint.carrier in {"tcp", "unix", "fd", "systemd"}:
        listener = await _on_sockets(endpoint, factory, name, limits, given, backlog)
    else:
        # The listener must be there before the carrier, which may be asked for a connection at once.
        listener = Listener(endpoint, factory, name or endpoint.place, limits, given)
        try:
            listening = await carrier_of(endpoint.carrier).listen(endpoint, listener.admit)
        except BaseException:
            listener.close()
            raise
        listener.serve_carrier(listening)
        listener.endpoint = listening.endpoint
    if isinstance(given, Certificates) and given.told is None:
        given.told = lambda outcome: listener.counts.reloads(outcome).inc()
    _log.info(
        "%s: listening on %s",
        listener.name,
        listener.endpoint.place,
        extra={"code": "net.listening", "listener": listener.name},
    )
    return listener


async def _on_sockets(
    endpoint: Endpoint,
    factory: Factory,
    name: str | None,
    limits: Limits,
    certificates: GivesContext | None,
    backlog: int,
) -> Listener:
    if endpoint.carrier == "fd":
        sock = socket_of(int(endpoint.host))
        if not is_listening(sock):
            if not _connected(sock):
                sock.close()
                raise NotCarried(f"socket of {endpoint.place} neither listens nor is connected")
            listener = Listener(endpoint, factory, name or endpoint.place, limits, certificates)
            listener.serve_one(CountedSocket(sock.family, sock.type, sock.proto, sock.detach()))
            return listener
        sock.close()
    bound = await bound_sockets(endpoint, backlog)
    try:
        place = endpoint_of(endpoint, bound[0].sock)
        listener = Listener(place, factory, name or place.place, limits, certificates)
        listener.accept_from(bound)
    except BaseException:
        for one in bound:
            one.release()
        raise
    return listener


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
