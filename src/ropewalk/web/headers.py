"""Headers: what tells browsers to be careful with answers, put on every answer of an app.

Flow: an app's answer, quick or not -> the same with these headers, where it has none of the same name
Never: overrules the app: a page that needs another policy says so itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from ropewalk.web.errors import BrokenAnswer
from ropewalk.web.quick import Answer, App, Asked, Message, Receive, Scope, Send, quick_of
from ropewalk.web.taking import Takes, takes_of

__all__ = ["DEFAULTS", "SecurityHeaders"]

DEFAULTS: Mapping[str, str] = {
    "content-security-policy": "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class SecurityHeaders:
    """An app whose answers have these headers.

    Args:
        app: Whose answers.
        policy: The content security policy, instead of the default's.
        headers: Others; None for a value leaves one of the defaults out.
    """

    def __init__(self, app: App, *, policy: str | None = None, headers: Mapping[str, str | None] | None = None) -> None:
        self.app = app
        wanted: dict[str, str | None] = {**DEFAULTS, **({"content-security-policy": policy} if policy else {})}
        wanted.update((headers or {}).items())
        self._headers = [
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in wanted.items()
            if value is not None
        ]
        for name, value in self._headers:
            if any(bad in name + value for bad in (b"\r", b"\n", b"\0")) or not name or b":" in name:
                raise BrokenAnswer(f"header {name.decode('ascii')!r} has a line end or a colon where none can be")
        self._quick = quick_of(app)
        self._lines = [(name, b"%b: %b\r\n" % (name, value)) for name, value in self._headers]
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                there = {name.lower() for name, _ in given} & self._names
                more = [one for one in self._headers if one[0] not in there] if there else self._headers
                message = {**message, "headers": given + more}
            await send(message)

        await self.app(scope, receive, with_headers)

    def quick(self, asked: Asked) -> Answer | None:
        """The app's quick answer, with the same headers."""
        answer = None if self._quick is None else self._quick(asked)
        if answer is None:
            return None
        there = answer.lines.lower()
        more = b"".join(
            line for name, line in self._lines if not (there.startswith(name + b":") or b"\n" + name + b":" in there)
        )
        return Answer(answer.status, answer.lines + more, answer.body)

    def takes(self, path: str, host: bytes) -> Takes | None:
        """What the app does."""
        return takes_of(self.app, path, host)
