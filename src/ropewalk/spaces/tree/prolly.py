"""Prolly: one ordered map from keys to values, in immutable nodes, the same for the same content.

Where nodes end is decided by what is in them (``boundary``), so two devices that come to the same entries by
different ways hold the same root, and what differs between two versions is found without reading what does not.

Flow: join, Space -> [Tree] -> rewrite, walk -> source -> NodeStore
Never: changes a node, knows what a value means, or holds more than a few nodes while it streams.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

from ropewalk.errors import Misuse
from ropewalk.spaces.tree.boundary import LIMITS, Boundary, Limits
from ropewalk.spaces.tree.node import LARGEST_KEY, LARGEST_VALUE
from ropewalk.spaces.tree.rewrite import Before, Rewrite
from ropewalk.spaces.tree.source import LeafRefs, NodeCache, NodeSource, NodeStore
from ropewalk.spaces.tree.walk import AHEAD, Difference, Walk, differences

__all__ = ["Batch", "Change", "Tree"]

Batch = Sequence[tuple[bytes, bytes]]  # keys with their values, in order
Change = tuple[bytes, bytes | None]  # a key and its new value, or None to forget it


class Tree:
    """One version of a map.

    Every call raises NodeDamaged when a node on its way is not what it must be, and whatever the store raises.

    Args:
        nodes: Where nodes are loaded from and saved to.
        boundary_key: 32 bytes; decides where nodes end, and must be the same for all who write the map.
        root: Ref of the root, or None for the empty map.
        leaf_refs: Gives the refs of the chunks that a value needs, for ``NodeStore.save``.
        cache: Shared by the versions of a map.
        limits: Sizes of nodes; other than the default only in tests.
    """

    __slots__ = ("_boundary", "_root", "_source")

    def __init__(
        self,
        nodes: NodeStore,
        boundary_key: bytes,
        root: bytes | None,
        leaf_refs: LeafRefs,
        cache: NodeCache,
        limits: Limits = LIMITS,
    ) -> None:
        self._source = NodeSource(nodes, cache, leaf_refs)
        self._boundary = Boundary(boundary_key, limits)
        self._root = root

    @property
    def root(self) -> bytes | None:
        """Ref of the root; None for the empty map.  Within an epoch equal maps have equal roots."""
        return self._root

    def at(self, root: bytes | None) -> Tree:
        """Another version of the same map, with the same store, key and cache."""
        tree = Tree.__new__(Tree)
        tree._source, tree._boundary, tree._root = self._source, self._boundary, root  # noqa: SLF001 - one of us
        return tree

    async def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or None."""
        if self._root is None:
            return None
        node = await self._source.load(self._root)
        while True:
            at = bisect_left(node.keys, key)
            if at == len(node.keys):
                return None
            if node.level == 0:
                return node.values[at] if node.keys[at] == key else None
            node = await self._source.child(node, at)

    async def count(self) -> int:
        """How many keys there are; loads the root only."""
        return 0 if self._root is None else (await self._source.load(self._root)).count

    async def scan(self, start: bytes = b"", stop: bytes | None = None) -> AsyncIterator[Batch]:
        """The items with ``start <= key < stop``, in order, as many at a time as one node holds."""
        walk = await self.walk()
        ahead = True  # until that fails: then it would be tried, and might be waited for, at each leaf anew
        while (node := walk.node) is not None:
            at = max(walk.at, bisect_left(node.keys, start))
            walk.skip(at - walk.at)
            if at == len(node.keys):
                continue
            if node.level:
                end = len(node.keys) if stop is None else bisect_left(node.keys, stop) + 1
                if ahead and node.level == 1 and at + 1 < end:
                    ahead = await self._source.load_ahead(node.values[at : min(end, at + AHEAD)])
                await walk.descend()
                continue
            end = len(node.keys) if stop is None else bisect_left(node.keys, stop)
            if at < end:
                yield list(zip(node.keys[at:end], node.values[at:end], strict=True))
            if end < len(node.keys):
                return
            walk.skip(end - at)

    async def apply(self, changes: Iterable[Change] | AsyncIterable[Change]) -> Tree:
        """The map with these changes, in strictly ascending order of keys.

        Loads the nodes that the changes fall into, saves new ones as they get ready, and takes changes no faster than
        they can be saved.  Changes that change nothing give the same root.

        Raises:
            Misuse: Keys out of order, or a key or value too large.  Nodes saved before it are of no use.
        """
        before = None
        if self._root is not None:
            before = Before(self._source, self._root, await self._source.load(self._root))
        work = Rewrite(self._source, before, self._boundary, 0)
        last = b""
        async for key, value in _each(changes):
            if key <= last:
                raise Misuse(f"change of key {key.hex()} comes after {last.hex()}, expected ascending keys")
            if len(key) > LARGEST_KEY:
                raise Misuse(f"key has {len(key)} bytes, expected 1 to {LARGEST_KEY}")
            if value is not None and len(value) > LARGEST_VALUE:
                raise Misuse(f"value has {len(value)} bytes, expected at most {LARGEST_VALUE}")
            last = key
            await work.change(key, value)
        root = await work.finish()
        while root is not None:
            node = await self._source.load(root)
            if node.level == 0 or len(node.keys) > 1:
                break
            root = node.values[0]
        return self.at(root)

    async def diff(self, other: Tree) -> AsyncIterator[Difference]:
        """The keys whose values differ, in order; each with its value here and in ``other``, None where it has none.

        Loads nodes that the two do not share, and of the shared ones those beside a difference.
        """
        async for difference in differences(await self.walk(), await other.walk()):
            yield difference

    async def walk(self) -> Walk:
        """A walk over the map, from its first key on."""
        return await Walk.over(self._source, self._root)


async def _each(changes: Iterable[Change] | AsyncIterable[Change]) -> AsyncIterator[Change]:
    if isinstance(changes, AsyncIterable):
        async for change in changes:
            yield change
    else:
        for change in changes:
            yield change
