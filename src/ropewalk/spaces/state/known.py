"""Known: the values that the local state holds.

Flow: Journal, Index -> these -> whoever asked
Never: does anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

__all__ = ["ACKED", "PENDING", "WITHDRAWN", "KnownHead", "KnownPack", "Located", "SharePlace"]

PENDING, ACKED, WITHDRAWN = 0, 1, 2  # what became of a head


@dataclass(frozen=True, slots=True)
class SharePlace:
    """One copy of one share."""

    number: int
    store: str
    object: str
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class KnownPack:
    """A pack and where its shares lie."""

    id: int
    name: bytes
    k: int
    n: int
    lengths: list[int]
    manifest: bytes  # hash of the manifest
    directory: bytes  # hash of the sealed directory
    stored: int
    head: str | None  # the head object it is embedded in
    shares: list[SharePlace]
    announced: bool  # whether a head that was acknowledged, or came from a store, names it

    @property
    def promised(self) -> bool:
        """Whether its shares are part of the promise: leftovers of changes that never came to be are not."""
        return self.announced and self.head is None


class Located(msgspec.Struct, frozen=True):
    """Where a chunk lies."""

    id: bytes
    pack: int
    column: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head that this device wrote or has read and checked."""

    name: str
    hash: bytes
    writer: bytes
    sequence: int
    previous: bytes
    time: int
    root: bytes | None
    entries: int
    note: str
    vector: dict[bytes, tuple[int, bytes]]  # writer -> sequence, hash
    embedded: bool
    state: int
