"""Known: the values that the local state holds.

Flow: Journal, Index -> these -> whoever asked
Never: does anything but count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

__all__ = [
    "ACKED",
    "BROKEN",
    "PENDING",
    "QUARANTINED",
    "QUEUED",
    "REFUSED",
    "WITHDRAWN",
    "KnownHead",
    "KnownPack",
    "Located",
    "SharePlace",
    "spread",
]

# What became of a head.  Three were checked and do not count: it is past a cut; its author might not write it; it has
# gone back, or follows one that has.  The last is our own, and waits for stores.
PENDING, ACKED, WITHDRAWN, QUARANTINED, REFUSED, BROKEN, QUEUED = range(7)


@dataclass(frozen=True, slots=True)
class SharePlace:
    """One copy of one share."""

    number: int
    store: str
    object: str
    damaged: bool = False


def spread(shares: Iterable[SharePlace]) -> dict[int, SharePlace]:
    """As many shares of a pack as there are with different numbers on different stores, by number.

    Only these count as redundancy: two copies of one share, or two shares in one store, are no more than one.
    """
    copies: dict[int, list[SharePlace]] = {}
    for share in shares:
        copies.setdefault(share.number, []).append(share)
    taken: dict[str, SharePlace] = {}  # by store

    def settle(number: int, tried: set[str]) -> bool:
        for share in copies[number]:
            if share.store not in tried:
                tried.add(share.store)
                other = taken.get(share.store)
                if other is None or settle(other.number, tried):
                    taken[share.store] = share
                    return True
        return False

    for number in copies:
        settle(number, set())
    return {share.number: share for share in sorted(taken.values(), key=lambda share: share.number)}


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

    def column_length(self, number: int) -> int:
        """Bytes in a column as it is stored."""
        return self.lengths[number] if number < self.k else max(self.lengths)

    @property
    def good(self) -> dict[int, SharePlace]:
        """The shares that count, by number: not known to be damaged, and no two on one store."""
        return spread(share for share in self.shares if not share.damaged and share.number < self.n)


class Located(msgspec.Struct, frozen=True):
    """Where a chunk lies."""

    id: bytes
    pack: int
    column: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head that this device wrote or has read and checked.

    With a steward's keys little of it is read: ``unread``.  Its time is then when it was first seen here, there is no
    root, no frontier and nothing to say of what is in it, and it has seen itself alone, as far as we know.
    """

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
    device: bytes = b""
    feature: int = 1
    frontier: tuple[bytes, ...] = ()  # hashes of the newest membership records that it knew
    # How its tree's dots are to be read, where forks are known: writer -> from which sequence on by which name.
    branches: Mapping[bytes, tuple[tuple[int, bytes], ...]] = field(default_factory=dict)
    unread: bool = False
