"""What tests of the host share: an app on an endpoint, and a peer that speaks to it byte by byte."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools

from ropewalk import loops, net
from ropewalk.metrics import Registry
from ropewalk.web import Site

Headers = list[tuple[bytes, bytes]]
TEXT: Headers = [(b"content-type", b"text/plain")]
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@dataclass
class Got:
    """An answer, taken apart."""

    status: int = 0
    version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    keep: bool = False


class Answers:
    """Takes answers apart."""

    def __init__(self, *methods: str) -> None:
        self.got: list[Got] = []
        self._methods = list(methods)
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> list[Got]:
        """Those that have begun."""
        self._parser.feed_data(data)
        return self.got

    def on_message_begin(self) -> None:
        self.got.append(Got())

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode().lower()
        assert key not in self.got[-1].headers, key
        self.got[-1].headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.got[-1].status = self._parser.get_status_code()
        self.got[-1].version = self._parser.get_http_version()

    def on_body(self, data: bytes) -> None:
        self.got[-1].body += data

    def on_message_complete(self) -> None:
        self.got[-1].whole = True
        self.got[-1].keep = self._parser.should_keep_alive()


def answers(data: bytes) -> list[Got]:
    """All of them, as a peer reads them that has asked with GET or POST."""
    return Answers().feed(data)


class Peer(asyncio.Protocol):
    """The other side: keeps what comes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.lost = asyncio.Event()
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.lost.set()
        self._changed.set()

    async def until(self, *, size: int = 0, text: bytes = b"", end: bool = False) -> bytes:
        """All that came, once it is so much, or has this in it, or is all there will be."""
        while not ((size and len(self.data) >= size) or (text and text in self.data) or (end and self.ended)):
            assert not self.ended, f"ended with {self.data!r}"
            self._changed.clear()
            await self._changed.wait()
        return self.data

    async def all(self) -> bytes:
        """All that there is until the end."""
        return await self.until(end=True)


class Hosted:
    """An app on an endpoint."""

    def __init__(self, site: Site, listener: net.Listener) -> None:
        self.site, self.listener = site, listener

    async def peer(self, *pieces: bytes) -> Peer:
        """A new peer, that says this."""
        transport, peer = await net.connect(self.listener.endpoint.peer(), Peer)
        assert isinstance(peer, Peer)
        for piece in pieces:
            transport.write(piece)
        return peer

    async def said(self, *pieces: bytes) -> bytes:
        """All that it says to a peer that says this, until it closes."""
        peer = await self.peer(*pieces)
        got = await peer.all()
        peer.transport.close()
        await peer.lost.wait()
        return got

    async def asked(self, *pieces: bytes) -> list[Got]:
        """The same, taken apart."""
        return answers(await self.said(*pieces))

    @property
    def port(self) -> int:
        return self.listener.endpoint.port


@asynccontextmanager
async def hosted(app: Any, url: str = "memory://web", **settings: Any) -> AsyncIterator[Hosted]:
    """An app, listening."""
    settings.setdefault("registry", Registry())
    async with Site(app, **settings) as site, await net.listen(url, site.protocol) as listener:
        try:
            yield Hosted(site, listener)
        finally:
            await listener.drain(5, lambda transport, protocol: None if site.ask(protocol) else transport.close())


def simulated(main: Coroutine[Any, Any, Any], seed: int = 0) -> Any:
    """Run a test in time of its own."""

    async def bounded() -> Any:
        async with asyncio.timeout(100_000):
            return await main

    return loops.run(bounded(), loop=loops.Simulated(seed))


async def at_work(web: Hosted, count: int = 1) -> None:
    """Wait until so many apps are at work."""
    while web.site.running != count:  # noqa: ASYNC110 - the site counts, and tells nobody
        await asyncio.sleep(0)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The smallest app."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"hello"})


async def body_of(receive: Any) -> bytes:
    """A whole body."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("cut")
        parts.append(message["body"])
        more = message["more_body"]
    return b"".join(parts)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what was asked."""
    assert scope["type"] == "http"
    body = await body_of(receive)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    said = b"%b %b%b %b" % (scope["method"].encode(), scope["path"].encode(), query, body)
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": said})


def answering(*messages: dict[str, Any]) -> Any:
    """An app that sends these."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, headers: Headers | None = None) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": TEXT if headers is None else headers}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class _Keeps(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Kept:
    """What is logged meanwhile: a fixture would be shared by all examples."""

    def __enter__(self) -> list[logging.LogRecord]:
        self.records: list[logging.LogRecord] = []
        self.handler = _Keeps(self.records)
        logging.getLogger().addHandler(self.handler)
        return self.records

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self.handler)
