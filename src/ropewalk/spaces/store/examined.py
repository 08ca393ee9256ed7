"""Examined: what some stores can say of the ground that they stand on, which no call of a store shows.

Flow: passport -> examine -> a store that Examines
Never: takes a store's word for more than what people are told: what is refused or limited rests on what it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ropewalk.spaces.store.interface import Store

__all__ = ["Examined", "Examines", "examine"]


@dataclass(frozen=True, slots=True)
class Examined:
    """What a store says; None where it cannot.

    Attributes:
        creates_once: Whether a create fails where the name is taken, in the engine itself.
        folds_case: Whether names that differ in capital letters alone are one name.
        time: What its clock shows, in nanoseconds since 1970.
        lacks: What its file system must have and has not, in words.
    """

    creates_once: bool | None = None
    folds_case: bool | None = None
    time: int | None = None
    lacks: tuple[str, ...] | None = None


@runtime_checkable
class Examines(Protocol):
    """What some stores can do besides: look at what they stand on."""

    async def examine(self) -> Examined:
        """Look, with objects of its own that no listing shows and that are gone afterwards.

        Raises:
            StoreFull, StoreReadOnly, StoreGone.
        """


async def examine(store: Store) -> Examined:
    """What a store says; nothing, where it is not of this kind."""
    return await store.examine() if isinstance(store, Examines) else Examined()
