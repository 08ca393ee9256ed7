"""Roots: a root tells any two columns apart, and a leaf can be checked alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import HASH_SIZE, hashed
from ropewalk.spaces.pack.roots import LEAF_SIZE, column_root, leaf_hashes, pack_name

sizes = st.integers(0, 3 * LEAF_SIZE + 5)


@given(sizes, st.integers(0, 3))
def test_the_leaves_of_a_part_are_part_of_the_leaves(size: int, first: int) -> None:
    column = bytes(range(256)) * (size // 256 + 1)
    column = column[:size]
    leaves = leaf_hashes(column)
    assert len(leaves) == -(-size // LEAF_SIZE) * HASH_SIZE
    assert leaf_hashes(memoryview(column)[first * LEAF_SIZE :], first) == leaves[first * HASH_SIZE :]


@given(st.integers(0, 40))
def test_the_root_is_the_tree_of_the_spec(count: int) -> None:
    leaves = [hashed("leaf", bytes((at,))) for at in range(count)]

    def top(some: list[bytes]) -> bytes:
        if len(some) == 1:
            return some[0]
        half = 1
        while 2 * half < len(some):
            half *= 2
        return hashed("node", top(some[:half]) + top(some[half:]))

    expected = hashed("column", (7).to_bytes(8, "big") + (top(leaves) if leaves else bytes(32)))
    assert column_root(7, b"".join(leaves)) == expected


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=9, unique=True))
def test_order_number_and_length_of_leaves_change_the_root(leaves: list[bytes]) -> None:
    root = column_root(9, b"".join(leaves))
    assert root != column_root(9, b"".join(leaves[::-1]))
    assert root != column_root(9, b"".join(leaves[:-1]))
    assert root != column_root(8, b"".join(leaves))


def test_the_number_of_a_leaf_is_in_its_hash() -> None:
    assert leaf_hashes(b"same", 0) != leaf_hashes(b"same", 1)


def test_a_pack_is_named_by_its_data_columns_alone() -> None:
    roots = [hashed("root", bytes((at,))) for at in range(4)]
    assert pack_name([3, 4], roots) == pack_name([3, 4], roots[:2])
    assert (
        len({pack_name([3, 4], roots), pack_name([4, 3], roots), pack_name([3], roots), pack_name([3, 4, 0], roots)})
        == 4
    )
