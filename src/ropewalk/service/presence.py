"""Presence: the people who are connected to a process and look at it now.

Flow: a console's or a panel's conversation -> `enter` -> Visitor, until it is left
Never: knows what anybody may do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

__all__ = ["Presence", "Visitor"]


@dataclass(slots=True)
class Visitor:
    """One conversation.

    Attributes:
        number: Unique among those of an application.
        name: Of the identity, "" for nobody in particular.
        by: What carries it: "ssh", "unix", "web".
        address: Of the peer, "" where it has none.
        service: The service by which it came.
        began: In the loop's seconds.
        active: When it last asked for something, in the loop's seconds.
    """

    number: int
    name: str
    by: str
    address: str
    service: str
    began: float
    active: float


class Presence:
    """Who is there; bounded by what lets them in.

    Args:
        clock: The loop's seconds.

    Attributes:
        now: The same.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._numbers = count(1)
        self._there: dict[int, Visitor] = {}

    @contextmanager
    def enter(self, name: str, by: str, address: str = "", service: str = "") -> Iterator[Visitor]:
        """Be there for as long as the context lasts."""
        now = self.now()
        visitor = Visitor(next(self._numbers), name, by, address, service, now, now)
        self._there[visitor.number] = visitor
        try:
            yield visitor
        finally:
            del self._there[visitor.number]

    def acts(self, visitor: Visitor) -> None:
        """Somebody asked for something."""
        visitor.active = self.now()

    def all(self) -> list[Visitor]:
        """Those who are there, the first first."""
        return list(self._there.values())
