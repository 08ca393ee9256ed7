"""Cooked: lines from what is typed where nobody edits them for us; what a terminal's own driver does in that mode.

Flow: text, its lines ended by LF alone -> Cooked.take -> a line and the text after it; what is to be shown -> echo
Never: keeps more than the longest line; gives a control character but the tab.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from ropewalk.terminal.interface import Ended, LineTooLong

__all__ = ["Cooked"]

# What arrow keys and their kind send, whole or cut off at the end of what came, and single controls.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]{0,16}[@-~]|O[ -~]|(?:\[[0-?]{0,16}|O)?\Z)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CUT = re.compile(r"\x1b(?:O|\[[0-?]*)?")
_BACK, _DELETE, _END, _ERASE_LINE, _ERASE_WORD = "\x08", "\x7f", "\x04", "\x15", "\x17"


class Cooked:
    """Puts lines together.

    Args:
        longest: Characters of a line.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = ""
        self._too_long = False
        self._held = ""  # an escape sequence that was cut

    def drop(self) -> None:
        """Forget the line that was begun."""
        self._begun, self._held, self._too_long = "", "", False

    def take(self, text: str, echo: Callable[[str], None] | None = None) -> tuple[str | LineTooLong | None, str]:
        """Read up to the end of a line.

        Args:
            text: What came after what was taken before.
            echo: Shows what is typed; None where it is not to be seen, or the visitor's own side does.

        Returns:
            The line, None where there is no end of it yet, or what is wrong with one that was too long and is dropped;
            and the text after it.

        Raises:
            Ended: ^D stands at the beginning of a line.
        """
        piece, end, rest = text.partition("\n")
        if piece:
            self._type(self._held + piece, echo)
        elif end:
            self._held = ""
        if not end:
            return None, ""
        line, too_long = self._begun, self._too_long
        self.drop()
        if echo:
            echo("\n")
        return LineTooLong(self._longest) if too_long else line, rest

    def _type(self, piece: str, echo: Callable[[str], None] | None) -> None:
        self._held = ""
        at = 0
        for found in _CONTROL.finditer(piece):
            self._add(piece[at : found.start()], echo)
            at = found.end()
            self._obey(found[0], at == len(piece), echo)
        self._add(piece[at:], echo)

    def _add(self, text: str, echo: Callable[[str], None] | None) -> None:
        if not text or self._too_long:
            return
        self._begun += text
        if len(self._begun) > self._longest:
            self._begun, self._too_long = "", True
        elif echo:
            echo(text)

    def _obey(self, control: str, last: bool, echo: Callable[[str], None] | None) -> None:
        if control in (_BACK, _DELETE):
            self._erase(1, echo)
        elif control == _ERASE_LINE:
            self._erase(len(self._begun), echo)
        elif control == _ERASE_WORD:
            self._erase(len(self._begun) - len(self._begun.rstrip().rpartition(" ")[0].rstrip()), echo)
        elif control == _END and not self._begun and not self._too_long:
            raise Ended
        elif last and _CUT.fullmatch(control):
            self._held = control

    def _erase(self, count: int, echo: Callable[[str], None] | None) -> None:
        if not count or not self._begun:
            return
        gone, self._begun = self._begun[-count:], self._begun[:-count]
        if echo:
            wide = sum(_width(character) for character in gone)
            echo("\b" * wide + " " * wide + "\b" * wide)


def _width(character: str) -> int:
    """Columns that it takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
