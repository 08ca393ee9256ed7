"""Saying: what the page of the console and its WebSocket say to each other: one object of JSON a message.

Flow: text of a message -> heard -> Line, Interrupt, Complete or Columns; text, prompt, words -> text of a message
Never: takes a message that is longer than its bound, or a line with a control character in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ropewalk.errors import PeerFault

__all__ = [
    "LONGEST_MESSAGE", "BadMessage", "Columns", "Complete", "Interrupt", "Line", "Said",
    "heard", "prompt", "text", "words",
]  # fmt: skip

LONGEST_MESSAGE = 20 * 1024  # characters: the longest line, its quotes and backslashes doubled, and room
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_Typed = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x08\x0a-\x1f\x7f-\x9f]*\Z")]


class BadMessage(PeerFault):
    """What the page of the console sent is not what was agreed."""

    code = "pages.bad-message"


class _Message(msgspec.Struct, frozen=True, tag_field="what"):
    """One message of the page; a later version may add to it."""


class Line(_Message, frozen=True, tag="line"):
    """A line was typed."""

    text: _Typed


class Interrupt(_Message, frozen=True, tag="interrupt"):
    """What runs is to stop."""


class Complete(_Message, frozen=True, tag="complete"):
    """Which words could stand where the last one of this does?

    Attributes:
        number: Stands in the answer, too.
    """

    text: _Typed
    number: Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class Columns(_Message, frozen=True, tag="columns"):
    """So many characters fit into a line of the page."""

    number: Annotated[int, msgspec.Meta(ge=20, le=500)]


Said = Line | Interrupt | Complete | Columns
_DECODER: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


def heard(message: str) -> Said:
    """What a message of the page says.

    Raises:
        BadMessage.
    """
    if len(message) > LONGEST_MESSAGE:
        raise BadMessage(f"a message has {len(message):,} characters, expected {LONGEST_MESSAGE:,} at most")
    try:
        return _DECODER.decode(message)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise BadMessage(f"a message is none of those that were agreed: {str(error)[:60]}") from None


def text(shown: str) -> str:
    """To be shown: text, of whose control characters only newlines and tabs are left."""
    return _message(what="text", text=_shown(shown))


def prompt(shown: str) -> str:
    """A line is waited for."""
    return _message(what="prompt", text=_shown(shown))


def words(number: int, offered: Sequence[str]) -> str:
    """Answers `Complete`."""
    return _message(what="words", number=number, words=[_shown(one) for one in offered])


def _shown(given: str) -> str:
    return _CONTROL.sub("", given).encode(errors="replace").decode()


def _message(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()
