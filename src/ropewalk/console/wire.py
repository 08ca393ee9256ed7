"""Wire: what the command line and the console's socket say to each other.

A line of JSON from the client says what it wants. Then both sides send frames: a letter, the length of what follows in
two bytes, big-endian, and that. From the client: `d` what was typed, `w` columns and rows, two bytes each, `e` the end
of what it has to say. From the server: `d` what is to be shown, `f` what failed, for standard error, `x` one byte, the
exit status, after which it closes.

Flow: bytes -> Frames -> (letter, data); Opening <-> its line
Never: keeps more than one frame and its bound, or takes a frame that it does not know.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated

import msgspec

from ropewalk.errors import PeerFault

__all__ = ["LONGEST_OPENING", "MOST_DATA", "BadFrame", "Frames", "Opening", "frame", "opening_of", "size_of", "window"]

LONGEST_OPENING = 64 * 1024  # bytes of the first line
MOST_DATA = 16 * 1024  # bytes of a frame
_HEAD = struct.Struct(">cH")
_WINDOW = struct.Struct(">HH")

Size = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Word = Annotated[str, msgspec.Meta(max_length=4_096)]


class BadFrame(PeerFault):
    """The other side of a console's socket does not keep to what was agreed."""

    code = "console.bad-frame"


class Opening(msgspec.Struct, frozen=True):
    """What a client wants; a later version may add to it.

    Attributes:
        words: One command; None for a conversation.
        columns, rows: Of its window; 0 columns for as long lines as it takes.
        term: Its TERM.
        keys: It sends each key as it is pressed, and shows none itself.
        colour: It shows colours.
        quiet: Its lines come from no person, and no prompt is shown.
    """

    words: Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)] | None = None
    columns: Size = 80
    rows: Size = 24
    term: Annotated[str, msgspec.Meta(max_length=64)] = ""
    keys: bool = False
    colour: bool = False
    quiet: bool = False


def opening_of(line: bytes) -> Opening:
    """What a client's first line says.

    Raises:
        BadFrame.
    """
    try:
        return msgspec.json.decode(line, type=Opening)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(f"the first line of a client is no opening: {str(error)[:200]}") from None


def frame(letter: bytes, data: bytes = b"") -> bytes:
    """Frames that carry some data: one, or as many as it takes."""
    parts = [data[at : at + MOST_DATA] for at in range(0, len(data), MOST_DATA)] or [b""]
    return b"".join(_HEAD.pack(letter, len(part)) + part for part in parts)


def window(columns: int, rows: int) -> bytes:
    """The frame that tells the size of a window."""
    return frame(b"w", _WINDOW.pack(min(columns, 65_535), min(rows, 65_535)))


class Frames:
    """Cuts what comes into frames.

    Args:
        known: The letters that may come.
    """

    def __init__(self, known: bytes) -> None:
        self._known = known
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are whole with this.

        Raises:
            BadFrame.
        """
        self._data += data
        at = 0
        try:
            while len(self._data) - at >= _HEAD.size:
                letter, length = _HEAD.unpack_from(self._data, at)
                if letter not in self._known or length > MOST_DATA or (letter == b"w" and length != _WINDOW.size):
                    raise BadFrame(f"frame {letter!r} of {length} bytes")
                end = at + _HEAD.size + length
                if len(self._data) < end:
                    return
                part = bytes(self._data[at + _HEAD.size : end])
                at = end
                yield letter, part
        finally:
            del self._data[:at]


def size_of(data: bytes) -> tuple[int, int]:
    """Columns and rows of a `w` frame."""
    columns, rows = _WINDOW.unpack(data)
    return columns, rows
