"""Asking: reads a collector's page, over any endpoint.

Flow: endpoint, path, query -> one connection, one GET -> status, body
Never: believes what it is told about a length, takes more than it has asked for, or waits longer than its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

import httptools

from ropewalk.errors import PeerFault, Unavailable
from ropewalk.net import Endpoint, connect
from ropewalk.net.errors import no_connection

__all__ = ["MOST_BODY", "BadPage", "NoPage", "ask_page"]

MOST_BODY = 4 << 20  # bytes: fifty series of five hundred points, twice over
_MOST_HEAD = 16 * 1024  # bytes of all that is no body


class NoPage(Unavailable):
    """The collector did not answer in time, or hung up before it had."""

    code = "collector.no-page"


class BadPage(PeerFault):
    """What came is no page of a collector."""

    code = "collector.bad-page"


async def ask_page(
    endpoint: Endpoint, path: str, query: Mapping[str, str], *, deadline: float, most: int = MOST_BODY
) -> tuple[int, bytes]:
    """The status and the body of a page.

    Args:
        endpoint: Of the collector's key ``page``; by TLS it says who is believed, and what this side shows.
        path: Such as ``/sources``.
        query: Its fields.
        deadline: Seconds for all of it.
        most: Bytes of a body.

    Raises:
        NoPage: Too late, or not whole.
        BadPage: Too large, or no HTTP.
        RopewalkError: It cannot be reached; see `connect`.
    """
    words = urlencode(query)
    name = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    host = f"{name}:{endpoint.port}" if endpoint.port and name.isascii() else "collector"
    asked = (
        f"GET {path}{'?' if words else ''}{words} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")
    try:
        async with asyncio.timeout(deadline):
            transport, page = await connect(endpoint, lambda: _Reading(most), deadline=deadline)
            try:
                transport.write(asked)
                return await page.whole
            finally:
                transport.abort()
    except TimeoutError:
        raise NoPage(f"no answer came within {deadline:g} seconds") from None
    except OSError as error:
        raise no_connection(endpoint.place, error) from error
    except UnicodeError:
        raise NoPage(f"{endpoint.place} has a name that no host can have") from None


class _Reading(asyncio.Protocol):
    """Takes one answer."""

    def __init__(self, most: int) -> None:
        self.whole: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._most, self._taken, self._body = most, 0, bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Some of it; nothing more is looked at once it is whole."""
        if self.whole.done():
            return
        self._taken += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BadPage("what came is no answer of HTTP"))
        # Also where it is all head, or the chunks have long names: what came counts, and not what it is for.
        if len(self._body) > self._most or self._taken > self._most + _MOST_HEAD:
            self._fail(BadPage(f"the answer has more than {self._most} bytes"))
        elif self._taken - len(self._body) > _MOST_HEAD and not self._body:
            self._fail(BadPage(f"the head of the answer has more than {_MOST_HEAD} bytes"))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """That was all; one that only announces another is not it."""
        status = self._parser.get_status_code()
        if status >= 200 and not self.whole.done():
            self.whole.set_result((status, bytes(self._body)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """Nothing more comes."""
        self._fail(NoPage("the connection ended before the answer did"))

    def _fail(self, error: Exception) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)
            self.whole.exception()  # somebody may not wait any more
