"""Join: two versions of a space's map become one that loses nothing either of them wrote.

Each key ends in a dot, the name of the one write that put it there, and each version comes with a vector: for each
writer the highest sequence it has seen.  An entry that only one side has was either forgotten by the other, which then
has seen its dot, or never seen by it.  So nothing has to be kept of what is gone, and joins come to the same map in
whatever order and however often they are made.

Flow: Space -> [join] -> Tree.diff, Tree.apply
Never: keeps a tombstone, or asks who is right; or looks into an entry, but for the epoch of one that has two values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from ropewalk.errors import Damaged
from ropewalk.spaces.tree.entry import WriterId, unpack_key, value_rank
from ropewalk.spaces.tree.prolly import Change, Tree

__all__ = ["DotUnseen", "Vector", "join", "join_vectors"]

Vector = Mapping[WriterId, int]  # the highest sequence seen of each writer; a writer that is not there: none


class DotUnseen(Damaged):
    """A version holds an entry that its own vector does not cover: its writer broke the rules."""

    code = "tree.dot-unseen"


def join_vectors(a: Vector, b: Vector) -> dict[WriterId, int]:
    """What was seen by either."""
    return {writer: max(a.get(writer, -1), b.get(writer, -1)) for writer in sorted({*a, *b})}


async def join(
    a: Tree,
    seen_a: Vector,
    b: Tree,
    seen_b: Vector,
    told: Callable[[bytes, bytes | None, bytes | None], None] | None = None,
) -> tuple[Tree, Vector]:
    """The map that holds what both hold, and what one holds and the other has not seen.

    Costs what differs.  Associative, commutative and idempotent, for vectors that cover the dots of their maps and a
    writer that gives each dot to one write.  Where a key has two values (its refs were sealed anew, or its writer
    lied) the one of the greater epoch stays, and of one epoch the larger bytes, for everyone.

    Args:
        a: One map.
        seen_a: The vector that came with it.
        b: The other.
        seen_b: Its vector.
        told: Told each key in which the result differs from ``a``, with the value there and in the result.

    Raises:
        DotUnseen: A vector does not cover its map; found only where the two differ.
        EntryDamaged, NodeDamaged: A map is not one of entries.
    """

    async def changes() -> AsyncIterator[Change]:
        async for key, ours, theirs in a.diff(b):
            in_a, in_b = _covers(seen_a, key), _covers(seen_b, key)
            if (ours is not None and not in_a) or (theirs is not None and not in_b):
                raise DotUnseen(f"entry with key {key.hex()} is not covered by the vector that came with it")
            if ours is None:
                stays = None if in_a else theirs
            elif theirs is None:
                stays = None if in_b else ours
            else:
                stays = max(ours, theirs, key=value_rank)
            if stays != ours:
                if told is not None:
                    told(key, ours, stays)
                yield key, stays

    return await a.apply(changes()), join_vectors(seen_a, seen_b)


def _covers(seen: Vector, key: bytes) -> bool:
    dot = unpack_key(key)
    return dot.sequence <= seen.get(dot.writer, -1)
