"""Envelope: what anyone may read of a head, and the name that it lies under (docs/spec/space.md 6.1, groups.md 4.1).

Flow: listed name -> HeadName; signed bytes -> Envelope
Never: opens anything: it serves to check a head without a key of its space, in a store or in a proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed
from ropewalk.spaces.store import ObjectName, object_name
from ropewalk.spaces.vectors import MOST_NUMBER

__all__ = [
    "COMMITTED",
    "LARGEST_HEAD",
    "NO_HEAD",
    "Envelope",
    "HeadDamaged",
    "HeadName",
    "commitment",
    "committed",
    "committing",
    "head_hash",
    "heads_prefix",
    "read_envelope",
    "sign_envelope",
    "signed_by",
    "writer_id",
]

LARGEST_HEAD = 256 * 1024
NO_HEAD = bytes(32)
COMMITTED = 2  # the feature level from which on heads commit to what they have seen
NEWEST_FEATURE = 2
_SIGNED = b"ropewalk head 1\0"
_NAME = re.compile(r"([0-9a-f]{64})/heads/([0-9a-f]{32})/([0-9a-f]{16})-([0-9a-f]{64})\Z")
_LAST = (1 << 64) - 1


class HeadDamaged(Damaged):
    """A head is not what its name, its signature or the format says."""

    code = "head.damaged"


@dataclass(frozen=True, slots=True)
class HeadName:
    """The name of a head object, taken apart."""

    space_id: bytes
    writer: bytes
    sequence: int
    check: bytes  # hash of all bytes of the object

    def encode(self) -> ObjectName:
        """The object's name in a store; newest list first."""
        return object_name(f"{heads_prefix(self.space_id, self.writer)}{_LAST - self.sequence:016x}-{self.check.hex()}")

    def fits(self, data: bytes) -> bool:
        """Whether ``data`` are the bytes that the name commits to."""
        return len(data) <= LARGEST_HEAD and hashed("object", data) == self.check

    @classmethod
    def decode(cls, name: str) -> HeadName | None:
        """Take a listed name apart; None where it is no head's."""
        if not (match := _NAME.match(name)):
            return None
        space_id, writer, inverse, digest = match.groups()
        sequence = _LAST - int(inverse, 16)
        if sequence == 0:
            return None
        return cls(bytes.fromhex(space_id), bytes.fromhex(writer), sequence, bytes.fromhex(digest))


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What anyone may read of a head."""

    version: int
    space: bytes
    writer: bytes
    device: bytes
    incarnation: bytes
    sequence: int
    previous: bytes
    feature: int
    kind: int
    layers: list[bytes]
    extra: msgspec.Raw = NO_EXTRA


_envelope = Format(Envelope, LARGEST_HEAD, "envelope")
_fields = msgspec.msgpack.Decoder(dict[int, object])


def heads_prefix(space_id: bytes, writer: bytes | None = None) -> str:
    """Where the heads of a space, or of one writer, lie."""
    return f"{space_id.hex()}/heads/" + (f"{writer.hex()}/" if writer is not None else "")


def writer_id(device: bytes, incarnation: bytes) -> bytes:
    """16 bytes: a device between two losses of its local state."""
    return hashed("writer", device + incarnation)[:16]


def head_hash(signed: bytes) -> bytes:
    """What a head is known by, from its envelope's bytes."""
    return hashed("head", signed)


def sign_envelope(device: DeviceKeys, signed: bytes) -> bytes:
    """A device's signature of an envelope."""
    return device.sign_quick(_SIGNED + head_hash(signed))


def signed_by(author: PublicKeys, signed: bytes, signature: bytes) -> bool:
    """Whether a device signed an envelope."""
    return author.verify_quick(signature, _SIGNED + head_hash(signed))


def read_envelope(signed: bytes) -> Envelope:
    """An envelope whose parts fit each other.

    Raises:
        HeadDamaged.
    """
    try:
        envelope = _envelope.decode(signed)
    except RecordMalformed as error:
        raise HeadDamaged(str(error)) from None
    if (
        envelope.version != 1
        or len(envelope.space) != 32
        or envelope.writer != writer_id(envelope.device, envelope.incarnation)
        or len(envelope.incarnation) != 16
        or not 1 <= envelope.sequence <= MOST_NUMBER
        or len(envelope.previous) != 32
        or (envelope.previous == NO_HEAD) != (envelope.sequence == 1)
    ):
        raise HeadDamaged("an envelope names another space, writer or sequence than its other fields allow")
    if not 1 <= envelope.feature <= NEWEST_FEATURE:
        raise HeadDamaged(f"an envelope has feature level {envelope.feature}, known are 1 to {NEWEST_FEATURE}")
    if envelope.feature >= COMMITTED and committed(envelope) is None:
        raise HeadDamaged(f"an envelope of feature level {envelope.feature} does not commit to what it has seen")
    return envelope


def committed(envelope: Envelope) -> bytes | None:
    """What an envelope commits to; None where it does not."""
    try:
        found = _fields.decode(envelope.extra).get(1)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, bytes) and len(found) == 32 else None


def committing(to: bytes) -> msgspec.Raw:
    """The extra fields of an envelope that has a commitment."""
    return msgspec.Raw(msgspec.msgpack.encode({1: to}))


def commitment(blind: bytes, seen: bytes) -> bytes:
    """To what a head has seen: nobody can tell what that is without ``blind``, and with it nobody can deny it."""
    return hashed("seen", blind + seen)
