"""Errors of the network: what can be wrong with an endpoint, and why there is no listener or no connection.

Flow: endpoint, listen, connect -> one of these -> the caller; `refusal` turns what the system says into one
Never: quotes what a peer sent as if it were ours.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable

__all__ = [
    "AddressInUse",
    "BadCertificate",
    "BadEndpoint",
    "BadProxyHeader",
    "ConnectTimeout",
    "ConnectionRefused",
    "HandshakeFailed",
    "NameNotFound",
    "NoSuchSocket",
    "NotCarried",
    "NotPermitted",
    "NotVerified",
    "Overloaded",
    "Unreachable",
    "WebSocketFault",
    "no_connection",
    "no_listener",
]


class BadEndpoint(Misuse):
    """The URL of an endpoint says something that cannot be."""

    code = "net.bad-endpoint"


class NotCarried(Misuse):
    """These layers cannot be carried by that, or there is nothing to listen or connect to that way."""

    code = "net.not-carried"


class BadCertificate(Damaged):
    """A certificate or key cannot be read, or they do not belong together."""

    code = "net.bad-certificate"


class AddressInUse(Unavailable):
    """Somebody listens there already."""

    code = "net.address-in-use"


class NotPermitted(Refused):
    """The system does not let us use that address or file."""

    code = "net.not-permitted"


class NoSuchSocket(Missing):
    """The address, the socket's file or the inherited descriptor is not there."""

    code = "net.no-such-socket"


class NameNotFound(Missing):
    """The host's name has no address."""

    code = "net.name-not-found"


class ConnectionRefused(Unavailable):
    """The host is there, and nobody listens."""

    code = "net.connection-refused"


class Unreachable(Unavailable):
    """No way leads to the host, or the connection was cut while it was made."""

    code = "net.unreachable"


class ConnectTimeout(Unavailable):
    """The connection was not made before its deadline."""

    code = "net.timeout"


class Overloaded(Unavailable):
    """The listener has as many connections as its limits allow."""

    code = "net.overloaded"


class NotVerified(Refused):
    """The other side could not show that it is who was asked for.

    Attributes:
        shown: The public key that it showed instead of a pinned one, in DER; b"" where it was not that.
    """

    code = "net.not-verified"
    shown = b""


class HandshakeFailed(PeerFault):
    """The other side does not speak what the endpoint says."""

    code = "net.handshake-failed"


class BadProxyHeader(PeerFault):
    """The connection does not begin with a PROXY header, or with one that lies."""

    code = "net.bad-proxy-header"


class WebSocketFault(PeerFault):
    """The other side broke the rules of WebSocket, or of a byte stream in it."""

    code = "net.websocket"


def no_listener(where: str, error: OSError) -> RopewalkError:
    """Why `where` cannot be listened on, in our words."""
    why = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return NameNotFound(f"cannot listen on {where}: the name has no address ({why})")
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"cannot listen on {where}: the address is in use", hint="stop who listens there, or use port 0 for any"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"cannot listen on {where}: not permitted",
            hint="ports below 1024 need a right of their own: let systemd open the socket, and use systemd:NAME",
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENOENT, errno.ENOTDIR, errno.EBADF):
        return NoSuchSocket(f"cannot listen on {where}: {why.lower()}")
    return Unreachable(f"cannot listen on {where}: {why.lower()}")


def no_connection(where: str, error: Exception) -> RopewalkError:
    """Why there is no connection to `where`, in our words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotVerified(
            f"certificate of {where} is not trusted: {error.verify_message.lower()}",
            hint="name who signed it with ca=FILE, or its key with pin=sha256:HEX",
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return HandshakeFailed(f"TLS with {where} failed: {reason}")
    if isinstance(error, TimeoutError):
        return ConnectTimeout(f"no connection to {where} in time")
    if isinstance(error, socket.gaierror):
        return NameNotFound(f"cannot connect to {where}: the name has no address ({error.strerror})")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefused(f"cannot connect to {where}: nobody listens there")
    number = getattr(error, "errno", None)
    why = os.strerror(number) if number else str(error) or type(error).__name__
    if number in (errno.ENOENT, errno.ENOTDIR, errno.EBADF):
        return NoSuchSocket(f"cannot connect to {where}: {why.lower()}")
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(f"cannot connect to {where}: not permitted")
    return Unreachable(f"cannot connect to {where}: {why.lower()}")
