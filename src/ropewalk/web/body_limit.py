"""Body limit: an app that takes larger, or only smaller, bodies than its site does.

Flow: BodyLimit(app, most) -> the exchange's bound is set before the app reads
Never: reads anything itself.
"""

from __future__ import annotations

from ropewalk.web.limits import BadWebLimit
from ropewalk.web.quick import Answer, App, Asked, Receive, Scope, Send, quick_of
from ropewalk.web.taking import Takes, takes_of

__all__ = ["BodyLimit"]


class BodyLimit:
    """An app with a bound of its own for bodies.

    An app may do the same for one request: ``scope["extensions"]["ropewalk.body"]["most"] = bytes``, before it
    receives.  The extension is there where a request has a body.

    Args:
        most: Bytes; 413 above.
    """

    def __init__(self, app: App, most: int) -> None:
        if most < 0:
            raise BadWebLimit(f"limit of a body is {most}, expected 0 or more bytes")
        self.app, self.most = app, most
        self._quick = quick_of(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the bound, run the app."""
        bound = scope.get("extensions", {}).get("ropewalk.body")
        if bound is not None:
            bound["most"] = self.most
        await self.app(scope, receive, send)

    def quick(self, asked: Asked) -> Answer | None:
        """The app's quick answer."""
        return None if self._quick is None else self._quick(asked)

    def takes(self, path: str, host: bytes) -> Takes | None:
        """What the app does."""
        return takes_of(self.app, path, host)
