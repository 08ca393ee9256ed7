"""Limits: what one peer may send, and how long it may take.

Flow: configuration -> WebLimits -> the site -> connection, exchange, WebSocket
Never: bounds connections and TLS handshakes: a listener does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated

import msgspec

from ropewalk.errors import Misuse

__all__ = ["BadWebLimit", "WebLimits", "WebLimitsConfig"]

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(gt=0)]


class BadWebLimit(Misuse):
    """A limit that no server could keep."""

    code = "web.bad-limit"


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Bounds of one site.  Times are looked at in steps of a quarter of the shortest, at least once a second.

    Attributes:
        head: Bytes of a request's line and headers; 431 above.
        headers: How many headers; 431 above.
        target: Bytes of what stands between method and version; 414 above.
        body: Bytes of a request's body; 413 above.  An app may allow itself more, see `BodyLimit`.
        head_seconds: For a whole head, from its first byte, or from the beginning of the connection; then 408.
        body_seconds: That an app waits for more of a body; then 408.
        body_rate: Bytes a second that a body must come with, averaged over the time that an app waited for it, once
            that is more than ``body_seconds``; slower is 408.
        answer_seconds: In which the peer must take some of an answer; then it is cut off.
        idle: Seconds between requests; then the connection is closed.
        requests: Of one connection; the last is answered with ``Connection: close``.
        running: Apps at work for requests and WebSockets, of the whole site; 503 above.
        pipelined: Requests of one connection that are read and not begun; more are not read.
        linger: Seconds in which what a refused peer still sends is read and dropped, so that it can read why.
        message: Bytes of a WebSocket message; 1009 above.
        ping: Seconds between pings of a WebSocket on which nothing comes.
        pong: Seconds for their answers; then it is cut off.
        close: Seconds for the peer's part of a WebSocket's closing.
    """

    head: int = 32 * 1024  # a browser sends 1 KiB, and cookies
    headers: int = 128
    target: int = 8 * 1024  # RFC 9110, 4.1: at least 8,000
    body: int = 16 * 1024 * 1024
    head_seconds: float = 20.0
    body_seconds: float = 30.0
    body_rate: float = 128.0  # a modem of 1990 has ten times that
    answer_seconds: float = 60.0
    idle: float = 75.0
    requests: int = 100_000
    running: int = 10_000
    pipelined: int = 16
    linger: float = 2.0
    message: int = 1024 * 1024
    ping: float = 20.0
    pong: float = 20.0
    close: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise BadWebLimit(f"limit {field.name} is {value}, expected more than 0")

    @property
    def step(self) -> float:
        """Seconds between two looks at all connections."""
        times = (self.head_seconds, self.body_seconds, self.answer_seconds, self.idle)
        return min(1.0, *(time / 4 for time in (*times, self.linger, self.ping, self.pong, self.close)))


class WebLimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``web_limits`` of a service; see `WebLimits`. A key that is left out has its default there."""

    head: Count | None = None
    headers: Count | None = None
    target: Count | None = None
    body: Count | None = None
    head_seconds: Amount | None = None
    body_seconds: Amount | None = None
    body_rate: Amount | None = None
    answer_seconds: Amount | None = None
    idle: Amount | None = None
    requests: Count | None = None
    running: Count | None = None
    pipelined: Count | None = None
    linger: Amount | None = None
    message: Count | None = None
    ping: Amount | None = None
    pong: Amount | None = None
    close: Amount | None = None

    def limits(self) -> WebLimits:
        """The bounds that a site takes."""
        return replace(WebLimits(), **{name: value for name, value in msgspec.structs.asdict(self).items() if value})
