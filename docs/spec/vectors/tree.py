"""Vectors of the ordered map: entries, nodes, boundaries, whole maps, joins and what is seen of clashes.

Bytes are in hex.  A case with ``error`` holds bytes that a reader must refuse, with that code.  In ``map`` the ref of a
node stands for itself: the BLAKE3 hash of the node's bytes and 41 zero bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from ropewalk.spaces.keys import KeyRing, Secrets
from ropewalk.spaces.tree import (
    REF_SIZE,
    ROOT_FOLDER,
    Boundary,
    Chunks,
    Entry,
    EntryId,
    EntryKey,
    Inline,
    Kind,
    Offsets,
    Unknown,
    WriterId,
    content_refs,
    encode_entry,
    encode_node,
    pack_key,
)
from ropewalk.spaces.tree.anew import marked_by, one_of, with_mark
from ropewalk.spaces.tree.entry import content_and_extra

__all__ = ["cases", "map_items", "node_ref"]

Case = dict[str, object]

BOUNDARY_KEY = bytes(range(32))
REF_A, REF_B = b"\xa1" * REF_SIZE, b"\xb2" * REF_SIZE
CONTENT_ID = b"\xc3" * 32
MAP_ROOTS = {  # by number of items and size of values; made once, by the first implementation
    (0, 0): None,
    (1, 100): "a3c9a0a064601abab71d14ff0458653606a30ad169bb355833e83069f85eb6ab",
    (3000, 150): "8f435d45ad601030c911e935cf9b74cc0a248648b29a86e839b115ca88a6659a",
    (100, 8192): "abfbffa191d8fbae3e7178ed4e7b62498228a0443dbbe68dcde6d344a77af13e",
}


def node_ref(node: bytes) -> bytes:
    """What stands for a node in the vectors, where nothing is sealed."""
    return blake3(node).digest() + bytes(REF_SIZE - 32)


def map_items(count: int, value_size: int) -> list[tuple[bytes, bytes]]:
    """The items of a ``map`` case: keys ``entry-00000`` and on, values of one byte repeated."""
    return [(b"entry-%05d" % i, bytes([i % 256]) * value_size) for i in range(count)]


def cases() -> list[Case]:
    """All vectors, each with its kind under ``what`` and its point under ``why``."""
    return [*_keys(), *_values(), *_nodes(), *_boundaries(), *_maps(), *_joins(), *_marks(), *_two_values(), *_views()]


def _key(name: bytes, entry: int, writer: int, sequence: int, parent: EntryId = ROOT_FOLDER) -> EntryKey:
    return EntryKey(parent, name, EntryId(bytes([entry]) * 16), WriterId(bytes([writer]) * 16), sequence)


def _refused(what: str, why: str, data: bytes, error: str) -> Case:
    return {"what": what, "why": why, "bytes": data.hex(), "error": error}


def _keys() -> list[Case]:
    sound = [
        ("at the top", _key(b"notes.txt", 1, 2, 3)),
        ("below a folder, name not UTF-8, largest sequence", _key(b"\xff\x01", 4, 5, 2**64 - 1, EntryId(b"\x01" * 16))),
        ("longest name", _key(b"n" * 255, 1, 2, 0)),
    ]
    tail = b"\x01" * 16 + b"\x02" * 16 + bytes(8)
    damaged = [
        ("no name", ROOT_FOLDER + b"\0" + tail),
        ("a slash in the name", ROOT_FOLDER + b"a/b\0" + tail),
        ("the name is dot dot", ROOT_FOLDER + b"..\0" + tail),
        ("a name of 256 bytes", ROOT_FOLDER + b"n" * 256 + b"\0" + tail),
        ("one byte short", ROOT_FOLDER + b"a\0" + tail[:-1]),
        ("one byte long", ROOT_FOLDER + b"a\0" + tail + b"\0"),
        ("the entry has the root's id", ROOT_FOLDER + b"a\0" + bytes(16) + tail[16:]),
        ("the entry has the id of lost+found", ROOT_FOLDER + b"a\0" + b"\xff" * 16 + tail[16:]),
        ("the parent is lost+found", b"\xff" * 16 + b"a\0" + tail),
    ]
    made: list[Case] = [
        {
            "what": "entry-key",
            "why": why,
            "parent": key.parent.hex(),
            "name": key.name.hex(),
            "entry_id": key.entry_id.hex(),
            "writer": key.writer.hex(),
            "sequence": key.sequence,
            "bytes": pack_key(key).hex(),
        }
        for why, key in sound
    ]
    return made + [_refused("entry-key", why, data, "tree.entry-damaged") for why, data in damaged]


def _values() -> list[Case]:
    mib = 1024 * 1024
    sound = [
        ("an empty file", Entry(Kind.FILE, content=Inline(b""), content_id=CONTENT_ID)),
        (
            "a small file with attributes and a time before 1970",
            Entry(
                Kind.FILE, 5, -1, 0o644, CONTENT_ID, Inline(b"hello"), {"user.zz": b"2", "user.é": b"", "user.z": b"1"}
            ),
        ),
        ("two chunks", Entry(Kind.FILE, mib + 1, 10**18, 0o600, CONTENT_ID, Chunks((REF_A, REF_B)))),
        ("a map of offsets, content id not known", Entry(Kind.FILE, 2**40, 0, 0o644, None, Offsets(REF_A))),
        ("content of a later format", Entry(Kind.FILE, 7, 0, 0, None, Unknown(9, (REF_A, REF_B)))),
        ("a folder", Entry(Kind.FOLDER, mode=0o755)),
        (
            "a link",
            Entry(Kind.SYMLINK, 2, content=Inline(b"..")),
        ),
        ("a kind of a later format, with fields of one", Entry(77, 1, extra=encode({1: [None, "x"], 300: {}}))),
    ]
    damaged = [
        ("size and content differ", encode([0, 1, 0, 0, None, [0, b"ab"], {}, {}])),
        ("more than 512 bytes inline", encode([0, 513, 0, 0, None, [0, bytes(513)], {}, {}])),
        ("two refs where one is enough", encode([0, mib, 0, 0, None, [1, REF_A + REF_B], {}, {}])),
        ("five refs", encode([0, 5 * mib, 0, 0, None, [1, REF_A * 5], {}, {}])),
        ("a ref cut short", encode([0, 1, 0, 0, None, [1, REF_A[1:]], {}, {}])),
        ("a file without content", encode([0, 0, 0, 0, None, None, {}, {}])),
        ("a folder with content", encode([1, 0, 0, 0, None, [0, b""], {}, {}])),
        ("a link to nowhere", encode([2, 0, 0, 0, None, [0, b""], {}, {}])),
        ("attributes out of order", encode([1, 0, 0, 0, None, None, {"b": b"", "a": b""}, {}])),
        ("fields out of order", encode([1, 0, 0, 0, None, None, {}, {2: 0, 1: 0}])),
        ("a number not in its shortest form", b"\x98\xcc" + encode([1, 0, 0, 0, None, None, {}, {}])[1:]),
        ("a field too many", encode([1, 0, 0, 0, None, None, {}, {}, 0])),
        ("a byte after the end", encode([1, 0, 0, 0, None, None, {}, {}]) + b"\0"),
        ("no bytes", b""),
    ]
    made: list[Case] = [
        {
            "what": "entry-value",
            "why": why,
            "kind": int(entry.kind),
            "size": entry.size,
            "mtime": entry.mtime,
            "mode": entry.mode,
            "content_id": entry.content_id.hex() if entry.content_id else None,
            "refs": [ref.hex() for ref in content_refs(encode_entry(entry))],
            "inline": entry.content.data.hex() if isinstance(entry.content, Inline) else None,
            "xattrs": {name: value.hex() for name, value in entry.xattrs.items()},
            "extra": entry.extra.hex(),
            "bytes": encode_entry(entry).hex(),
        }
        for why, entry in sound
    ]
    return made + [_refused("entry-value", why, data, "tree.entry-damaged") for why, data in damaged]


def _nodes() -> list[Case]:
    sound = [
        ("a leaf", 0, [b"a", b"b" * 300], [b"", b"v" * 256], [1, 1]),
        ("an inner node", 1, [b"k", b"z"], [REF_A, REF_B], [127, 70_000]),
    ]
    damaged = [
        ("no items", [1, 0, []]),
        ("a later format", [2, 0, [b"a", b""]]),
        ("level 13", [1, 13, [b"a", 1, REF_A]]),
        ("keys out of order", [1, 0, [b"b", b"", b"a", b""]]),
        ("a key twice", [1, 0, [b"a", b"", b"a", b""]]),
        ("an empty key", [1, 0, [b"", b""]]),
        ("a key of 513 bytes", [1, 0, [b"k" * 513, b""]]),
        ("a value of 8193 bytes", [1, 0, [b"a", bytes(8193)]]),
        ("a child of no entries", [1, 1, [b"a", 0, REF_A]]),
        ("a ref of 72 bytes", [1, 1, [b"a", 1, REF_A[1:]]]),
        ("text for bytes", [1, 0, ["a", b""]]),
        ("a key without a value", [1, 0, [b"a"]]),
    ]
    long_form = b"\x93\xcc\x01" + encode([1, 0, [b"a", b""]])[2:]
    all_damaged = [*((why, encode(node)) for why, node in damaged), ("a number not in its shortest form", long_form)]
    made: list[Case] = [
        {
            "what": "node",
            "why": why,
            "level": level,
            "keys": [key.hex() for key in keys],
            "values": [value.hex() for value in values],
            "counts": counts,
            "bytes": encode_node(level, keys, values, counts).hex(),
        }
        for why, level, keys, values, counts in sound
    ]
    return made + [_refused("node", why, data, "tree.node-damaged") for why, data in all_damaged]


def _boundaries() -> list[Case]:
    asked = [
        *((0, b"entry-%05d" % i, 180, 9000) for i in (0, 42, 89, 193, 209)),
        (0, b"large", 8000, 8000),
        (0, b"larger", 8700, 11264),
        (0, b"full", 100, 23 * 1024),
        (0, b"not yet full", 100, 23 * 1024 - 1),
        (1, b"first child", 180, 180),
        (1, b"entry-00042", 180, 9000),
        (12, b"entry-00042", 180, 9000),
    ]
    boundary = Boundary(BOUNDARY_KEY)
    return [
        {
            "what": "boundary",
            "why": "whether a node of the level ends after the item",
            "boundary_key": BOUNDARY_KEY.hex(),
            "level": level,
            "key": key.hex(),
            "size": size,
            "fill": fill,
            "drawn": blake3(bytes([level]) + key, key=BOUNDARY_KEY).digest(4).hex(),
            "ends": boundary.ends(level, key, size, fill),
        }
        for level, key, size, fill in asked
    ]


def _maps() -> list[Case]:
    return [
        {
            "what": "map",
            "why": "so many items: key i is entry- and i in five digits, its value the byte i mod 256 repeated",
            "boundary_key": BOUNDARY_KEY.hex(),
            "items": items,
            "value_size": value_size,
            "root": root + "00" * (REF_SIZE - 32) if root else None,
        }
        for (items, value_size), root in MAP_ROOTS.items()
    ]


def _joins() -> list[Case]:
    one, two = (bytes([writer]) * 16 for writer in (1, 2))

    def packed(key: EntryKey | bytes) -> bytes:
        return key if isinstance(key, bytes) else pack_key(key)

    def case(
        why: str,
        a: Sequence[EntryKey | bytes],
        seen_a: list[int],
        b: Sequence[EntryKey | bytes],
        seen_b: list[int],
        *after: EntryKey | bytes,
    ) -> Case:
        def vector(seen: list[int]) -> dict[str, int]:
            return {writer.hex(): n for writer, n in zip((one, two), seen, strict=True) if n}

        return {
            "what": "join",
            "why": why,
            "a": [packed(key).hex() for key in a],
            "seen_a": vector(seen_a),
            "b": [packed(key).hex() for key in b],
            "seen_b": vector(seen_b),
            "joined": sorted(packed(key).hex() for key in after),
            "seen": vector([max(pair) for pair in zip(seen_a, seen_b, strict=True)]),
        }

    old, mine, yours = _key(b"n", 9, 1, 1), _key(b"n", 9, 1, 2), _key(b"n", 9, 2, 1)
    moved = _key(b"m", 9, 2, 1)
    no_key = ROOT_FOLDER + b"a/b\0" + pack_key(old)[-40:]
    return [
        case("what both hold stays", [old], [1, 0], [old], [1, 0], old),
        case("what the other has not seen stays", [old], [1, 0], [], [0, 0], old),
        case("what the other has seen and forgotten goes", [old], [1, 0], [], [2, 0]),
        case("two edits at once: both stay", [mine], [2, 0], [yours], [1, 1], mine, yours),
        case("an edit survives a delete", [], [2, 0], [yours], [1, 1], yours),
        case("an edit and a move at once: both stay", [mine], [2, 0], [moved], [1, 1], mine, moved),
        case("a later edit replaces an earlier", [old], [1, 0], [mine], [2, 0], mine),
        case("a dot that its own version does not cover", [mine, old], [1, 0], [], [0, 0], old),
        case("the same, which the other has", [yours], [1, 0], [yours], [1, 1], yours),
        case("no key", [no_key, old], [1, 0], [], [0, 0], old),
        case("no key, which both have", [no_key], [1, 0], [no_key], [0, 1], no_key),
    ]


_EPOCHS = [(2, b"\x02" * 32, b"\xe2" * 32), (3, b"\x03" * 32, b"\xe3" * 32)]  # number, hash of the record, E


def _ring(*epochs: tuple[int, bytes, bytes]) -> KeyRing:
    ring = KeyRing(bytes(32))
    for number, epoch, secret in epochs:
        ring.add(epoch, Secrets(secret, bytes(32), bytes(32)), number)
        ring.use(epoch)
    return ring


_FILE = Entry(Kind.FILE, 1000, 5, 0o644, CONTENT_ID, Chunks((REF_A,)), {"user.a": b"1"}, encode({7: None}))
_OTHER = replace(_FILE, content=Chunks((REF_B,)))


def _marks() -> list[Case]:
    entries = [("references", _FILE), ("bytes", Entry(Kind.FILE, 1, content=Inline(b"x"))), ("nil", Entry(Kind.FOLDER))]
    return [
        {
            "what": "mark",
            "why": why,
            "epoch": epoch.hex(),
            "secret": secret.hex(),
            "content": content_and_extra(encode_entry(entry))[0].hex(),
            "mark": decode(with_mark(entry, _ring((number, epoch, secret)).members).extra)[1].hex(),
        }
        for why, entry in entries
        for number, epoch, secret in _EPOCHS
    ]


def _small(data: bytes) -> bytes:
    return encode_entry(Entry(Kind.FILE, len(data), content=Inline(data)))


def _two_values() -> list[Case]:
    second, third = (_ring(epoch).members for epoch in _EPOCHS)

    def claims(entry: Entry, field: object) -> bytes:
        return encode_entry(replace(entry, extra=encode({1: field, 7: None})))

    old, new = encode_entry(_FILE), encode_entry(with_mark(_OTHER, third))
    stolen = decode(with_mark(_FILE, third).extra)[1]
    less = replace(_FILE, content_id=None)
    pairs = [
        ("sealed anew", old, new),
        ("sealed anew twice", encode_entry(with_mark(_OTHER, second)), encode_entry(with_mark(_FILE, third))),
        ("another compressor", old, encode_entry(_OTHER)),
        ("a number is no mark", claims(_OTHER, 2**60), encode_entry(with_mark(_FILE, second))),
        ("a mark of other content", claims(_OTHER, stolen), encode_entry(with_mark(_FILE, second))),
        ("a mark cut short", claims(_OTHER, stolen[:-1]), encode_entry(with_mark(_FILE, second))),
        ("another content id", old, encode_entry(with_mark(replace(_FILE, content_id=b"\xc4" * 32), third))),
        ("another size", old, encode_entry(replace(_FILE, size=1001))),
        ("another time", old, encode_entry(replace(_FILE, mtime=6))),
        ("other attributes", old, encode_entry(replace(_FILE, xattrs={}))),
        ("another field of a later format", old, encode_entry(replace(_FILE, extra=encode({7: 0})))),
        ("other references, and no content id", encode_entry(less), encode_entry(replace(_OTHER, content_id=None))),
        ("other bytes", _small(b"x"), _small(b"y")),
        ("no entry", old, b"\xff" * 400),
    ]
    marked = marked_by(_ring(*_EPOCHS))
    return [
        {
            "what": "two-values",
            "why": why,
            "epochs": [[number, epoch.hex(), secret.hex()] for number, epoch, secret in _EPOCHS],
            "a": a.hex(),
            "b": b.hex(),
            "stays": left.hex() if (left := one_of(a, b, marked)) is not None else None,
        }
        for why, a, b in pairs
    ]


def _views() -> list[Case]:
    folder, lost = encode_entry(Entry(Kind.FOLDER)), "lost+found"
    first, second = (EntryId(bytes([n]) * 16) for n in (1, 2))

    def file(text: bytes) -> bytes:
        return encode_entry(Entry(Kind.FILE, len(text), content=Inline(text)))

    def case(why: str, items: list[tuple[EntryKey, bytes]], *paths: str) -> Case:
        entries = sorted((pack_key(key).hex(), value.hex()) for key, value in items)
        return {"what": "view", "why": why, "entries": [list(entry) for entry in entries], "paths": sorted(paths)}

    top_1, top_2 = (_key(b"f", n, n, 1) for n in (1, 2))
    inside = [(_key(b"x", 3, 1, 2, first), file(b"x")), (_key(b"y", 4, 1, 2, second), file(b"y"))]
    clash = [(_key(b"a.txt", 3, 1, 5), file(b"x")), (_key(b"a.txt", 4, 2, 6), file(b"y"))]
    ring = [(_key(b"in-2", 1, 1, 1, second), folder), (_key(b"in-1", 2, 2, 1, first), folder)]
    alone = f"{lost}/{first.hex()}"
    return [
        case("folders of one name are one", [(top_1, folder), (top_2, folder), *inside], "f", "f/x", "f/y"),
        case("the loser tells its write", clash, "a.txt", "a (conflict 01010101-5).txt"),
        case("equal files are shown once", [(key, file(b"x")) for key, _ in clash], "a.txt"),
        case(
            "a folder keeps its name",
            [(top_1, folder), (_key(b"f", 3, 3, 9), file(b""))],
            "f",
            "f (conflict 03030303-9)",
        ),
        case("a folder moved by two", [(top_1, folder), (_key(b"g", 1, 2, 2), folder), inside[0]], "g", "g/x"),
        case("an entry whose folder is gone", [inside[0]], lost, alone, f"{alone}/x"),
        case("a ring is broken at the lowest", ring, lost, alone, f"{alone}/in-1"),
    ]
