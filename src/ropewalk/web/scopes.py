"""Scopes: what an app is told of a request, and of who asks.

Flow: Head, and what the connection knows -> the scope of an Exchange; a socket's name -> client, server
Never: tells what was not checked.
Source: ASGI 3.0, HTTP 2.5, "HTTP connection scope".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropewalk.web.parsing import Head
from ropewalk.web.quick import Scope

if TYPE_CHECKING:
    from ropewalk.web.protocol import Connection

__all__ = ["Address", "address_of", "scope_of"]

Address = tuple[str, int | None]


def scope_of(connection: Connection, head: Head, method: str, shared: dict[str, int] | None) -> Scope:
    """The scope of a request.

    Args:
        shared: The bound of its body, for the app to change; None where there is no body.
    """
    site = connection.site
    return {
        "type": "http",
        "asgi": site.asgi,
        "http_version": connection.version,
        "method": method,
        "scheme": connection.scheme,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "root_path": "",
        "headers": connection.headers,
        "client": connection.client,
        "server": connection.server,
        "state": site.state.copy(),
        "extensions": site.extensions if shared is None else {**site.extensions, "ropewalk.body": shared},
    }


def address_of(name: object) -> Address | None:
    """A socket's name as a scope has it: host and port, or the path of a Unix socket; None for one without a name."""
    if isinstance(name, tuple):
        return name[0], name[1]
    if isinstance(name, bytes):
        name = name.decode("utf-8", "backslashreplace")
    return (name, None) if isinstance(name, str) and name else None
