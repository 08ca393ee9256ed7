"""Mounts: several apps under one roof, each below a path of its own.

Flow: path -> the longest prefix that it is below -> that app, with root_path; lifespan -> all of them
Never: shows one app another's state; answers a path that nobody has with more than 404.
Source: ASGI 3.0, HTTP 2.5: `path` is whole, `root_path` the part that is the mount's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.web.errors import BadApp
from ropewalk.web.lifespan import live_all
from ropewalk.web.quick import Answer, App, Asked, Receive, Scope, Send, quick_of
from ropewalk.web.taking import Takes, takes_of

__all__ = ["Mounts", "not_here"]

_TEXT = b"there is nothing here\n"
_TYPE = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]


async def not_here(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the shape of an app
    """An app that has nothing."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})  # before it was accepted: an answer of 403
        return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": _TYPE})
        await send({"type": "http.response.body", "body": _TEXT})


class Mounts:
    """Apps by prefix.

    Args:
        apps: Prefixes begin with a slash and do not end with one; ``"/"`` or ``""`` is for all that no other has.

    Raises:
        BadApp: A prefix cannot be.
    """

    def __init__(self, apps: Mapping[str, App]) -> None:
        prefixes = {("" if prefix == "/" else prefix): app for prefix, app in apps.items()}
        for prefix in prefixes:
            wrong = prefix and (not prefix.startswith("/") or prefix.endswith("/") or "//" in prefix)
            if wrong or any(sign in prefix for sign in "%?# "):
                raise BadApp(f"prefix of a mount is {prefix!r}, expected a path such as /static")
        if len(prefixes) < len(apps):
            raise BadApp('mounts have both "" and "/", expected one app for all other paths')
        ordered = sorted(prefixes.items(), key=lambda one: -len(one[0]))
        self._apps = [(prefix, f"{prefix}/", app, quick_of(app)) for prefix, app in ordered]
        self._states: dict[str, dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on to the app whose path it is."""
        if scope["type"] == "lifespan":
            await live_all({prefix: app for prefix, _, app, _ in self._apps}, self._states, scope, receive, send)
            return
        root = scope.get("root_path", "")
        prefix, app = self._found(scope["path"].removeprefix(root))
        inner = {**scope, "root_path": root + prefix}
        if prefix in self._states:
            inner["state"] = self._states[prefix].copy()
        await app(inner, receive, send)

    def quick(self, asked: Asked) -> Answer | None:
        """The quick answer of the app whose path it is."""
        path = asked.path
        for prefix, below, _, quick in self._apps:
            if path.startswith(below) or path == prefix:
                return None if quick is None else quick(Asked(asked.method, path[len(prefix) :], asked.headers))
        return None

    def takes(self, path: str, host: bytes) -> Takes | None:
        """What takes over WebSockets at this path instead of an app."""
        prefix, app = self._found(path)
        return takes_of(app, path[len(prefix) :], host)

    def _found(self, path: str) -> tuple[str, App]:
        for prefix, below, app, _ in self._apps:
            if path.startswith(below) or path == prefix:
                return prefix, app
        return "", not_here
