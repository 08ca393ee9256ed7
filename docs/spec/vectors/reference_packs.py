"""The format once more: packs, their erasure code, directories and shares (space.md 5).

Flow: sealed chunks -> columns -> parity, roots, name -> share objects, and back
Never: imports ropewalk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from docs.spec.vectors.reference import Space, h
from docs.spec.vectors.reference_records import Refused, check_extra, number, pack, refuse, unpack

__all__ = [
    "Manifest",
    "Share",
    "column_root",
    "deal",
    "directory_record",
    "layout",
    "leaf_hashes",
    "open_directory",
    "open_share",
    "pack_name",
    "parity",
    "rebuild",
    "share_objects",
    "times",
]

LEAF = 64 * 1024
MAGIC = b"rwshare1"
Child = int | bytes


# ---- 5.1: columns and parity -----------------------------------------------------------------------------------------


def times(a: int, b: int) -> int:
    """The product of two elements of GF(2^8) with polynomial 0x11d."""
    total = 0
    while b:
        if b & 1:
            total ^= a
        a, b = a << 1, b >> 1
        if a & 0x100:
            a ^= 0x11D
    return total


@cache
def _inverse(a: int) -> int:
    return next(b for b in range(1, 256) if times(a, b) == 1)


@cache
def _table(factor: int) -> bytes:
    return bytes(times(factor, value) for value in range(256))


def _sum(columns: list[tuple[int, bytes]], length: int) -> bytes:
    """The sum of columns, each times its factor and extended by zeros."""
    total = 0
    for factor, column in columns:
        total ^= int.from_bytes(column.ljust(length, b"\0").translate(_table(factor)), "big")
    return total.to_bytes(length, "big")


def parity(data: list[bytes], n: int) -> list[bytes]:
    """The n - k parity columns."""
    k, length = len(data), max(map(len, data))
    return [_sum([(_inverse(i ^ j), data[j]) for j in range(k)], length) for i in range(k, n)]


def rebuild(k: int, present: dict[int, bytes], length: int) -> list[bytes]:
    """The k data columns, with zeros, from any k columns: Gauss, Jordan, and no cleverness."""
    used = sorted(present)[:k]
    columns = [present[i].ljust(length, b"\0") for i in used]
    rows = [[int(i == j) for j in range(k)] if i < k else [_inverse(i ^ j) for j in range(k)] for i in used]
    for at in range(k):
        pivot = next(row for row in range(at, k) if rows[row][at])
        rows[at], rows[pivot] = rows[pivot], rows[at]
        columns[at], columns[pivot] = columns[pivot], columns[at]
        factor = _inverse(rows[at][at])
        rows[at] = [times(factor, value) for value in rows[at]]
        columns[at] = _sum([(factor, columns[at])], length)
        for row in range(k):
            if row != at and (factor := rows[row][at]):
                rows[row] = [a ^ times(factor, b) for a, b in zip(rows[row], rows[at], strict=True)]
                columns[row] = _sum([(1, columns[row]), (factor, columns[at])], length)
    return columns


def deal(k: int, lengths: list[int]) -> list[int]:
    """The column of each chunk: always the shortest, the lowest number among equals."""
    filled = [0] * k
    columns = []
    for length in lengths:
        column = filled.index(min(filled))
        filled[column] += length
        columns.append(column)
    return columns


def layout(k: int, n: int, chunks: list[bytes]) -> tuple[list[int], list[bytes]]:
    """Which column each sealed chunk lies in, and all n columns."""
    columns = deal(k, [len(chunk) for chunk in chunks])
    data = [b"".join(chunk for chunk, at in zip(chunks, columns, strict=True) if at == j) for j in range(k)]
    return columns, data + parity(data, n)


# ---- 5.2: roots ------------------------------------------------------------------------------------------------------


def leaf_hashes(column: bytes) -> list[bytes]:
    """The hash of each leaf."""
    return [h("leaf", number(i, 8) + column[i * LEAF : (i + 1) * LEAF]) for i in range(-(-len(column) // LEAF))]


def column_root(length: int, leaves: list[bytes]) -> bytes:
    """The root of a column, from its leaf hashes."""
    level = leaves or [bytes(32)]
    while len(level) > 1:
        joined = [h("node", level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = joined + (level[-1:] if len(level) % 2 else [])
    return h("column", number(length, 8) + level[0])


def pack_name(lengths: list[int], roots: list[bytes]) -> bytes:
    """The pack's name, from its data columns."""
    data = zip(lengths, roots[: len(lengths)], strict=True)
    joined = b"".join(number(length, 8) + root for length, root in data)
    return h("pack", bytes([1, len(lengths)]) + joined)


# ---- 5.3: manifest and directory -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manifest:
    """What a pack is made of."""

    n: int
    lengths: list[int]
    roots: list[bytes]

    def encode(self) -> bytes:
        """The record."""
        return pack([1, len(self.lengths), self.n, self.lengths, b"".join(self.roots), {}])

    @property
    def name(self) -> bytes:
        """The pack's."""
        return pack_name(self.lengths, self.roots)

    def column_length(self, share: int) -> int:
        """Stored bytes of one column."""
        return self.lengths[share] if share < len(self.lengths) else max(self.lengths)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Parse the record."""
        code = "pack.share-damaged"
        fields = unpack(data, 8 * 1024, code)
        refuse(code, "not six fields", len(fields) != 6)
        check_extra(fields[5], code)
        match fields[:5]:
            case [1, int(k), int(n), list(lengths), bytes(roots)] if 1 <= k <= n <= 64:
                sizes = [length for length in lengths if isinstance(length, int) and length >= 0]
                refuse(code, "other counts", len(sizes) != k or len(lengths) != k or len(roots) != 32 * n)
                return cls(n, sizes, [roots[i : i + 32] for i in range(0, len(roots), 32)])
        raise Refused(code, "numbers that cannot be")


def directory_record(
    ids: list[bytes], columns: list[int], lengths: list[int], children: list[list[Child] | None], packs: list[bytes]
) -> bytes:
    """The record of a directory."""
    return pack([1, b"".join(packs), b"".join(ids), bytes(columns), lengths, children, {}])


def _directory_place(space: Space, name: bytes) -> bytes:
    return b"directory" + space.id + name


def open_directory(
    space: Space, name: bytes, lengths: list[int], box: bytes
) -> tuple[dict[bytes, tuple[int, int, int]], list[object]]:
    """Where each chunk lies (column, offset, length), and the children."""
    code = "pack.directory-damaged"
    refuse(code, "too long", len(box) > 8 << 20)
    try:
        fields = unpack(space.open("directory", _directory_place(space, name), box), 8 << 20)
    except Refused as error:
        raise Refused(code, str(error)) from None
    refuse(code, "not seven fields", len(fields) != 7)
    check_extra(fields[6], code)
    match fields[:6]:
        case [1, bytes(packs), bytes(ids), bytes(columns), list(sizes), list(children)]:
            count = len(columns)
            refuse(code, "different counts", not count == len(sizes) == len(children) or len(ids) != 32 * count)
            refuse(code, "too many or none", not 1 <= count <= 16384)
            refuse(code, "packs that are not 32 bytes", len(packs) % 32 != 0)
            for of_one in children:
                _check_children(of_one, count, len(packs) // 32)
            ends, places = [0] * len(lengths), {}
            for i, (column, size) in enumerate(zip(columns, sizes, strict=True)):
                if not isinstance(size, int) or size < 1 or column >= len(lengths):
                    raise Refused(code, "a place that cannot be")
                places[ids[32 * i : 32 * i + 32]] = column, ends[column], size
                ends[column] += size
            refuse(code, "columns that are not filled", ends != lengths)
            refuse(code, "an id twice", len(places) != count)
            return places, children
    raise Refused(code, "wrong types")


def _check_children(of_one: object, count: int, packs: int) -> None:
    code = "pack.directory-damaged"
    if of_one is None:
        return
    if not isinstance(of_one, list) or len(of_one) > 1024:
        raise Refused(code, "children that are no list, or too many")
    for child in of_one:
        match child:
            case int():
                refuse(code, "a position out of range", not 0 <= child < count)
            case bytes():
                at = int.from_bytes(child[32:], "big")
                refuse(code, "a pack out of range", len(child) != 34 or (at >= packs and at != 0xFFFF))
            case _:
                raise Refused(code, "a child that is neither")


# ---- 5.4: shares -----------------------------------------------------------------------------------------------------


def share_objects(space: Space, n: int, columns: list[bytes], k: int, record: bytes) -> dict[str, bytes]:
    """The objects of a pack by name, from its columns and the record of its directory."""
    leaves = [leaf_hashes(column) for column in columns]
    roots = [column_root(len(column), of_one) for column, of_one in zip(columns, leaves, strict=True)]
    manifest = Manifest(n, [len(column) for column in columns[:k]], roots)
    directory = space.seal("directory", _directory_place(space, manifest.name), record)
    objects = {}
    for i, column in enumerate(columns):
        trailer = _trailer(i, column, leaves[i], manifest.encode(), directory)
        objects[_share_name(space, manifest.name, i, trailer)] = column + trailer
    return objects


def _trailer(i: int, column: bytes, leaves: list[bytes], manifest: bytes, directory: bytes) -> bytes:
    footer = MAGIC + number(i, 2) + number(len(column), 8)
    footer += b"".join(number(len(part), 4) for part in (b"".join(leaves), manifest, directory))
    return b"".join(leaves) + manifest + directory + footer


def _share_name(space: Space, pack_: bytes, i: int, trailer: bytes) -> str:
    return f"{space.id.hex()}/packs/{pack_.hex()}-{i:02x}-{h('trailer', trailer)[:16].hex()}"


@dataclass(frozen=True)
class Share:
    """A share object, taken apart."""

    number: int
    manifest: Manifest
    column: bytes
    directory: bytes


def open_share(name: str, data: bytes) -> Share:
    """A share by its object's name."""
    code = "pack.share-damaged"
    pack_, share, check = name.rsplit("/", 1)[1].split("-")
    footer = data[-30:]
    refuse(code, "no footer", len(footer) != 30 or footer[:8] != MAGIC)
    said = int.from_bytes(footer[8:10], "big")
    length = int.from_bytes(footer[10:18], "big")
    sizes = [int.from_bytes(footer[at : at + 4], "big") for at in (18, 22, 26)]
    refuse(code, "a footer that does not add up", length + sum(sizes) + 30 != len(data))
    refuse(code, "another trailer", h("trailer", data[length:])[:16].hex() != check)
    ends = [length, length + sizes[0], length + sizes[0] + sizes[1], len(data) - 30]
    column, leaves, record, directory = data[:length], *(data[a:b] for a, b in zip(ends, ends[1:]))  # noqa: B905, RUF007
    manifest = Manifest.decode(record)
    refuse(code, "another pack", manifest.name.hex() != pack_)
    refuse(code, "another number", said != int(share, 16) or said >= manifest.n)
    hashes = [leaves[at : at + 32] for at in range(0, len(leaves), 32)]
    root = column_root(length, hashes)
    refuse(code, "another root", length != manifest.column_length(said) or root != manifest.roots[said])
    refuse(code, "another column", leaf_hashes(column) != hashes)
    return Share(said, manifest, column, directory)
