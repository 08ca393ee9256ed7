"""Answer: what a command found, for people and for programs.

Flow: a command -> Answer -> lines that fit a width, or one line of JSON
Never: shows more than a bound, or a character that a terminal obeys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ropewalk.console.errors import TooMuchOutput
from ropewalk.console.table import table
from ropewalk.terminal import plain

__all__ = ["MOST_LINES", "Answer"]

MOST_LINES = 2_000  # more is not read on a terminal; what a command gives is mostly bounded before
_MOST_JSON = 1024 * 1024  # bytes
_LONGEST = 4_000  # characters of a line


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives.

    Attributes:
        value: For programs: anything that msgspec writes as JSON.
        lines: For people: the lines for a width, 0 for one that does not matter.
    """

    value: Any
    lines: Callable[[int], Sequence[str]]

    @classmethod
    def said(cls, text: str, value: Any) -> Answer:
        """An answer in a line or several."""
        return cls(value, lambda _: text.split("\n") if text else ())

    @classmethod
    def table(cls, heads: Sequence[str], rows: Sequence[Sequence[object]], value: Any, *after: str) -> Answer:
        """An answer in rows, and lines below them."""
        return cls(value, lambda width: [*(table(heads, rows, width) if rows else ("none",)), *after])

    def text(self, width: int) -> str:
        """For people; each line ends with a newline."""
        lines = self.lines(width)
        shown = [plain(line, _LONGEST) for line in lines[:MOST_LINES]]
        if len(lines) > MOST_LINES:
            shown.append(f"... and {len(lines) - MOST_LINES} lines more")
        return "".join(f"{line}\n" for line in shown)

    def json(self) -> str:
        """For programs: one line.

        Raises:
            TooMuchOutput.
        """
        data = msgspec.json.encode(self.value, enc_hook=str)
        if len(data) > _MOST_JSON:
            raise TooMuchOutput(f"the answer has {len(data):,} bytes, more than {_MOST_JSON:,}", hint="ask for less")
        return data.decode() + "\n"
