"""Head: a device's signed statement of where the space stands (docs/spec/space.md 6, groups.md 4).

Flow: Layers, device keys -> seal_head -> bytes in a journal and in stores -> open_envelope -> open_head -> Layers
Never: does I/O, or believes a field before the signature over all of them is checked.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ropewalk.spaces.chunk import ChunkDamaged, Reference
from ropewalk.spaces.envelope import (
    COMMITTED,
    LARGEST_HEAD,
    NO_HEAD,
    Envelope,
    HeadDamaged,
    HeadName,
    commitment,
    committed,
    committing,
    head_hash,
    heads_prefix,
    read_envelope,
    sign_envelope,
    signed_by,
    writer_id,
)
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import BoxDamaged, KeyRing, SpaceKeys, hashed, keyed
from ropewalk.spaces.members import Membership
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.vectors import MOST_NUMBER, Vector, VectorMalformed, format_vector, parse_vector

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
    "Parts",
    "StewardLayer",
    "Vector",
    "embed",
    "embedded_column",
    "heads_prefix",
    "open_envelope",
    "open_head",
    "open_layers",
    "seal_head",
    "seen_of",
    "signed_part",
    "split_embedded",
    "take_apart",
    "verify",
    "writer_id",
]

LARGEST_EMBEDDED = 64 * 1024
LONGEST_NOTE = 1000  # bytes
MOST_FRONTIER = 64  # records that a head names as the newest; an operation joins 16 of them
_BLOCK = 256


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
class Parts:
    """A head object taken apart: each part fits the others, and nothing is opened or known to be signed."""

    name: HeadName
    hash: bytes
    envelope: Envelope
    object: _Object
    size: int


@dataclass(frozen=True, slots=True)
class Head:
    """A head, checked and opened."""

    name: HeadName
    hash: bytes
    envelope: Envelope
    steward: StewardLayer
    member: MemberLayer | None  # None for a steward
    embedded: bytes
    size: int  # bytes of the object
    signed: bytes  # the envelope as it was signed
    signature: bytes
    blind: bytes  # opens the commitment, with `seen_of`; empty where the member layer was not read

    @property
    def vector(self) -> Vector:
        """What this version has seen, itself among it; of what a steward cannot read, itself alone."""
        envelope = self.envelope
        return self.member.vector if self.member else {envelope.writer: (envelope.sequence, self.hash)}


_object = Format(_Object, LARGEST_HEAD, "head")
_steward = Format(StewardLayer, LARGEST_HEAD, "steward layer")
_member = Format(_Member, LARGEST_HEAD, "member layer")


def seal_head(
    *,
    incarnation: bytes,
    sequence: int,
    previous: bytes,
    steward: StewardLayer,
    member: MemberLayer,
    embedded: bytes,
    device: DeviceKeys,
    keys: KeyRing,
    feature: int,
) -> tuple[HeadName, bytes]:
    """Sign and seal; the bytes are the object."""
    public = device.public()
    writer = writer_id(public.id, incarnation)
    vector = format_vector(member.vector)
    root = member.root.encode() if member.root else None
    plain = _Member(1, member.epoch, member.membership, vector, root, member.entries, member.time, member.note)
    place = _place(keys.space_id, writer, sequence, previous)
    boxes = [
        keys.seal("steward", b"steward" + place, _padded(encode(steward))),
        keys.seal("member", b"member" + place, _padded(encode(plain))),
        embedded,
    ]
    layers = [hashed("layer", box) for box in boxes]
    extra = NO_EXTRA
    if feature >= COMMITTED:
        seen = encode([member.membership, vector])
        extra = committing(commitment(keyed(keys.members.blind, place), seen))
    envelope = encode(
        Envelope(1, keys.space_id, writer, public.id, incarnation, sequence, previous, feature, 0, layers, extra)
    )
    data = encode(_Object(envelope, boxes[0], boxes[1], boxes[2], sign_envelope(device, envelope)))
    if len(data) > LARGEST_HEAD:
        raise ValueError(f"head has {len(data)} bytes, expected at most {LARGEST_HEAD}")
    return HeadName(keys.space_id, writer, sequence, hashed("object", data)), data


def seen_of(member: MemberLayer, writer: bytes) -> bytes:
    """What the head of a writer commits to, from its opened layer."""
    vector = {one: item for one, item in member.vector.items() if one != writer}
    return encode([member.membership, format_vector(vector)])


def signed_part(data: bytes) -> tuple[bytes, bytes]:
    """The envelope of a head object as it was signed, and the signature, of whatever space.

    Raises:
        HeadDamaged: It is no head object.
    """
    try:
        parts = _object.decode(data)
    except RecordMalformed as error:
        raise HeadDamaged(str(error)) from None
    return parts.envelope, parts.signature


def take_apart(data: bytes, name: HeadName) -> Parts:
    """Check a head object as far as it goes without any key.

    Raises:
        HeadDamaged: Any part is not what the name or the format says.
    """
    what = f"head {name.writer.hex()[:8]}-{name.sequence}"
    if not name.fits(data):
        raise HeadDamaged(f"{what} has other bytes than its name says")
    try:
        parts = _object.decode(data)
        envelope = read_envelope(parts.envelope)
    except (RecordMalformed, HeadDamaged) as error:
        raise HeadDamaged(f"{what}: {error}") from None
    if (envelope.space, envelope.writer, envelope.sequence) != (name.space_id, name.writer, name.sequence):
        raise HeadDamaged(f"{what} names another space, writer or sequence than its object")
    if envelope.layers != [hashed("layer", part) for part in (parts.steward, parts.member, parts.embedded)]:
        raise HeadDamaged(f"{what} has a layer that is not the signed one")
    return Parts(name, head_hash(parts.envelope), envelope, parts, len(data))


def verify(parts: Parts, membership: Membership, *, follows: bool = False) -> None:
    """Check who signed a head.

    Args:
        parts: The head.
        membership: Whose devices may have signed it.
        follows: A head of the writer that was verified names this one's hash as its previous: that says as much as
            its own signature.

    Raises:
        HeadDamaged: Nobody whom we know, or for another space.
    """
    envelope, what = parts.envelope, f"head {parts.name.writer.hex()[:8]}-{parts.name.sequence}"
    if envelope.space != membership.space_id:
        raise HeadDamaged(f"{what} names another space, writer or sequence than its object")
    if (author := membership.devices.get(envelope.device)) is None:
        raise HeadDamaged(f"{what} is by a device that is not a member's")
    if not follows and not signed_by(author, parts.object.envelope, parts.object.signature):
        raise HeadDamaged(f"{what} has a signature that does not verify")
    if envelope.feature > membership.feature:
        raise HeadDamaged(f"{what} has feature level {envelope.feature}, the space's records say {membership.feature}")


def open_envelope(data: bytes, name: HeadName, membership: Membership) -> Parts:
    """Check a head object as far as it goes without the space's secrets.

    Raises:
        HeadDamaged: Any part is not what the name, the signature or the format says.
    """
    parts = take_apart(data, name)
    verify(parts, membership)
    return parts


def open_head(data: bytes, name: HeadName, membership: Membership, keys: KeyRing) -> Head:
    """Check and open a head object, with a steward's keys as far as these go.

    Raises:
        HeadDamaged, EpochUnknown, MembersOnly: As `open_envelope` and `open_layers` do.
    """
    return open_layers(open_envelope(data, name, membership), keys)


def open_layers(parts: Parts, keys: KeyRing) -> Head:
    """Open the layers of a head that was verified; with a steward's keys, the one for stewards alone.

    Raises:
        HeadDamaged: One does not open, or says what no head may say.
        EpochUnknown: It was sealed in an epoch that is not known here.
        MembersOnly: We are a member now, and have of the epoch that it was sealed in what stewards have.
    """
    what = f"head {parts.name.writer.hex()[:8]}-{parts.name.sequence}"
    place = _place(keys.space_id, parts.envelope.writer, parts.envelope.sequence, parts.envelope.previous)
    try:
        steward = _steward.decode(_unpadded(keys.open("steward", b"steward" + place, parts.object.steward)))
    except (BoxDamaged, RecordMalformed, ValueError) as error:
        raise HeadDamaged(f"{what} has a layer that does not open: {error}") from None
    if steward.version != 1:
        raise HeadDamaged(f"{what} has a layer of an unknown version")
    if len(parts.object.embedded) > LARGEST_EMBEDDED:
        raise HeadDamaged(f"{what} has a longer embedded pack than any head may have")
    member, blind = _open_member(parts, keys, what, place) if keys.reads else (None, b"")
    return Head(
        *(parts.name, parts.hash, parts.envelope, steward, member, parts.object.embedded, parts.size),
        *(parts.object.envelope, parts.object.signature, blind),
    )


def _open_member(parts: Parts, keys: KeyRing, what: str, place: bytes) -> tuple[MemberLayer, bytes]:
    """What members read, and what opens the commitment."""
    envelope = parts.envelope
    try:
        sealed_in, box = keys.find("member", b"member" + place, parts.object.member)
        plain = _member.decode(_unpadded(box))
        vector = parse_vector(plain.vector)
        root = Reference.decode(plain.root) if plain.root is not None else None
    except (BoxDamaged, RecordMalformed, ValueError) as error:
        raise HeadDamaged(f"{what} has a layer that does not open: {error}") from None
    except VectorMalformed as error:
        raise HeadDamaged(f"{what} has {error}") from None
    except ChunkDamaged as error:
        raise HeadDamaged(f"{what} has a root that is none: {error}") from None
    if plain.version != 1:
        raise HeadDamaged(f"{what} has a layer of an unknown version")
    if len(plain.note.encode()) > LONGEST_NOTE:
        raise HeadDamaged(f"{what} has a longer note than any head may have")
    if not (0 <= plain.entries <= MOST_NUMBER and 0 <= plain.time <= MOST_NUMBER):
        raise HeadDamaged(f"{what} has {plain.entries} entries and the time {plain.time}, which cannot be")
    if envelope.writer in vector:
        raise HeadDamaged(f"{what} names its own writer in its vector")
    blind, frontier = b"", plain.membership
    if not 1 <= len(frontier) <= MOST_FRONTIER or any(len(one) != 32 for one in frontier):
        raise HeadDamaged(f"{what} names {len(frontier)} records as the newest, expected 1 to {MOST_FRONTIER}")
    if envelope.feature >= COMMITTED:
        assert isinstance(sealed_in, SpaceKeys)
        blind = keyed(sealed_in.blind, place)
        if frontier != sorted(set(frontier)):
            raise HeadDamaged(f"{what} names the newest records out of order")
        if committed(envelope) != commitment(blind, encode([frontier, plain.vector])):
            raise HeadDamaged(f"{what} commits to something else than it has seen")
    vector[envelope.writer] = envelope.sequence, parts.hash
    return MemberLayer(plain.epoch, plain.membership, vector, root, plain.entries, plain.time, plain.note), blind


def _place(space_id: bytes, writer: bytes, sequence: int, previous: bytes) -> bytes:
    return space_id + writer + sequence.to_bytes(8, "big") + previous


def _padded(record: bytes) -> bytes:
    length = 4 + len(record)
    return len(record).to_bytes(4, "big") + record + bytes(-length % _BLOCK)


def _unpadded(plain: bytes) -> bytes:
    length = int.from_bytes(plain[:4], "big")
    if len(plain) != 4 + length + (-(4 + length) % _BLOCK) or plain[4 + length :].strip(b"\0"):
        raise ValueError("layer has another padding than zeros to a multiple of 256")
    return plain[4 : 4 + length]


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
