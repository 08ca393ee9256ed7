"""Packing: sealed chunks dealt into columns, then a pack with its parity, roots and directory.

Flow: (sealed chunk, children) -> Packing -> finish -> Pack: n shares, each a column and a trailer -> pool
Never: does I/O, or holds more than one pack's chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ropewalk.spaces.keys import HASH_SIZE, KeyRing
from ropewalk.spaces.pack.directory import (
    LARGEST_DIRECTORY,
    MOST_CHUNKS,
    NOT_KNOWN,
    Child,
    Directory,
    Place,
    directory_hash,
)
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.roots import LEAF_SIZE, column_root, leaf_hashes, pack_name
from ropewalk.spaces.pack.share import FOOTER_SIZE, Manifest, ShareName, Trailer
from ropewalk.spaces.store import LARGEST_OBJECT, ObjectName

__all__ = ["LARGEST_PACK", "Pack", "Packing", "Share"]

LARGEST_PACK = 32 * 1024 * 1024  # bytes in all data columns
_PER_CHUNK, _PER_CHILD = 48, 40  # bytes that a directory needs for each, at most
_SEALED = 128  # bytes, at most, that a directory has besides: its fields' headers, nonce, tag, and its length
_PER_LENGTH, _MANIFEST = 9, 32  # bytes of a manifest, at most, for each data column, and besides lengths and roots


@dataclass(frozen=True, slots=True)
class Share:
    """One share, ready for a store."""

    number: int
    name: ObjectName
    parts: tuple[bytes | bytearray | memoryview, bytes]  # column, trailer

    @property
    def size(self) -> int:
        """Stored bytes."""
        return len(self.parts[0]) + len(self.parts[1])


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack."""

    name: bytes
    manifest: Manifest
    directory: Directory
    directory_hash: bytes  # of the sealed one
    shares: list[Share]


class Packing:
    """A pack being filled.

    Args:
        k: Data columns.
        n: Columns in all.
        limit: Bytes in all data columns beyond which nothing is added.

    Attributes:
        share_limit: Bytes that a share may have, beyond which nothing is added.
    """

    def __init__(self, k: int, n: int, limit: int = LARGEST_PACK) -> None:
        self.k, self.n, self.limit = k, n, limit
        self.share_limit = LARGEST_OBJECT
        self.size = 0
        self._columns: list[list[bytes]] = [[] for _ in range(k)]
        self._lengths = [0] * k
        self._places: list[Place] = []
        self._children: list[Sequence[bytes] | None] = []
        self._positions: dict[bytes, int] = {}
        self._listed = 0  # bytes of the directory, estimated from above, but for the packs that it names
        self._pointed = 0  # children

    def __len__(self) -> int:
        """How many chunks lie in it."""
        return len(self._places)

    def __contains__(self, chunk: bytes) -> bool:
        return chunk in self._positions

    def fits(self, sealed: bytes, children: Sequence[bytes] | None = None) -> bool:
        """Whether there is room; an empty pack takes any chunk."""
        if not self._places:
            return True
        if len(self._places) >= MOST_CHUNKS or self._listed > LARGEST_DIRECTORY // 2:
            return False
        return self.size + len(sealed) <= self.limit and self.share_size(sealed, children) <= self.share_limit

    def share_size(self, sealed: bytes, children: Sequence[bytes] | None = None) -> int:
        """Bytes that the longest share has with one more chunk, at most, with its trailer."""
        longest = max(*self._lengths, min(self._lengths) + len(sealed))
        leaves = -(-longest // LEAF_SIZE) * HASH_SIZE
        manifest = _MANIFEST + _PER_LENGTH * self.k + HASH_SIZE * self.n
        pointed = len(children or ())
        listed = self._listed + _PER_CHUNK + _PER_CHILD * pointed + HASH_SIZE * (self._pointed + pointed) + _SEALED
        return longest + leaves + manifest + listed + FOOTER_SIZE

    def add(self, chunk: bytes, sealed: bytes, children: Sequence[bytes] | None = None) -> None:
        """Deal one chunk to the shortest column; one that is there already is passed over.

        Args:
            chunk: Its id.
            sealed: Its bytes.
            children: Ids of the chunks that it points at.
        """
        if chunk in self._positions:
            return
        column = self._lengths.index(min(self._lengths))
        self._positions[chunk] = len(self._places)
        self._places.append(Place(chunk, column, self._lengths[column], len(sealed)))
        self._children.append(children)
        self._columns[column].append(sealed)
        self._lengths[column] += len(sealed)
        self.size += len(sealed)
        self._listed += _PER_CHUNK + _PER_CHILD * len(children or ())
        self._pointed += len(children or ())

    @property
    def embedded_size(self) -> int:
        """Bytes that it has in a head with its sealed directory, at most: each child may lie in a pack of its own."""
        return self.size + self._listed + HASH_SIZE * self._pointed + _SEALED

    def get(self, chunk: bytes) -> bytes | None:
        """The sealed bytes of a chunk that is still in here."""
        if (at := self._positions.get(chunk)) is None:
            return None
        place = self._places[at]
        offset = 0
        for piece in self._columns[place.column]:
            if place.offset < offset + len(piece):
                return piece[place.offset - offset :][: place.length]
            offset += len(piece)
        raise AssertionError("a place without its chunk")

    def alone(self) -> Packing:
        """The same chunks in one column without parity, as a head embeds them."""
        other = Packing(1, 1, self.limit)
        for place, children in zip(self._places, self._children, strict=True):
            sealed = self.get(place.id)
            assert sealed is not None
            other.add(place.id, sealed, children)
        return other

    def children_elsewhere(self) -> set[bytes]:
        """Ids of the children that do not lie in here."""
        return {child for of_one in self._children for child in of_one or () if child not in self._positions}

    def finish(self, keys: KeyRing, packs_of: dict[bytes, bytes] | None = None) -> Pack:
        """Encode parity, hash and seal the directory.  CPU work: some 20 ms for 32 MiB.

        Args:
            keys: The space's.
            packs_of: For children in other packs: chunk id to pack name, where known.
        """
        columns: list[bytes | bytearray] = []
        for at, pieces in enumerate(self._columns):
            columns.append(joined := b"".join(pieces))
            self._columns[at] = [joined]  # one by one, so that never two whole packs are in memory
        columns += Code(self.k, self.n).encode(columns, max(self._lengths))
        leaves = [leaf_hashes(column) for column in columns]
        roots = [column_root(len(column), of_one) for column, of_one in zip(columns, leaves, strict=True)]
        manifest = Manifest(self.k, self.n, list(self._lengths), roots)
        name = pack_name(self._lengths, roots)
        directory = self._directory(packs_of or {})
        sealed = directory.seal(name, keys)
        shares = []
        for number, column in enumerate(columns):
            trailer = Trailer(number, leaves[number], manifest, sealed).encode()
            object_name = ShareName(keys.space_id, name, number, Trailer.check(trailer)).encode()
            shares.append(Share(number, object_name, (column, trailer)))
        return Pack(name, manifest, directory, directory_hash(sealed), shares)

    def _directory(self, packs_of: dict[bytes, bytes]) -> Directory:
        packs: dict[bytes, int] = {}

        def child(chunk: bytes) -> Child:
            if (at := self._positions.get(chunk)) is not None:
                return at
            hint = NOT_KNOWN
            if (pack := packs_of.get(chunk)) is not None and (pack in packs or len(packs) < NOT_KNOWN):
                hint = packs.setdefault(pack, len(packs))
            return chunk + hint.to_bytes(2, "big")

        children = [None if of_one is None else [child(one) for one in of_one] for of_one in self._children]
        joined = b"".join(packs)
        assert len(joined) == len(packs) * HASH_SIZE
        return Directory(self._places, children, joined)
