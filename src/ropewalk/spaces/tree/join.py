"""Join: two versions of a space's map become one that loses nothing either of them wrote.

Each key ends in a dot, the name of the one write that put it there, and each version comes with a vector: for each
writer the highest sequence it has seen.  An entry that only one side has was either forgotten by the other, which then
has seen its dot, or never seen by it.  So nothing has to be kept of what is gone, and joins come to the same map in
whatever order and however often they are made.

What no honest writer brings about counts as not being there, so that whoever puts it into a version harms that alone.

Flow: Space -> [join] -> Tree.diff, Tree.apply
Never: keeps a tombstone, or asks who is right; or looks into an entry, but where one key has two values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from ropewalk.spaces.tree.anew import Marked, one_of, unmarked
from ropewalk.spaces.tree.entry import WriterId, is_key
from ropewalk.spaces.tree.prolly import Change, Tree

__all__ = ["Vector", "join", "join_vectors"]

Vector = Mapping[WriterId, int]  # the highest sequence seen of each writer; a writer that is not there: none


def join_vectors(a: Vector, b: Vector) -> dict[WriterId, int]:
    """What was seen by either."""
    return {writer: max(a.get(writer, -1), b.get(writer, -1)) for writer in sorted({*a, *b})}


async def join(
    a: Tree,
    seen_a: Vector,
    b: Tree,
    seen_b: Vector,
    told: Callable[[bytes, bytes | None, bytes | None], None] | None = None,
    marked: Marked = unmarked,
) -> tuple[Tree, Vector]:
    """The map that holds what both hold, and what one holds and the other has not seen.

    Costs what differs.  Associative, commutative and idempotent, whatever the maps hold.  Where the two differ, an
    entry counts as not being there if its key is none, or its dot is not covered by the vector that came with it.
    Where a key has two values, that of the newer epoch stays if they are one write sealed anew, and else neither.

    Args:
        a: One map.
        seen_a: The vector that came with it.
        b: The other.
        seen_b: Its vector.
        told: Told each key in which the result differs from ``a``, with the value there and in the result.
        marked: In which epoch a value was sealed anew.

    Raises:
        NodeDamaged: One is no map.
    """

    async def changes() -> AsyncIterator[Change]:
        async for key, ours, theirs in a.diff(b):
            in_a, in_b = _covers(seen_a, key), _covers(seen_b, key)
            one, other = ours if in_a else None, theirs if in_b else None
            if one is None:
                stays = None if in_a else other
            elif other is None:
                stays = None if in_b else one
            else:
                stays = one_of(one, other, marked)
            if stays != ours:
                if told is not None:
                    told(key, ours, stays)
                yield key, stays

    return await a.apply(changes()), join_vectors(seen_a, seen_b)


def _covers(seen: Vector, key: bytes) -> bool:
    return is_key(key) and int.from_bytes(key[-8:], "big") <= seen.get(WriterId(key[-24:-8]), -1)
