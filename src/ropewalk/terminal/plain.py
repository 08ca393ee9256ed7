"""Plain: text of others made harmless, so that it can be shown on a terminal.

Flow: text of any origin -> plain -> Terminal.write
Never: lets through what moves a cursor, changes a colour or the order of letters, or begins a line of its own.
"""

from __future__ import annotations

import re

__all__ = ["plain"]

# Controls of ASCII and Latin-1, line and paragraph ends, marks that turn the direction of writing, lone surrogates.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str, longest: int | None = None) -> str:
    """The text in one line without anything that a terminal would obey; each such character becomes "\\ufffd".

    Args:
        text: Whatever somebody else has written.
        longest: Characters; what is longer is cut, which "…" shows.
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    return _HARMFUL.sub("\ufffd", text)
