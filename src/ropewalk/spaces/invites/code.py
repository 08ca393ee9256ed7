"""Code: what one person says to another: a number and two or three words (docs/spec/invites.md 2).

Flow: random bytes -> Code -> text -> said aloud, typed -> Code -> slot and secret
Never: takes a word from the wrong list, or guesses which of two words was meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise

from ropewalk.spaces.invites.errors import BadCode

__all__ = ["MOST_NUMBER", "WORDS", "WORDS_FOR_ADMINS", "Code", "complete"]

WORDS, WORDS_FOR_ADMINS = 2, 3  # 65,536 and 16.7 million codes; one is tried, once
MOST_NUMBER = 999_999  # of a slot; what a person can still say
_LONGEST_TEXT = 200  # characters; the longest code has 43
_MOST_SHOWN = 8  # words in a message
_HINT = "a code looks like 7-crossover-clockwork"


@dataclass(frozen=True, slots=True)
class Code:
    """A number of a slot, and a secret."""

    number: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check both."""
        if not 1 <= self.number <= MOST_NUMBER:
            raise BadCode(f"the number of a code is {self.number}, expected 1 to {MOST_NUMBER:,}", hint=_HINT)
        if len(self.secret) not in (WORDS, WORDS_FOR_ADMINS):
            raise BadCode(f"a code has {len(self.secret)} words, expected 2 or 3", hint=_HINT)

    @classmethod
    def of_slot(cls, slot: bytes, words: int, random: Callable[[int], bytes]) -> Code:
        """A new code for a slot that a mailbox gave.

        Args:
            slot: Its name.
            words: 2, or 3 for admins.
            random: Gives random bytes.
        """
        return cls(int.from_bytes(slot, "big"), random(words))

    @property
    def slot(self) -> bytes:
        """The slot's name."""
        return self.number.to_bytes(4, "big")

    def __str__(self) -> str:
        """As it is said."""
        return "-".join([str(self.number), *(_lists()[place % 2][byte] for place, byte in enumerate(self.secret))])

    @classmethod
    def parse(cls, text: str) -> Code:
        """The code that somebody typed: in any case, with blanks or dashes, words as far as they are needed.

        Raises:
            BadCode: There is none such.
        """
        number, *words = _parts(text)
        if not (number.isascii() and number.isdigit()) or number.startswith("0") or len(number) > len(str(MOST_NUMBER)):
            raise BadCode(f"a code begins with a number of 1 to {MOST_NUMBER:,}, got {number!r:.40}", hint=_HINT)
        if len(words) not in (WORDS, WORDS_FOR_ADMINS):
            raise BadCode(f"a code has 2 or 3 words after its number, got {len(words)}", hint=_HINT)
        return cls(int(number), bytes(_byte(place, word) for place, word in enumerate(words)))


def complete(text: str) -> list[str]:
    """The words, in their order, that the last one of a code that is being typed can become; none for its number."""
    if len(text) > _LONGEST_TEXT or not text.strip():
        return []
    done = text.replace("-", " ")
    parts = done.lower().split() + ([""] if done.endswith(" ") else [])
    place = len(parts) - 2
    return _like(place, parts[-1]) if 0 <= place < WORDS_FOR_ADMINS else []


@cache
def _lists() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The odd words, which codes begin with, and the even ones."""
    lines = resources.files(__package__ or "").joinpath("words.txt").read_text("ascii").split("\n")[:-1]
    even, odd = zip(*(line.split(" ") for line in lines), strict=True)
    return odd, even


def _like(place: int, beginning: str) -> list[str]:
    return sorted(word for word in _lists()[place % 2] if word.startswith(beginning))


def _parts(text: str) -> list[str]:
    if len(text) > _LONGEST_TEXT:
        raise BadCode(f"a code has no {len(text)} characters", hint=_HINT)
    return text.lower().replace("-", " ").split() or [""]


def _byte(place: int, word: str) -> int:
    listed = _lists()[place % 2]
    if word in listed:
        return listed.index(word)
    found = _like(place, word)
    if len(found) == 1:
        return listed.index(found[0])
    if found:
        shown = ", ".join(found[:_MOST_SHOWN]) + (", .." if len(found) > _MOST_SHOWN else "")
        raise BadCode(f"word {place + 1} begins with {word!r}, which may be {shown}", hint="type more of it")
    if _like(place + 1, word):
        raise BadCode(f"{word!r:.40} cannot be word {place + 1} of a code", hint="a word was swapped, or is missing")
    near = _nearest(word, listed)
    raise BadCode(f"{word!r:.40} is no word of a code", hint=f"perhaps {near}?" if near else _HINT)


def _nearest(word: str, listed: tuple[str, ...]) -> str:
    """A word that has most pairs of letters in common with what was typed, if there are three."""
    typed = set(pairwise(word))
    most, near = max((len(typed & set(pairwise(one))), one) for one in listed)
    return near if most >= 3 else ""
