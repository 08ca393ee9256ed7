"""Warnings: what people should be told of an open space, each line once.

Flow: parts of an open space -> Warnings -> whoever shows them
Never: grows with how long a space is open, or says again what was taken out to be shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, SupportsIndex

__all__ = ["MOST_TOLD", "MOST_WARNINGS", "Warnings"]

MOST_WARNINGS = 1000  # lines that nobody has taken out; who floods us with reasons to warn gets no more
MOST_TOLD = 4000  # lines that were, and are known again
FULL = f"more than {MOST_WARNINGS} warnings: the others are left out until these are taken"


class Warnings(list[str]):
    """Lines, in the order in which they came.

    A line that is in it, or was taken with `pop`, is not added again.  One that was removed in another way may be.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        super().__init__()
        self._told: dict[str, None] = {}  # oldest first
        self.extend(lines)

    def append(self, line: str, /) -> None:
        """Add a line, unless it was told; the last one that there is room for says so."""
        if len(self) > MOST_WARNINGS or line in self._told or line in self:
            return
        super().append(line if len(self) < MOST_WARNINGS else FULL)

    def extend(self, lines: Iterable[str], /) -> None:
        """Add several."""
        for line in lines:
            self.append(line)

    def __iadd__(self, lines: Iterable[str], /) -> Self:  # type: ignore[override, misc]
        self.extend(lines)
        return self

    def pop(self, index: SupportsIndex = -1, /) -> str:
        """Take a line to show it."""
        line = super().pop(index)
        if line != FULL:
            self._told[line] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        return line
