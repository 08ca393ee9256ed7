"""What the kernel knows of a connection: bytes that came and bytes that were acknowledged.

Flow: accept -> CountedSocket, given to the loop -> moved(), also after the loop closed it
Never: is asked per read or write.
"""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["CountedSocket", "keep_alive"]

# struct tcp_info of linux/tcp.h, since 4.1: tcpi_bytes_acked and tcpi_bytes_received, two u64 that stand at 120.
_TCP_INFO = getattr(socket, "TCP_INFO", 0)
_FIGURES = struct.Struct("=QQ")
_OFFSET = 120
_SIZE = _OFFSET + _FIGURES.size
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_KNOWN = sys.platform == "linux" and _TCP_INFO != 0


# Seconds of silence, seconds between probes, probes: a peer that lost its power or its network is found within two
# minutes; by default Linux takes two hours to begin.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel find out whether a silent peer is still there."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class CountedSocket(socket.socket):
    """A socket that notes the kernel's figures when it is closed.

    Loops close a socket before they tell a protocol above TLS that the connection is lost; then it is too late to ask.
    uvloop closes it without this object, so `note` is also called when an end is seen coming: what it sends after that
    under TLS, such as the rest of a flush, is not counted.
    """

    __slots__ = ("_last", "counted", "internet")
    _last: tuple[int, int]

    def __init__(self, family: int, kind: int, proto: int, fileno: int) -> None:
        super().__init__(family, kind, proto, fileno)
        # Kept, since the standard library makes an enumeration's member of the family each time that it is asked for.
        self.internet = family in _INTERNET  # TCP, and not a Unix socket
        self.counted = _KNOWN and self.internet  # by the kernel

    def moved(self) -> tuple[int, int]:
        """Bytes received, and bytes sent that the peer has acknowledged; zeros where the kernel does not say."""
        if self.fileno() < 0:
            return getattr(self, "_last", (0, 0))
        if not self.counted:
            return 0, 0
        try:
            info = self.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
        except OSError:
            return 0, 0
        if len(info) < _SIZE:
            return 0, 0
        acked, received = _FIGURES.unpack_from(info, _OFFSET)
        return received, acked  # a FIN counts as one more, and is not told apart

    def note(self) -> None:
        """Keep the figures of this moment for when it is closed."""
        if self.fileno() >= 0:
            self._last = self.moved()

    def close(self) -> None:
        """Close, and keep the figures."""
        self.note()
        super().close()
