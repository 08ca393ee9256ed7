"""A listener: who knocks is counted, asked to show itself, and given to a protocol of the factory.

Flow: Acceptor -> _taken, limits -> a task for the handshake: PROXY header, TLS, WebSocket -> Roll, until it is lost
Never: lets one peer's handshake, or the number of peers, touch the others; refuses without a reason in log and metric.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

from ropewalk.net.accepting import Acceptor
from ropewalk.net.binding import Bound, release_all
from ropewalk.net.carriers import Listening
from ropewalk.net.certificates import GivesContext
from ropewalk.net.connection import Connection
from ropewalk.net.counting import Counts
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import ConnectionRefused, Overloaded
from ropewalk.net.guard import Guard
from ropewalk.net.kernel import CountedSocket, keep_alive
from ropewalk.net.layers import Factory, guard_of
from ropewalk.net.limits import Admission, Limits
from ropewalk.net.proxied import TrustedProxies, read_proxied
from ropewalk.net.proxy import Proxied
from ropewalk.net.reasons import ProxyNotAllowed, Reasons, place_of
from ropewalk.net.roll import Roll

__all__ = ["Listener"]

_log = logging.getLogger("ropewalk.net")
_FAREWELL = 3600.0  # seconds; the roll is stricter, but lets a peer go on that takes its bytes slowly
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a refused connection leaves nothing behind, not even TIME_WAIT

Ask = Callable[[asyncio.Transport, asyncio.BaseProtocol], None]


class Listener:
    """An endpoint that is listened on.  Made by `listen`.

    Attributes:
        endpoint: Where it listens, with the port that the system chose.
        name: What logs and metrics call it.
        limits: What a peer, and all of them, may take.
    """

    def __init__(
        self, endpoint: Endpoint, factory: Factory, name: str, limits: Limits, certificates: GivesContext | None
    ) -> None:
        self.endpoint, self.name, self.limits = endpoint, name, limits
        self.certificates = certificates
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self.counts = Counts(name)
        self._reasons = Reasons(self.counts, _log, name, self._loop.time)
        self._admission = Admission(limits, self._loop.time)
        self._roll = Roll(self._loop, self.counts, limits.idle, limits.close, self._reasons.ended)
        self._proxies = TrustedProxies(endpoint) if "proxy" in endpoint.layers else None
        self._plain = not endpoint.layers
        self._tasks: dict[asyncio.Task[None], Connection] = {}  # handshakes
        self._acceptor: Acceptor | None = None
        self._bound: list[Bound] = []
        self._listening: Listening | None = None
        self._closed = False
        self._ask: Ask | None = None  # set once it drains
        self._settled = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._roll)

    def peers(self) -> list[Connection]:
        """Those that are open."""
        return list(self._roll)

    def close(self) -> None:
        """Take no more connections; those that are there stay."""
        if self._closed:
            return
        self._closed = True
        if self._acceptor is not None:
            self._acceptor.stop()
        release_all(self._bound)
        if self._listening is not None:
            self._listening.close()
        _log.info("%s: closed", self.name, extra={"code": "net.closed", "listener": self.name})
        self._settle()

    async def wait_closed(self) -> None:
        """Wait until it is closed and the last connection is lost."""
        await self._settled.wait()

    async def drain(self, deadline: float, ask: Ask = lambda transport, _: transport.close()) -> int:
        """Take no more connections, ask those that are there to close, and cut off who is left at the deadline.

        Args:
            deadline: Seconds.
            ask: How a connection is asked; a protocol may have a better way than closing its transport.

        Returns:
            How many were cut off.
        """
        self._ask = ask
        self.close()
        for connection in self._roll:
            self._ask_one(connection)
        try:
            async with asyncio.timeout(deadline):
                await self._settled.wait()
        except TimeoutError:
            return await self._cut_off()
        except BaseException:
            await self._cut_off()
            raise
        return 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(self.limits.close)

    def __repr__(self) -> str:
        return f"<Listener {self.name} on {self.endpoint.place}, {self.connections} connections>"

    # beginning, by `listen`

    def accept_from(self, bound: list[Bound]) -> None:
        """Begin on sockets, which are its own from now on."""
        self._bound = bound
        self._acceptor = Acceptor(self._loop, [one.sock for one in bound], self._taken, self._reasons.not_accepting)
        self._acceptor.start()

    def serve_one(self, sock: CountedSocket) -> None:
        """Serve one connection that is there already, and no other."""
        sock.setblocking(False)
        if sock.internet:
            keep_alive(sock)
        self._taken(sock, sock.getpeername())

    def serve_carrier(self, listening: Listening) -> None:
        """Be told by a carrier, through `admit`."""
        self._listening = listening

    def admit(self) -> Guard:
        """A guard for a connection of a carrier that is no socket.

        Raises:
            Overloaded: The limits are reached.
            ConnectionRefused: The factory failed.
        """
        reason = "closed" if self._closed else self._admission.enter()
        if reason:
            self._reasons.refused(reason, "a peer")
            raise Overloaded(f"{self.endpoint.place} takes no more connections now: {reason}")
        connection = Connection(self.endpoint, listener=self.name, book=self, counting=True)
        try:
            guard = guard_of(self._factory, connection, server=True, close_after=self.limits.close)
        except Exception as error:
            self._reasons.failed(error, "a peer")
            connection.lost()
            raise ConnectionRefused(f"{self.endpoint.place} could not make a protocol") from error
        if connection.ready is not None:
            self._begin(self._wait_ready(connection), connection)
        return guard

    # the book of connections

    def opened(self, connection: Connection) -> None:
        """A user's protocol is about to be told."""
        self._roll.opened(connection)
        if self._ask is not None:
            self._loop.call_soon(self._ask_one, connection)

    def leaving(self, connection: Connection) -> None:
        """A connection closes once all that is written is sent."""
        self._roll.leaving(connection)

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """A connection is lost."""
        if self._roll.gone(connection):
            self._reasons.lost(connection, error)
        self._admission.leave(connection.address)
        self._settle()

    # accepting

    def _taken(self, sock: CountedSocket, address: Any) -> None:
        reason = self._admission.enter()
        if reason:
            self._refuse(sock, reason, address)
            return
        key = None
        if self._proxies is None and sock.internet:
            try:
                key = self._admission.claim(address[0])
            except OverflowError:
                self._admission.leave(None)
                self._refuse(sock, "address", address)
                return
        connection = Connection(
            self.endpoint,
            listener=self.name,
            book=self,
            sock=sock,
            counting=self.limits.idle is not None and not sock.counted,
        )
        connection.address = key
        self._begin(self._greet(connection, sock, address), connection)

    def _begin(self, greeting: Coroutine[Any, Any, None], connection: Connection) -> None:
        task = self._loop.create_task(greeting)
        self._tasks[task] = connection
        task.add_done_callback(self._greeted)

    def _greeted(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: handshake broke: %r", self.name, error, exc_info=error)
        self._settle()

    async def _greet(self, connection: Connection, sock: CountedSocket, address: Any) -> None:
        """From an accepted socket to a protocol that knows it is connected."""
        adopted = False  # by the loop, which then closes the socket
        try:
            # A plain connection has nothing to wait for, and a timer costs a tenth of it.
            async with nullcontext() if self._plain else asyncio.timeout(self.limits.handshake):
                if sock.internet:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._proxies is not None:
                    connection.proxied = await self._proxied(sock, address)
                    host = (connection.proxied.source or address or ("",))[0]
                    connection.address = self._admission.claim(host) if host else None
                guard = guard_of(self._factory, connection, server=True, close_after=self.limits.close)
                adopted = True
                await self._adopt(sock, guard)
                await connection.wait_ready()
        except BaseException as error:
            if connection.link is not None:
                connection.link.abort()
            else:
                if not adopted:
                    sock.close()
                connection.lost()
            if not isinstance(error, Exception):
                raise
            self._reasons.failed(error, place_of(address))

    async def _adopt(self, sock: CountedSocket, guard: Guard) -> None:
        if self.certificates is None or "tls" not in self.endpoint.layers:
            await self._loop.connect_accepted_socket(lambda: guard, sock)
            return
        await self._loop.connect_accepted_socket(
            lambda: guard,
            sock,
            ssl=self.certificates.context(),
            ssl_handshake_timeout=self.limits.handshake,
            ssl_shutdown_timeout=_FAREWELL,
        )

    async def _wait_ready(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self.limits.handshake):
                await connection.wait_ready()
        except BaseException as error:
            if connection.link is not None:
                connection.link.abort()
            if not isinstance(error, Exception):
                raise
            self._reasons.failed(error, "a peer")

    async def _proxied(self, sock: CountedSocket, address: Any) -> Proxied:
        assert self._proxies is not None
        if not self._proxies.allows(sock, address):
            raise ProxyNotAllowed
        return await read_proxied(sock)

    def _refuse(self, sock: socket.socket, reason: str, address: Any) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()
        self._reasons.refused(reason, place_of(address))

    # ending

    def _ask_one(self, connection: Connection) -> None:
        ask, top, protocol = self._ask, connection.top, connection.protocol
        if ask is None or top is None or protocol is None or connection.over:
            return
        try:
            ask(top, protocol)
        except Exception:  # noqa: BLE001 - the user's code; the connection is cut off, the others are asked
            _log.exception("%s: asking a connection to close failed", self.name)
            top.abort()

    async def _cut_off(self) -> int:
        left = list(self._roll)
        tasks = dict(self._tasks)
        for task in tasks:
            task.cancel()
        for connection in left:
            if connection.link is not None:
                self.counts.ended("drained").inc()
                connection.link.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tasks.values():
            if connection.link is None and connection.socket is not None and not connection.over:
                connection.socket.close()  # its task was cancelled before it had begun
                connection.lost()
        try:
            async with asyncio.timeout(self.limits.close):
                await self._settled.wait()
        except TimeoutError:  # a carrier that forgot to tell of an end must not keep the process
            _log.error("%s: %d connections were aborted and not lost", self.name, self._admission.inside)
            self._roll.close()
            self._settled.set()
        if left or tasks:
            _log.warning(
                "%s: cut off %d connections and %d handshakes at the deadline",
                self.name,
                len(left),
                len(tasks),
                extra={"code": "net.cut-off", "listener": self.name},
            )
        return len(left)

    def _settle(self) -> None:
        if self._closed and not self._tasks and not self._admission.inside and not self._settled.is_set():
            self._roll.close()
            self._reasons.flush()
            self._settled.set()
