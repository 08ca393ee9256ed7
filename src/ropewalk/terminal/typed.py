"""Typed: what a visitor has typed and nobody has read, in pieces.

Flow: text as it comes -> Typed.add, its line ends made one -> first -> left, whatever of it was not read
Never: makes what is read first dearer for what stands behind it.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Typed"]

_PIECE = 1024  # characters


class Typed:
    """Text that waits to be read.

    Attributes:
        first: The beginning of it; "" where there is none.
        amount: Characters of all.
    """

    def __init__(self) -> None:
        self.first = ""
        self.amount = 0
        self._more: deque[str] = deque()
        self._after_return = False

    def add(self, text: str) -> str:
        """Add text whose lines end as they do anywhere: CR, LF, CR LF, CR NUL, which all become LF.

        What stands before a ^C, and waited for it, is dropped.

        Returns:
            The last ^C of it, or "" where there was none.
        """
        if self._after_return and text[0] in "\n\0":
            text = text[1:]
            self._after_return = False
        if text:
            self._after_return = text[-1] == "\r"
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r\0", "\n").replace("\r", "\n")
        _, interrupt, text = text.rpartition("\x03")
        if interrupt:
            self.clear()
        self.amount += len(text)
        for at in range(0, len(text), _PIECE):
            self._append(text[at : at + _PIECE])
        return interrupt

    def left(self, rest: str) -> None:
        """So much of the first of it was not read."""
        self.amount -= len(self.first) - len(rest)
        self.first = rest or (self._more.popleft() if self._more else "")

    def lengthen(self) -> bool:
        """Make the first of it longer; False where that is all there is."""
        if not self._more:
            return False
        self.first += self._more.popleft()
        return True

    def clear(self) -> None:
        """Forget it."""
        self._more.clear()
        self.first, self.amount = "", 0

    def _append(self, text: str) -> None:
        if not self.first:
            self.first = text
        elif self._more and len(self._more[-1]) < _PIECE:
            self._more[-1] += text
        else:
            self._more.append(text)
