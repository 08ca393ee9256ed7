"""Auditing: what somebody did from a page, as a line of a log of its own.

Flow: an endpoint that changes something -> logger ropewalk.pages.audit -> wherever this process logs
Never: is left out for what was refused, or broke off, once it was begun.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from ropewalk.errors import RopewalkError
from ropewalk.pages.asking import asker_of

__all__ = ["audited"]

_log = logging.getLogger("ropewalk.pages.audit")
_log.setLevel(logging.INFO)  # of its own: it is written down whatever else the log leaves out


@contextmanager
def audited(request: Request, what: str) -> Iterator[list[str]]:
    """Write down that this was done, or refused, by whom and from where; who finds out more adds words to it."""
    who = asker_of(request).session.who or "the owner"
    fields = {"who": who, "by": "web", "peer": request.client.host if request.client else ""}
    words = [what]
    try:
        yield words
    except RopewalkError as error:
        _log.info("%s: refused", " ".join(words), extra={**fields, "code": error.code})
        raise
    except BaseException:  # it may be done, or a part of it
        _log.info("%s: broke off", " ".join(words), extra=fields)
        raise
    _log.info("%s: done", " ".join(words), extra=fields)
