"""Terms: on what terms a store is used, by what it was seen to do.

Flow: passport -> Terms -> pool
Never: keeps anybody from reading: what is read is checked, wherever it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

from ropewalk.spaces.store.interface import LARGEST_OBJECT

__all__ = ["Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a store; all of it, where nothing else is known.

    Attributes:
        refused: Why nothing is put into it, or "".
        largest: Bytes of the largest object that is put into it.
        deletes: Whether it is asked to delete.
        hints: Whether hints are put into it.
        limits: What else people should know, a line each.
    """

    refused: str = ""
    largest: int = LARGEST_OBJECT
    deletes: bool = True
    hints: bool = True
    limits: tuple[str, ...] = ()
