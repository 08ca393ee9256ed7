"""What the tests of the tree share: nodes kept in a dictionary, with counts of what was done, and small trees.

Flow: tests -> [NodesInMemory, small_tree]
Never: used outside tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ropewalk.spaces.tree import REF_SIZE, Limits, NodeCache, Tree

__all__ = ["KEY", "SMALL", "NodesInMemory", "model_of", "small_tree"]

KEY = bytes(range(32))
SMALL = Limits(scale=90, full=200)  # a few items a node: trees of four levels from a hundred entries


class NodesInMemory:
    """A node store that counts loads and saves."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.refs: dict[bytes, Sequence[bytes]] = {}
        self.loaded = 0
        self.saved = 0
        self.saved_bytes = 0

    async def load(self, ref: bytes) -> bytes:
        self.loaded += 1
        return self.nodes[ref]

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        return [await self.load(ref) for ref in refs]

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:
        ref = hashlib.blake2b(node).digest() + bytes(REF_SIZE - 64)
        self.nodes[ref] = node
        self.refs[ref] = list(refs)
        self.saved += 1
        self.saved_bytes += len(node)
        return ref


def small_tree(nodes: NodesInMemory | None = None, cache: int = 1 << 20, limits: Limits = SMALL) -> Tree:
    return Tree(nodes or NodesInMemory(), KEY, None, lambda value: (), NodeCache(cache), limits)


async def model_of(tree: Tree) -> dict[bytes, bytes]:
    return {key: value async for batch in tree.scan() for key, value in batch}
