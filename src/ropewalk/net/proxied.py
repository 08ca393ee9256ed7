"""Reading the PROXY header from a socket that has no transport yet, byte for byte and no further.

Flow: accepted socket -> is_allowed -> read_proxied -> Proxied; what follows the header stays in the kernel for TLS
Never: takes a byte after the header, or spins on a header that comes slowly.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import BadProxyHeader
from ropewalk.net.options import networks
from ropewalk.net.proxy import LONGEST_HEADER, HeaderReader, Proxied, encode_header, parse_header

__all__ = ["TrustedProxies", "header_to_send", "read_proxied"]

_BY_DEFAULT = "127.0.0.0/8,::1/128"  # a proxy on this machine; any other must be named


class TrustedProxies:
    """The addresses whose PROXY headers are believed.  Who can open a Unix socket is trusted by its file's mode."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = networks(endpoint.option("from", _BY_DEFAULT))

    def allows(self, sock: socket.socket, address: Any) -> bool:
        """Whether the peer at this address is one of them."""
        if sock.family == socket.AF_UNIX:
            return True
        found = ip_address(str(address[0]).partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)


async def read_proxied(sock: socket.socket) -> Proxied:
    """Take the header off a non-blocking socket.

    Raises:
        BadProxyHeader: There is none, or it lies.
        OSError: The connection was reset.
    """
    reader = HeaderReader()
    while not reader.done:
        try:
            peeked = sock.recv(LONGEST_HEADER, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(sock)
            continue
        if not peeked:
            raise BadProxyHeader("connection ended before its PROXY header did")
        # Taken at once, also where the header is not yet whole: what is left unread would wake us again at once.
        sock.recv(reader.take(peeked))
    return parse_header(reader.header)


def header_to_send(endpoint: Endpoint, sock: socket.socket) -> bytes:
    """The header that a client of ``proxy`` begins with: its own addresses, as if it were its own proxy."""
    version = int(endpoint.option("version", "2"))
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return encode_header(None, None, version=version)
    source, destination = (name[:2] for name in (sock.getsockname(), sock.getpeername()))
    return encode_header(
        (source[0].partition("%")[0], source[1]), (destination[0].partition("%")[0], destination[1]), version=version
    )


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    descriptor = sock.fileno()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
