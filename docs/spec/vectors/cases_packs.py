"""Vectors of packs: dealing, roots, manifests, directories and shares (space.md 5).

Flow: fixture, reference -> cases -> make.py -> packs.json
Never: imports ropewalk.
"""

from __future__ import annotations

from blake3 import blake3

from docs.spec.vectors.fixture import SPACE, Case
from docs.spec.vectors.reference import h, made
from docs.spec.vectors.reference_packs import (
    Manifest,
    column_root,
    deal,
    directory_record,
    layout,
    leaf_hashes,
    open_directory,
    open_share,
    pack_name,
    share_objects,
)
from docs.spec.vectors.reference_records import Pairs, number, pack, unpack

__all__ = ["cases"]

LEAF = 64 * 1024
Child = int | bytes


def cases() -> list[Case]:
    """All cases of packs.json."""
    return [*_deals(), *_roots(), *_packs(), *_manifests(), *_directories(), *_shares()]


def _deals() -> list[Case]:
    rows = [
        ("one column takes all", 1, [5, 6, 7]),
        ("equal chunks go round", 3, [10] * 7),
        ("each to the shortest, the lowest among equals", 3, [9, 4, 4, 1, 1, 3, 8, 8, 8]),
        ("fewer chunks than columns", 4, [100, 1]),
        ("many", 5, list(made("lengths", 60))),
    ]
    return [
        {"what": "deal", "why": why, "k": k, "lengths": lengths, "columns": deal(k, lengths)}
        for why, k, lengths in rows
    ]


def _roots() -> list[Case]:
    sizes = [0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF, 5 * LEAF + 7, 7 * LEAF]
    cases: list[Case] = []
    for size in sizes:
        leaves = leaf_hashes(made("column", size))
        cases.append(
            {
                "what": "root",
                "why": f"a column of {len(leaves)} leaves",
                "column": ["column", size],
                "leaves": b"".join(leaves).hex(),
                "root": column_root(size, leaves).hex(),
            }
        )
    return cases


# ---- whole packs -----------------------------------------------------------------------------------------------------


def _packs() -> list[Case]:
    rows: list[tuple[str, int, int, list[int], list[list[Child] | None]]] = [
        ("one chunk in one column, as heads embed it", 1, 1, [117], [None]),
        ("copies, nearly: k = 1", 1, 3, [117, 60], [None, [0]]),
        ("no parity", 2, 2, [117, 60], [None, [0]]),
        (
            "children here, in another pack and in one that is not known",
            2,
            4,
            [100, 200, 300, 50, 17],
            [None, None, None, [0, 1, 2], [_elsewhere(1, 0), _elsewhere(2, 0xFFFF), 3, _elsewhere(3, 1)]],
        ),
        ("an empty column", 3, 5, [90, 40], [None, []]),
        ("columns of several leaves", 2, 3, [LEAF, LEAF, 17, LEAF + 1, 500], [None] * 5),
    ]
    return [_pack(*row) for row in rows]


def _elsewhere(label: int, at: int) -> bytes:
    return made(f"child {label}", 32) + number(at, 2)


def _chunks(sizes: list[int]) -> list[bytes]:
    return [made(f"sealed chunk {i}", size) for i, size in enumerate(sizes)]


def _pack(why: str, k: int, n: int, sizes: list[int], children: list[list[Child] | None]) -> Case:
    chunks = _chunks(sizes)
    dealt, columns = layout(k, n, chunks)
    others = [made("another pack", 32), made("a third pack", 32)] if any(_names_packs(children)) else []
    ids = [h("chunk id", chunk) for chunk in chunks]
    record = directory_record(ids, dealt, sizes, children, others)
    objects = share_objects(SPACE, n, columns, k, record)
    opened = [open_share(name, data) for name, data in objects.items()]
    manifest, directory = opened[0].manifest, opened[0].directory
    open_directory(SPACE, manifest.name, manifest.lengths, directory)
    return {
        "what": "pack",
        "why": why,
        "k": k,
        "n": n,
        "sizes": sizes,  # of the sealed chunks: made from `sealed chunk 0` and on
        "children": [
            None if of_one is None else [child if isinstance(child, int) else child.hex() for child in of_one]
            for of_one in children
        ],
        "packs": [other.hex() for other in others],
        "name": manifest.name.hex(),
        "manifest": manifest.encode().hex(),
        "manifest_hash": h("manifest", manifest.encode()).hex(),
        "directory": directory.hex(),
        "directory_hash": h("directory hash", directory).hex(),
        "shares": {name: [len(data), blake3(data).hexdigest()] for name, data in objects.items()},
    }


def _names_packs(children: list[list[Child] | None]) -> list[bool]:
    return [isinstance(child, bytes) for of_one in children for child in of_one or ()]


# ---- what must be refused --------------------------------------------------------------------------------------------


def _refused(what: str, why: str, data: bytes, error: str, **more: object) -> Case:
    return {"what": what, "why": why} | more | {"bytes": data.hex(), "error": error}


def _manifests() -> list[Case]:
    roots = made("roots", 96)
    rows: list[tuple[str, object]] = [
        ("layout 2", [2, 2, 3, [5, 4], roots, {}]),
        ("k of 0", [1, 0, 3, [], roots, {}]),
        ("k over n", [1, 4, 3, [1, 1, 1, 1], roots, {}]),
        ("65 shares", [1, 1, 65, [5], bytes(65 * 32), {}]),
        ("a length too few", [1, 2, 3, [5], roots, {}]),
        ("roots cut short", [1, 2, 3, [5, 4], roots[1:], {}]),
        ("a length below 0", [1, 2, 3, [5, -1], roots, {}]),
        ("text for bytes", [1, 2, 3, [5, 4], "x" * 96, {}]),
        ("a field too few", [1, 2, 3, [5, 4], roots]),
        ("a field too many", [1, 2, 3, [5, 4], roots, {}, 0]),
        ("extra that is no map", [1, 2, 3, [5, 4], roots, []]),
        ("extra over 1 KiB", [1, 2, 3, [5, 4], roots, {1: bytes(1030)}]),
        ("extra by text", [1, 2, 3, [5, 4], roots, {"a": 1}]),
        ("extra out of order", [1, 2, 3, [5, 4], roots, Pairs([(2, 0), (1, 0)])]),
        ("extra with a number twice", [1, 2, 3, [5, 4], roots, Pairs([(1, 0), (1, 0)])]),
        ("a map for an array", Pairs([(1, 2), (2, 3)])),
    ]
    good = pack([1, 2, 3, [5, 4], roots, {}])
    later = pack([1, 2, 3, [5, 4], roots, {7: [None, -1, "later"], 300: b"x"}])
    long = [
        ("a number not in its shortest form", b"\x96\xcc\x01" + good[2:]),
        ("extra with a number not in its shortest form", good[:-1] + b"\x81\x01\xcc\x01"),
        ("a byte after the end", good + b"\0"),
        ("cut short", good[:-1]),
        ("nothing", b""),
    ]
    error = "pack.share-damaged"
    return [
        {"what": "manifest", "why": "as it should be", "bytes": good.hex(), "name": _name_of(good)},
        {"what": "manifest", "why": "with fields of a later version", "bytes": later.hex(), "name": _name_of(later)},
        *(_refused("manifest", why, pack(record), error) for why, record in rows),
        *(_refused("manifest", why, data, error) for why, data in long),
    ]


def _name_of(manifest: bytes) -> str:
    decoded = Manifest.decode(manifest)
    return pack_name(decoded.lengths, decoded.roots).hex()


def _directories() -> list[Case]:
    name, lengths = made("pack name", 32), [30, 20]
    ids = [made(f"id {i}", 32) for i in range(3)]

    def record(**changed: object) -> bytes:
        fields: dict[str, object] = {
            "version": 1,
            "packs": made("another pack", 32),
            "ids": b"".join(ids),
            "columns": bytes([0, 1, 0]),
            "lengths": [10, 20, 20],
            "children": [None, [0, _elsewhere(1, 0)], []],
            "extra": {},
        }
        return pack([*(fields | changed).values()])

    place = b"directory" + SPACE.id + name
    good = record()
    rows = [
        ("version 2", record(version=2)),
        ("no chunks", record(ids=b"", columns=b"", lengths=[], children=[])),
        ("an id too few", record(ids=b"".join(ids[:2]))),
        ("an id twice", record(ids=ids[0] + ids[1] + ids[0])),
        ("a length too few", record(lengths=[10, 20])),
        ("children of a chunk too few", record(children=[None, []])),
        ("a column of k", record(columns=bytes([0, 1, 2]))),
        ("a length of 0", record(lengths=[30, 20, 0])),
        ("a column not filled", record(lengths=[10, 20, 19])),
        ("a column filled too far", record(lengths=[10, 20, 21])),
        ("packs cut short", record(packs=bytes(31))),
        ("a child out of range", record(children=[None, [3], None])),
        ("a child below 0", record(children=[None, [-1], None])),
        ("a child in a pack out of range", record(children=[None, [_elsewhere(1, 1)], None])),
        ("a child of 33 bytes", record(children=[None, [_elsewhere(1, 0)[1:]], None])),
        ("a child that is text", record(children=[None, ["x"], None])),
        ("1,025 children", record(children=[None, [0] * 1025, None])),
        ("columns as an array", record(columns=[0, 1, 0])),
        ("extra that is no map", record(extra=None)),
        ("a byte after the end", good + b"\0"),
        ("nothing", b""),
    ]
    sealed = SPACE.seal("directory", place, good)
    cases = [
        _refused("directory", why, SPACE.seal("directory", place, data), "pack.directory-damaged", **_of(name, lengths))
        for why, data in rows
    ]
    foreign = SPACE.seal("directory", b"directory" + SPACE.id + made("pack name 2", 32), good)
    damaged = [
        ("of another pack", foreign),
        ("sealed with the steward's key", SPACE.seal("steward", place, good)),
        ("a flipped bit", sealed[:60] + bytes([sealed[60] ^ 1]) + sealed[61:]),
        ("cut short", sealed[:-1]),
    ]
    cases += [_refused("directory", why, data, "pack.directory-damaged", **_of(name, lengths)) for why, data in damaged]
    places = open_directory(SPACE, name, lengths, sealed)[0]
    listed = [[chunk.hex(), *place] for chunk, place in places.items()]
    return [
        {"what": "directory", "why": "as it should be"}
        | _of(name, lengths)
        | {"bytes": sealed.hex(), "places": listed},
        *cases,
    ]


def _of(name: bytes, lengths: list[int]) -> dict[str, object]:
    return {"name": name.hex(), "lengths": lengths}


# ---- shares ----------------------------------------------------------------------------------------------------------


def _shares() -> list[Case]:
    chunks = _chunks([90, 40, 60])
    dealt, columns = layout(2, 3, chunks)
    record = directory_record([h("chunk id", chunk) for chunk in chunks], dealt, [90, 40, 60], [None] * 3, [])
    objects = list(share_objects(SPACE, 3, columns, 2, record).items())
    (name, data), (other_name, other), (parity_name, parity) = objects
    column, trailer = data[:90], data[90:]
    leaves, rest = trailer[:32], trailer[32:-30]
    manifest = rest[: len(Manifest(3, [0, 0], [bytes(32)] * 3).encode())]
    directory = rest[len(manifest) :]

    def rebuilt(  # a share whose name fits a trailer that lies
        share: int = 0,
        *,
        leaves: bytes = leaves,
        manifest: bytes = manifest,
        length: int = 90,
        magic: bytes = b"rwshare1",
        column: bytes = column,
        shown: int | None = None,
    ) -> tuple[str, bytes]:
        sizes = b"".join(number(len(part), 4) for part in (leaves, manifest, directory))
        end = leaves + manifest + directory + magic + number(share, 2) + number(length, 8) + sizes
        check = h("trailer", end)[:16].hex()
        return f"{name.rsplit('-', 2)[0]}-{share if shown is None else shown:02x}-{check}", column + end

    assert rebuilt() == (name, data)
    fields = unpack(manifest, 8 * 1024)
    roots = fields[4]
    assert isinstance(roots, bytes)
    wrong_parity = pack([*fields[:4], roots[:64] + made("root", 32), {}])
    rows = [
        ("a bit of the column", (name, bytes([data[0] ^ 1]) + data[1:])),
        ("a byte of the column missing", (name, data[1:])),
        ("a byte before the column", (name, b"\0" + data)),
        ("a bit of the leaf hashes", (name, column + bytes([trailer[0] ^ 1]) + trailer[1:])),
        ("a bit of the footer", (name, data[:-1] + bytes([data[-1] ^ 1]))),
        ("shorter than a footer", (name, data[-29:])),
        ("nothing", (name, b"")),
        ("another share's bytes", (name, other)),
        ("another share's name", (other_name, data)),
        ("another magic", rebuilt(magic=b"rwshare2")),
        ("a column length that does not add up", rebuilt(length=89)),
        ("a number other than the name's", rebuilt(1, shown=0)),
        ("a number of n", rebuilt(3, shown=3)),
        ("a column shorter than the manifest says", rebuilt(length=89, column=column[:89])),
        ("leaf hashes of another column", rebuilt(leaves=made("leaf", 32))),
        ("a leaf hash too many", rebuilt(leaves=leaves * 2)),
        ("no leaf hashes", rebuilt(leaves=b"")),
        ("leaf hashes cut short", rebuilt(leaves=leaves[:31])),
        ("a manifest of another pack", rebuilt(manifest=pack([1, 2, 3, [90, 99], roots, {}]))),
        ("another parity root", _renumbered(rebuilt(manifest=wrong_parity), parity, wrong_parity)),
        ("a manifest that is none", rebuilt(manifest=b"\xc0")),
    ]
    sound: list[Case] = [
        {"what": "share", "why": f"share {at}", "name": one, "bytes": share.hex()}
        for at, (one, share) in enumerate(((name, data), (other_name, other), (parity_name, parity)))
    ]
    return sound + [_refused("share", why, share, "pack.share-damaged", name=one) for why, (one, share) in rows]


def _renumbered(like: tuple[str, bytes], parity: bytes, manifest: bytes) -> tuple[str, bytes]:
    """The parity share under a manifest that lies about its root; the pack's name does not cover it."""
    trailer = parity[100:]
    end = trailer[:32] + manifest + trailer[32 + len(manifest) :]
    return f"{like[0].rsplit('-', 2)[0]}-02-{h('trailer', end)[:16].hex()}", parity[:100] + end
