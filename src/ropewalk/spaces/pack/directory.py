"""Directory: where the chunks of a pack lie and what they point at (docs/spec/space.md 5.3).

Flow: Packing -> Directory -> sealed record in each share -> Directory -> index
Never: is believed: a chunk is known by its id alone.
"""

from __future__ import annotations

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.keys import HASH_SIZE, BoxDamaged, Buffer, KeyRing, hashed
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode

__all__ = [
    "LARGEST_DIRECTORY",
    "MOST_CHUNKS",
    "NOT_KNOWN",
    "Child",
    "Directory",
    "DirectoryDamaged",
    "Place",
    "directory_hash",
]

NOT_KNOWN = 0xFFFF  # the pack of a child is not known
LARGEST_DIRECTORY = 8 * 1024 * 1024  # bytes, sealed
MOST_CHUNKS = 16_384  # in one pack
MOST_CHILDREN = 1024  # of one chunk; a node of 64 KiB points at fewer

Child = int | bytes  # position in the same directory, or chunk id (32) || u16 position in `packs`


class DirectoryDamaged(Damaged):
    """A directory does not open, or does not describe its pack."""

    code = "pack.directory-damaged"


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where one chunk lies in its pack."""

    id: bytes
    column: int
    offset: int
    length: int


class _Record(msgspec.Struct, frozen=True, array_like=True):
    version: int
    packs: bytes
    ids: bytes
    columns: bytes
    lengths: list[int]
    children: list[list[Child] | None]
    extra: msgspec.Raw = NO_EXTRA


_format = Format(_Record, LARGEST_DIRECTORY, "directory")


def directory_hash(box: Buffer) -> bytes:
    """What a head signs for the directory of a pack it adds."""
    return hashed("directory hash", box)


def _context(space_id: bytes, name: bytes) -> bytes:
    return b"directory" + space_id + name


class Directory(msgspec.Struct, frozen=True):
    """The chunks of one pack, in the order they were dealt."""

    places: list[Place]
    children: list[list[Child] | None]
    packs: bytes = b""  # joined names of other packs that children lie in

    def seal(self, name: bytes, keys: KeyRing) -> bytes:
        """The sealed record for the pack ``name``."""
        record = _Record(
            1,
            self.packs,
            b"".join([place.id for place in self.places]),
            bytes([place.column for place in self.places]),
            [place.length for place in self.places],
            self.children,
        )
        return keys.seal("directory", _context(keys.space_id, name), encode(record))

    @classmethod
    def open(cls, box: Buffer, name: bytes, lengths: list[int], keys: KeyRing) -> Directory:
        """Open and check the record of the pack ``name``, whose data columns have these ``lengths``.

        Raises:
            DirectoryDamaged: It does not open, or contradicts itself or the pack.
            EpochUnknown: It was sealed in an epoch that is not known here.
        """
        if len(box) > LARGEST_DIRECTORY:
            raise DirectoryDamaged(f"directory has {len(box)} bytes, expected at most {LARGEST_DIRECTORY}")
        try:
            record = _format.decode(keys.open("directory", _context(keys.space_id, name), box))
        except (BoxDamaged, RecordMalformed) as error:
            raise DirectoryDamaged(f"directory of pack {name.hex()[:8]} does not open: {error}") from None
        if record.version != 1:
            raise DirectoryDamaged(f"directory has version {record.version}, known is 1")
        count = len(record.columns)
        if not 1 <= count <= MOST_CHUNKS:
            raise DirectoryDamaged(f"directory has {count} chunks, expected 1 to {MOST_CHUNKS}")
        if not len(record.lengths) == len(record.children) == count or len(record.ids) != count * HASH_SIZE:
            raise DirectoryDamaged(f"directory of pack {name.hex()[:8]} has parts of different lengths")
        if len({record.ids[at : at + HASH_SIZE] for at in range(0, len(record.ids), HASH_SIZE)}) != count:
            raise DirectoryDamaged(f"directory of pack {name.hex()[:8]} has a chunk twice")
        if len(record.packs) % HASH_SIZE or len(record.packs) > NOT_KNOWN * HASH_SIZE:
            raise DirectoryDamaged(f"directory names packs in {len(record.packs)} bytes")
        return cls(_places(record, lengths), _checked(record.children, count, record.packs), record.packs)


def _places(record: _Record, lengths: list[int]) -> list[Place]:
    ends = [0] * len(lengths)
    places = []
    for i, (column, length) in enumerate(zip(record.columns, record.lengths, strict=True)):
        if column >= len(lengths) or length < 1:
            raise DirectoryDamaged(f"directory puts {length} bytes in column {column} of {len(lengths)}")
        places.append(Place(record.ids[i * HASH_SIZE : (i + 1) * HASH_SIZE], column, ends[column], length))
        ends[column] += length
    if ends != lengths:
        raise DirectoryDamaged(f"directory fills columns to {ends}, the pack says {lengths}")
    return places


def _checked(children: list[list[Child] | None], count: int, packs: bytes) -> list[list[Child] | None]:
    known = len(packs) // HASH_SIZE
    for of_one in children:
        if len(of_one or ()) > MOST_CHILDREN:
            raise DirectoryDamaged(
                f"directory has a chunk of {len(of_one or ())} children, expected at most {MOST_CHILDREN}"
            )
        for child in of_one or ():
            if isinstance(child, int):
                if not 0 <= child < count:
                    raise DirectoryDamaged(f"directory has a child at {child} of {count}")
            elif len(child) != HASH_SIZE + 2:
                raise DirectoryDamaged(f"directory has a child of {len(child)} bytes, expected {HASH_SIZE + 2}")
            elif (at := int.from_bytes(child[HASH_SIZE:], "big")) >= known and at != NOT_KNOWN:
                raise DirectoryDamaged(f"directory has a child in pack {at} of {known}")
    return children
