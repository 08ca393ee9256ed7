"""Report: what a transfer did, and what it had to leave out.

Flow: put, get -> Report -> command line
Never: grows without bound: of what was left out the first are named, all are counted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["NoProgress", "Progress", "Report", "Skipped"]

MOST_NAMED = 1000


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out, or needs a second look."""

    path: str
    why: str


class Progress(Protocol):
    """Told how far a transfer is; called from the event loop."""

    def expect(self, files: int, size: int) -> None:
        """How much there is in all, as far as is known; may be called again."""

    def advance(self, files: int, size: int) -> None:
        """So many more files and bytes are done."""


class NoProgress:
    """Tells nobody."""

    def expect(self, files: int, size: int) -> None:
        """Nothing."""

    def advance(self, files: int, size: int) -> None:
        """Nothing."""


@dataclass(slots=True)
class Report:
    """Counts of what was transferred."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0  # bytes of files
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    left_out: int = 0

    def skip(self, path: bytes, why: str) -> None:
        """Name something that was left out."""
        self.left_out += 1
        if len(self.skipped) < MOST_NAMED:
            self.skipped.append(Skipped(os.fsdecode(path), why))
