"""Notices: what was done, told on the next page, with a way to take it back.

Flow: a change -> Notices.add -> an address with the notice's word -> page -> undo
Never: shows one session's notices to another, or keeps more than there is room for.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ropewalk.errors import Missing
from ropewalk.pages.sessions import Session
from ropewalk.pages.undoing import Undo

__all__ = ["NothingToUndo", "Notice", "Notices"]

MOST = 500  # of all sessions; each holds two roots of trees


class NothingToUndo(Missing):
    """What is to be undone is not known any more."""

    code = "pages.nothing-to-undo"


@dataclass(frozen=True, slots=True, eq=False)
class Notice:
    """What is told.

    Attributes:
        word: Names it.
        text: For people.
        undo: How to take it back, if it can be.
        warning: Whether the text is one.
    """

    word: str
    text: str
    undo: Undo | None = None
    warning: bool = False


class Notices:
    """The last ones."""

    def __init__(self, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random = random
        self._held: OrderedDict[str, tuple[Session, Notice]] = OrderedDict()

    def add(self, session: Session, text: str, undo: Undo | None = None, *, warning: bool = False) -> Notice:
        """Remember one."""
        notice = Notice(self._random(12).hex(), text, undo, warning)
        self._held[notice.word] = session, notice
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        return notice

    def find(self, session: Session, word: str) -> Notice | None:
        """One of this session's."""
        whose, notice = self._held.get(word, (None, None))
        return notice if whose is session else None

    def drop(self, word: str) -> None:
        """It was taken back."""
        self._held.pop(word, None)

    def undo_of(self, session: Session, word: str) -> Undo:
        """How to take something back.

        Raises:
            NothingToUndo.
        """
        notice = self.find(session, word)
        if notice is None or notice.undo is None:
            raise NothingToUndo("this cannot be undone any more", hint="its versions are kept all the same")
        return notice.undo

    def forget(self, session: Session) -> None:
        """A session ended."""
        for word in [word for word, (whose, _) in self._held.items() if whose is session]:
            del self._held[word]
