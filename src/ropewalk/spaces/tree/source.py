"""Source: where the nodes of an ordered map come from and go to, with a bounded cache of decoded ones.

Flow: prolly, rewrite -> [NodeSource] -> NodeStore -> chunks, packs
Never: gives out a node that was not checked against what its parent says of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.tree.node import TOP_LEVEL, Node, NodeDamaged, decode_node, encode_node

__all__ = ["LeafRefs", "NodeCache", "NodeSource", "NodeStore", "above"]

CACHE_SIZE = 16 * 1024 * 1024  # encoded bytes; decoded they take two to three times as much memory

LeafRefs = Callable[[bytes], Sequence[bytes]]  # from a value to the refs of the chunks it needs


class NodeStore(Protocol):
    """Keeps nodes by ref."""

    async def load(self, ref: bytes) -> bytes:
        """The node that ``save`` gave this ref for, already checked against the hash in the ref."""

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        """The nodes of these refs, in order."""

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:
        """Keep a node and give its ref of 73 bytes; the same node gives the same ref within an epoch.

        Args:
            node: The encoded node.
            refs: The chunks that the node points at: its children, or what its values need.
        """


class NodeCache:
    """Decoded nodes by ref, the least lately used forgotten first.  Versions of a map share one.

    Args:
        limit: Bytes of encoded nodes to hold at most.
    """

    __slots__ = ("_limit", "_nodes", "_size")

    def __init__(self, limit: int = CACHE_SIZE) -> None:
        self._limit = limit
        self._nodes: OrderedDict[bytes, Node] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of encoded nodes held now."""
        return self._size

    def get(self, ref: bytes) -> Node | None:
        """The node, if it is held."""
        node = self._nodes.get(ref)
        if node is not None:
            self._nodes.move_to_end(ref)
        return node

    def add(self, ref: bytes, node: Node) -> None:
        """Hold a node, and forget others until all fit."""
        if ref not in self._nodes:
            self._nodes[ref] = node
            self._size += node.size
            while self._size > self._limit:
                self._size -= self._nodes.popitem(last=False)[1].size


class NodeSource:
    """Nodes as objects: loads, checks, caches and saves them."""

    __slots__ = ("_cache", "_leaf_refs", "_store")

    def __init__(self, store: NodeStore, cache: NodeCache, leaf_refs: LeafRefs) -> None:
        self._store = store
        self._cache = cache
        self._leaf_refs = leaf_refs

    async def load(self, ref: bytes) -> Node:
        """The node of this ref.

        Raises:
            NodeDamaged: The bytes are no node.
        """
        node = self._cache.get(ref)
        if node is None:
            node = decode_node(await self._store.load(ref))
            self._cache.add(ref, node)
        return node

    def holds(self, ref: bytes) -> bool:
        """Whether the node is in the cache."""
        return self._cache.get(ref) is not None

    async def load_ahead(self, refs: Sequence[bytes]) -> bool:
        """Load many nodes at once into the cache, unless the first is there; whether nothing was wrong with them."""
        if self._cache.get(refs[0]) is not None:
            return True
        wanted = [ref for ref in refs if self._cache.get(ref) is None]
        try:
            for ref, data in zip(wanted, await self._store.load_many(wanted), strict=True):
                self._cache.add(ref, decode_node(data))
        except RopewalkError:
            return False  # whoever comes to the bad one is told
        return True

    async def child(self, parent: Node, at: int) -> Node:
        """The child ``at`` of a node above level 0.

        Raises:
            NodeDamaged: It is no node, or not the one the parent speaks of: a writer lied or erred.
        """
        node = await self.load(parent.values[at])
        fits = (
            node.level == parent.level - 1
            and node.keys[-1] == parent.keys[at]
            and node.count == parent.counts[at]
            and (at == 0 or node.keys[0] > parent.keys[at - 1])
        )
        if not fits:
            raise NodeDamaged(f"node of level {node.level} with {node.count} entries is not what its parent lists")
        return node

    async def save(self, level: int, keys: list[bytes], values: list[bytes], counts: list[int]) -> tuple[bytes, int]:
        """Keep a node made of these lists, which it takes over; gives its ref and its count of entries."""
        if level > TOP_LEVEL:
            raise Misuse(f"map would need nodes of level {level}, expected at most {TOP_LEVEL}")
        data = encode_node(level, keys, values, counts)
        refs = values if level else [ref for value in values for ref in self._leaf_refs(value)]
        saved = await self._store.save(data, refs)
        count = sum(counts) if level else len(keys)
        self._cache.add(saved, Node(level, keys, values, counts if level else (), count, len(data)))
        return saved, count


def above(root: Node, ref: bytes) -> Node:
    """A node that has the root as its only child: never saved, it lets a walk start one level higher."""
    return Node(root.level + 1, [root.keys[-1]], [ref], [root.count], root.count, 0)
