"""Connection: HTTP/1 on one transport: requests in, answers out in the same order.

Flow: Reader -> a quick answer, or an Exchange in line -> the connection's one task -> the app -> the transport
Never: lets a request overtake another one, or one that cannot be taken be answered with more than why.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from ropewalk.web.errors import BadRequest
from ropewalk.web.exchange import DROPPED, Exchange
from ropewalk.web.parsing import Head
from ropewalk.web.plain import BODILESS, first_line, plain
from ropewalk.web.progress import Progress
from ropewalk.web.quick import Asked
from ropewalk.web.reading import BODY_WAITING, Reader
from ropewalk.web.scopes import address_of, scope_of
from ropewalk.web.sending import DirectSending, can_send_directly, half_closed, pieces_of
from ropewalk.web.serving import serve

if TYPE_CHECKING:
    from ropewalk.web.site import Site

__all__ = ["Connection"]

_RESTS = 5.0  # seconds without a request, after which a connection's task ends
_JOINED = 16 * 1024  # bytes of a body that are copied behind their head, to be one write


class Connection(Reader):
    """One connection.

    Attributes:
        current: The request that is being answered.
        eof: The peer sends no more.
        writing_paused: The peer does not take what is written.
        gone: The transport is lost, or another protocol's.
        peer: Who it is, for people.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.current: Exchange | None = None
        self.eof = self.writing_paused = self.gone = self.lingering = False
        self.requests = 0
        self._worker: asyncio.Task[None] | None = None
        self._rest: asyncio.Future[None] | None = None  # while the worker has nothing to do
        self._can_write: asyncio.Event | None = None
        self._direct: DirectSending | None = None
        self._progress = Progress(site.now)

    # ---- what the transport tells ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        info = transport.get_extra_info
        self._secure = info("sslcontext") is not None
        self.scheme = "https" if self._secure else "http"
        self.client, self.server = address_of(info("peername")), address_of(info("sockname"))
        self.since = self.site.now
        self.site.connections.add(self)
        if self.site.stopping:
            self.stop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """The end: whoever waits for the peer is told."""
        self.gone = True
        self.drop()
        self.line.clear()
        self.site.connections.discard(self)
        for exchange in (self.current, self.incoming):
            if exchange is not None and not exchange.over:
                exchange.disconnect()
        if self._direct is not None:
            self._direct.stop()
        if self._can_write is not None:
            self._can_write.set()
        self._wake()

    def pause_writing(self) -> None:
        """The peer does not take what is written."""
        self.writing_paused = True
        if self._can_write is not None:
            self._can_write.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self.writing_paused = False
        if self._can_write is not None:
            self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Requests, or parts of them."""
        if not self.last:
            self.parse_new(data)
            if self.line and self.current is None:
                self._begin_next()
            if not self.gone and (self.unfed or self.line or self.incoming is not None or not self.reads):
                self.read_on()  # or there is room, and it reads: the common case

    def eof_received(self) -> bool:
        """The peer sends no more; what it has asked for whole is still answered, but for TLS, which has no half."""
        if self.lingering or self._secure or (self.current is None and not self.line):
            return False
        self.eof = self.last = True
        if self.incoming is not None and not self.incoming.whole:
            self.incoming.disconnect()
            return False
        if self.current is not None:
            self.current.stir()
        return True

    # ---- requests ----

    def took(self, head: Head, method: str, *, keep: bool, upgrade: bool) -> None:
        """Answer a request at once, or put it into line."""
        site = self.site
        if site.stopping:
            return
        self.requests += 1
        keep = keep and self.requests < site.limits.requests
        if (
            site.quick is not None
            and head.length == 0
            and self.current is None
            and not self.line
            and not self.writing_paused
            and not upgrade
            and len(head.path) == len(head.raw_path)  # no %-codes: these are for who sees them
            and (method == "GET" or method == "HEAD")
            and self._answered_quickly(Asked(method, head.path, self.headers), head, keep=keep)
        ):
            return
        shared = None if head.length == 0 else {"most": site.limits.body}
        scope = scope_of(self, head, method, shared)
        exchange = Exchange(self, scope, length=head.length, expects=head.expects, keep=keep, shared=shared)
        exchange.upgrade = upgrade
        self.line.append(exchange)
        if not exchange.whole:
            self.expect_body(exchange)

    def _answered_quickly(self, asked: Asked, head: Head, *, keep: bool) -> bool:
        site = self.site
        began = site.time()
        answer = site.ask_quickly(asked)
        if answer is None:
            return False
        status, lines, body = answer
        ends = b"connection: close\r\n" if not keep else b"" if self.version == "1.1" else b"connection: keep-alive\r\n"
        text = b"%b\r\n%b%b%b\r\n" % (first_line(status), site.date, lines, ends)
        if asked.method == "HEAD" or status in BODILESS:
            body = b""
        self.write_both(text, body)
        site.note_quick(self, asked.method, head.raw_path, status, len(body), began)
        if not keep:
            self._end()
        return True

    def _begin_next(self) -> None:
        """Begin the request that is first in line."""
        if self.gone or self.current is not None or not self.line:
            return
        first = self.line[0]
        if isinstance(first, BadRequest):
            self.line.clear()
            self._send_refusal(first)
        elif self._rest is not None:
            self._wake()
        else:
            # There is no task, or the one there is has an app that goes on after its answer.
            self._rest = self.site.loop.create_future()
            self._rest.set_result(None)
            self._worker = self.site.start(self._work())

    def _wake(self) -> None:
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    async def _work(self) -> None:
        """Answer what is in line, until the connection is lost or another task has taken over."""
        me = self._worker
        assert me is not None
        self._rest = None
        while not self.gone and self._worker is me:
            if self.current is None and self.line:
                first = self.line[0]
                if isinstance(first, Exchange):
                    self.line.popleft()
                    self.current = first
                    await serve(self, first, me)
                    continue
                self._begin_next()
            self._rest = self.site.loop.create_future()
            try:
                await self._rest
            except asyncio.CancelledError:
                if self._worker is me:  # an app asked for it at its end: the next request has another task
                    self._worker = self._rest = None
                    self.site.loop.call_soon(self._go_on)
                raise
            if self._worker is not me:
                return
            self._rest = None

    def answered(self, exchange: Exchange) -> None:
        """The answer of the current exchange is written, or there will be none."""
        self.current = None
        self.site.note(self, exchange)
        self.since = self.site.now
        dropping = exchange.length is not None and exchange.length - exchange.received <= DROPPED
        if not exchange.keep or (self.last and not self.line) or not (exchange.whole or dropping):
            self._end(linger=not exchange.whole or bool(self.line) or bool(self.unfed))
        elif self.line or self.unfed or not self.reads:
            self.site.loop.call_soon(self._go_on)

    def body_taken(self) -> None:
        """There is room for more of a body."""
        if not self.reads and not self.gone:
            self.site.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.gone:
            self.parse()
            self._begin_next()
        if not self.gone:
            self.read_on()

    def handed_over(self, exchange: Exchange) -> None:
        """Something else speaks on the transport from now on."""
        self.current = None
        exchange.over = self.gone = self.last = True
        self.site.connections.discard(self)

    # ---- refusing ----

    def refuse(self, error: BadRequest) -> None:
        """Answer what was asked before, then this, then take no more."""
        if self.last:
            return
        self.drop()
        if self.incoming is not None:
            self.refuse_exchange(self.incoming, error)
        elif self.current is None and not self.line:
            self._send_refusal(error)
        else:
            self.line.append(error)

    def refuse_exchange(self, exchange: Exchange, error: BadRequest) -> None:
        """End an exchange with this, if its answer has not begun; else cut the connection."""
        if exchange.over or exchange.cut:
            return
        exchange.disconnect()
        exchange.over = True
        self.drop()
        if exchange is not self.current:
            self.line = deque(one for one in self.line if one is not exchange)
            self.line.append(error)
            self._begin_next()
        elif exchange.started:
            self.site.refused(self, error)
            self.transport.abort()
        else:
            self.current = None
            self._send_refusal(error)

    def _send_refusal(self, error: BadRequest) -> None:
        self.site.refused(self, error)
        self.write(plain(error.answer, str(error), self.site.date, lines=error.lines, close=True))
        self._end(linger=True)

    # ---- writing ----

    def write_both(self, head: bytes, body: bytes) -> None:
        """A head and a body as one write."""
        if len(body) <= _JOINED:
            self.write(head + body)
        elif head:
            self.transport.writelines((head, body))
        else:
            self.write(body)

    async def writable(self) -> None:
        """Wait until the peer takes what is written, or is gone."""
        if self._can_write is None:
            self._can_write = asyncio.Event()
        if not self.writing_paused or self.gone:
            self._can_write.set()
        await self._can_write.wait()

    async def send_file(self, exchange: Exchange, head: bytes, file: int, offset: int, count: int) -> int:
        """Send a part of a file behind a head; how many bytes of it there were."""
        if count < BODY_WAITING or not can_send_directly(self.transport):
            self.write(head)
            return await pieces_of(file, offset, count, exchange.passed)
        low, high = self.transport.get_write_buffer_limits()
        self.transport.set_write_buffer_limits(high=0)
        self._direct = DirectSending(self.transport)
        try:
            await exchange.passed(head)
            return await self._direct.send(file, offset, count)
        finally:
            self._direct = None
            if not self.gone:
                self.transport.set_write_buffer_limits(high=high, low=low)

    # ---- ending ----

    def _end(self, *, linger: bool = False) -> None:
        """Take no more; close once all is sent, and where the peer still sends, once it has had time to read why."""
        self.drop()
        self.line.clear()
        self.since = self.site.now
        if self.gone or self.transport.is_closing():
            return
        if linger and not self.eof and not self._secure and half_closed(self.transport):
            self.lingering = True
            self.read_on()
        else:
            self.transport.close()

    def stop(self) -> None:
        """Close after the request that is being answered."""
        self.line.clear()
        if self.current is None:
            if not self.lingering:
                self._end()
        else:
            self.last = self.incoming is None
            self.current.keep = False
            self.current.stir()

    def abort(self) -> None:
        """Be lost now."""
        self.transport.abort()

    # ---- time ----

    def look(self, now: float, step: float) -> None:
        """See whether the peer takes too long.

        Args:
            now: Of the site's clock.
            step: Seconds since the last look.
        """
        limits, current = self.site.limits, self.current
        if self._not_taken(now):
            return
        waited = now - self.since - step  # `since` may be a step too old
        if self.lingering:
            if waited > limits.linger:
                self.transport.close()
        elif current is not None:
            if current.hungry:
                current.look_at_body(now, step, limits)
        elif self.line or self.transport.is_closing():
            pass
        elif self.in_head:
            if waited > limits.head_seconds:
                self.refuse(BadRequest(408, f"the head did not come within {limits.head_seconds:g} seconds"))
        elif self.incoming is not None:
            if waited > limits.body_seconds:
                self._end()
        else:
            self._look_idle(waited, limits.idle if self.requests else limits.head_seconds)

    def _look_idle(self, waited: float, most: float) -> None:
        if waited > most:
            self.transport.close()
        if waited <= _RESTS:
            return
        # An idle connection needs no task: it is a third of what such a one costs in memory.
        rest, self._rest, self._worker = self._rest, None, None
        if rest is not None and not rest.done():
            rest.set_result(None)

    def _not_taken(self, now: float) -> bool:
        """Whether the peer took nothing of what waits for it for too long; then it is cut off."""
        waits = self.transport.get_write_buffer_size()
        sent = self.current.sent if self.current is not None else 0
        direct = self._direct
        if direct is not None:
            waits, sent = waits + 1, sent + direct.moved
        if self._progress.stuck(now, waits, sent - waits) <= self.site.limits.answer_seconds:
            return False
        self.site.cut_off(self)
        self.transport.abort()
        return True

    @property
    def peer(self) -> str:
        """Who it is, for people."""
        return str(self.transport.get_extra_info("ropewalk.peer", "a peer"))
