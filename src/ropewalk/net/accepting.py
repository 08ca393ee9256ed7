"""Accepting: our own path from a listening socket to a connected one, alike on every loop.

Flow: the socket is readable -> accept up to a number of times -> taken(socket, address)
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

_AT_ONCE = 64  # connections; then the loop has its turn
_PAUSE = 0.25  # seconds without accepting when descriptors or memory ran out; the backlog holds who comes
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Accepts from listening sockets until it is stopped.

    Args:
        loop: Watches the sockets.
        sockets: Listening and non-blocking; they stay the caller's.
        taken: Gets each connected socket, which is then its own, and the address.
        scarce: Told when the system has no descriptor or memory for another; accepting rests for a moment.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        taken: Callable[[CountedSocket, Any], None],
        scarce: Callable[[OSError], None],
    ) -> None:
        self._loop, self._sockets, self._taken, self._scarce = loop, list(sockets), taken, scarce
        self._rest: asyncio.TimerHandle | None = None
        self._watched = False

    def start(self) -> None:
        """Begin, or begin again after a rest."""
        self._rest = None
        self._watched = True
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._ready, sock)

    def stop(self) -> None:
        """Accept no more.  Call it before the sockets are closed."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._watched:
            self._watched = False
            for sock in self._sockets:
                self._loop.remove_reader(sock.fileno())

    def _ready(self, listening: socket.socket) -> None:
        family, kind, proto = listening.family, listening.type, listening.proto
        for _ in range(_AT_ONCE):
            if not self._watched:
                return
            try:
                plain, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _SCARCE:
                    continue  # the peer went away while it waited; the next one may be fine
                self.stop()
                self._rest = self._loop.call_later(_PAUSE, self.start)
                self._scarce(error)
                return
            sock = CountedSocket(family, kind, proto, plain.detach())
            sock.setblocking(False)
            self._taken(sock, address)
