"""Boundaries: after which item a node of an ordered map ends.

The rule looks at one item's key, its size, and the bytes in the node so far, and at nothing else: equal content gives
equal nodes whatever the history, and a change moves few boundaries.  It never sees a value or a ref, so that sealing
everything anew under another epoch keeps the shape.  The hash is keyed by the space, so that nobody can choose
names that make nodes degenerate, and sizes tell nothing about names.

The chance that an item ends its node grows with the bytes before it.  A constant chance would be simpler and would
spread sizes as widely as can be: a change would then rewrite nodes of twice the average on the average.

Flow: rewrite -> [Boundary] -> BLAKE3
Never: remembers anything between two items.
"""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from ropewalk.errors import Misuse

__all__ = ["LIMITS", "Boundary", "Limits"]

KEY_SIZE = 32  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How large nodes get, in bytes of items.  Part of the format: all who write a space must use the same."""

    scale: int  # nodes average about 0.88 of it
    full: int  # a node of this or more ends with the item that made it so


# Nodes of about 10 KiB: 50 to 60 entries, three levels for 100,000 of them.  A full node takes no more items, so none
# passes 23 KiB by more than the largest item (8.5 KiB), and all are below 32 KiB.
LIMITS = Limits(scale=11 * 1024, full=23 * 1024)


class Boundary:
    """Says where nodes end, for one space.

    Args:
        key: 32 bytes, derived from the space's secret and the same in every epoch.
        limits: Other sizes, to get tall trees from few entries; never for data that is kept.
    """

    __slots__ = ("_full", "_key", "_square")

    def __init__(self, key: bytes, limits: Limits = LIMITS) -> None:
        if len(key) != KEY_SIZE:
            raise Misuse(f"boundary key has {len(key)} bytes, expected {KEY_SIZE}")
        self._key = key
        self._square = limits.scale * limits.scale
        self._full = limits.full

    def ends(self, level: int, key: bytes, size: int, fill: int) -> bool:
        """Whether a node ends after the item ``key``.

        Args:
            level: The node's level, 0 to 12.
            key: The item's key; above level 0 the last key of the child.
            size: Bytes of the item as encoded.
            fill: Bytes of all items of the node so far, this one included.
        """
        if level and fill == size:
            return False  # a node of one child would not make the level above any smaller
        if fill >= self._full:
            return True
        drawn = int.from_bytes(blake3(bytes((level,)) + key, key=self._key).digest(4), "big")
        return drawn * self._square < (2 * size * fill) << 32
