"""Warnings: what people should be told of an open space, each line once.

Flow: parts of an open space -> folded -> Warnings -> whoever shows them
Never: grows with how long a space is open, says again what was taken out to be shown, or lets many lines of one kind
crowd out what matters more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Self, SupportsIndex

__all__ = ["FULL", "MOST_ALIKE", "MOST_TOLD", "MOST_WARNINGS", "Grave", "Warnings", "folded"]

MOST_WARNINGS = 1000  # lines that nobody has taken out
MOST_TOLD = 4000  # lines that were, and are known again
MOST_ALIKE = 8  # lines of one kind that come together; the others are counted
FULL = f"more than {MOST_WARNINGS} warnings: of the commonest kinds the oldest are left out until these are taken"

_LEFT = 0.9  # of the lines, when there were too many: to count the kinds for each that comes would take long
# What differs between lines of one kind: ids and numbers.  Names of stores do, and are what makes kinds of them.
_VARIES = re.compile(r"(?<!store )\b[0-9a-f]{8,}(-\d+)?\b|(?<!store )(?<![-\w.])\d+(?![-\w.])")


class Grave(str):
    """A line that keeps its place while there are any others: who lies may cause as many of those as he likes."""

    __slots__ = ()


class Warnings(list[str]):
    """Lines, in the order in which they came.

    A line that is in it, or was taken with `pop`, is not added again.  One that was removed in another way may be.
    Where there are too many, the oldest of the commonest kind go, those that are `Grave` last of all.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        super().__init__()
        self._told: dict[str, None] = {}  # oldest first
        self._grave: set[str] = set()
        self.extend(lines)

    def append(self, line: str, /) -> None:
        """Add a line, unless it was told."""
        if line in self._told or line in self:
            return
        if len(self) >= MOST_WARNINGS:
            self._thin()
        if isinstance(line, Grave):
            line = str(line)  # whoever takes it out gets text like any other
            if len(self._grave) >= MOST_WARNINGS:
                self._grave.intersection_update(self)
            self._grave.add(line)
        super().append(line)

    def _thin(self) -> None:
        self._grave.intersection_update(self)
        lines = [line for line in self if line != FULL]
        kinds = [(line not in self._grave, _kind(line)) for line in lines]
        counts, going = Counter(kinds), Counter[tuple[bool, str]]()
        for _ in range(len(lines) - int(MOST_WARNINGS * _LEFT)):
            commonest = max(counts, key=lambda kind: (kind[0], counts[kind]))
            going[commonest] += 1
            counts[commonest] -= 1
            if not counts[commonest]:
                del counts[commonest]
        left = []
        for line, kind in zip(lines, kinds, strict=True):
            if going[kind] > 0:
                going[kind] -= 1
            else:
                left.append(line)
        self[:] = [*left, FULL]

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


def folded(lines: Iterable[str]) -> list[str]:
    """Lines that came together: of each kind the first few, and how many more there are."""
    kinds: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        kinds.setdefault(_kind(line), []).append(line)
    found = []
    for alike in kinds.values():
        found += alike[:MOST_ALIKE]
        if len(alike) > MOST_ALIKE:
            more = f"{len(alike) - MOST_ALIKE} more like this: {alike[0]}"
            found.append(Grave(more) if isinstance(alike[0], Grave) else more)
    return found


def _kind(line: str) -> str:
    return _VARIES.sub("#", line)
