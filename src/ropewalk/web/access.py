"""Access log: one line for each request, for people and, as fields, for programs.

Flow: a request ends -> `note` -> logger `ropewalk.web.access`
Never: writes what follows a question mark: tokens travel there.
"""

from __future__ import annotations

import logging

__all__ = ["LOG", "note"]

LOG = logging.getLogger("ropewalk.web.access")


def note(service: str, peer: str, method: str, path: bytes, status: int, sent: int, seconds: float) -> None:
    """Tell of one request.

    Args:
        path: As it came, without the query: ASCII, since a parser has seen it.
    """
    target = path.decode("latin-1")
    LOG.info(
        "%s: %s %s %s %d %d %.4f",
        service,
        peer,
        method,
        target,
        status,
        sent,
        seconds,
        extra={
            "code": "web.access",
            "peer": peer,
            "method": method,
            "path": target,
            "status": status,
            "bytes": sent,
            "seconds": round(seconds, 6),
        },
    )
