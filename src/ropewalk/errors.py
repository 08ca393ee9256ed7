"""Errors: six families that say whose fault it is and what can be done.

Flow: every part raises a subclass of one family; the command line turns it into one line, a hint and an exit
      status; a wire or a log carries its `code`.
Never: imports another part of ropewalk.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Damaged", "Missing", "Misuse", "PeerFault", "Refused", "RopewalkError", "Unavailable", "first_of"]


class RopewalkError(Exception):
    """Something went wrong that the caller can do something about.

    Attributes:
        code: Stable name, the same on the wire, in logs, in exit statuses and in other languages.
        status: Exit status of a command that ends with this error.
        hint: What to do about it, or "" where the message says all.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # which a traceback shows, and `str` does not


class Misuse(RopewalkError):
    """The call or its input is wrong: fix it."""

    code = "misuse"
    status = 2


class Missing(RopewalkError):
    """What was asked for is not here: look elsewhere."""

    code = "missing"
    status = 3


class Refused(RopewalkError):
    """It is understood and not allowed, or cannot be promised: ask someone, or ask for less."""

    code = "refused"
    status = 4


class Unavailable(RopewalkError):
    """It cannot be done now: try again."""

    code = "unavailable"
    status = 5


class Damaged(RopewalkError):
    """Stored bytes are not what they must be: repair."""

    code = "damaged"
    status = 6


class PeerFault(RopewalkError):
    """The other side broke the rules: end the conversation with it."""

    code = "peer-fault"
    status = 7


def first_of(group: BaseExceptionGroup[RopewalkError]) -> RopewalkError:
    """One of the errors that ended a group of tasks: the first; the others are mostly its echoes."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
