"""Keys: what a terminal in character mode sends for a key, and the names that a talk knows it by.

Flow: text -> next_key -> a character or a name, and the text after it
Never: waits: an escape that may be the beginning of more is told apart by whoever knows whether more came.
Source: ECMA-48 section 5.4; XTerm Control Sequences, PC-style function keys.
"""

from __future__ import annotations

import re

__all__ = ["next_key"]

_SEQUENCE = re.compile(r"\x1b(?:\[(?P<parameters>[0-?]{0,16})(?P<final>[@-~])|O(?P<keypad>[ -~]))")
_CUT = re.compile(r"\x1b(?:O|\[[0-?]{0,16})?\Z")
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "shift-tab"}
_NUMBER = {
    "1": "home",
    "2": "insert",
    "3": "delete",
    "4": "end",
    "5": "page-up",
    "6": "page-down",
    "7": "home",
    "8": "end",
}
_SINGLE = {"\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape", "\x00": "ctrl-space"}


def next_key(text: str, *, whole: bool) -> tuple[str, str]:
    """The first key of a text that is not empty.

    Args:
        text: Its line ends are LF alone.
        whole: No more comes soon: an escape at its end is the key of that name.

    Returns:
        The key's character or name, "" where more is needed to tell; and the text after it. A sequence that has no name
        here is "unknown".
    """
    first = text[0]
    if first == "\x1b":
        if found := _SEQUENCE.match(text):
            rest = text[found.end() :]
            if found["keypad"]:
                return _FINAL.get(found["keypad"], "unknown"), rest
            if found["final"] == "~":
                return _NUMBER.get(found["parameters"], "unknown"), rest
            return _FINAL.get(found["final"], "unknown"), rest
        if not whole and _CUT.match(text):
            return "", text
    if first in _SINGLE:
        return _SINGLE[first], text[1:]
    if first < "\x20":
        return f"ctrl-{chr(ord(first) + 0x60)}", text[1:]
    return first, text[1:]
