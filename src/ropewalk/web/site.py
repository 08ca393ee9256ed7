"""Site: an app, and what all of its connections share: limits, time, counts, tasks, state.

Flow: async with Site(app) -> lifespan -> site.protocol for a listener -> connections -> stop -> lifespan ends
Never: waits at its end for longer than it was told to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from email.utils import formatdate
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable
from weakref import WeakKeyDictionary

from ropewalk.metrics import Registry, current_registry
from ropewalk.web import access
from ropewalk.web.counts import Counts
from ropewalk.web.errors import BadRequest
from ropewalk.web.exchange import Exchange
from ropewalk.web.hosts import Hosts
from ropewalk.web.lifespan import Lifespan
from ropewalk.web.limits import WebLimits
from ropewalk.web.protocol import Connection
from ropewalk.web.quick import Answer, App, Asked, quick_of

__all__ = ["Site"]

_log = logging.getLogger("ropewalk.web")
_REST = 0.5  # of the seconds of an end: for the requests; what is left is for the lifespan
_PATIENCE = 5.0  # seconds, where nobody said how long the end may take


@runtime_checkable
class Conversation(Protocol):
    """A connection, as HTTP or as a WebSocket."""

    def look(self, now: float, step: float) -> None:
        """See whether its peer takes too long."""

    def stop(self) -> None:
        """End as soon as may be."""

    def abort(self) -> None:
        """Be lost now."""


class Site:
    """An app and its connections.  Used as ``async with``, in one task.

    Args:
        app: ASGI 3; where it has a method `quick`, that is asked first.
        name: What logs and metrics call it.
        limits: What a peer may take.
        hosts: Names that a request may be for; all, where there are none. See `Hosts`.
        log_requests: One line in ``ropewalk.web.access`` for each request.
        registry: This context's own by default.

    Attributes:
        now: The loop's time at the last look, at most a second ago while there are connections.
        context: Of each request a copy.
        date: The header line that says so to people.
        state: Of the app's lifespan.
        running: Apps at work.
        sockets: WebSockets open.
        taken_over: What speaks on WebSockets that went to protocols, and how each is asked to end.
        stopping: No more requests are taken.
        over: Nobody waits for apps any more.
        hosts: Names that a request may be for; None for all.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str = "web",
        limits: WebLimits | None = None,
        hosts: Iterable[str] = (),
        log_requests: bool = False,
        registry: Registry | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.app, self.name, self.limits = app, name, limits or WebLimits()
        self.log_requests = log_requests
        self.connections: set[Conversation] = set()
        self.taken_over: WeakKeyDictionary[asyncio.BaseProtocol, Callable[[asyncio.BaseProtocol], None]] = (
            WeakKeyDictionary()
        )
        self.running = self.sockets = 0
        self.stopping = self.over = False
        self.quick = quick_of(app)
        self.asgi = {"version": "3.0", "spec_version": "2.5"}
        self.extensions: dict[str, dict[str, Any]] = {
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        }
        self.hosts = Hosts(hosts) or None
        self._wall, self.loop = wall, asyncio.get_running_loop()
        self.time = self.loop.time
        self.counts = Counts(registry or current_registry(), name, lambda: self.running, lambda: self.sockets)
        self._lifespan = Lifespan(app, {"version": "3.0", "spec_version": "2.0"})
        self.state = self._lifespan.state
        self._tasks = asyncio.TaskGroup()
        self.context = copy_context()
        self._work: set[asyncio.Task[None]] = set()  # of connections
        self._timer: asyncio.TimerHandle | None = None
        self._step = self.limits.step
        self._looked = self.now = self.time()
        self._second = 0
        self.date = b""

    # ---- beginning and end ----

    async def __aenter__(self) -> Self:
        """Start the app.

        Raises:
            NotStarted.
        """
        await self._tasks.__aenter__()
        try:
            await self._lifespan.start(self._begin)
        except BaseException as error:
            self.over = True
            self._cancel()
            await self._tasks.__aexit__(None, None, None)
            self.counts.forget()
            raise error from error.__cause__
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what `stop` has not ended."""
        try:
            if not self.over:
                await self.stop(_PATIENCE)
        finally:
            self._cancel()
            if self._timer is not None:
                self._timer.cancel()
            self.counts.forget()
            await self._tasks.__aexit__(kind, error, trace)

    async def stop(self, seconds: float) -> None:
        """Take no more requests, let those that run end, then tell the app to stop; cancel what is left."""
        ends = self.time() + seconds
        self.stop_taking()
        try:
            async with asyncio.timeout(seconds * _REST):
                while self._work:
                    await asyncio.wait(self._work)
        except TimeoutError:
            _log.warning("%s: %d apps were still at work", self.name, self.running, extra={"code": "web.cut-off"})
        self.over = True
        for connection in list(self.connections):
            connection.abort()
        for task in list(self._work):
            task.cancel()
        try:
            async with asyncio.timeout_at(ends):
                await self._lifespan.stop()
        except TimeoutError:
            _log.warning("%s: the app did not stop in time", self.name, extra={"code": "web.lifespan"})

    def stop_taking(self) -> None:
        """Ask all connections to end once what they do is done."""
        self.stopping = True
        for connection in list(self.connections):
            connection.stop()
        for protocol in list(self.taken_over):
            self.ask(protocol)

    def ask(self, protocol: asyncio.BaseProtocol) -> bool:
        """Ask what serves a connection to end, in its own way; whether it is one of this site's."""
        if (stop := self.taken_over.pop(protocol, None)) is not None:
            stop(protocol)
        elif isinstance(protocol, Conversation):
            protocol.stop()
        else:
            return False
        return True

    async def broken(self) -> None:
        """Wait until the app can serve no more by its own word.

        Raises:
            NotStarted.
        """
        await self._lifespan.broken()

    # ---- tasks ----

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of a connection, in the site's context."""
        task = self._begin(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work, context=self.context.copy())

    def _cancel(self) -> None:
        self.over = True
        for task in list(self._work):
            task.cancel()
        self._lifespan.cancel()

    # ---- time ----

    def protocol(self) -> Connection:
        """The protocol of a new connection."""
        if self._timer is None:
            self._tick()
        return Connection(self)

    def _tick(self) -> None:
        """Know what time it is, and look at every connection, as long as there is one."""
        now = self.time()
        step, self._looked = now - self._looked, now
        self.now = now
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self.date = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        waiting = self._timer is None  # the first look: a connection is about to come
        for connection in list(self.connections):
            connection.look(now, min(step, self._step))
        self._timer = self.loop.call_later(self._step, self._tick) if self.connections or waiting else None

    # ---- what connections ask and tell ----

    def ask_quickly(self, asked: Asked) -> Answer | None:
        """The app's quick answer, if it has one; what it raises is in the log, and answered with 500."""
        assert self.quick is not None
        try:
            return self.quick(asked)
        except Exception:  # noqa: BLE001 - user code, as in `serving`
            self.counts.failures.inc()
            _log.exception("%s: app failed at a quick answer", self.name, extra={"code": "web.app-failed"})
            return Answer(500, b"content-length: 26\r\n", b"something went wrong here\n")

    def note(self, connection: Connection, exchange: Exchange) -> None:
        """An answer has ended."""
        if self.log_requests:
            path, status, sent = exchange.scope["raw_path"], exchange.status, exchange.sent
            self.note_quick(connection, exchange.method, path, status, sent, exchange.began)
        else:
            self.counts.ended(exchange.status, self.time() - exchange.began, exchange.sent)

    def note_quick(
        self, connection: Connection, method: str, path: bytes, status: int, sent: int, began: float
    ) -> None:
        """An answer was given."""
        seconds = self.time() - began
        self.counts.ended(status, seconds, sent)
        if self.log_requests:
            access.note(self.name, connection.peer, method, path, status, sent, seconds)

    def refused(self, connection: Connection, error: BadRequest) -> None:
        """A request was refused."""
        self.counts.refused(error.answer).inc()
        extra = {"code": error.code, "service": self.name, "status": error.answer}
        _log.info("%s: refused %s with %d: %s", self.name, connection.peer, error.answer, error, extra=extra)

    def cut_off(self, connection: Connection) -> None:
        """A peer did not take its answer."""
        extra = {"code": "web.unread", "service": self.name}
        _log.info("%s: cut off %s, who did not take an answer", self.name, connection.peer, extra=extra)
