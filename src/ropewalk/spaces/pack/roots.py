"""Roots: the hash tree over a column, and the name of a pack (docs/spec/space.md 5.2).

Flow: column bytes -> leaf hashes -> column root -> pack name
Never: does I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.spaces.keys import HASH_SIZE, Buffer, hashed

__all__ = ["LAYOUT", "LEAF_SIZE", "column_root", "leaf_hashes", "pack_name"]

LEAF_SIZE = 64 * 1024  # bytes; an audit reads one leaf: small enough to sample, large enough that hashes weigh 0.05 %
LAYOUT = 1
_NO_LEAVES = bytes(HASH_SIZE)


def leaf_hashes(column: Buffer, first: int = 0) -> bytes:
    """The joined hashes of the leaves of ``column``, the first of which is leaf number ``first``."""
    view = memoryview(column)
    # Joined, since what comes after 8 bytes alone is hashed in smaller groups, which takes a fourth longer.
    return b"".join(
        hashed("leaf", b"".join(((first + i).to_bytes(8, "big"), view[at : at + LEAF_SIZE])))
        for i, at in enumerate(range(0, len(view), LEAF_SIZE))
    )


def column_root(length: int, leaves: bytes) -> bytes:
    """The root of a column from the joined hashes of its leaves."""
    level = [leaves[at : at + HASH_SIZE] for at in range(0, len(leaves), HASH_SIZE)]
    while len(level) > 1:
        joined = [hashed("node", level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            joined.append(level[-1])
        level = joined
    return hashed("column", length.to_bytes(8, "big") + (level[0] if level else _NO_LEAVES))


def pack_name(lengths: Sequence[int], roots: Sequence[bytes]) -> bytes:
    """The name of a pack from the lengths and roots of its data columns (more roots are passed over)."""
    columns = b"".join(length.to_bytes(8, "big") + root for length, root in zip(lengths, roots, strict=False))
    return hashed("pack", bytes((LAYOUT, len(lengths))) + columns)
