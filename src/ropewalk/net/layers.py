"""Layers above a transport: what stands between the loop's transport and the user's protocol, by the endpoint.

Flow: listen, connect -> guard_of -> the guard given to the loop; for ws a WebSocketSide inside it
Never: does I/O.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

from ropewalk.net.connection import Connection
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.guard import Guard, guard_for

__all__ = ["LARGEST_MESSAGE", "Factory", "guard_of"]

LARGEST_MESSAGE = 1024 * 1024  # bytes; what browsers and libraries send at most where nobody told them otherwise

Factory = Callable[[], asyncio.BaseProtocol]


def guard_of(factory: Factory, connection: Connection, *, server: bool, close_after: float) -> Guard:
    """The guard of a new connection, with what the endpoint's layers need inside."""
    if "ws" in connection.endpoint.layers:
        connection.ready = asyncio.get_running_loop().create_future()
        connection.bottom = _websocket(factory, connection, server=server, close_after=close_after)
    else:
        connection.bottom = factory()
    return guard_for(connection.bottom, connection)


def _websocket(factory: Factory, connection: Connection, *, server: bool, close_after: float) -> asyncio.Protocol:
    from websockets.client import ClientProtocol
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    from ropewalk.net.websocket import QUIET, WebSocketSide

    endpoint = connection.endpoint
    largest = int(endpoint.option("max_message", str(LARGEST_MESSAGE)))
    words = cast(Any, endpoint.option("subprotocol").split(",") if endpoint.has("subprotocol") else None)
    if not server:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host or "localhost"
        secure = "tls" in endpoint.layers
        port = f":{endpoint.port}" if endpoint.port else ""
        uri = parse_uri(f"{'wss' if secure else 'ws'}://{host.partition('%')[0]}{port}{quote(endpoint.request_path)}")
        client = ClientProtocol(uri, subprotocols=words, max_size=largest, logger=QUIET)
        return WebSocketSide(client, factory, opened=connection.raised, failed=connection.fail, close_after=close_after)
    origins = cast(Any, [*endpoint.option("origin").split(","), None] if endpoint.has("origin") else None)
    machine = ServerProtocol(
        origins=origins,
        subprotocols=words,
        select_subprotocol=_select(words) if words else None,
        max_size=largest,
        logger=QUIET,
    )
    return WebSocketSide(
        machine,
        factory,
        answer=_answer_of(endpoint),
        opened=connection.raised,
        failed=connection.fail,
        close_after=close_after,
    )


def _answer_of(endpoint: Endpoint) -> Callable[[Any, Any], Any]:
    """Accept requests for the endpoint's path, and no others."""

    def answer(machine: Any, request: Any) -> Any:
        path = unquote(request.path.partition("?")[0])
        if path != endpoint.request_path:
            return machine.reject(http.HTTPStatus.NOT_FOUND, "No WebSocket is here.\n")
        return machine.accept(request)

    return answer


def _select(known: Sequence[str]) -> Callable[[Any, Sequence[str]], Any]:
    """The first of ours that the client offers; a client that offers none of them speaks something else."""

    def select(_machine: Any, offered: Sequence[str]) -> str:
        from websockets.exceptions import NegotiationError

        for word in known:
            if word in offered:
                return word
        raise NegotiationError(f"client offers {', '.join(offered) or 'nothing'}, expected one of {', '.join(known)}")

    return select
