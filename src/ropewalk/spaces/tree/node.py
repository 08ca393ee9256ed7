"""Nodes: the bytes of one node of an ordered map, and what a reader must refuse.

A node is the msgpack array ``[format, level, items]``, in the one shortest encoding of it.  At level 0 the items are
``key, value, key, value, ..``; above it ``last key below, entries below, ref, ..`` with one triple for each child.

Flow: prolly, rewrite -> [encode_node, decode_node] -> chunks
Never: loads or saves a node, or looks inside a value or a ref.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import lt

import msgspec

from ropewalk.errors import Damaged

__all__ = [
    "LARGEST_KEY",
    "LARGEST_NODE",
    "LARGEST_VALUE",
    "REF_SIZE",
    "TOP_LEVEL",
    "Node",
    "NodeDamaged",
    "decode_node",
    "encode_node",
    "item_size",
]

NODE_FORMAT = 1
REF_SIZE = 73  # bytes: chunk id, key, plain length and flags; opaque to the tree
LARGEST_KEY = 512  # bytes; a name of 255 with its ids takes 312
LARGEST_VALUE = 8 * 1024  # bytes; an entry with extended attributes; large ones would make every neighbour costly
LARGEST_NODE = 64 * 1024  # bytes a reader takes; writers stop at half, so that a later format has room to grow
TOP_LEVEL = 12  # at 50 items a node more entries than there are bytes in the world; bounds every descent
LARGEST_COUNT = 2**63 - 1  # entries below one child


class NodeDamaged(Damaged):
    """The bytes are not a node, or not the node that its parent speaks of."""

    code = "tree.node-damaged"


@dataclass(frozen=True, slots=True)
class Node:
    """One node, checked.  The lists are shared with the cache: nobody changes them."""

    level: int  # 0: values are the map's; above: values are refs of nodes one level down
    keys: Sequence[bytes]  # strictly ascending; above level 0 the last key of each child
    values: Sequence[bytes]
    counts: Sequence[int]  # entries below each child; empty at level 0
    count: int  # entries in all
    size: int  # bytes of the encoded node


_decoder = msgspec.msgpack.Decoder(tuple[int, int, list[bytes | int]])
_encoder = msgspec.msgpack.Encoder()


def item_size(level: int, key: bytes, value: bytes, count: int) -> int:
    """Bytes that one item takes in an encoded node; what boundaries are weighed by."""
    size = len(key) + (2 if len(key) < 256 else 3) + len(value) + (2 if len(value) < 256 else 3)
    if level:
        size += 1 if count < 128 else 2 if count < 256 else 3 if count < 2**16 else 5 if count < 2**32 else 9
    return size


def encode_node(level: int, keys: Sequence[bytes], values: Sequence[bytes], counts: Sequence[int]) -> bytes:
    """The bytes of a node; ``counts`` is not looked at for level 0."""
    items = chain.from_iterable(zip(keys, counts, values, strict=True) if level else zip(keys, values, strict=True))
    return _encoder.encode((NODE_FORMAT, level, list(items)))


def decode_node(data: bytes) -> Node:
    """The node in ``data``, whole and in its one encoding.

    Raises:
        NodeDamaged: Anything else.
    """
    if len(data) > LARGEST_NODE:
        raise NodeDamaged(f"node has {len(data)} bytes, expected at most {LARGEST_NODE}")
    try:
        written, level, items = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NodeDamaged(f"node does not parse: {error}") from error
    if written != NODE_FORMAT:
        raise NodeDamaged(f"node has format {written}, expected {NODE_FORMAT}", hint="a newer version may read it")
    if not 0 <= level <= TOP_LEVEL:
        raise NodeDamaged(f"node has level {level}, expected 0 to {TOP_LEVEL}")
    width = 3 if level else 2
    if not items or len(items) % width:
        raise NodeDamaged(f"node has {len(items)} fields, expected a multiple of {width} and not none")
    keys = _all_bytes(items[::width], 1, LARGEST_KEY, "key")
    if not all(map(lt, keys, keys[1:])):
        raise NodeDamaged("node has keys out of order, expected them strictly ascending")
    if level:
        values, counts = _all_bytes(items[2::3], REF_SIZE, REF_SIZE, "ref"), _all_counts(items[1::3])
        count = sum(counts)
    else:
        values, counts = _all_bytes(items[1::2], 0, LARGEST_VALUE, "value"), []
        count = len(keys)
    if encode_node(level, keys, values, counts) != data:
        raise NodeDamaged("node is not in its shortest encoding")
    return Node(level, keys, values, counts, count, len(data))


def _all_bytes(fields: list[bytes | int], shortest: int, longest: int, what: str) -> list[bytes]:
    checked = [field for field in fields if isinstance(field, bytes) and shortest <= len(field) <= longest]
    if len(checked) != len(fields):
        raise NodeDamaged(f"node has a {what} that is not {shortest} to {longest} bytes")
    return checked


def _all_counts(fields: list[bytes | int]) -> list[int]:
    checked = [field for field in fields if isinstance(field, int) and 1 <= field <= LARGEST_COUNT]
    if len(checked) != len(fields):
        raise NodeDamaged(f"node has a count that is not 1 to {LARGEST_COUNT}")
    return checked
