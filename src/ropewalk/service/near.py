"""Near: what somebody who wrote a wrong word may have meant.

Flow: a word, those that are known -> a hint
Never: compares a word that is longer than any that is known could be.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["hint_of"]

_LONGEST = 200  # characters: the comparison takes time by their square
_MOST = 8  # words of a hint


def hint_of(word: str, known: Iterable[str]) -> str:
    """``did you mean web?``, or what there is, or nothing where there is nothing."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 2) if len(word) <= _LONGEST else []
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = ", ..." if len(names) > _MOST else ""
    return f"there are: {', '.join(names[:_MOST])}{more}" if names else ""
