"""The format once more: entries, nodes, boundaries, whole trees and joins (space.md 7).

Flow: items -> nodes, bottom up -> root; bytes of a node or an entry -> what it holds, or Refused
Never: imports ropewalk, or changes a tree: it is built as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from docs.spec.vectors.reference import MIB, h, m
from docs.spec.vectors.reference_records import Pairs, Refused, check_extra, number, pack, refuse, unpack

__all__ = [
    "Epochs",
    "build",
    "entry_key",
    "entry_value",
    "join",
    "mark",
    "parse_key",
    "parse_node",
    "parse_value",
    "scan",
    "splits",
    "stays",
]

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


Epochs = list[tuple[int, bytes, bytes]]  # number, hash of the record, E


def mark(epoch: bytes, secret: bytes, content: bytes) -> bytes:
    """What says that a content field was sealed anew in an epoch (groups.md 3.5)."""
    return epoch[:8] + m(h("sealed anew", h("chunk key", secret)), content, 16)


def stays(one: bytes, other: bytes, epochs: Epochs) -> bytes | None:
    """What is left of two different values of one key."""
    if _write(one) != _write(other):
        return None
    return max((_marked(value, epochs), value) for value in (one, other))[1]


def _fields(value: bytes) -> list[object] | None:
    try:
        return parse_value(value)
    except Refused:
        return None


def _write(value: bytes) -> object:
    """What all values of one write have in common."""
    fields = _fields(value)
    if fields is None:
        return value
    content, extra = fields[5], fields[7]
    assert isinstance(extra, Pairs)
    if isinstance(content, list) and content[0] != 0 and fields[4] is not None:
        content = "references"
    return *fields[:5], content, fields[6], [pair for pair in extra if pair[0] != 1]


def _marked(value: bytes, epochs: Epochs) -> int:
    fields = _fields(value)
    if fields is None:
        return 0
    assert isinstance(fields[7], Pairs)
    found = dict(fields[7]).get(1)
    content = pack(fields[5])
    return max((number for number, epoch, secret in epochs if found == mark(epoch, secret, content)), default=0)


def _covers(key: bytes, seen: dict[bytes, int]) -> bool:
    try:
        *_, writer, sequence = parse_key(key)
    except Refused:
        return False
    return sequence <= seen.get(writer, 0)


def _value(key: bytes, items: dict[bytes, bytes], seen: dict[bytes, int]) -> bytes | None:
    return items.get(key) if _covers(key, seen) else None


def join(
    a: dict[bytes, bytes], seen_a: dict[bytes, int], b: dict[bytes, bytes], seen_b: dict[bytes, int]
) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
    """The join of two maps with their vectors, in an epoch that nothing is marked with."""
    joined = {}
    for key in sorted({*a, *b}):
        if a.get(key) == b.get(key):
            joined[key] = a[key]
            continue
        here, there = (_value(key, *side) for side in ((a, seen_a), (b, seen_b)))
        if here is not None and there is not None:
            left = stays(here, there, [])
        elif here is not None:
            left = None if _covers(key, seen_b) else here
        else:
            left = None if _covers(key, seen_a) else there
        if left is not None:
            joined[key] = left
    return joined, {writer: max(seen_a.get(writer, 0), seen_b.get(writer, 0)) for writer in {*seen_a, *seen_b}}
