"""Upgrading: a request becomes a WebSocket: for an app as messages, or for a protocol as bytes.

Flow: the connection's task -> upgrade -> Takes: net's WebSocketSide on the same transport, and the task ends
      or a WebSocket on the same transport, for which the app is run
Never: reads a byte of a WebSocket before its handshake is answered.
Source: RFC 6455, section 4.2.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ropewalk.web.errors import BadRequest
from ropewalk.web.exchange import Exchange
from ropewalk.web.taking import Takes, takes_of

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.server import ServerProtocol

    from ropewalk.web.protocol import Connection

__all__ = ["upgrade"]


async def upgrade(connection: Connection, exchange: Exchange, task: asyncio.Task[None]) -> None:
    """Answer a request for a WebSocket, and speak it."""
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    from ropewalk.net.websocket import QUIET
    from ropewalk.web.websocket import WebSocket

    site = connection.site
    host = next((value for name, value in exchange.scope["headers"] if name == b"host"), b"")
    if (takes := takes_of(site.app, exchange.scope["path"], host)) is not None:
        if _from_elsewhere(exchange, takes.origins):
            connection.refuse_exchange(exchange, BadRequest(403, "pages of other origins may not connect here"))
        else:
            _give(connection, exchange, takes)
        return
    machine = ServerProtocol(max_size=site.limits.message, logger=QUIET)
    machine.receive_data(_request(exchange))
    found = machine.events_received()
    if not found:  # the library's own bounds of a head are narrower than ours
        connection.refuse_exchange(exchange, BadRequest(431, "a header is longer than a WebSocket's request may have"))
        return
    (request,) = found
    assert isinstance(request, Request)
    response = machine.accept(request)
    if response.status_code != 101:
        connection.refuse_exchange(exchange, _refusal(response))
        return
    await WebSocket(connection, exchange, machine, response).run(task)


def _request(exchange: Exchange) -> bytes:
    """The request as it came, for a library that reads it again."""
    scope = exchange.scope
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [b"GET %b%b HTTP/1.1" % (scope["raw_path"], query)]
    lines += [name + b": " + value for name, value in scope["headers"]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _refusal(response: Response) -> BadRequest:
    if response.status_code == 426:
        return BadRequest(426, "expected a WebSocket", lines=b"upgrade: websocket\r\n")
    return BadRequest(400, "the handshake of the WebSocket is not right", lines=b"sec-websocket-version: 13\r\n")


def _from_elsewhere(exchange: Exchange, origins: frozenset[str]) -> bool:
    """Whether a browser says that a page of another origin asks."""
    found = {name: value.decode("latin-1").lower() for name, value in exchange.scope["headers"]}
    origin = found.get(b"origin")
    if origin is None:
        return False
    return origin not in origins and origin != f"{exchange.scope['scheme']}://{found.get(b'host', '')}"


def _give(connection: Connection, exchange: Exchange, takes: Takes) -> None:
    """Give the transport to a protocol that gets the messages as bytes."""
    from websockets.server import ServerProtocol

    from ropewalk.net.connection import Connection as Listened
    from ropewalk.net.websocket import QUIET, WebSocketSide

    site, transport = connection.site, connection.transport
    listened = transport.get_extra_info("ropewalk.connection")

    def opened(top: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        if isinstance(listened, Listened):  # so that its listener asks the right one to end
            listened.top, listened.protocol = top, protocol
        site.taken_over[protocol] = takes.stop
        site.counts.opened.inc()

    def failed(error: Exception) -> None:
        if isinstance(listened, Listened):
            listened.fault = listened.fault or error

    def answer(machine: ServerProtocol, request: Request) -> Any:
        return machine.accept(request)

    side = WebSocketSide(
        ServerProtocol(max_size=takes.most, logger=QUIET),
        takes.factory,
        answer=answer,
        opened=opened,
        failed=failed,
        close_after=site.limits.close,
    )
    rest = connection.take_rest()
    connection.handed_over(exchange)
    transport.set_protocol(side)
    side.connection_made(transport)
    if connection.writing_paused:
        side.pause_writing()
    side.data_received(_request(exchange) + rest)
    transport.resume_reading()
