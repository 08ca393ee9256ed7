"""Held: room in a store for an object that is on its way.

Flow: Register.reserve -> Held -> Register.keep, or nothing came
Never: outlives the process: what was not written down was not kept.
"""

from __future__ import annotations

from collections import Counter

from ropewalk.node.grants import Grant

__all__ = ["Held"]


class Held:
    """Room for one object.

    Attributes:
        payer: At whose cost.
    """

    def __init__(self, payer: Grant, reserved: Counter[tuple[str, str]], offer: str, size: int) -> None:
        self.payer = payer
        self._reserved, self._key, self._size = reserved, (offer, payer.id), size
        reserved[self._key] += size

    def end(self) -> None:
        """It is on its way no more: it is there, or will not come; harmless twice."""
        self._reserved[self._key] -= self._size
        self._size = 0
