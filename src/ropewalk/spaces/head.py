"""Head: a device's signed statement of where the space stands (docs/spec/space.md 6).

Flow: Layers, device keys -> seal_head -> bytes in a journal and in stores -> open_envelope -> open_head -> Layers
Never: does I/O, or believes a field before the signature over all of them is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.chunk import ChunkDamaged, Reference
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import BoxDamaged, SpaceKeys, hashed
from ropewalk.spaces.members import Membership
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.store import ObjectName, object_name

__all__ = [
    "LARGEST_EMBEDDED",
    "LARGEST_HEAD",
    "NO_HEAD",
    "AddedPack",
    "Envelope",
    "Head",
    "HeadDamaged",
    "HeadName",
    "MemberLayer",
    "Owed",
    "StewardLayer",
    "Vector",
    "embed",
    "embedded_column",
    "heads_prefix",
    "open_envelope",
    "open_head",
    "seal_head",
    "split_embedded",
    "writer_id",
]

LARGEST_HEAD = 256 * 1024
LARGEST_EMBEDDED = 64 * 1024
NO_HEAD = bytes(32)
_SIGNED = b"ropewalk head 1\0"
_NAME = re.compile(r"([0-9a-f]{64})/heads/([0-9a-f]{32})/([0-9a-f]{16})-([0-9a-f]{64})\Z")
_LAST = (1 << 64) - 1
_MOST = (1 << 63) - 1  # of any number in a head: the local state keeps signed ones
MOST_SEEN = 1024  # writers in a vector
LONGEST_NOTE = 1000  # bytes
_BLOCK = 256


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


Vector = Mapping[bytes, tuple[int, bytes]]  # writer -> sequence and hash of its newest head that was seen


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


class AddedPack(msgspec.Struct, frozen=True, array_like=True):
    """A pack that this head is the first to need."""

    name: bytes
    manifest: bytes  # its hash
    directory: bytes  # the hash of the sealed one
    stored: int  # bytes of a full set of shares


class Owed(msgspec.Struct, frozen=True, array_like=True):
    """Shares of a pack that are not where they should be."""

    name: bytes
    numbers: bytes


class StewardLayer(msgspec.Struct, frozen=True, array_like=True):
    """What those may read who keep the promise."""

    version: int = 1
    epoch: int = 1
    packs: list[AddedPack] = []
    roots: list[bytes] = []
    owed: int = 0  # packs that owe shares
    debt: list[Owed] = []  # some of them
    heads: list[bytes] = []  # hashes of heads that are not in every store yet
    index: list[bytes] = []
    gc: list[int] | None = None
    extra: msgspec.Raw = NO_EXTRA


class _Member(msgspec.Struct, frozen=True, array_like=True):
    version: int
    epoch: int
    membership: list[bytes]
    vector: list[bytes | int]
    root: bytes | None
    entries: int
    time: int
    note: str
    extra: msgspec.Raw = NO_EXTRA


@dataclass(frozen=True, slots=True)
class MemberLayer:
    """What members read: the version itself."""

    epoch: int
    membership: list[bytes]
    vector: Vector  # what this version has seen; in an opened head with itself, in one to be sealed without
    root: Reference | None
    entries: int
    time: int  # nanoseconds; a hint
    note: str = ""


class _Object(msgspec.Struct, frozen=True, array_like=True):
    envelope: bytes
    steward: bytes
    member: bytes
    embedded: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A head, checked and opened."""

    name: HeadName
    hash: bytes
    envelope: Envelope
    steward: StewardLayer
    member: MemberLayer
    embedded: bytes
    size: int  # bytes of the object


_object = Format(_Object, LARGEST_HEAD, "head")
_envelope = Format(Envelope, LARGEST_HEAD, "envelope")
_steward = Format(StewardLayer, LARGEST_HEAD, "steward layer")
_member = Format(_Member, LARGEST_HEAD, "member layer")


def heads_prefix(space_id: bytes, writer: bytes | None = None) -> str:
    """Where the heads of a space, or of one writer, lie."""
    return f"{space_id.hex()}/heads/" + (f"{writer.hex()}/" if writer is not None else "")


def writer_id(device: bytes, incarnation: bytes) -> bytes:
    """16 bytes: a device between two losses of its local state."""
    return hashed("writer", device + incarnation)[:16]


def seal_head(
    *,
    incarnation: bytes,
    sequence: int,
    previous: bytes,
    steward: StewardLayer,
    member: MemberLayer,
    embedded: bytes,
    device: DeviceKeys,
    keys: SpaceKeys,
    feature: int,
) -> tuple[HeadName, bytes]:
    """Sign and seal; the bytes are the object."""
    public = device.public()
    writer = writer_id(public.id, incarnation)
    vector: list[bytes | int] = []
    for seen in sorted(member.vector):
        vector += (seen, *member.vector[seen])
    root = member.root.encode() if member.root else None
    plain = _Member(1, member.epoch, member.membership, vector, root, member.entries, member.time, member.note)
    place = _place(keys.space_id, writer, sequence, previous)
    boxes = [
        keys.seal(keys.steward, b"steward" + place, _padded(encode(steward))),
        keys.seal(keys.member, b"member" + place, _padded(encode(plain))),
        embedded,
    ]
    layers = [hashed("layer", box) for box in boxes]
    envelope = encode(
        Envelope(1, keys.space_id, writer, public.id, incarnation, sequence, previous, feature, 0, layers)
    )
    signature = device.sign_quick(_SIGNED + hashed("head", envelope))
    data = encode(_Object(envelope, boxes[0], boxes[1], boxes[2], signature))
    if len(data) > LARGEST_HEAD:
        raise ValueError(f"head has {len(data)} bytes, expected at most {LARGEST_HEAD}")
    return HeadName(keys.space_id, writer, sequence, hashed("object", data)), data


def open_envelope(data: bytes, name: HeadName, membership: Membership) -> tuple[_Object, Envelope, bytes]:
    """Check a head object as far as it goes without the space's secrets; its parts, envelope and hash.

    Raises:
        HeadDamaged: Any part is not what the name, the signature or the format says.
    """
    what = f"head {name.writer.hex()[:8]}-{name.sequence}"
    if not name.fits(data):
        raise HeadDamaged(f"{what} has other bytes than its name says")
    try:
        parts = _object.decode(data)
        envelope = _envelope.decode(parts.envelope)
    except RecordMalformed as error:
        raise HeadDamaged(f"{what}: {error}") from None
    digest = hashed("head", parts.envelope)
    if (author := membership.devices.get(envelope.device)) is None:
        raise HeadDamaged(f"{what} is by a device that is not a member's")
    if not author.verify_quick(parts.signature, _SIGNED + digest):
        raise HeadDamaged(f"{what} has a signature that does not verify")
    if envelope.feature != membership.feature:
        raise HeadDamaged(f"{what} has feature level {envelope.feature}, the space's records say {membership.feature}")
    if (
        envelope.version != 1
        or envelope.space != membership.space_id
        or (envelope.space, envelope.writer, envelope.sequence) != (name.space_id, name.writer, name.sequence)
        or envelope.writer != writer_id(envelope.device, envelope.incarnation)
        or len(envelope.incarnation) != 16
        or envelope.sequence > _MOST
        or len(envelope.previous) != 32
        or (envelope.previous == NO_HEAD) != (envelope.sequence == 1)
    ):
        raise HeadDamaged(f"{what} names another space, writer or sequence than its object")
    if envelope.layers != [hashed("layer", part) for part in (parts.steward, parts.member, parts.embedded)]:
        raise HeadDamaged(f"{what} has a layer that is not the signed one")
    return parts, envelope, digest


def open_head(data: bytes, name: HeadName, membership: Membership, keys: SpaceKeys) -> Head:
    """Check and open a head object.

    Raises:
        HeadDamaged: As `open_envelope`; or a layer does not open.
    """
    parts, envelope, digest = open_envelope(data, name, membership)
    what = f"head {name.writer.hex()[:8]}-{name.sequence}"
    place = _place(keys.space_id, envelope.writer, envelope.sequence, envelope.previous)
    try:
        steward = _steward.decode(_unpadded(keys.open(keys.steward, b"steward" + place, parts.steward)))
        plain = _member.decode(_unpadded(keys.open(keys.member, b"member" + place, parts.member)))
    except (BoxDamaged, RecordMalformed, ValueError) as error:
        raise HeadDamaged(f"{what} has a layer that does not open: {error}") from None
    if steward.version != 1 or plain.version != 1:
        raise HeadDamaged(f"{what} has a layer of an unknown version")
    if len(parts.embedded) > LARGEST_EMBEDDED or len(plain.note.encode()) > LONGEST_NOTE:
        raise HeadDamaged(f"{what} has a longer embedded pack or note than any head may have")
    if not (0 <= plain.entries <= _MOST and 0 <= plain.time <= _MOST):
        raise HeadDamaged(f"{what} has {plain.entries} entries and the time {plain.time}, which cannot be")
    vector = _vector(plain.vector, what)
    if envelope.writer in vector:
        raise HeadDamaged(f"{what} names its own writer in its vector")
    vector[envelope.writer] = envelope.sequence, digest
    try:
        root = Reference.decode(plain.root) if plain.root is not None else None
    except ChunkDamaged as error:
        raise HeadDamaged(f"{what} has a root that is none: {error}") from None
    member = MemberLayer(
        plain.epoch,
        plain.membership,
        vector,
        root,
        plain.entries,
        plain.time,
        plain.note,
    )
    return Head(name, digest, envelope, steward, member, parts.embedded, len(data))


def _place(space_id: bytes, writer: bytes, sequence: int, previous: bytes) -> bytes:
    return space_id + writer + sequence.to_bytes(8, "big") + previous


def _padded(record: bytes) -> bytes:
    length = 4 + len(record)
    return len(record).to_bytes(4, "big") + record + bytes(-length % _BLOCK)


def _unpadded(plain: bytes) -> bytes:
    length = int.from_bytes(plain[:4], "big")
    if len(plain) != 4 + length + (-(4 + length) % _BLOCK) or any(plain[4 + length :]):
        raise ValueError("layer has another padding than zeros to a multiple of 256")
    return plain[4 : 4 + length]


def _vector(flat: list[bytes | int], what: str) -> dict[bytes, tuple[int, bytes]]:
    vector: dict[bytes, tuple[int, bytes]] = {}
    last = b""
    for writer, sequence, digest in zip(flat[::3], flat[1::3], flat[2::3], strict=False):
        if not (isinstance(writer, bytes) and isinstance(sequence, int) and isinstance(digest, bytes)):
            raise HeadDamaged(f"{what} has a vector of other things than writer, sequence and hash")
        if len(writer) != 16 or writer <= last or not 1 <= sequence <= _MOST or len(digest) != 32:
            raise HeadDamaged(f"{what} has a vector that is not in order")
        vector[writer] = sequence, digest
        last = writer
    if len(flat) % 3 or len(flat) > 3 * MOST_SEEN:
        raise HeadDamaged(
            f"{what} has a vector of {len(flat)} parts, expected 3 for each of {MOST_SEEN} writers at most"
        )
    return vector


def embed(directory: bytes, column: bytes) -> bytes:
    """The embedded pack of a head, from its sealed directory and its column."""
    return len(directory).to_bytes(4, "big") + directory + column


def split_embedded(embedded: bytes) -> tuple[memoryview, memoryview]:
    """The sealed directory and the column of an embedded pack.

    Raises:
        HeadDamaged: It is shorter than it says.
    """
    view = memoryview(embedded)
    end = 4 + int.from_bytes(view[:4], "big")
    if len(view) < 4 or end > len(view):
        raise HeadDamaged(f"embedded pack has {len(view)} bytes, its directory alone needs {end}")
    return view[4:end], view[end:]


def embedded_column(data: bytes, name: str) -> memoryview | None:
    """The embedded column of a head object, or None where the bytes are not those that the name commits to."""
    parsed = HeadName.decode(name)
    if parsed is None or not parsed.fits(data):
        return None
    try:
        return split_embedded(_object.decode(data).embedded)[1]
    except (RecordMalformed, HeadDamaged):
        return None
