"""Server: what all connections of one service share: the key, the host of terminals, who is in.

Flow: `protocol` for each connection -> Wire, Connection; a login -> held until the connection and its visits are over
Never: starts a task that the service does not own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import asyncssh

from ropewalk.auth import Login
from ropewalk.ssh.connection import Connection, Owner
from ropewalk.ssh.host_key import HostKey
from ropewalk.ssh.limits import SshLimits
from ropewalk.ssh.settings import options
from ropewalk.ssh.wire import Wire
from ropewalk.terminal import Host

__all__ = ["Server"]

_log = logging.getLogger("ropewalk.ssh")

Start = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Server:
    """A server of SSH. It belongs to one event loop.

    Args:
        host: Has the talk, and the portal that lets people in to it; without one, everybody is.
        key: By which clients know it.
        start: Makes a task that somebody owns; RuntimeError: no more.
        limits: Of each connection.

    Attributes:
        wires: The connections that are open.
        options: For connections from now on.
    """

    def __init__(self, host: Host, key: HostKey, start: Start, limits: SshLimits | None = None) -> None:
        self.host, self.limits = host, limits or SshLimits()
        self.wires: set[Wire] = set()
        self._start = start
        self._logins: dict[Wire, Login[object]] = {}
        self._tasks: dict[Wire, set[asyncio.Task[None]]] = {}
        self.use_key(key)
        _quiet()

    def use_key(self, key: HostKey) -> None:
        """Show this key to who connects from now on."""
        self.key = key
        self.options: asyncssh.SSHServerConnectionOptions = options(key, self.host.portal, self.limits, Owner)

    def protocol(self) -> Wire:
        """The protocol of a new connection, for `ropewalk.net.listen`."""
        return Wire(self.limits, self._engine, self.wires.add, self._gone)

    @property
    def channels(self) -> int:
        """How many are open."""
        return sum(len(wire.sessions) for wire in self.wires)

    def login_of(self, wire: Wire) -> Login[object] | None:
        """Who is in by this connection."""
        return self._logins.get(wire)

    def hold(self, login: Login[object], wire: Wire) -> bool:
        """Keep a login until its connection is lost and its visits have ended; then log out. False: it is too late."""
        if self._begun(self._held(login, wire)) is None:
            return False
        self._logins[wire] = login
        return True

    def spawn(self, wire: Wire, visit: Coroutine[Any, Any, None]) -> bool:
        """Begin a visit on a connection. False: it is too late."""
        task = self._begun(visit)
        if task is None:
            return False
        tasks = self._tasks.setdefault(wire, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return True

    async def _held(self, login: Login[object], wire: Wire) -> None:
        try:
            async with login:
                await wire.lost.wait()
                while tasks := self._tasks.get(wire):
                    await asyncio.wait(tasks)
        except Exception as error:  # noqa: BLE001 - of the realm, whose fault must not end the others' connections
            _log.error("a logout failed: %r", error, extra={"code": type(error).__name__})
        finally:
            del self._logins[wire]
            self._tasks.pop(wire, None)

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        try:
            return self._start(work)
        except RuntimeError:  # a group of tasks that ends takes no more, and connections may outlast it for a moment
            work.close()
            return None

    def _engine(self, wire: Wire) -> Connection:
        return Connection(asyncio.get_running_loop(), self.options, self, wire)

    def _gone(self, wire: Wire) -> None:
        self.wires.discard(wire)
        if wire not in self._logins:
            self._tasks.pop(wire, None)


def _quiet() -> None:
    """The library tells at the level of information what is ours to tell; who wants it sets the level."""
    library = logging.getLogger("asyncssh")
    if library.level == logging.NOTSET:
        library.setLevel(logging.WARNING)
