"""Messages: the wire's, as classes whose fields the decoder checks.

Flow: body -> `Unpacking`, by `BODY` -> messages -> `Broker.taken`
Never: looks into values; what a field must be beside its kind is for the part that gets the message.
Source: docs/spec/broker.md section 3.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "BODY",
    "Abort",
    "AboutTold",
    "Call",
    "Close",
    "Credit",
    "End",
    "Error",
    "Finish",
    "Goaway",
    "Item",
    "LimitsTold",
    "Message",
    "Ping",
    "Pong",
    "Release",
    "Return",
    "Update",
]

Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]


# No collector has to look for circles through them: a message lives as long as its frame is taken.
class Message(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array whose first element says what it is."""


class AboutTold(Struct, gc=False):
    """The map beside the arguments of a CALL."""

    deadline: Number | None = None
    trace: Annotated[str, Meta(max_length=256)] | None = None


class Call(Message, tag=0):
    """CALL."""

    question: Number
    target: int | list[Any]
    method: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: list[Any]
    named: dict[str, Any] | None = None
    about: AboutTold | None = None


class Return(Message, tag=1):
    """RETURN."""

    question: Number
    value: Any


class Error(Message, tag=2):
    """ERROR."""

    question: Number
    family: str
    code: str
    text: str
    details: dict[Any, Any] | None = None


class Release(Message, tag=3):
    """RELEASE."""

    references: list[Any]
    counts: list[Any]


class Finish(Message, tag=4):
    """FINISH."""

    questions: list[Number]


class Credit(Message, tag=5):
    """CREDIT."""

    stream: Number
    size: int


class Item(Message, tag=6):
    """ITEM."""

    stream: Number
    item: Any


class End(Message, tag=7):
    """END."""

    stream: Number
    family: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    details: dict[Any, Any] | None = None


class Close(Message, tag=8):
    """CLOSE."""

    stream: Number


class Update(Message, tag=9):
    """UPDATE."""

    reference: Number
    version: int
    changes: list[Any]


class Ping(Message, tag=10):
    """PING."""

    number: int


class Pong(Message, tag=11):
    """PONG."""

    number: int


class LimitsTold(Message, tag=12):
    """LIMITS."""

    limits: dict[Any, Any]


class Goaway(Message, tag=13):
    """GOAWAY."""

    text: str


class Abort(Message, tag=14):
    """ABORT."""

    code: str
    text: str


BODY = list[
    Call
    | Return
    | Error
    | Release
    | Finish
    | Credit
    | Item
    | End
    | Close
    | Update
    | Ping
    | Pong
    | LimitsTold
    | Goaway
    | Abort
]
