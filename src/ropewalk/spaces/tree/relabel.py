"""Relabel: a version of a writer that forked, read as that of its branches.

Where one writer signed two heads of one sequence, its dots do not tell any longer which write they name, and a join
would drop what it has never seen.  So from there on each branch counts as a writer of its own; after that an ordinary
join of ordinary vectors loses nothing of either (docs/spec/groups.md, section 5).

Which branches a version stands on follows from the heads in its vector; whoever calls has those.

Flow: Tree, vector, Forks of that version -> [relabel, relabel_vector] -> join
Never: decides whether there was a fork, or whose branch a version stands on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.tree.anew import Marked, one_of, unmarked
from ropewalk.spaces.tree.entry import ID_SIZE, WriterId, is_key
from ropewalk.spaces.tree.join import Vector
from ropewalk.spaces.tree.prolly import Change, Tree

__all__ = ["Forks", "branch_writer", "relabel", "relabel_vector"]

# For each name of a writer in a version: from which sequence on its dots belong to which branch, in ascending order.
# A name is the writer's own, or that of a branch that forked again.
Forks = Mapping[WriterId, Sequence[tuple[int, WriterId]]]

_DOT_SIZE = ID_SIZE + 8  # bytes at the end of a key


def branch_writer(writer: bytes, head: bytes) -> WriterId:
    """What a branch is called that a writer began with the head of this hash."""
    return WriterId(hashed("branch", writer + head)[:ID_SIZE])


def relabel_vector(seen: Vector, forks: Forks) -> dict[WriterId, int]:
    """What a version has seen, by branches: of each name what is below its first fork, then of each branch its part."""
    found: dict[WriterId, int] = {}
    for writer, last in seen.items():
        name = writer
        for first, branch in forks.get(writer, ()):
            if first > last:
                break
            _raise(found, name, first - 1)
            name = branch
        _raise(found, name, last)
    return found


async def relabel(tree: Tree, forks: Forks, marked: Marked = unmarked) -> Tree:
    """The version with each dot named as its branch's; reads all of the map, and saves what is changed of it.

    Args:
        tree: The version.
        forks: Of its writers.
        marked: In which epoch a value was sealed anew, where two come to one key.

    Raises:
        NodeDamaged: It is no map.
    """
    starts = {writer: [first for first, _ in some] for writer, some in forks.items()}

    def named(key: bytes) -> bytes:
        writer = WriterId(key[-_DOT_SIZE:-8])
        if writer not in starts:
            return key
        at = bisect_right(starts[writer], int.from_bytes(key[-8:], "big"))
        return key[:-_DOT_SIZE] + forks[writer][at - 1][1] + key[-8:] if at else key

    async def changes() -> AsyncIterator[Change]:
        # Only the ends of keys change: those of one place and entry stay among themselves, and are few.  Any other key
        # goes; it could lie between two of them.
        group: dict[bytes, bytes] = {}
        entry = b""
        async for batch in tree.scan():
            for key, value in batch:
                if is_key(key) and key[:-_DOT_SIZE] != entry:
                    for change in _changed(group, named, marked):
                        yield change
                    group, entry = {}, key[:-_DOT_SIZE]
                group[key] = value
        for change in _changed(group, named, marked):
            yield change

    return await tree.apply(changes())


def _changed(group: Mapping[bytes, bytes], named: Callable[[bytes], bytes], marked: Marked) -> Sequence[Change]:
    """What must be set and forgotten of the entries of one place and id, in order."""
    after: dict[bytes, bytes | None] = {}
    for key, value in group.items():
        if not is_key(key):
            continue
        name = named(key)
        before = after.get(name, value)  # None once there were two that are not of one write
        after[name] = before if before is None or before == value else one_of(before, value, marked)
    return [(key, after.get(key)) for key in sorted({*group, *after}) if group.get(key) != after.get(key)]


def _raise(seen: dict[WriterId, int], writer: WriterId, sequence: int) -> None:
    if sequence > 0:
        seen[writer] = max(sequence, seen.get(writer, 0))
