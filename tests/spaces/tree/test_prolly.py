"""The ordered map behaves as a sorted dictionary, and equal content is equal bytes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.tree import REF_SIZE, Change, Limits, NodeCache, NodeDamaged, Tree, decode_node, encode_node
from tests.spaces.tree.in_memory import KEY, SMALL, NodesInMemory, model_of, small_tree

keys = st.integers(0, 400).map(lambda i: b"%03d" % i) | st.binary(min_size=1, max_size=4)
values = st.binary(max_size=12) | st.integers(0, 400).map(bytes)  # the long ones fill a node at once
rounds = st.lists(st.dictionaries(keys, values | st.none(), max_size=60), max_size=6)


def as_changes(changes: dict[bytes, bytes | None]) -> list[Change]:
    return sorted(changes.items(), key=lambda change: change[0])


@settings(max_examples=150, deadline=None)
@given(rounds, st.randoms(use_true_random=False), st.sampled_from([0, 1 << 20]))
async def test_the_same_content_by_any_history_has_the_same_root(
    history: list[dict[bytes, bytes | None]], chance: random.Random, cache: int
) -> None:
    model: dict[bytes, bytes] = {}
    tree = small_tree(cache=cache)
    for changes in history:
        before, was = tree, dict(model)
        tree = await tree.apply(as_changes(changes))
        for key, value in changes.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        assert await model_of(tree) == model
        assert await tree.count() == len(model)
        differs = {key: (was.get(key), model.get(key)) for key in {*was, *model} if was.get(key) != model.get(key)}
        found = [difference async for difference in before.diff(tree)]
        assert found == [(key, *differs[key]) for key in sorted(differs)]
    at_once = await small_tree().apply(sorted(model.items()))
    assert tree.root == at_once.root
    assert (tree.root is None) == (not model)
    shuffled = list(model)
    chance.shuffle(shuffled)
    one_by_one = small_tree()
    for key in shuffled[:80]:
        one_by_one = await one_by_one.apply([(key, model[key])])
    rest = sorted(set(shuffled[80:]))
    one_by_one = await one_by_one.apply([(key, model[key]) for key in rest])
    assert one_by_one.root == tree.root


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, values, max_size=200), keys, keys | st.none())
async def test_scan_and_get_give_what_a_sorted_dictionary_gives(
    model: dict[bytes, bytes], start: bytes, stop: bytes | None
) -> None:
    tree = await small_tree().apply(sorted(model.items()))
    batches = [batch async for batch in tree.scan(start, stop)]
    assert all(batches)
    found = [item for batch in batches for item in batch]
    assert found == [item for item in sorted(model.items()) if start <= item[0] and (stop is None or item[0] < stop)]
    for key in [start, *model]:
        assert await tree.get(key) == model.get(key)


async def test_the_shape_does_not_hang_on_refs_or_values_of_the_same_size() -> None:
    """Sealed anew under another epoch the entries stand in the same nodes."""

    async def shape(filling: bytes) -> list[tuple[int, int]]:
        nodes = NodesInMemory()
        await small_tree(nodes).apply((b"%04d" % i, filling * 20) for i in range(500))
        decoded = [decode_node(data) for data in nodes.nodes.values()]
        return sorted((node.level, len(node.keys)) for node in decoded)

    first = await shape(b"a")
    assert first == await shape(b"b")
    assert max(first)[0] >= 3


async def test_every_saved_node_keeps_to_the_limits_and_names_what_it_needs() -> None:
    nodes = NodesInMemory()
    ref = bytes(REF_SIZE)
    tree = Tree(nodes, KEY, None, lambda value: [ref] * (len(value) // 4000), NodeCache())
    chance = random.Random(5)
    items = sorted(
        (chance.randbytes(chance.choice([4, 20, 512])), bytes(chance.choice([0, 90, 8192]))) for _ in range(900)
    )
    await tree.apply(items)
    levels = set()
    for name, data in nodes.nodes.items():
        node = decode_node(data)
        levels.add(node.level)
        assert len(data) < 32 * 1024
        assert nodes.refs[name] == (node.values if node.level else [ref] * sum(len(v) // 4000 for v in node.values))
    assert levels == {0, 1, 2}


async def test_one_changed_file_of_100_000_costs_at_most_64_kib_of_nodes() -> None:
    """In 99 of 100 cases, and half of that on the average; here an edit, which takes one dot out and puts one in."""
    nodes = NodesInMemory()
    chance = random.Random(1)
    empty = Tree(nodes, KEY, None, lambda value: (), NodeCache())
    items = [
        (b"p" * 16 + b"name%08d.txt\0" % i + chance.randbytes(16) + b"w" * 16 + bytes(8), bytes(110))
        for i in range(100_000)
    ]
    tree = await empty.apply(items)
    assert nodes.saved_bytes / nodes.saved == pytest.approx(10 * 1024, rel=0.1), "nodes average about 10 KiB"
    costs = []
    for sequence in range(1, 301):
        key, value = chance.choice(items)
        nodes.saved_bytes = nodes.loaded = 0
        await tree.apply([(key, None), (key[:-8] + sequence.to_bytes(8, "big"), value)])
        costs.append(nodes.saved_bytes)
        assert nodes.loaded <= 6, "only touched nodes are read"
    # A boundary that moves takes its neighbours along until old and new cuts meet: about one change in a thousand.
    assert sorted(costs)[296] <= 64 * 1024
    assert sum(costs) / len(costs) <= 34 * 1024
    for key, _ in chance.sample(items, 5):
        cold = Tree(nodes, KEY, tree.root, lambda value: (), NodeCache())
        nodes.loaded = 0
        changed = await cold.apply([(key, b"x" * 110)])
        assert nodes.loaded <= 6, "only touched nodes are read"
        nodes.loaded = 0
        fresh = Tree(nodes, KEY, tree.root, lambda value: (), NodeCache())
        assert [difference async for difference in fresh.diff(changed)] == [(key, bytes(110), b"x" * 110)]
        assert nodes.loaded <= 8, "only differing subtrees are read"


async def test_changes_that_change_nothing_save_nothing() -> None:
    nodes = NodesInMemory()
    tree = await small_tree(nodes).apply((b"%03d" % i, b"v") for i in range(300))
    nodes.saved = 0
    again = await tree.apply([(b"007", b"v"), (b"nowhere", None), (b"zzz", None)])
    assert (again.root, nodes.saved) == (tree.root, 0)
    assert (await small_tree().apply([(b"a", None)])).root is None


async def test_a_stream_of_changes_is_taken_no_faster_than_nodes_are_saved() -> None:
    nodes = NodesInMemory()
    ahead: list[int] = []
    in_a_node = 200 // (4 + 2 + 10 + 2) + 2

    async def changes() -> AsyncIterator[Change]:
        for i in range(2000):
            ahead.append(i - sum(decode_node(data).count for data in nodes.nodes.values() if data[2] == 0))
            yield b"%04d" % i, bytes(10)

    await small_tree(nodes, cache=0).apply(changes())
    assert max(ahead) <= in_a_node


async def test_forgetting_most_of_a_tall_map_leaves_the_map_of_the_rest() -> None:
    items = [(b"%04d" % i, b"v" * (i % 40)) for i in range(1500)]
    tree = await small_tree().apply(items)
    for kept in ([*items[:1], *items[-1:]], items[700:703], items[-1:], items[:1], []):
        names = {key for key, _ in kept}
        rest = await tree.apply((key, None) for key, _ in items if key not in names)
        assert rest.root == (await small_tree().apply(kept)).root


def _descending() -> Iterator[Change]:
    yield b"b", b""
    yield b"a", b""


@pytest.mark.parametrize(
    "changes",
    [
        list(_descending()),
        [(b"a", b""), (b"a", b"")],
        [(b"", b"")],
        [(b"k" * 513, b"")],
        [(b"k", bytes(8193))],
    ],
)
async def test_changes_out_of_order_or_too_large_are_refused(changes: list[Change]) -> None:
    with pytest.raises(Misuse):
        await small_tree().apply(changes)


async def test_a_map_taller_than_the_format_allows_is_refused() -> None:
    pairs = Limits(scale=1, full=1)  # every node ends as soon as it may
    with pytest.raises(Misuse, match="level 13"):
        await small_tree(limits=pairs).apply((b"%05d" % i, b"") for i in range(2**12 + 1))


async def test_a_child_that_is_not_what_its_parent_lists_is_found() -> None:
    """Swapped, with other entries, of another level, or reaching back over the child before it."""
    nodes = NodesInMemory()
    leaf = await nodes.save(encode_node(0, [b"c", b"d"], [b"", b""], []), [])
    first = await nodes.save(encode_node(0, [b"a", b"b"], [b"", b""], []), [])
    inner = await nodes.save(encode_node(1, [b"d"], [leaf], [2]), [])
    reaching = await nodes.save(encode_node(0, [b"b", b"d"], [b"", b""], []), [])
    for second, last, count in [
        (first, b"d", 2),
        (leaf, b"d", 3),
        (leaf, b"e", 2),
        (inner, b"d", 2),
        (reaching, b"d", 2),
    ]:
        root = await nodes.save(encode_node(1, [b"b", last], [first, second], [2, count]), [])
        tree = Tree(nodes, KEY, root, lambda value: (), NodeCache(), SMALL)
        assert await tree.get(b"a") == b""
        with pytest.raises(NodeDamaged, match="not what its parent lists"):
            await tree.get(b"d")
        with pytest.raises(NodeDamaged):
            await model_of(tree)
        with pytest.raises(NodeDamaged):
            await tree.apply([(b"d", b"new")])


async def test_the_cache_forgets_the_least_lately_used_and_keeps_to_its_bound() -> None:
    cache = NodeCache(limit=100)
    nodes = [decode_node(encode_node(0, [b"%d" % i], [bytes(30)], [])) for i in range(3)]
    for i, node in enumerate(nodes[:2]):
        cache.add(b"%d" % i, node)
    assert cache.get(b"0") is nodes[0]
    cache.add(b"0", nodes[0])
    cache.add(b"2", nodes[2])
    assert cache.size == 2 * nodes[0].size <= 100
    assert (cache.get(b"0"), cache.get(b"1"), cache.get(b"2")) == (nodes[0], None, nodes[2])


class _Counting(NodesInMemory):
    """Counts how often many nodes are loaded at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead: list[int] = []

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        self.ahead.append(len(refs))
        return await super().load_many(refs)


async def _wide(nodes: _Counting) -> Tree:
    """A map of some hundred leaves, of which nothing is cached."""
    tree = await small_tree(nodes).apply((b"%06d" % number, bytes(20)) for number in range(2000))
    nodes.loaded = 0
    return small_tree(nodes).at(tree.root)


async def test_a_scan_loads_leaves_many_at_once_and_none_that_it_does_not_need() -> None:
    nodes = _Counting()
    tree = await _wide(nodes)
    assert [key async for batch in tree.scan() for key, _ in batch] == [b"%06d" % number for number in range(2000)]
    assert nodes.loaded <= len(nodes.nodes)
    assert max(nodes.ahead) > 1
    nodes.loaded, nodes.ahead = 0, []
    assert [batch async for batch in small_tree(nodes).at(tree.root).scan(b"000100", b"000101")]
    assert nodes.loaded < 12


async def test_a_bad_leaf_ahead_keeps_no_earlier_one_from_being_seen() -> None:
    nodes = _Counting()
    tree = await _wide(nodes)
    last = next(ref for ref, data in nodes.nodes.items() if b"001999" in data and decode_node(data).level == 0)
    nodes.nodes[last] = b"no node"
    seen: list[bytes] = []

    async def look() -> None:
        async for batch in tree.scan():
            seen.extend(key for key, _ in batch)

    with pytest.raises(NodeDamaged):
        await look()
    assert seen == [b"%06d" % number for number in range(len(seen))]
    assert len(seen) > 1900
    assert nodes.ahead[-1] > 1
    assert nodes.loaded <= len(nodes.nodes) + nodes.ahead[-1]
