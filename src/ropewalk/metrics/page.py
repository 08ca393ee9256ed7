"""Page: a very small web server for pages that are read: metrics, and a collector's answers.

Flow: any listener -> Pages.protocol() -> httptools -> Request -> the answer function -> Page -> bytes in order
Never: takes a body, reads ahead without bound, answers out of order, waits longer than its one deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast
from urllib.parse import parse_qsl, unquote

import httptools

from ropewalk.metrics.registry import Registry, current_registry

__all__ = ["HEAD_LIMIT", "Page", "Pages", "Request"]

_log = logging.getLogger("ropewalk.metrics")

HEAD_LIMIT = 8 * 1024  # bytes of a request's head
_SLICE = 4 * 1024  # bytes parsed at once, so that what one read brought does not become requests all at once
_MOST_WAITING = 8  # requests of one connection that are parsed and not answered
_MOST_FIELDS = 32  # of a query


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    path: str
    query: Mapping[str, str]
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    body: bytes
    type: str = "text/plain; charset=utf-8"
    status: int = 200


Answer = Callable[[Request], Awaitable[Page | None]]


class Pages:
    """Answers GET and HEAD by a function, on any number of connections.  Used as `async with`.

    Args:
        answer: Makes a page; None for a path that it does not know.
        deadline: Seconds for a request to come in whole, for its answer to be taken, and between requests.
        registry: This context's own by default.
    """

    def __init__(self, answer: Answer, *, deadline: float = 20.0, registry: Registry | None = None) -> None:
        self.answer, self.deadline = answer, deadline
        self.connections: set[_Connection] = set()
        self.closing = False
        self.requests = (registry or current_registry()).counter(
            "ropewalk_metrics_page_requests_total", "requests for pages, by status of the answer", ("status",)
        )
        self.tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self.tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let each connection finish the request it answers, and close it."""
        self.closing = True
        for connection in list(self.connections):
            connection.close_soon()
        await self.tasks.__aexit__(kind, error, trace)

    def protocol(self) -> asyncio.Protocol:
        """The factory that a listener wants."""
        return _Connection(self)


class _Connection(asyncio.Protocol):
    """One connection: parses while there is room, answers in order by at most one task."""

    transport: asyncio.Transport

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._parser = httptools.HttpRequestParser(self)
        self._unfed = b""
        self._waiting: deque[tuple[Request | int, bool, bool]] = deque()  # or a status; head alone; close after it
        self._worker: asyncio.Task[None] | None = None
        self._last = False  # nothing more is read
        self._eof = self._lost = self._in_request = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._begin()

    # ---- the transport's side ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(self._pages.deadline, self._check_time)
        self._pages.connections.add(self)
        if self._pages.closing:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        self._lost = True
        self._timer.cancel()
        self._pages.connections.discard(self)
        self._can_write.set()
        if self._worker:
            self._worker.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return  # what comes after the last request is not read
        self._unfed += data
        self._parse()

    def eof_received(self) -> bool:
        """A half-closed reader still gets what it asked for, but for TLS, which has no half."""
        self._eof = True
        return bool(self._worker) and self.transport.get_extra_info("ssl_object") is None

    # ---- time ----

    def _check_time(self) -> None:
        left = self._since + self._pages.deadline - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_time)
        elif self._worker or self.transport.is_closing():  # an answer that is not taken
            self.transport.abort()
        else:
            self._timer = self._loop.call_later(self._pages.deadline, self.transport.abort)
            if self._in_request:
                self._refuse(408)
            else:
                self.transport.close()

    def close_soon(self) -> None:
        """Close after the request that is being answered."""
        self._last = True
        self._waiting.clear()
        if not self._worker:
            self.transport.close()

    # ---- parsing ----

    def _begin(self) -> None:
        self._url, self._accept = b"", b""
        self._head = 0  # bytes that the parser gave us, and below those that it was given and may still hold
        self._fed = 0
        self._host = False

    def _parse(self) -> None:
        while self._unfed and not self._last and len(self._waiting) < _MOST_WAITING:
            data, self._unfed = self._unfed[:_SLICE], self._unfed[_SLICE:]
            self._fed += len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                self._last = True  # it is answered without the upgrade, and what follows it may be anything
            except httptools.HttpParserError:
                self._refuse(400)
            if self._fed > HEAD_LIMIT + _SLICE:
                self._refuse(431)
        if self._last:
            self._unfed = b""
        elif self._unfed:
            self.transport.pause_reading()

    def on_message_begin(self) -> None:
        """A request begins."""
        fed = self._fed
        self._begin()
        self._fed, self._in_request = fed, True
        if not self._worker:
            self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value) + 4)
        match name.lower():
            case b"accept":
                self._accept += value + b","
            case b"host":
                self._host = True
            case b"transfer-encoding":
                self._refuse(413)
            case b"content-length" if value.strip() != b"0":
                self._refuse(413)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        method = self._parser.get_method()
        if method not in (b"GET", b"HEAD"):
            self._refuse(405)
        elif (self._parser.get_http_version(), self._host) not in (("1.1", True), ("1.0", True), ("1.0", False)):
            self._refuse(400)

    def on_message_complete(self) -> None:
        """The request is whole: it waits for its turn."""
        if self._last:
            return
        try:
            request = _request(self._url, self._accept)
        except (ValueError, httptools.HttpParserError):
            self._refuse(400)
            return
        only_head = self._parser.get_method() == b"HEAD"
        self._last = not self._parser.should_keep_alive() or self._parser.should_upgrade()
        self._fed, self._in_request = 0, False
        self._add(request, only_head)

    # ---- answering ----

    def _refuse(self, status: int) -> None:
        """Answer what was asked before, then this, and close."""
        if not self._last:
            self._last = True
            _log.info("request refused with %d", status, extra={"code": "metrics.page", "reason": status})
            self._add(status, only_head=False)

    def _add(self, request: Request | int, only_head: bool) -> None:
        self._waiting.append((request, only_head, self._last))
        if not self._worker and not self._pages.closing:
            self._since = self._loop.time()
            self._worker = self._pages.tasks.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting and not self._lost:
                request, only_head, last = self._waiting.popleft()
                page = Page(b"", status=request) if isinstance(request, int) else await self._page(request)
                if self.transport.is_closing():
                    return
                self.transport.write(_bytes(page, only_head, last or self._pages.closing))
                self._pages.requests.of(str(page.status)).inc()
                await self._can_write.wait()
                self._since = self._loop.time()
                if not self._waiting and self._unfed:
                    self.transport.resume_reading()
                    self._parse()
        finally:
            self._worker = None
            if self._last or self._eof or self._pages.closing:
                self.transport.close()

    async def _page(self, request: Request) -> Page:
        try:
            async with asyncio.timeout(self._pages.deadline / 2):  # what is left is for sending
                return await self._pages.answer(request) or Page(b"", status=404)
        except TimeoutError:
            _log.warning("page took too long", extra={"code": "metrics.page", "reason": "deadline"})
            return Page(b"", status=503)
        except Exception:  # noqa: BLE001 - whatever an answer raises, the connection and the others go on
            _log.exception("page failed", extra={"code": "metrics.page", "reason": "error"})
            return Page(b"", status=500)


def _request(url: bytes, accept: bytes) -> Request:
    parts = httptools.parse_url(url)
    path = unquote((parts.path or b"/").decode("ascii"), errors="strict")
    pairs = parse_qsl(
        (parts.query or b"").decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    query = dict(pairs)
    if len(query) < len(pairs):
        raise ValueError("a field of the query is given twice")
    return Request(path, query, accept.decode("latin-1"))


def _bytes(page: Page, only_head: bool, last: bool) -> bytes:
    status = HTTPStatus(page.status)
    body = page.body or f"{status.phrase.lower()}\n".encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {page.type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    if last:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if only_head else body)
