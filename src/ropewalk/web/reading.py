"""Reading: bytes of a connection become heads that were checked, and bodies.

Flow: transport -> slices -> llhttp -> on_... -> read_head -> took, refuse; on_body -> the exchange whose body it is
Never: reads ahead without bound, or takes what is neither whole nor right for a request.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from ropewalk.web.errors import BadRequest
from ropewalk.web.parsing import Head, read_head

if TYPE_CHECKING:
    from ropewalk.web.exchange import Exchange
    from ropewalk.web.site import Site

__all__ = ["BODY_WAITING", "Reader"]

SLICE = 4 * 1024  # bytes parsed at once, so that what one read brought does not become a thousand requests
BODY_WAITING = 64 * 1024  # bytes of a body that wait for the app, and that are parsed at once; then no more is read
_GAP = 16 * 1024  # bytes between two parts of a body in chunks: sizes, extensions, trailers


class Reader(asyncio.Protocol):
    """The reading half of a connection.

    Attributes:
        site: What it serves.
        line: Requests that came and are not begun, in order; a refusal is the last.
        incoming: The request whose body is coming.
        last: No more requests are taken.
        reads: What the peer sends is read now.
        since: When what the peer is to do next began: to send a head, or a request.
    """

    transport: asyncio.Transport

    def __init__(self, site: Site) -> None:
        self.site = site
        self.line: deque[Exchange | BadRequest] = deque()
        self.incoming: Exchange | None = None
        self.last = False
        self.since = site.now
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.unfed = memoryview(b"")  # was read, and there is no room for what may be in it
        self.reads = True
        self._parser = httptools.HttpRequestParser(self)
        self._most_in_line = site.limits.pipelined
        self._url = b""
        self._body_left = self._head_fed = self._gap = 0
        self._in_head = self._begun = self._upgrading = False

    # ---- what a connection does with it ----

    def took(self, head: Head, method: str, *, keep: bool, upgrade: bool) -> None:
        """A head was found right: the request comes into line, or is answered at once."""
        raise NotImplementedError

    def refuse(self, error: BadRequest) -> None:
        """Something was not."""
        raise NotImplementedError

    # ---- what comes ----

    def parse_new(self, data: bytes) -> None:
        """Take apart what has just been read."""
        if self.unfed:
            self.unfed = memoryview(bytes(self.unfed) + data)
            self.parse()
        elif len(data) <= SLICE and len(self.line) < self._most_in_line and (self.incoming is None or self._room()):
            self._feed(data)
            if self.unfed:  # behind an upgrade that was not taken
                self.parse()
        else:
            self.unfed = memoryview(data)
            self.parse()

    def parse(self) -> None:
        """Take apart what was read, as long as there is room."""
        while self.unfed and self._room():
            size = max(SLICE, min(self._body_left, BODY_WAITING))
            data, self.unfed = self.unfed[:size], self.unfed[size:]
            self._feed(data)

    def read_on(self) -> None:
        """Read as long as there is room; who is not listened to any more is read too, for its end to be seen."""
        reading = self.last or (not self.unfed and self._room())
        if reading is not self.reads:
            self.reads = reading
            if reading:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not whole."""
        return self._in_head or self._head_fed > 0

    def drop(self) -> None:
        """Take nothing more."""
        self.last = True
        self.unfed = memoryview(b"")

    def take_rest(self) -> bytes:
        """What came behind a request that asked for a WebSocket."""
        rest, self.unfed = bytes(self.unfed), memoryview(b"")
        return rest

    def _room(self) -> bool:
        if self.last or len(self.line) >= self._most_in_line:
            return False
        return self.incoming is None or self.incoming.waiting < BODY_WAITING

    def _feed(self, data: bytes | memoryview) -> None:
        self._begun = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.last:
                self._upgrade(memoryview(data)[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self.refuse(BadRequest(400, "this is not HTTP"))
            return
        if self.last:
            return
        if self.incoming is not None:
            self._gap += len(data)
            if self._gap > _GAP + BODY_WAITING:
                self.refuse(BadRequest(400, "there is too much between the chunks of the body"))
        elif self._in_head or not self._begun:  # or there were but the empty lines that may stand before a head
            self._head_fed += len(data)
            limits = self.site.limits
            if self._head_fed > limits.head + SLICE:
                self.refuse(_too_long(self._url, limits.target))

    # ---- what llhttp finds ----

    def on_message_begin(self) -> None:
        """A head begins."""
        self._url, self.headers = b"", []
        self._in_head = self._begun = True
        self.since = self.site.now

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; behind a body it is a trailer, which nobody asked for."""
        if self._in_head:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole: check it."""
        self._in_head = False
        if self.last:
            return
        parser = self._parser
        method, self.version = parser.get_method(), parser.get_http_version()
        try:
            head = self._checked(method)
        except BadRequest as error:
            self.refuse(error)
            return
        self._head_fed = 0
        if parser.should_upgrade():
            self._upgrading = True
        else:
            self.took(head, method.decode("ascii"), keep=parser.should_keep_alive(), upgrade=False)

    def on_body(self, data: bytes) -> None:
        """A part of a body."""
        self._gap = 0
        self._body_left -= len(data)
        if (exchange := self.incoming) is not None:
            exchange.fed_at = self.site.now
            self.site.counts.received.inc(len(data))
            exchange.feed(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._begun = True
        if self._upgrading or self.last:
            return
        exchange, self.incoming = self.incoming, None
        self._body_left = 0
        self.since = self.site.now
        if exchange is not None:
            exchange.end_of_body()
        if self.site.stopping or not self._parser.should_keep_alive():
            self.last = True

    def expect_body(self, exchange: Exchange) -> None:
        """What comes next is its body."""
        self.incoming, self._body_left, self._gap = exchange, exchange.length or 0, 0

    def _checked(self, method: bytes) -> Head:
        limits, headers = self.site.limits, self.headers
        if len(self._url) > limits.target:
            raise _too_long(self._url, limits.target)
        if len(headers) > limits.headers:
            raise BadRequest(431, f"there are more than {limits.headers} headers")
        if self._head_fed + SLICE > limits.head:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.head:
                raise BadRequest(431, f"the head has more than {limits.head} bytes")
        head = read_head(method, self.version, self._url, headers)
        if head.absolute:
            assert head.host is not None
            self.headers = [(b"host", head.host), *(one for one in headers if one[0] != b"host")]
        if (hosts := self.site.hosts) is not None:
            hosts.check(head.host)
        return head

    def _upgrade(self, rest: memoryview) -> None:
        """A request that would rather speak something else: a WebSocket may, else it is as if it had not asked."""
        self._upgrading = False
        method, url, headers = self._parser.get_method(), self._url, self.headers
        rest = memoryview(bytes(rest) + bytes(self.unfed))
        names = dict(headers)
        socket = names.get(b"upgrade", b"").lower() == b"websocket" and method == b"GET" and self.version == "1.1"
        if socket and not names.keys() & {b"content-length", b"transfer-encoding"}:
            self.took(read_head(method, self.version, url, headers), "GET", keep=False, upgrade=True)
            self.reads = self.last = False
            self._most_in_line = 0  # what follows are frames
            self.unfed = rest
            self.transport.pause_reading()
            return
        kept = [b"%b: %b\r\n" % one for one in headers if one[0] != b"upgrade"]
        text = b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, self.version.encode(), b"".join(kept))
        # llhttp has skipped the body: it is to read the same head again, without the wish.
        self._parser = httptools.HttpRequestParser(self)
        self.unfed = rest
        self._feed(text)


def _too_long(url: bytes, most: int) -> BadRequest:
    if len(url) > most:
        return BadRequest(414, f"the target has more than {most} bytes")
    return BadRequest(431, "the head is too long")
