"""Rewrite: changes pass through a map from left to right and leave a new map behind.

One ``Rewrite`` works on one level.  It takes changes in key order, opens the old nodes that they fall into, copies
what stays, and cuts the result into nodes where the boundary rule says.  When a cut falls on the end of an old node it
is in step again, and all old nodes up to the next change stay as they are.  What became of the nodes of this level
are the changes for the next.

Flow: Tree.apply -> [Rewrite of level 0] -> [level 1] -> .. -> root; each saves its nodes through NodeSource
Never: holds more than the node in the making and the names of old nodes it has to take back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from ropewalk.spaces.tree.boundary import Boundary
from ropewalk.spaces.tree.node import Node, item_size
from ropewalk.spaces.tree.source import NodeSource, above

__all__ = ["Before", "Rewrite"]


@dataclass(frozen=True, slots=True)
class Before:
    """The map as it was, where it was not empty."""

    source: NodeSource
    ref: bytes
    root: Node

    async def covering(self, level: int, key: bytes) -> Node:
        """The node of ``level`` that holds or would hold ``key``; the level is at most the one above the root.

        The level above the root stands for one item, the root itself: that is what a level starts from when the
        map grows, and it is never saved.
        """
        node = above(self.root, self.ref)
        while node.level > level:
            node = await self.source.child(node, min(bisect_left(node.keys, key), len(node.keys) - 1))
        return node


@dataclass(slots=True)
class Rewrite:
    """Takes the changes of one level, in ascending order of keys, then ``finish``."""

    source: NodeSource
    before: Before | None
    boundary: Boundary
    level: int
    # The node in the making.  One that is due is kept back until the next item comes: were there none, a level of
    # one node must not be built upon.
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    fill: int = 0
    due: bool = False
    # The old node that is being copied, and the end of the last one that was opened.
    old: Node | None = None
    at: int = 0
    passed: bytes = b""
    replaced: deque[Node] = field(default_factory=deque)  # old nodes opened, not yet taken back above
    cut: bool = False  # a node was made
    above: Rewrite | None = None

    async def change(self, key: bytes, value: bytes | None, count: int = 1) -> None:
        """Set ``key``, or forget it where ``value`` is None; keys come in strictly ascending order."""
        while old := await self._open(key):
            end = bisect_left(old.keys, key, self.at)
            await self._copy(old, end)
            if end < len(old.keys):
                if old.keys[end] == key:
                    self.at += 1
                break
            self.old = None
        if value is not None:
            await self._add(key, value, count)

    async def finish(self) -> bytes | None:
        """No more changes: the ref of the new map's root, which may have a single child, or None for no entries."""
        while old := self.old or (await self._open(b"") if self._out_of_step() else None):
            await self._copy(old, len(old.keys))
            self.old = None
        if not self.cut and len(self.keys) <= (1 if self.level else 0) and self.level > self._height():
            return self.values[0] if self.keys else None
        if self.keys:
            await self._cut()
        while self.replaced:
            await self._above().change(self.replaced.popleft().keys[-1], None)
        if self.above is not None:
            return await self.above.finish()
        return self.before.ref if self.before else None

    async def _open(self, key: bytes) -> Node | None:
        """The old node to copy from: the one that is open, else the one for ``key``, or the next if out of step."""
        before = self.before
        if self.old is None and before is not None:
            if self.level > before.root.level + 1 or self.passed == before.root.keys[-1]:
                return None
            self.old = await before.covering(self.level, self.passed + b"\0" if self._out_of_step() else key)
            self.at = 0
            self.passed = self.old.keys[-1]
            if self.level <= before.root.level:
                self.replaced.append(self.old)
        return self.old

    def _out_of_step(self) -> bool:
        return bool(self.keys) and not self.due

    async def _copy(self, old: Node, end: int) -> None:
        for i in range(self.at, end):
            await self._add(old.keys[i], old.values[i], old.counts[i] if self.level else 1)
        self.at = end

    async def _add(self, key: bytes, value: bytes, count: int) -> None:
        if self.due:
            await self._cut()
        self.keys.append(key)
        self.values.append(value)
        if self.level:
            self.counts.append(count)
        size = item_size(self.level, key, value, count)
        self.fill += size
        self.due = self.boundary.ends(self.level, key, size, self.fill)

    async def _cut(self) -> None:
        """End the node in the making: save it, and tell the level above, unless it is an old one come back."""
        keys, values, counts = self.keys, self.values, self.counts
        self.keys, self.values, self.counts, self.fill, self.due, self.cut = [], [], [], 0, False, True
        last = keys[-1]
        while self.replaced and self.replaced[0].keys[-1] < last:
            await self._above().change(self.replaced.popleft().keys[-1], None)
        if self.replaced and self.replaced[0].keys[-1] == last:
            old = self.replaced.popleft()
            if keys == old.keys and values == old.values:
                return
        ref, count = await self.source.save(self.level, keys, values, counts)
        await self._above().change(last, ref, count)

    def _above(self) -> Rewrite:
        if self.above is None:
            self.above = Rewrite(self.source, self.before, self.boundary, self.level + 1)
        return self.above

    def _height(self) -> int:
        return self.before.root.level if self.before else -1
