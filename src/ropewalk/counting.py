"""Counting: numbers with their words, for people.

Flow: a number, a word -> ``1 file``, ``2 files``
Never: guesses a plural that is not made with an s.
"""

from __future__ import annotations

__all__ = ["count"]


def count(number: int, word: str) -> str:
    """``1 file``, ``2 files``; another plural, or a verb, is given besides: ``copy/copies``, ``file is/files are``."""
    one, _, many = word.partition("/")
    return f"{number:,} {one if number == 1 else many or one + 's'}"
