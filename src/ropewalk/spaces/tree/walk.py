"""Walk: a place in an ordered map that moves from left to right, and what two maps differ in.

Flow: Tree.scan, Tree.diff -> [Walk, differences] -> source
Never: loads a node that it is not told to descend into, or that is not bound to be.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator

from ropewalk.spaces.tree.node import Node, NodeDamaged
from ropewalk.spaces.tree.source import NodeSource, above

__all__ = ["AHEAD", "Difference", "Walk", "differences"]

AHEAD = 32  # nodes loaded at once: 300 KiB, where each alone is a way to the store and back

Difference = tuple[bytes, bytes | None, bytes | None]  # a key with the value here and there


class Walk:
    """Points at a child of a node, or at an item of a leaf; at first at the root.

    Attributes:
        node: The node that holds what is pointed at, or None at the end of the map.
        at: Which of its children or items.
    """

    __slots__ = ("_path", "_source", "at", "node")

    def __init__(self, source: NodeSource, start: Node | None) -> None:
        self._source = source
        self._path: list[tuple[Node, int]] = []
        self.node = start
        self.at = 0

    @staticmethod
    async def over(source: NodeSource, root: bytes | None) -> Walk:
        """A walk over the map with this root; loads the root."""
        if root is None:
            return Walk(source, None)
        node = await source.load(root)
        if node.level and len(node.keys) == 1:
            raise NodeDamaged(f"root of level {node.level} has a single child")
        return Walk(source, above(node, root))

    async def descend(self) -> None:
        """Load the child that is pointed at, and point at what is first in it."""
        if self.node is not None:
            child = await self._source.child(self.node, self.at)
            if self.at == 0 and child.keys[0] <= self._before():
                raise NodeDamaged("node begins before its left neighbour ends")
            self._path.append((self.node, self.at))
            self.node, self.at = child, 0

    async def look_ahead(self, other: Walk) -> None:
        """Load many children from here on at once, unless the first is there: those that the other map has not.

        Where both are over nodes of one level, what one has up to the end of the other's node is in both or in one.
        """
        ours, theirs = self.node, other.node
        if ours is None or theirs is None or ours.level != theirs.level or self._source.holds(ours.values[self.at]):
            return
        shared = frozenset(theirs.values)
        end = min(bisect_right(ours.keys, theirs.keys[-1], self.at), len(ours.keys))
        wanted = [ref for ref in ours.values[self.at : end] if ref not in shared][:AHEAD]
        if len(wanted) > 1:
            await self._source.load_ahead(wanted)

    def _before(self) -> bytes:
        """The last key of what lies left of this node, under another parent."""
        return next((node.keys[at - 1] for node, at in reversed(self._path) if at), b"")

    def skip(self, steps: int) -> None:
        """Pass children or items of this node; past the last of them comes what follows the node."""
        self.at += steps
        while self.node is not None and self.at == len(self.node.keys):
            if not self._path:
                self.node = None
                return
            self.node, self.at = self._path.pop()
            self.at += 1

    @property
    def level(self) -> int:
        """How high the child that is pointed at stands above the items; 0 for an item, and at the end."""
        return self.node.level if self.node is not None else 0

    def points_at_same(self, other: Walk) -> bool:
        """Whether both point at equal items, or at the same child."""
        ours, theirs = self.node, other.node
        return (
            ours is not None
            and theirs is not None
            and ours.level == theirs.level
            and ours.values[self.at] == theirs.values[other.at]
            and ours.keys[self.at] == theirs.keys[other.at]
        )

    def take(self, key: bytes) -> bytes | None:
        """The value of the item that is pointed at, which is then passed, if it is the one of ``key``."""
        node, at = self.node, self.at
        if node is None or node.keys[at] != key:
            return None
        self.skip(1)
        return node.values[at]


async def differences(here: Walk, there: Walk) -> AsyncIterator[Difference]:
    """The keys whose values differ, in order; subtrees with equal refs are passed over unread."""
    while here.node is not None or there.node is not None:
        if here.points_at_same(there):
            here.skip(1)
            there.skip(1)
        elif height := max(here.level, there.level):
            # Two of one level are both opened: beside an item, a closed node could not be seen to be in step again.
            for walk, other in ((here, there), (there, here)):
                if walk.level == height:
                    await walk.look_ahead(other)
            for walk in (here, there):
                if walk.level == height:
                    await walk.descend()
        else:
            key = min(walk.node.keys[walk.at] for walk in (here, there) if walk.node is not None)
            yield key, here.take(key), there.take(key)
