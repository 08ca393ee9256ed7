"""By host: several sites at one endpoint, each with names of its own.

Flow: host of a request -> its name, or the longest ``*.`` that it is below -> that app; lifespan -> all of them
Never: has an app answer for a name that is not its own: what nobody has gets 421.
Source: RFC 9110, 7.4 and 15.5.20.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ropewalk.web.errors import BadApp
from ropewalk.web.hosts import Hosts
from ropewalk.web.lifespan import live_all
from ropewalk.web.parsing import host_name
from ropewalk.web.quick import Answer, App, Asked, Receive, Scope, Send, quick_of
from ropewalk.web.taking import Takes, takes_of

__all__ = ["ByHost"]

_TYPE = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]


class ByHost:
    """Apps by the name that a request is for.

    Args:
        apps: Names as `Hosts` takes them, without port: ``www.example.org``, or ``*.example.org`` for all below that;
            a whole name counts more than one with ``*``, a longer one more than a shorter. An app that is there under
            several names is started once.

    Raises:
        BadHostName: A name cannot be.
        BadApp: There is none, or one twice.
    """

    def __init__(self, apps: Mapping[str, App]) -> None:
        Hosts(apps)
        found = {name.lower().removeprefix("*"): app for name, app in apps.items()}
        if not found or len(found) < len(apps):
            raise BadApp("names have nothing, or one of them twice, expected an app by name")
        self._apps = {name: (app, quick_of(app)) for name, app in found.items()}
        self._below = sorted((name for name in found if name.startswith(".")), key=len, reverse=True)
        self._names = {id(app): name for name, app in found.items()}  # one of each app's
        self._states: dict[str, dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on to the app whose name it is."""
        if scope["type"] == "lifespan":
            apps = {name: self._apps[name][0] for name in self._names.values()}
            await live_all(apps, self._states, scope, receive, send)
        elif (name := self._found(_host(scope["headers"]))) is None:
            await _not_ours(scope, send)
        else:
            app, _ = self._apps[name]
            state = self._states.get(self._names[id(app)])
            await app(scope if state is None else {**scope, "state": state.copy()}, receive, send)

    def quick(self, asked: Asked) -> Answer | None:
        """The quick answer of the app whose name it is."""
        name = self._found(_host(asked.headers))
        quick = None if name is None else self._apps[name][1]
        return None if quick is None else quick(asked)

    def takes(self, path: str, host: bytes) -> Takes | None:
        """What takes over WebSockets at this path of the app whose name it is."""
        name = self._found(host)
        return None if name is None else takes_of(self._apps[name][0], path, host)

    def _found(self, host: bytes) -> str | None:
        name = host_name(host)
        return name if name in self._apps else next((below for below in self._below if name.endswith(below)), None)


def _host(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name == b"host"), b"")


async def _not_ours(scope: Scope, send: Send) -> None:
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 421, "headers": _TYPE})
    await send({"type": f"{kind}.body", "body": b"this name is not served here\n"})
