"""Hint: the bulletin of a space, the one object of a store that is replaced (docs/spec/hints.md).

Flow: Bulletin -> signed, sealed for members and stewards -> Store.replace; Store.get -> opened, checked -> Bulletin
Never: makes anything depend on a hint, or shows a store whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from ropewalk.errors import Damaged, Refused
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.store import LARGEST_HINT, ObjectName, hint_name

__all__ = [
    "LONGEST_PERIOD",
    "MOST_NAMED",
    "Author",
    "Bulletin",
    "BulletinDamaged",
    "Named",
    "NotActive",
    "bulletin_name",
    "heads_digest",
    "open_bulletin",
    "records_digest",
    "seal_bulletin",
]

MOST_NAMED = 64  # heads in one bulletin: some 4 KiB, which is read every two seconds while all is busy
LONGEST_PERIOD = 600  # seconds; nobody may make others wait longer before they say that a view is stale
LARGEST_RECORD = 8 * 1024
_MOST = (1 << 63) - 1
_BLOCK = 256
_CONTEXT = b"hint"
_SIGNED = b"ropewalk hint 1\0"


class BulletinDamaged(Damaged):
    """A bulletin is not what its box, its signature or the format says."""

    code = "hint.damaged"


class NotActive(Refused):
    """A bulletin is by a device that is not active in the space, as far as is known here."""

    code = "hint.not-active"


class Named(msgspec.Struct, frozen=True, array_like=True):
    """A head, by what its name in a store is made of."""

    writer: bytes
    sequence: int
    check: bytes  # hash of all bytes of the object


class Bulletin(msgspec.Struct, frozen=True, array_like=True):
    """What a device says of itself and of the newest heads and records that it knows."""

    version: int
    device: bytes
    run: bytes  # of one process
    count: int
    time: int  # nanoseconds; a hint
    period: int  # seconds
    heads: bytes  # `heads_digest`
    records: bytes  # `records_digest`
    newest: list[Named]  # by writer
    extra: msgspec.Raw = NO_EXTRA


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    bulletin: bytes
    signature: bytes


class Author(Protocol):
    """The public keys of a device."""

    def verify_quick(self, signature: bytes, message: bytes) -> bool:
        """Check an Ed25519 signature."""


_bulletin = Format(Bulletin, LARGEST_RECORD, "bulletin")
_signed = Format(_Signed, LARGEST_HINT, "signed bulletin")


def bulletin_name(space_id: bytes) -> ObjectName:
    """The name of a space's bulletin in each store."""
    return hint_name(f"{space_id.hex()}/hints/{'0' * 32}")


def heads_digest(vector: Mapping[bytes, tuple[int, bytes]]) -> bytes:
    """What stands for all heads that are known: writer -> sequence and hash of its newest."""
    seen = sorted(vector.items())
    return hashed("hint heads", b"".join(writer + at.to_bytes(8, "big") + digest for writer, (at, digest) in seen))


def records_digest(newest: Iterable[bytes]) -> bytes:
    """What stands for all membership records that are known: the hashes of the newest."""
    return hashed("hint records", b"".join(sorted(newest)))


def seal_bulletin(bulletin: Bulletin, keys: KeyRing, sign: Callable[[bytes], bytes]) -> bytes:
    """The object's bytes.

    Args:
        bulletin: What to say.
        keys: Of the space.
        sign: Ed25519 by the device that the bulletin names.
    """
    record = encode(bulletin)
    signed = encode(_Signed(record, sign(_message(keys.space_id, record))))
    length = 4 + len(signed)
    plain = len(signed).to_bytes(4, "big") + signed + bytes(-length % _BLOCK)
    return keys.seal("hint", _CONTEXT + keys.space_id, plain)


def open_bulletin(data: bytes, keys: KeyRing, author: Callable[[bytes], Author | None]) -> Bulletin:
    """Check and open what a store gives as the bulletin.

    Args:
        data: At most one byte more than a bulletin may have need be read.
        keys: Of the space.
        author: The keys of a device that is active in the space, by its id; None for any other.

    Raises:
        BulletinDamaged: It is none, or was changed.
        BoxDamaged, EpochUnknown: It does not open with these keys.
        NotActive.
    """
    if len(data) > LARGEST_HINT:
        raise BulletinDamaged(f"bulletin is too large, expected at most {LARGEST_HINT} bytes")
    try:
        signed = _signed.decode(_unpadded(keys.open("hint", _CONTEXT + keys.space_id, data)))
        bulletin = _bulletin.decode(signed.bulletin)
    except RecordMalformed as error:
        raise BulletinDamaged(f"bulletin does not parse: {error}") from None
    if (by := author(bulletin.device)) is None:
        raise NotActive(f"bulletin is by device {bulletin.device.hex()[:8]}, which is not active in the space")
    if not by.verify_quick(signed.signature, _message(keys.space_id, signed.bulletin)):
        raise BulletinDamaged("bulletin has a signature that does not verify")
    _check(bulletin)
    return bulletin


def _message(space_id: bytes, record: bytes) -> bytes:
    return _SIGNED + hashed("hint", space_id + record)


def _unpadded(plain: bytes) -> bytes:
    length = int.from_bytes(plain[:4], "big")
    if len(plain) != 4 + length + (-(4 + length) % _BLOCK) or any(plain[4 + length :]):
        raise BulletinDamaged("bulletin has another padding than zeros to a multiple of 256")
    return plain[4 : 4 + length]


def _check(bulletin: Bulletin) -> None:
    if bulletin.version != 1:
        raise BulletinDamaged(f"bulletin has version {bulletin.version}, expected 1")
    numbers = 1 <= bulletin.count <= _MOST and 0 <= bulletin.time <= _MOST and 1 <= bulletin.period <= LONGEST_PERIOD
    sizes = [len(part) for part in (bulletin.device, bulletin.run, bulletin.heads, bulletin.records)]
    if not numbers or sizes != [16, 16, 32, 32]:
        raise BulletinDamaged("bulletin has a number out of range, or an id or digest of another length")
    if len(bulletin.newest) > MOST_NAMED:
        raise BulletinDamaged(f"bulletin names {len(bulletin.newest)} heads, expected at most {MOST_NAMED}")
    last = b""
    for head in bulletin.newest:
        if len(head.writer) != 16 or head.writer <= last or len(head.check) != 32 or not 1 <= head.sequence <= _MOST:
            raise BulletinDamaged("bulletin names heads that are none, or not in order")
        last = head.writer
