"""Opened: the open spaces that these pages show, as whoever keeps them open gives them.

Flow: `ropewalk up` keeps spaces open -> Spaces -> pages
Never: opens or closes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ropewalk.errors import Missing, Unavailable
from ropewalk.spaces.space import Space

__all__ = ["HeldSpaces", "NoSuchSpace", "NotOpen", "Spaces"]


class NoSuchSpace(Missing):
    """No space has this name here."""

    code = "pages.no-such-space"


class NotOpen(Unavailable):
    """The space is not open at the moment."""

    code = "pages.not-open"


class Spaces(Protocol):
    """Spaces by name, each open once and shared by all requests."""

    def names(self) -> Sequence[str]:
        """Those there are, open or not, in order."""

    async def open(self, name: str) -> Space:
        """An open space; whoever asks does not close it.

        Raises:
            NoSuchSpace, NotOpen.
        """


class HeldSpaces:
    """Spaces that somebody else keeps open (a `Spaces`).

    Args:
        held: Looks which there are now; None for one that is not open, as `ropewalk.node.Upkeep.spaces` does.
    """

    def __init__(self, held: Callable[[], Mapping[str, Space | None]]) -> None:
        self._held = held

    def names(self) -> Sequence[str]:
        """Those there are, in order."""
        return sorted(self._held())

    async def open(self, name: str) -> Space:
        """An open space."""
        held = self._held()
        if name not in held:
            raise NoSuchSpace(f"no space is called {name!r} here", hint="`ropewalk space list` shows them")
        space = held[name]
        if space is None:
            raise NotOpen(f"space {name} is not open now", hint="too few stores may be there; try again in a moment")
        return space
