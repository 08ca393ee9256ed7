"""Accepting: our own path from a listening socket to a connected one, alike on every loop.

Flow: the socket is readable -> accept one -> taken(socket, address)
Never: spins when there are no descriptors left, or lets one listening socket keep the loop from the rest.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ropewalk.net.kernel import CountedSocket

__all__ = ["Acceptor"]

_PAUSE = 0.25  # seconds without accepting when it cannot be done; the backlog holds who comes
# Of one peer, who went away while it waited or is not let through; the next one may be fine: accept(2).
_OF_ONE = frozenset(
    {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
    | {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)


class Acceptor:
    """Accepts from listening sockets until it is stopped.

    Args:
        loop: Watches the sockets.
        sockets: Listening and non-blocking; they stay the caller's.
        taken: Gets each connected socket, which is then its own, and the address.
        failed: Told when accepting itself fails, for want of descriptors or memory, or since somebody has shut the
            socket down; accepting rests for a moment.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        taken: Callable[[CountedSocket, Any], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._loop, self._sockets, self._taken, self._failed = loop, list(sockets), taken, failed
        self._rest: asyncio.TimerHandle | None = None
        self._watched = False

    def start(self) -> None:
        """Begin, or begin again after a rest."""
        self._rest = None
        self._watched = True
        for sock in self._sockets:
            # Asked for once: the standard library makes a member of an enumeration each time.
            kind = int(sock.family), int(sock.type), sock.proto
            self._loop.add_reader(sock.fileno(), self._ready, sock, kind)

    def stop(self) -> None:
        """Accept no more.  Call it before the sockets are closed."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._watched:
            self._watched = False
            for sock in self._sockets:
                self._loop.remove_reader(sock.fileno())

    def _ready(self, listening: socket.socket, kind: tuple[int, int, int]) -> None:
        # One each time: the loop tells again while more wait, and to find that nobody else does costs more than a turn.
        try:
            plain, address = listening.accept()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno not in _OF_ONE:
                self.stop()
                self._rest = self._loop.call_later(_PAUSE, self.start)
                self._failed(error)
            return
        sock = CountedSocket(*kind, plain.detach())
        sock.setblocking(False)
        self._taken(sock, address)
