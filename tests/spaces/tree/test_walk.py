"""What two maps differ in is read many nodes at once, and none of what they share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ropewalk.errors import Missing
from ropewalk.spaces.tree import Limits, Tree, decode_node
from ropewalk.spaces.tree.walk import AHEAD
from tests.spaces.tree.in_memory import NodesInMemory, small_tree

WIDE = Limits(scale=400, full=900)  # some twenty items a node


class Watched(NodesInMemory):
    """A node store that tells what was asked for at once, and has lost some."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[bytes]] = []
        self.lost: set[bytes] = set()

    async def load(self, ref: bytes) -> bytes:
        if ref in self.lost:
            raise Missing("node is gone")
        self.asked.append([ref])
        return await super().load(ref)

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        if not self.lost.isdisjoint(refs):
            raise Missing("node is gone")
        self.asked.append(list(refs))
        return [self.nodes[ref] for ref in refs]


async def _two(nodes: Watched) -> tuple[Tree, Tree]:
    """Two maps of some levels; every tenth item of the second differs in its first half."""
    items = [(b"%06d" % number, b"v%d" % number) for number in range(3000)]
    one = await small_tree(nodes, limits=WIDE).apply(items)
    other = await one.apply([(key, b"changed") for key, _ in items[:1500:10]])
    fresh = small_tree(nodes, limits=WIDE)
    nodes.asked.clear()
    return fresh.at(one.root), fresh.at(other.root)


async def test_what_differs_is_loaded_many_nodes_at_once_and_nothing_twice() -> None:
    nodes = Watched()
    one, other = await _two(nodes)
    found = [key async for key, _, _ in one.diff(other)]
    assert found == [b"%06d" % number for number in range(0, 1500, 10)]
    loaded = [ref for refs in nodes.asked for ref in refs]
    assert len(loaded) == len(set(loaded))
    assert max(map(len, nodes.asked)) <= AHEAD
    assert len(nodes.asked) < len(loaded) / 2
    leaves = [decode_node(nodes.nodes[ref]) for ref in loaded]
    same = [leaf for leaf in leaves if leaf.level == 0 and leaf.keys[0] > b"001600"]
    assert same == [], "none of the half that is the same"


async def test_one_node_that_is_gone_is_told_when_it_is_reached() -> None:
    nodes = Watched()
    one, other = await _two(nodes)
    changed = [ref for ref, data in nodes.nodes.items() if b"changed" in data]
    nodes.lost.add(changed[len(changed) // 2])
    found = []
    differences = one.diff(other)
    with suppress(Missing):
        async for key, _, _ in differences:
            found.append(key)
    assert 50 < len(found) < 150, "all before it"
