"""Open file: a file of one version, read at any offset.

Flow: Version, entry -> OpenFile -> pread -> ContentSource -> bytes
Never: changes the file, or sees a later version of it.
"""

from __future__ import annotations

from ropewalk.errors import Misuse
from ropewalk.spaces.chunk import CHUNK_SIZE
from ropewalk.spaces.tree.entry import Entry
from ropewalk.spaces.version import Version

__all__ = ["OpenFile"]


class OpenFile:
    """A file of one version, for reading at any offset."""

    def __init__(self, version: Version, entry: Entry) -> None:
        self._version, self._entry = version, entry
        self._held: tuple[int, bytes] = (-1, b"")  # the cut read last: small reads in a row fetch it once

    @property
    def size(self) -> int:
        """Bytes."""
        return self._entry.size

    async def pread(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset``; fewer where the file ends.

        Raises:
            ChunkUnreachable, ChunkLost.
        """
        if offset < 0 or length < 0:
            raise Misuse(f"offset and length are 0 or more, got {offset} and {length}")
        stop = min(offset + length, self._entry.size)
        if offset >= stop:
            return b""
        if offset // CHUNK_SIZE != (stop - 1) // CHUNK_SIZE:
            return await self._version.content.read(self._entry, offset, stop - offset)
        start = offset // CHUNK_SIZE * CHUNK_SIZE
        if self._held[0] != start:
            self._held = start, await self._version.content.read(self._entry, start, CHUNK_SIZE)
        return self._held[1][offset - start : stop - start]
