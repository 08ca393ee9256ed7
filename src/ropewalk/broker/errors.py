"""Errors of a session, and the form in which errors cross it.

Flow: exception -> wire_form -> ERROR, END -> error_of -> exception of the same family and code at the other end
Never: tells the other end more of an error that is no part of an interface than that it happened, unless it may know.
Source: docs/spec/broker.md sections 1, 3 and 9.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable

__all__ = [
    "BadArguments",
    "BadFrame",
    "BadMessage",
    "BadValue",
    "Busy",
    "Cancelled",
    "CannotSend",
    "Ended",
    "Failed",
    "Late",
    "Lost",
    "NoAnswer",
    "NoMethod",
    "NoPath",
    "NoReference",
    "NoSturdy",
    "NoSuchObject",
    "OverLimit",
    "UnknownType",
    "WrongNode",
    "WrongVersion",
    "error_of",
    "wire_form",
]


class BadFrame(PeerFault):
    """The other end sent what is no frame."""

    code = "broker.frame"


class OverLimit(PeerFault):
    """The other end went over a limit that it was told."""

    code = "broker.limit"


class BadMessage(PeerFault):
    """The other end sent a message that is none, or that cannot come now."""

    code = "broker.message"


class BadValue(PeerFault):
    """The other end sent a value of a kind that there is not."""

    code = "broker.value"


class WrongVersion(PeerFault):
    """There is no version of the protocol that both ends speak."""

    code = "broker.version"


class WrongNode(Refused):
    """The other end is not the node that was meant."""

    code = "broker.wrong-node"


class CannotSend(Misuse):
    """A value cannot cross to the other end."""

    code = "broker.cannot-send"


class BadArguments(Misuse):
    """The method does not take these."""

    code = "broker.arguments"


class UnknownType(Misuse):
    """A copyable of a kind that was not registered at this end, or that does not fit what was."""

    code = "broker.unknown-type"


class NoReference(Misuse):
    """What should be called is no object that the other end has shown."""

    code = "broker.no-reference"


class NoSuchObject(Missing):
    """The reference is of an object that is not shown now."""

    code = "broker.no-object"


class NoMethod(Missing):
    """The object has no remote method of this name."""

    code = "broker.no-method"


class NoPath(Missing):
    """There is nothing in the answer at this path."""

    code = "broker.no-path"


class NoAnswer(Missing):
    """There is no such answer, or no more."""

    code = "broker.no-answer"


class NoSturdy(Missing):
    """The sturdy reference is not known, or was revoked."""

    code = "broker.no-sturdy"


class Busy(Unavailable):
    """Too much is underway already."""

    code = "broker.busy"


class Late(Unavailable):
    """The deadline is over."""

    code = "broker.deadline"


class Cancelled(Unavailable):
    """The caller wanted it no more."""

    code = "broker.cancelled"


class Lost(Unavailable):
    """The session ended before the answer came; whether the call was done is not known."""

    code = "broker.lost"


class Ended(Unavailable):
    """The session is over."""

    code = "broker.ended"


class Failed(PeerFault):
    """A bug at the other end: its method raised what is no part of its interface."""

    code = "broker.failed"


_FAMILIES: dict[str, type[RopewalkError]] = {
    "failed": Failed,
    "misuse": Misuse,
    "missing": Missing,
    "refused": Refused,
    "unavailable": Unavailable,
    "damaged": Damaged,
    "peer-fault": PeerFault,
}
# What this document lets a call be answered with; what tells of the session itself is never taken from an answer.
_ANSWERS: dict[tuple[str, str], type[RopewalkError]] = {
    (family, kind.code): kind
    for family, kinds in {
        "misuse": (BadArguments, CannotSend, UnknownType, NoReference),
        "missing": (NoSuchObject, NoMethod, NoPath, NoAnswer, NoSturdy),
        "unavailable": (Busy, Late, Cancelled),
    }.items()
    for kind in kinds
}
_LONGEST_CODE, _LONGEST_TEXT, _LONGEST_TRACE = 128, 4096, 64 * 1024


def wire_form(error: BaseException, *, traces: bool = False) -> tuple[str, str, str, dict[str, str]]:
    """Family, code, text and details of an error that crosses to the other end."""
    details: dict[str, str] = {}
    if isinstance(error, RopewalkError):
        family = next((name for name, kind in _FAMILIES.items() if isinstance(error, kind)), "failed")
        code, text = error.code, str(error)
        if error.hint:
            details["hint"] = error.hint[:_LONGEST_TEXT]
    elif isinstance(error, TimeoutError):
        family, code, text = "unavailable", Late.code, "the deadline is over"
    elif isinstance(error, asyncio.CancelledError):
        family, code, text = "unavailable", Cancelled.code, "the call was stopped"
    else:
        family, code, text = "failed", Failed.code, "the method failed; its end has the reason in its log"
        if traces:
            text = f"{type(error).__name__}: {error}"
            details["type"] = type(error).__name__
    if traces and family == "failed":
        details["trace"] = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
    # What is no Unicode, such as a part of a file's name, is shown by its number.
    known = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in details.items()}
    text = text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
    return family, code[:_LONGEST_CODE], text[:_LONGEST_TEXT], known


def error_of(family: object, code: object, text: object, details: object = None) -> RopewalkError:
    """The error that the other end told of: of our class for it, else in our family of that name, with its code.

    Raises:
        BadMessage: It is none.
    """
    if type(family) is not str or type(code) is not str or type(text) is not str:
        raise BadMessage("an error is not told by family, code and text")
    if details is not None and type(details) is not dict:
        raise BadMessage("details of an error are not a map")
    known: dict[Any, Any] = details or {}
    hint, trace = known.get("hint"), known.get("trace")
    kind = _ANSWERS.get((family, code)) or _FAMILIES.get(family, Failed)
    error = kind(text[:_LONGEST_TEXT], hint=hint[:_LONGEST_TEXT] if isinstance(hint, str) else "")
    error.__dict__["code"] = code[:_LONGEST_CODE]
    if isinstance(trace, str):
        error.add_note(f"at the other end:\n{trace[:_LONGEST_TRACE]}")
    return error
