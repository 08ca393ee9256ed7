"""Sockets to listen on: made from an endpoint, on every family, or inherited.

Flow: Endpoint -> bound_sockets -> non-blocking listening sockets; release -> closed, and a Unix socket's file removed
Never: removes a socket's file that somebody answers on, or that is not ours.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ropewalk.errors import RopewalkError
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import AddressInUse, BadEndpoint, NotCarried, no_listener
from ropewalk.net.inherited import inherited, socket_of
from ropewalk.net.kernel import keep_alive

__all__ = ["BACKLOG", "Bound", "bound_sockets", "endpoint_of"]

BACKLOG = 2048  # connections that wait for accept; with a hundred, a storm of reconnects waits a second for its SYN
_TRIES = 20  # ports the system may choose that turn out to be taken in the other family
_LONGEST_PATH = 107  # bytes; sun_path of Linux without the zero at its end


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket, and what has to be removed with it."""

    sock: socket.socket
    path: str = ""
    inode: tuple[int, int] = (0, 0)

    def release(self) -> None:
        """Close it; remove its file, if that is still the one we made."""
        self.sock.close()
        if self.path:
            with suppress(OSError):
                found = os.lstat(self.path)
                if (found.st_dev, found.st_ino) == self.inode:
                    os.unlink(self.path)


async def bound_sockets(endpoint: Endpoint, backlog: int = BACKLOG) -> list[Bound]:
    """Listen on an endpoint of tcp, unix, fd or systemd.

    Raises:
        AddressInUse, NotPermitted, NoSuchSocket, NameNotFound, NotCarried: Nothing is left open.
    """
    backlog = int(endpoint.option("backlog", str(backlog)))
    try:
        match endpoint.carrier:
            case "tcp":
                return await _tcp(endpoint, backlog)
            case "unix":
                return [_unix(endpoint, backlog)]
            case "fd":
                return [Bound(_listening(endpoint, socket_of(int(endpoint.host)), backlog))]
            case _:
                return _inherited(endpoint, inherited(endpoint.host, os.environ, os.getpid()), backlog)
    except OSError as error:
        raise no_listener(endpoint.place, error) from error


def endpoint_of(endpoint: Endpoint, sock: socket.socket) -> Endpoint:
    """The endpoint with what the system chose: the port, or for an inherited socket all of its address."""
    from dataclasses import replace

    name = sock.getsockname()
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        if endpoint.carrier == "tcp":
            return replace(endpoint, port=name[1])
        path = endpoint.option("path") if "ws" in endpoint.layers else ""
        options = tuple(pair for pair in endpoint.options if pair[0] != "path")
        return replace(
            endpoint, carrier="tcp", host=name[0], port=name[1], path="" if path == "/" else path, options=options
        )
    if sock.family == socket.AF_UNIX and endpoint.carrier != "unix" and name:
        path = "@" + name[1:].decode() if isinstance(name, bytes) else name
        return replace(endpoint, carrier="unix", host="", path=path)
    return endpoint


async def _tcp(endpoint: Endpoint, backlog: int) -> list[Bound]:
    addresses = await _addresses(endpoint)
    for _ in range(_TRIES if endpoint.port == 0 and len(addresses) > 1 else 1):
        bound: list[Bound] = []
        try:
            port, skipped = endpoint.port, OSError(errno.EADDRNOTAVAIL, "no such address")
            for family, host in addresses:
                try:
                    bound.append(Bound(_tcp_socket(endpoint, family, host, port, backlog)))
                except OSError as error:
                    # A machine without IPv6 still has names that resolve to ::1.
                    if len(addresses) == 1 or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                        raise
                    skipped = error
                    continue
                port = bound[0].sock.getsockname()[1]
            if not bound:
                raise skipped
        except OSError as error:
            for one in bound:
                one.release()
            if error.errno == errno.EADDRINUSE and endpoint.port == 0 and bound:
                continue
            raise
        return bound
    raise AddressInUse(f"cannot listen on {endpoint.place}: no port is free in all families")


async def _addresses(endpoint: Endpoint) -> list[tuple[int, tuple[str, int]]]:
    """Family and (host, zone) of each address, each once."""
    family = {"": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}[endpoint.option("family")]
    host = None if endpoint.host == "*" else endpoint.host
    found = await asyncio.get_running_loop().getaddrinfo(
        host, 1, family=family, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    addresses: dict[tuple[int, tuple[str, int]], None] = {}
    for kind, _, _, _, name in found:
        zone = int(name[3]) if len(name) == 4 else 0
        addresses[int(kind), (str(name[0]), zone)] = None
    if endpoint.host == "localhost" and family == socket.AF_UNSPEC:
        # Some /etc/hosts know it in one family only; browsers and RFC 6761 try both.
        addresses.setdefault((int(socket.AF_INET6), ("::1", 0)))
        addresses.setdefault((int(socket.AF_INET), ("127.0.0.1", 0)))
    return list(addresses)


def _tcp_socket(endpoint: Endpoint, family: int, host: tuple[str, int], port: int, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.has("reuse_port"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keep_alive(sock)  # what is accepted from it has the same
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the IPv4 half has its own socket
            sock.bind((host[0].partition("%")[0], port, 0, host[1]))
        else:
            sock.bind((host[0], port))
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _unix(endpoint: Endpoint, backlog: int) -> Bound:
    path = endpoint.path
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise BadEndpoint(
            f"path of {endpoint.place} is longer than {_LONGEST_PATH} bytes, which is all a Unix socket has"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.startswith("@"):
            sock.bind(b"\0" + os.fsencode(path[1:]))
            bound = Bound(sock)
        else:
            _remove_stale(endpoint, path)
            mode = int(endpoint.option("mode"), 8) if endpoint.has("mode") else None
            if mode is not None:
                # The file is made with the socket's own mode, less the umask: never wider than asked for, not even
                # between bind and chmod.
                os.fchmod(sock.fileno(), mode)
            sock.bind(path)
            if mode is not None:
                os.chmod(path, mode)
            found = os.lstat(path)
            bound = Bound(sock, os.path.abspath(path), (found.st_dev, found.st_ino))
        sock.listen(backlog)
        sock.setblocking(False)
    except (OSError, RopewalkError):
        sock.close()
        raise
    return bound


def _remove_stale(endpoint: Endpoint, path: str) -> None:
    """Remove a socket's file that a process left behind that is no more."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise AddressInUse(f"cannot listen on {endpoint.place}: a file that is no socket has its path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog must not make us wait; it also means that somebody listens
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass
    raise AddressInUse(f"cannot listen on {endpoint.place}: somebody listens there already")


def _inherited(endpoint: Endpoint, found: Sequence[socket.socket], backlog: int) -> list[Bound]:
    try:
        return [Bound(_listening(endpoint, sock, backlog)) for sock in found]
    except (OSError, RopewalkError):
        for sock in found:
            sock.close()
        raise


def _listening(endpoint: Endpoint, sock: socket.socket, backlog: int) -> socket.socket:
    """Check that an inherited socket can be listened on."""
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise NotCarried(f"socket of {endpoint.place} is not a listening one")
        if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            raise NotCarried(f"socket of {endpoint.place} is of {sock.family!r}, expected TCP or Unix")
        if sock.family != socket.AF_UNIX:
            keep_alive(sock)
        sock.listen(backlog)
        sock.setblocking(False)
    except (OSError, RopewalkError):
        sock.close()
        raise
    return sock


def release_all(bound: Sequence[Bound]) -> None:
    """Close them all."""
    for one in bound:
        one.release()
