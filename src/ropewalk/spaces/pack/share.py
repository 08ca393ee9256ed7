"""Share: one column of a pack as the object that a store keeps (docs/spec/space.md 5.3 and 5.4).

Flow: column, leaf hashes, manifest, sealed directory -> object; listed name -> ShareName; trailer bytes -> Trailer
Never: does I/O, or opens a directory.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.keys import HASH_SIZE, Buffer, hashed
from ropewalk.spaces.pack.roots import LAYOUT, LEAF_SIZE, column_root, leaf_hashes, pack_name
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.store import ObjectName, object_name

__all__ = ["FOOTER_SIZE", "LARGEST_TRAILER", "MOST_SHARES", "Manifest", "ShareDamaged", "ShareName", "Trailer"]

MOST_SHARES = 64
LARGEST_MANIFEST = 8 * 1024
LARGEST_TRAILER = 9 * 1024 * 1024  # bytes; what a reader fetches at most to learn what a share holds
_MAGIC = b"rwshare1"
_FOOTER = struct.Struct(">8sHQIII")
FOOTER_SIZE = _FOOTER.size  # 30
_NAME = re.compile(r"([0-9a-f]{64})/packs/([0-9a-f]{64})-([0-9a-f]{2})-([0-9a-f]{32})\Z")


class ShareDamaged(Damaged):
    """The bytes are not those of the share that the name says."""

    code = "pack.share-damaged"


@dataclass(frozen=True, slots=True)
class ShareName:
    """The name of a share object, taken apart."""

    space_id: bytes
    pack: bytes
    number: int
    check: bytes  # first half of the hash of the trailer

    def encode(self) -> ObjectName:
        """The object's name in a store."""
        return object_name(f"{self.space_id.hex()}/packs/{self.pack.hex()}-{self.number:02x}-{self.check.hex()}")

    @classmethod
    def decode(cls, name: str) -> ShareName | None:
        """Take a listed name apart; None where it is no share's (a listing is a store's word)."""
        if not (match := _NAME.match(name)):
            return None
        space_id, pack, number, check = match.groups()
        if int(number, 16) >= MOST_SHARES:
            return None
        return cls(bytes.fromhex(space_id), bytes.fromhex(pack), int(number, 16), bytes.fromhex(check))


class _Manifest(msgspec.Struct, frozen=True, array_like=True):
    layout: int
    k: int
    n: int
    lengths: list[int]
    roots: bytes
    extra: msgspec.Raw = NO_EXTRA


_format = Format(_Manifest, LARGEST_MANIFEST, "manifest")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pack is made of."""

    k: int
    n: int
    lengths: list[int]  # of the k data columns
    roots: list[bytes]  # of all n columns

    @property
    def name(self) -> bytes:
        """The pack's name."""
        return pack_name(self.lengths, self.roots)

    @property
    def longest(self) -> int:
        """Length of a parity column."""
        return max(self.lengths)

    def column_length(self, number: int) -> int:
        """Stored bytes of one column."""
        return self.lengths[number] if number < self.k else self.longest

    def encode(self) -> bytes:
        """The record."""
        return encode(_Manifest(LAYOUT, self.k, self.n, self.lengths, b"".join(self.roots)))

    @property
    def digest(self) -> bytes:
        """What a head signs for the pack it adds."""
        return hashed("manifest", self.encode())

    @classmethod
    def decode(cls, data: Buffer) -> Manifest:
        """Parse and check the record.

        Raises:
            ShareDamaged: Not a manifest, an unknown layout, or numbers that cannot be.
        """
        try:
            record = _format.decode(data)
        except RecordMalformed as error:
            raise ShareDamaged(str(error)) from None
        if record.layout != LAYOUT:
            raise ShareDamaged(f"manifest has layout {record.layout}, known is {LAYOUT}")
        if not 1 <= record.k <= record.n <= MOST_SHARES:
            raise ShareDamaged(f"manifest says {record.k} of {record.n}, expected at most {MOST_SHARES}")
        if len(record.lengths) != record.k or len(record.roots) != record.n * HASH_SIZE:
            raise ShareDamaged(f"manifest has {len(record.lengths)} lengths and {len(record.roots)} bytes of roots")
        if min(record.lengths) < 0 or max(record.lengths) > 1 << 32:
            raise ShareDamaged("manifest has a length that no column can have")
        roots = [record.roots[at : at + HASH_SIZE] for at in range(0, len(record.roots), HASH_SIZE)]
        return cls(record.k, record.n, record.lengths, roots)


@dataclass(frozen=True, slots=True)
class Trailer:
    """All of a share but its column."""

    number: int
    leaves: bytes
    manifest: Manifest
    directory: bytes  # sealed

    def encode(self) -> bytes:
        """What follows the column."""
        manifest = self.manifest.encode()
        length = self.manifest.column_length(self.number)
        footer = _FOOTER.pack(_MAGIC, self.number, length, len(self.leaves), len(manifest), len(self.directory))
        return b"".join((self.leaves, manifest, self.directory, footer))

    @staticmethod
    def check(encoded: Buffer) -> bytes:
        """The part of the object's name that commits to all of the object."""
        return hashed("trailer", encoded)[:16]

    @staticmethod
    def size_from_footer(footer: Buffer, name: ShareName, object_size: int) -> int:
        """How many bytes the trailer of an object has, from its last ``FOOTER_SIZE`` bytes.

        Raises:
            ShareDamaged: No footer, another share's, or one that does not add up to the object's size.
        """
        if len(footer) != FOOTER_SIZE:
            raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} ends within its footer")
        magic, number, column, leaves, manifest, directory = _FOOTER.unpack(footer)
        trailer = leaves + manifest + directory + FOOTER_SIZE
        if magic != _MAGIC or number != name.number:
            raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has no footer of its own")
        if column + trailer != object_size or trailer > LARGEST_TRAILER:
            raise ShareDamaged(
                f"share {name.number} of {name.pack.hex()[:8]} has {object_size} bytes,"
                f" its footer says {column + trailer}"
            )
        return int(trailer)

    @classmethod
    def decode(cls, encoded: Buffer, name: ShareName) -> Trailer:
        """Parse the whole trailer and check it against the object's name.

        Raises:
            ShareDamaged: It is not the trailer of this share of this pack.
        """
        view = memoryview(encoded)
        what = f"share {name.number} of {name.pack.hex()[:8]}"
        if cls.check(view) != name.check:
            raise ShareDamaged(f"{what}: the trailer is not the one that its name says")
        if len(view) < FOOTER_SIZE:
            raise ShareDamaged(f"{what}: the trailer ends within its footer")
        magic, number, column, leaves, manifest, directory = _FOOTER.unpack(view[-FOOTER_SIZE:])
        if magic != _MAGIC or leaves + manifest + directory + FOOTER_SIZE != len(view):
            raise ShareDamaged(f"{what}: the footer does not add up")
        parsed = Manifest.decode(view[leaves : leaves + manifest])
        self = cls(number, bytes(view[:leaves]), parsed, bytes(view[leaves + manifest : leaves + manifest + directory]))
        if number != name.number or number >= parsed.n or parsed.name != name.pack:
            raise ShareDamaged(f"{what}: the manifest is that of another pack")
        expected = -(-column // LEAF_SIZE) * HASH_SIZE
        if column != parsed.column_length(number) or len(self.leaves) != expected:
            raise ShareDamaged(f"{what}: the column has {column} bytes and {len(self.leaves) // HASH_SIZE} leaf hashes")
        if column_root(column, self.leaves) != parsed.roots[number]:
            raise ShareDamaged(f"{what}: the leaf hashes do not give the root")
        return self

    def verify(self, data: Buffer, first_leaf: int = 0) -> bool:
        """Whether ``data`` is the column from ``first_leaf`` on (whole leaves, or to the end)."""
        expected = self.leaves[first_leaf * HASH_SIZE :][: -(-len(data) // LEAF_SIZE) * HASH_SIZE]
        return leaf_hashes(data, first_leaf) == expected
