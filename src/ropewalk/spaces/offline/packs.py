"""Packs: the file of a pack that waits: its data columns, and what all of its shares can be made from.

Flow: Pack -> parts of a file; bytes of a file -> QueuedPack -> Pack, as it was
Never: does I/O, or gives out a share whose column is not the one that the pack's name and manifest commit to.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from ropewalk.errors import Damaged
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.packing import LARGEST_PACK, Pack, Share
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import LARGEST_TRAILER, Manifest, ShareDamaged, ShareName, Trailer

__all__ = ["LARGEST_FILE", "QueuedDamaged", "QueuedPack", "parts_of"]

_MAGIC = b"rwqueue1"
_FOOTER = struct.Struct(">8sII")  # magic, lengths of manifest and directory
LARGEST_FILE = LARGEST_PACK + LARGEST_TRAILER  # bytes


class QueuedDamaged(Damaged):
    """A file of the queue does not hold what its name says."""

    code = "offline.damaged"


def parts_of(pack: Pack) -> Sequence[memoryview]:
    """The file of a pack, in pieces: data columns first, so that where a chunk lies follows from their lengths."""
    columns = [memoryview(share.parts[0]) for share in pack.shares if share.number < pack.manifest.k]
    trailer = Trailer.decode(pack.shares[0].parts[1], _share_name(pack.shares[0]))
    manifest = pack.manifest.encode()
    footer = _FOOTER.pack(_MAGIC, len(manifest), len(trailer.directory))
    return [*columns, memoryview(manifest), memoryview(trailer.directory), memoryview(footer)]


def _share_name(share: Share) -> ShareName:
    name = ShareName.decode(share.name)
    assert name is not None
    return name


@dataclass(frozen=True, slots=True)
class QueuedPack:
    """A pack that waits; `checked` against its name, or not yet."""

    name: bytes
    manifest: Manifest
    directory: bytes  # sealed
    columns: Sequence[memoryview]  # those of data

    @property
    def directory_hash(self) -> bytes:
        """What a head signs."""
        return directory_hash(self.directory)

    @classmethod
    def decode(cls, data: bytes, name: bytes) -> QueuedPack:
        """Take a file apart, and check it.

        Args:
            data: All of it.
            name: The pack's.

        Raises:
            QueuedDamaged: It is not this pack.
        """
        return cls.parse(data, name).checked()

    @classmethod
    def parse(cls, data: bytes, name: bytes) -> QueuedPack:
        """The same, with columns that nobody has checked.

        Raises:
            QueuedDamaged: What is beside them is not this pack's.
        """
        what = f"queued pack {name.hex()[:8]}"
        view = memoryview(data)
        try:
            magic, manifest_size, directory_size = _FOOTER.unpack(view[-_FOOTER.size :])
        except struct.error:
            raise QueuedDamaged(f"{what} ends within its footer") from None
        start = len(view) - _FOOTER.size - directory_size - manifest_size
        if magic != _MAGIC or start < 0:
            raise QueuedDamaged(f"{what} has no footer that adds up")
        try:
            manifest = Manifest.decode(view[start : start + manifest_size])
        except ShareDamaged as error:
            raise QueuedDamaged(f"{what}: {error}") from None
        if manifest.name != name or sum(manifest.lengths) != start:
            raise QueuedDamaged(f"{what} holds another pack, or not all of it")
        columns, at = [], 0
        for length in manifest.lengths:
            columns.append(view[at : at + length])
            at += length
        directory = bytes(view[start + manifest_size : len(view) - _FOOTER.size])
        return cls(name, manifest, directory, columns)

    def checked(self) -> Self:
        """The same pack, if its columns are those of its name.  CPU work.

        Raises:
            QueuedDamaged.
        """
        for number, column in enumerate(self.columns):
            if column_root(len(column), leaf_hashes(column)) != self.manifest.roots[number]:
                raise QueuedDamaged(
                    f"queued pack {self.name.hex()[:8]}: column {number} is not the one that was signed"
                )
        return self

    def patched(self, chunks: Mapping[tuple[int, int], bytes]) -> Self:
        """The pack with what others have of it, checked.  CPU work.

        Args:
            chunks: Sealed chunks, each by column and offset in it.

        Raises:
            QueuedDamaged: It is not this pack even so.
        """
        columns = [bytearray(column) for column in self.columns]
        for (column, offset), chunk in chunks.items():
            if column < len(columns) and offset + len(chunk) <= len(columns[column]):
                columns[column][offset : offset + len(chunk)] = chunk
        return replace(self, columns=[memoryview(column) for column in columns]).checked()

    def whole(self, space_id: bytes) -> Pack:
        """The pack with all its shares, byte for byte as it was.  CPU work, like packing it.

        Raises:
            QueuedDamaged: The parity does not come out as its roots say.
        """
        manifest = self.manifest
        columns: list[bytes | bytearray] = [bytes(column) for column in self.columns]
        columns += Code(manifest.k, manifest.n).encode(columns, manifest.longest)
        shares = []
        for number, column in enumerate(columns):
            leaves = leaf_hashes(column)
            if column_root(len(column), leaves) != manifest.roots[number]:
                raise QueuedDamaged(f"queued pack {self.name.hex()[:8]}: share {number} is not what its root says")
            encoded = Trailer(number, leaves, manifest, self.directory).encode()
            name = ShareName(space_id, self.name, number, Trailer.check(encoded))
            shares.append(Share(number, name.encode(), (column, encoded)))
        return Pack(self.name, manifest, Directory([], []), self.directory_hash, shares)
