"""Nodes: what is written is read, and nothing else is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.tree import REF_SIZE, Boundary, NodeDamaged, decode_node, encode_node
from ropewalk.spaces.tree.boundary import LIMITS
from ropewalk.spaces.tree.node import LARGEST_KEY, LARGEST_VALUE, item_size
from tests.spaces.tree.in_memory import KEY

REF = bytes(REF_SIZE)
pack = msgspec.msgpack.encode

leaves = st.dictionaries(st.binary(min_size=1, max_size=300), st.binary(max_size=300), min_size=1, max_size=20)


@given(leaves)
def test_a_leaf_comes_back_as_it_was(items: dict[bytes, bytes]) -> None:
    keys = sorted(items)
    values = [items[key] for key in keys]
    data = encode_node(0, keys, values, [])
    node = decode_node(data)
    assert (node.level, node.keys, node.values, node.count, node.size) == (0, keys, values, len(keys), len(data))


@given(leaves, st.integers(1, 12), st.data())
def test_an_inner_node_comes_back_and_its_size_is_the_sum_of_its_items(
    items: dict[bytes, bytes], level: int, data: st.DataObject
) -> None:
    keys = sorted(items)
    counts = data.draw(st.lists(st.integers(1, 2**40), min_size=len(keys), max_size=len(keys)))
    encoded = encode_node(level, keys, [REF] * len(keys), counts)
    node = decode_node(encoded)
    assert (node.level, node.keys, node.counts, node.count) == (level, keys, counts, sum(counts))
    header = len(pack([1, level, [None] * (3 * len(keys))])) - 3 * len(keys)
    assert sum(item_size(level, key, REF, n) for key, n in zip(keys, counts, strict=True)) + header == len(encoded)


@given(st.binary(max_size=200) | leaves.map(lambda items: encode_node(0, sorted(items), list(items.values()), [])))
def test_bytes_are_a_node_in_its_one_encoding_or_refused(data: bytes) -> None:
    for junk in (data, data[:-1], data + b"\0", data[: len(data) // 2] + b"\xc1" + data[len(data) // 2 + 1 :]):
        try:
            node = decode_node(junk)
        except NodeDamaged:
            continue
        assert encode_node(node.level, node.keys, node.values, node.counts) == junk


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (b"", "does not parse"),
        (pack([2, 0, [b"a", b""]]), "format 2"),
        (pack([1, 13, [b"a", 1, REF]]), "level 13"),
        (pack([1, -1, [b"a", b""]]), "level -1"),
        (pack([1, 0, []]), "0 fields"),
        (pack([1, 0, [b"a"]]), "1 fields"),
        (pack([1, 1, [b"a", 1]]), "2 fields"),
        (pack([1, 0, [b"b", b"", b"a", b""]]), "out of order"),
        (pack([1, 0, [b"a", b"", b"a", b""]]), "out of order"),
        (pack([1, 0, [b"", b""]]), "key that is not"),
        (pack([1, 0, [b"a" * (LARGEST_KEY + 1), b""]]), "key that is not"),
        (pack([1, 0, [1, b""]]), "key that is not"),
        (pack([1, 0, [b"a", b"v" * (LARGEST_VALUE + 1)]]), "value that is not"),
        (pack([1, 0, [b"a", 7]]), "value that is not"),
        (pack([1, 1, [b"a", 1, REF + b"\0"]]), "ref that is not"),
        (pack([1, 1, [b"a", 1, REF[1:]]]), "ref that is not"),
        (pack([1, 1, [b"a", 0, REF]]), "count that is not"),
        (pack([1, 1, [b"a", 2**63, REF]]), "count that is not"),
        (pack([1, 1, [b"a", b"1", REF]]), "count that is not"),
        (pack([1, 0, ["a", b""]]), "does not parse"),
        (pack([1, 0, [b"a", b""], 0]), "does not parse"),
        (pack([1.0, 0, [b"a", b""]]), "does not parse"),
        (pack([1, 0, [b"a", b""]]) + b"\0", "does not parse"),
        (b"\x93\xcc\x01" + pack([1, 0, [b"a", b""]])[2:], "shortest"),
        (pack([1, 0, [part for i in range(70) for part in (b"%03d" % i, bytes(1000))]]), "at most"),
    ],
)
def test_what_is_not_a_node_is_refused_and_said(damaged: bytes, said: str) -> None:
    with pytest.raises(NodeDamaged, match=said) as caught:
        decode_node(damaged)
    assert caught.value.code == "tree.node-damaged"


def test_boundaries_need_a_key_of_32_bytes() -> None:
    with pytest.raises(Misuse, match="31 bytes"):
        Boundary(bytes(31))


def test_no_node_can_pass_half_of_what_a_reader_takes() -> None:
    largest = item_size(0, bytes(LARGEST_KEY), bytes(LARGEST_VALUE), 1)
    assert LIMITS.full + largest < 32 * 1024


def test_where_a_node_ends_hangs_on_key_level_and_sizes_only() -> None:
    """Bytes before it raise the chance, a full node always ends, and another space draws otherwise."""
    boundary, other = Boundary(KEY), Boundary(bytes(32))
    keys = [b"%d" % i for i in range(4000)]

    def ends(of: Boundary, level: int, fill: int) -> list[bool]:
        return [of.ends(level, key, 180, fill) for key in keys]

    assert ends(boundary, 0, 4000) == ends(boundary, 0, 4000)
    assert ends(boundary, 0, 4000) != ends(boundary, 1, 4000)
    assert ends(boundary, 0, 4000) != ends(other, 0, 4000)
    assert all(
        later or not sooner for sooner, later in zip(ends(boundary, 0, 4000), ends(boundary, 0, 9000), strict=True)
    )
    assert 30 <= sum(ends(boundary, 0, 9000)) <= 180
    assert all(ends(boundary, 0, LIMITS.full))
    assert not boundary.ends(1, b"k", LIMITS.full, LIMITS.full), "one child alone makes no node"
