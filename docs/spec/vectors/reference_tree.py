"""The format once more: entries, nodes, boundaries, whole trees and joins (space.md 7).

Flow: items -> nodes, bottom up -> root; bytes of a node or an entry -> what it holds, or Refused
Never: imports ropewalk, or changes a tree: it is built as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from docs.spec.vectors.reference import MIB, m
from docs.spec.vectors.reference_records import Pairs, Refused, check_extra, number, pack, refuse, unpack

__all__ = ["build", "entry_key", "entry_value", "join", "parse_key", "parse_node", "parse_value", "scan", "splits"]

Item = tuple[bytes, bytes, int]  # key, value or reference, entries below
_NODE, _ENTRY = "tree.node-damaged", "tree.entry-damaged"


def entry_key(parent: bytes, name: bytes, entry: bytes, writer: bytes, sequence: int) -> bytes:
    """The key of an entry."""
    return parent + name + b"\0" + entry + writer + number(sequence, 8)


def parse_key(key: bytes) -> tuple[bytes, bytes, bytes, bytes, int]:
    """Parent, name, entry id, writer, sequence."""
    parent, name, tail = key[:16], *key[16:].split(b"\0", 1)[:1], key[-40:]
    refuse(_ENTRY, "a length that does not add up", len(key) != 16 + len(name) + 1 + 40)
    refuse(_ENTRY, "no name", not 1 <= len(name) <= 255 or b"/" in name or name in (b".", b".."))
    refuse(_ENTRY, "an id that no entry has", tail[:16] in (bytes(16), b"\xff" * 16) or parent == b"\xff" * 16)
    return parent, name, tail[:16], tail[16:32], int.from_bytes(tail[32:], "big")


def entry_value(
    kind: int, size: int, content_id: bytes | None, content: list[object] | None, *, mtime: int = 0, mode: int = 0o644
) -> bytes:
    """The value of an entry without attributes."""
    return pack([kind, size, mtime, mode, content_id, content, {}, {}])


def parse_value(value: bytes) -> list[object]:
    """The eight fields of an entry."""
    fields = unpack(value, 8 * 1024, _ENTRY)
    match fields:
        case [int(kind), int(size), int(mtime), int(mode), content_id, content, Pairs() as xattrs, extra]:
            check_extra(extra, _ENTRY)
        case _:
            raise Refused(_ENTRY, "wrong types")
    refuse(_ENTRY, "a number out of range", not (kind >= 0 and size >= 0 and 0 <= mode < 2**16))
    refuse(_ENTRY, "a time out of range", not -(2**63) <= mtime < 2**63)
    refuse(_ENTRY, "a content id that is not 32 bytes", not _is_hash(content_id))
    names = [pack(name) for name, _ in xattrs]
    texts = all(isinstance(name, str) and isinstance(data, bytes) for name, data in xattrs)
    refuse(_ENTRY, "xattrs out of order", not texts or names != sorted(set(names)))
    if content is None:
        refuse(_ENTRY, "no content", kind in (0, 2) or (kind == 1 and (size != 0 or content_id is not None)))
        return fields
    match content:
        case [int(tag), bytes(data)] if kind != 1:
            _check_content(kind, size, tag, data)
            return fields
    raise Refused(_ENTRY, "content of other types, or of a folder")


def _is_hash(content_id: object) -> bool:
    return content_id is None or (isinstance(content_id, bytes) and len(content_id) == 32)


def _check_content(kind: int, size: int, tag: int, data: bytes) -> None:
    if tag:
        refuse(_ENTRY, "references cut short", not data or len(data) % 73 != 0)
    if kind == 2:
        refuse(_ENTRY, "a target", tag != 0 or len(data) != size or not 1 <= size <= 4096)
    elif kind == 0 and tag == 0:
        refuse(_ENTRY, "bytes of another size", len(data) != size or size > 512)
    elif kind == 0 and tag == 1:
        refuse(_ENTRY, "another number of references", len(data) != 73 * -(-size // MIB) or size > 4 * MIB)
    elif kind == 0 and tag == 2:
        refuse(_ENTRY, "not one reference", len(data) != 73)


def parse_node(data: bytes) -> tuple[int, list[Item]]:
    """Level and items of a node."""
    match unpack(data, 64 * 1024, _NODE):
        case [1, int(level), list(flat)] if 0 <= level <= 12:
            width = 3 if level else 2
        case _:
            raise Refused(_NODE, "not a node of version 1")
    refuse(_NODE, "no items, or half of one", not flat or len(flat) % width != 0)
    items: list[Item] = []
    for at in range(0, len(flat), width):
        match flat[at : at + width]:
            case [bytes(key), bytes(value)] if len(value) <= 8192:
                items.append((key, value, 1))
            case [bytes(key), int(count), bytes(reference)] if count > 0 and len(reference) == 73:
                items.append((key, reference, count))
            case _:
                raise Refused(_NODE, "an item that cannot be")
        refuse(_NODE, "a key that cannot be", not 1 <= len(items[-1][0]) <= 512)
    keys = [key for key, _, _ in items]
    refuse(_NODE, "keys that do not ascend", keys != sorted(set(keys)))
    return level, items


def splits(boundary: bytes, level: int, key: bytes, z: int, f: int) -> bool:
    """Whether an item ends its node."""
    if level > 0 and f == z:
        return False
    return f >= 23_552 or int.from_bytes(m(boundary, bytes([level]) + key, 4), "big") * 11_264**2 < 2 * z * f * 2**32


def _item(level: int, item: Item) -> list[bytes | int]:
    key, value, count = item
    return [key, count, value] if level else [key, value]


def build(
    boundary: bytes, items: list[tuple[bytes, bytes]], save: Callable[[bytes, list[Item]], bytes]
) -> bytes | None:
    """The reference of the root of a map; ``save`` seals a node of these items."""
    level, rest = 0, [(key, value, 1) for key, value in sorted(items)]
    while rest:
        nodes: list[list[Item]] = [[]]
        f = 0
        for item in rest:
            z = sum(len(pack(field)) for field in _item(level, item))
            f += z
            nodes[-1].append(item)
            if splits(boundary, level, item[0], z, f):
                nodes.append([])
                f = 0
        made = [node for node in nodes if node]
        rest = []
        for node in made:
            flat = [field for item in node for field in _item(level, item)]
            rest.append((node[-1][0], save(pack([1, level, flat]), node), sum(item[2] for item in node)))
        if len(rest) == 1:
            return rest[0][1]
        level += 1
    return None


def scan(root: bytes | None, load: Callable[[bytes], bytes]) -> Iterator[tuple[bytes, bytes]]:
    """All items of a map, each node checked against its parent."""
    if root is None:
        return
    level, items = parse_node(load(root))
    refuse(_NODE, "a root with one child", level > 0 and len(items) == 1)
    yield from _below(level, items, load, b"")


def _below(level: int, items: list[Item], load: Callable[[bytes], bytes], last: bytes) -> Iterator[tuple[bytes, bytes]]:
    if level == 0:
        yield from ((key, value) for key, value, _ in items)
        return
    for key, reference, count in items:
        below, children = parse_node(load(reference))
        fits = below == level - 1 and children[-1][0] == key and children[0][0] > last
        refuse(_NODE, "not what its parent says", not fits or sum(child[2] for child in children) != count)
        yield from _below(below, children, load, last)
        last = key


def join(
    a: dict[bytes, bytes], seen_a: dict[bytes, int], b: dict[bytes, bytes], seen_b: dict[bytes, int]
) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
    """The join of two maps with their vectors."""
    joined = {}
    for key in sorted({*a, *b}):
        writer, sequence = key[-24:-8], int.from_bytes(key[-8:], "big")
        if key in a and key in b:
            joined[key] = max(a[key], b[key])
        elif key in a and sequence > seen_b.get(writer, 0):
            joined[key] = a[key]
        elif key in b and sequence > seen_a.get(writer, 0):
            joined[key] = b[key]
    return joined, {writer: max(seen_a.get(writer, 0), seen_b.get(writer, 0)) for writer in {*seen_a, *seen_b}}
