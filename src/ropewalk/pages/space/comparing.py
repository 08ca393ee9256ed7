"""Comparing: two texts line by line, as a page shows them beside each other, with bounds on all of it.

Which lines are the same is found by `textmerge`, whose work is bounded; texts that are longer than a person would look
at are not read at all.

Flow: two files -> sizes -> bytes -> lines in common, lines that differ -> Piece, ... -> page
Never: reads, compares or shows more than it has said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ropewalk.pages.names import amount, shown
from ropewalk.spaces.content import ContentSource
from ropewalk.spaces.textmerge import merge_texts
from ropewalk.spaces.tree.entry import Entry

__all__ = [
    "LARGEST",
    "LONGEST_LINE",
    "MOST_LINES",
    "Comparing",
    "Half",
    "NotCompared",
    "Piece",
    "check_text",
    "pieces_of",
]

LARGEST = 256 * 1024  # bytes of a text
MOST_LINES = 4000  # of a text
LONGEST_LINE = 400  # characters of a line that are shown
CONTEXT = 3  # equal lines shown before and after those that differ
AT_ONCE = 2  # comparisons of one process: they take turns with all else that Python does here

_NO_TEXT = "These are not texts, so they are not compared line by line."


class NotCompared(Exception):
    """Two files are not shown line by line; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Half:
    """Lines of one text.

    Attributes:
        first: The number of the first, from 1.
        lines: As text that stays in its place.
        open: Whether the last one, which is the last of its text, has no line end.
    """

    first: int
    lines: Sequence[str]
    open: bool = False

    @property
    def where(self) -> str:
        """Which lines these are."""
        if not self.lines:
            return "no line"
        last = self.first + len(self.lines) - 1
        return f"line {self.first}" if last == self.first else f"lines {self.first} to {last}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines that both have, or what each has instead of the other's.

    Attributes:
        one: Of the one text; of both, where they are the same.
        other: Of the other; None where they are the same.
        left_out: So many equal lines are not shown before these.
    """

    one: Half
    other: Half | None = None
    left_out: int = 0


class Comparing:
    """Compares files, so many at a time.

    Attributes:
        turns: For whoever does as much work in another way.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.turns = asyncio.Semaphore(at_once)

    async def pieces(self, content: ContentSource, one: Entry, other: Entry) -> Sequence[Piece]:
        """Two files line by line.

        Raises:
            NotCompared: They are too long, or no text.
            ChunkUnreachable, ChunkLost.
        """
        size = max(one.size, other.size)
        if size > LARGEST:
            raise NotCompared(_too_long(amount(size)))
        async with self.turns:
            texts = [await content.read(entry) for entry in (one, other)]
            return await asyncio.to_thread(pieces_of, *texts)


def pieces_of(one: bytes, other: bytes) -> Sequence[Piece]:
    """Two texts line by line.

    Raises:
        NotCompared.
    """
    for text in (one, other):
        check_text(text)
    return list(_pieces(one, other))


def check_text(text: bytes) -> None:
    """See that a person would look at it line by line.

    Raises:
        NotCompared.
    """
    if len(text) > LARGEST:
        raise NotCompared(_too_long(amount(len(text))))
    try:
        text.decode()
    except UnicodeDecodeError:
        raise NotCompared(_NO_TEXT) from None
    if b"\0" in text:
        raise NotCompared(_NO_TEXT)
    if (lines := text.count(b"\n")) > MOST_LINES:
        raise NotCompared(_too_long(f"{lines:,} lines"))


def _too_long(has: str) -> str:
    return f"Too long to compare: {has}. Texts of up to {amount(LARGEST)} and {MOST_LINES:,} lines are compared here."


def _pieces(one: bytes, other: bytes) -> Iterator[Piece]:
    x = y = 1
    parts = merge_texts(None, one, other).parts
    for at, part in enumerate(parts):
        if not isinstance(part, bytes):
            ours, theirs = _half(x, part.ours), _half(y, part.theirs)
            yield Piece(ours, theirs)
            x, y = x + len(ours.lines), y + len(theirs.lines)
            continue
        half = _half(x, part)
        before = 0 if at == 0 else CONTEXT  # lines kept at the start, after what differs
        after = 0 if at == len(parts) - 1 else CONTEXT
        yield from _shortened(half, before, after)
        x, y = x + len(half.lines), y + len(half.lines)


def _shortened(half: Half, before: int, after: int) -> Iterator[Piece]:
    size = len(half.lines)
    if size <= before + after + 1:  # to say that one line is left out takes as much room as the line
        yield Piece(half)
        return
    if before:
        yield Piece(Half(half.first, half.lines[:before]))
    start = size - after
    yield Piece(Half(half.first + start, half.lines[start:], half.open and bool(after)), left_out=start - before)


def _half(first: int, text: bytes) -> Half:
    lines = text.decode().split("\n")
    is_open = bool(lines[-1])
    return Half(first, [_line(line) for line in (lines if is_open else lines[:-1])], is_open)


def _line(text: str) -> str:
    cut = f"{text[:LONGEST_LINE]}… ({len(text):,} characters)" if len(text) > LONGEST_LINE else text
    return "\t".join(shown(piece) for piece in cut.split("\t"))
