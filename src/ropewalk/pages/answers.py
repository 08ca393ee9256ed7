"""Answers: pages and JSON, and what an error becomes.

Flow: values -> template -> page; error -> Failure -> page or JSON, by what the asker wants
Never: shows where in the program something went wrong, or puts a name into a page but as text.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ropewalk.counting import count
from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable, first_of
from ropewalk.pages.names import amount, moment, quoted, shown, stamp

__all__ = ["Failure", "failed", "json_answer", "page", "wants_json"]

_log = logging.getLogger("ropewalk.pages")

_FAMILIES: tuple[tuple[type[RopewalkError], int, str], ...] = (
    (Misuse, 400, "That does not work"),
    (Missing, 404, "Not here"),
    (Refused, 403, "Not allowed"),
    (Unavailable, 503, "Not possible now"),
    (Damaged, 500, "Damaged"),
    (PeerFault, 400, "Not understood"),
)
_OWN = {  # where another status says more than the family's
    "space.already-there": 409,
    "space.folder-not-empty": 409,
    "pages.changed-meanwhile": 409,
    "pages.body-too-large": 413,
    "pages.length-needed": 411,
    "pages.foreign-host": 421,
    "auth.too-many-failures": 429,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said of an error.

    Attributes:
        status: Of HTTP.
        title: A few words.
        code: The error's.
        message: What happened.
        hint: What to do about it.
    """

    status: int
    title: str
    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The same for every error of a kind; one that is not ours is logged, and not shown."""
        if isinstance(error, BaseExceptionGroup):
            ours, others = error.split(RopewalkError)
            if ours is not None and others is None:
                error = first_of(ours)
        if isinstance(error, RopewalkError):
            for family, status, title in _FAMILIES:
                if isinstance(error, family):
                    return cls(_OWN.get(error.code, status), title, error.code, str(error), error.hint)
        _log.error("a page failed", exc_info=error, extra={"code": "pages.failed"})
        return cls(500, "Something went wrong", "unexpected", "a fault of ropewalk; its log says more", "")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("ropewalk.pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"shown": shown, "amount": amount, "moment": moment, "stamp": stamp, "quoted": quoted}
    made.globals["count"] = count
    return made


def page(template: str, values: Mapping[str, Any] | None = None, status: int = 200) -> HTMLResponse:
    """A page; what it is given is text in it, whatever it holds."""
    return HTMLResponse(_templates().get_template(template).render(values or {}), status)


def json_answer(value: object, status: int = 200) -> Response:
    """JSON; names that are not UTF-8 are there only quoted."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def wants_json(request: Request) -> bool:
    """Whether a script asks, and not a person's browser."""
    return "application/json" in request.headers.get("accept", "")


def failed(request: Request, error: Exception, values: Mapping[str, Any] | None = None) -> Response:
    """The answer that says what went wrong."""
    failure = Failure.of(error)
    if wants_json(request):
        said = {"code": failure.code, "message": shown(failure.message), "hint": shown(failure.hint)}
        return json_answer({"error": said}, failure.status)
    return page("error.html", {**(values or {}), "failure": failure}, failure.status)
