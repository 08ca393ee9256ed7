"""Table: rows as aligned text that fits a width.

Flow: cells -> `plain` -> columns as wide as their widest cell, or less -> lines
Never: lets a cell end its line or move a cursor.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ropewalk.terminal import plain

__all__ = ["fitted", "seconds", "table", "width_of", "wrapped"]

_GAP = "  "
_NARROWEST = 6  # columns of a cell that gives way


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[str]:
    """Lines of a table; numbers stand at the right of their column, and what is too long ends in "…".

    Args:
        heads: One word over each column.
        rows: As many cells each.
        width: Characters of a line; 0 for as many as it takes.
    """
    cells = [[_cell(one) for one in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(heads))]
    widths = [max(width_of(row[at]) for row in [list(heads), *cells]) for at in range(len(heads))]
    while width and sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > _NARROWEST:
        widest = max(range(len(widths)), key=lambda at: widths[at])
        widths[widest] -= 1
    lines = []
    for row in [list(heads), *cells]:
        parts = [_padded(one, widths[at], right=right[at]) for at, one in enumerate(row)]
        lines.append(fitted(_GAP.join(parts).rstrip(), width))
    return lines


def fitted(text: str, width: int) -> str:
    """The text, or as much of it as fits, with "…" for the rest."""
    if not width or width_of(text) <= width:
        return text
    taken, used = [], 1
    for letter in text:
        used += width_of(letter)
        if used > width:
            break
        taken.append(letter)
    return "".join(taken) + "…"


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Words of a text in lines, those after the first indented."""
    import textwrap

    return textwrap.wrap(text, width or 10_000, subsequent_indent=indent) or [""]


def width_of(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def seconds(amount: float) -> str:
    """A span for people, in its two largest units: ``3 min 4 s``."""
    left = max(0.0, amount)
    if left < 10:
        return f"{left:.1f} s"
    whole = int(left)
    for unit, size, below, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {below}"
    return f"{whole} s"


def _cell(value: object) -> str:
    return plain(f"{value:g}" if isinstance(value, float) else str(value))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _padded(text: str, width: int, *, right: bool) -> str:
    text = fitted(text, width)
    room = " " * (width - width_of(text))
    return room + text if right else text + room
