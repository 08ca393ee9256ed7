"""Inherited sockets: descriptors that whoever started us left open, by number or by systemd's names.

Flow: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES -> inherited(name) -> copies of the sockets; fd://N -> socket_of, taken
Never: closes a descriptor that systemd gave: a listener that is started again finds it again.

As in sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from ropewalk.net.errors import NoSuchSocket

__all__ = ["inherited", "inherited_names", "is_listening", "socket_of"]

_FIRST = 3  # SD_LISTEN_FDS_START
_MOST = 1024  # descriptors; systemd's own default limit


def inherited_names(environ: Mapping[str, str], process: int, *, first: int = _FIRST) -> list[tuple[str, int]]:
    """Name and descriptor of each socket that systemd passed to this process."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(process) or not (count.isascii() and count.isdigit()) or len(count) > 4:
        return []
    number = min(int(count), _MOST)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (number - len(names))  # as sd_listen_fds_with_names says
    return [(name or "unknown", first + index) for index, name in enumerate(names[:number])]


def inherited(name: str, environ: Mapping[str, str], process: int, *, first: int = _FIRST) -> list[socket.socket]:
    """Copies of the sockets of this name; of all, where the name is "".

    Raises:
        NoSuchSocket: There is none.
    """
    known = inherited_names(environ, process, first=first)
    numbers = [number for called, number in known if name in {"", called}]
    if not numbers:
        names = ", ".join(sorted({called for called, _ in known})) or "no socket at all"
        raise NoSuchSocket(
            f"systemd passed no socket{f' called {name!r}' if name else ''}, but {names}",
            hint="a .socket unit with FileDescriptorName= passes it; outside of systemd use tcp:// or unix:",
        )
    copies: list[socket.socket] = []
    try:
        for number in numbers:
            copies.append(_opened(os.dup(number), number))  # noqa: PERF401 - those that are open are closed on failure
    except (OSError, NoSuchSocket):
        for copy in copies:
            copy.close()
        raise
    return copies


def socket_of(number: int) -> socket.socket:
    """The socket of an inherited descriptor: a copy of a listening one, a connected one itself.

    A connected one is taken, since its end would not reach the peer while a copy is open.

    Raises:
        NoSuchSocket: The descriptor is not open, or not a socket.
    """
    try:
        copy = os.dup(number)
    except OSError:
        raise NoSuchSocket(f"file descriptor {number} is not open") from None
    sock = _opened(copy, number)
    if is_listening(sock):
        return sock
    sock.close()
    return _opened(number, number)


def is_listening(sock: socket.socket) -> bool:
    """Whether connections can be accepted from it."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _opened(descriptor: int, number: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        if descriptor != number:
            os.close(descriptor)
        raise NoSuchSocket(f"file descriptor {number} is not a socket") from None
