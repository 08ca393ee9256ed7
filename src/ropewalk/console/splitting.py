"""Splitting: a line into words, as a shell would without its magic.

Flow: a line -> words; quotes hold several together
Never: takes a line longer than its bound, or a half-open quote.
"""

from __future__ import annotations

import shlex

from ropewalk.console.errors import BadWords

__all__ = ["LONGEST_LINE", "words_of"]

LONGEST_LINE = 4_096  # characters
_MOST = 64  # words


def words_of(line: str) -> list[str]:
    """The words of a line.

    Raises:
        BadWords.
    """
    if len(line) > LONGEST_LINE:
        raise BadWords(f"the line has {len(line)} characters, more than {LONGEST_LINE}")
    try:
        words = shlex.split(line)
    except ValueError:
        raise BadWords("a quote or backslash in the line is left open") from None
    if len(words) > _MOST:
        raise BadWords(f"the line has {len(words)} words, more than {_MOST}")
    return words
