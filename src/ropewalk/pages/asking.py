"""Asking: what the gate found out about a request, for whoever answers it, and the request's body.

Flow: ASGI scope, receive -> body, form -> Asker, in the scope -> endpoints
Never: holds more of a body than it is told to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope

from ropewalk.errors import Misuse, PeerFault
from ropewalk.pages.hosts import Asked
from ropewalk.pages.multipart import BadForm, Parts
from ropewalk.pages.sessions import Session

__all__ = ["Asker", "BodyCut", "BodyTooLarge", "asker_of", "body_of", "form_of"]

LARGEST_FORM = 2 * 1024 * 1024  # bytes: the names of all entries of a large folder, marked to be moved
MOST_FIELDS = 20_000
_KEY = "ropewalk.asker"


class BodyCut(PeerFault):
    """The connection ended before the request did."""

    code = "pages.body-cut"


class BodyTooLarge(Misuse):
    """The body of the request has more bytes than it may."""

    code = "pages.body-too-large"


@dataclass(slots=True)
class Asker:
    """Who asks, and what the gate has read already.

    Attributes:
        asked: By which of our names.
        session: Theirs.
        form: Fields of a form, in order.
        parts: What follows the first field, in a form with files.
    """

    asked: Asked
    session: Session
    form: Sequence[tuple[str, str]] = ()
    parts: Parts | None = None
    fields: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = dict(self.form)

    def keep(self, scope: Scope) -> None:
        """Put it where `asker_of` finds it."""
        scope[_KEY] = self


def asker_of(request: Request) -> Asker:
    """What the gate has put into the request; there is no way round the gate."""
    asker = request.scope[_KEY]
    assert isinstance(asker, Asker)
    return asker


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """The pieces of a request's body.

    Raises:
        BodyCut.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyCut("the connection ended before the request did")
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


async def form_of(receive: Receive, limit: int = LARGEST_FORM) -> list[tuple[str, str]]:
    """The fields of a form without files.

    Raises:
        BodyTooLarge, BodyCut, BadForm.
    """
    held = bytearray()
    async for piece in body_of(receive):
        held += piece
        if len(held) > limit:
            raise BodyTooLarge(f"form has over {limit} bytes")
    try:
        return parse_qsl(
            held.decode("ascii"), keep_blank_values=True, strict_parsing=bool(held), errors="strict",
            max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise BadForm("body is not the fields of a form") from None
