"""The format once more: membership records and heads (space.md 3 and 6).

Flow: fields -> bytes that are signed and sealed -> objects, and back
Never: imports ropewalk, or draws a random number: what is random in the format is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from docs.spec.vectors.reference import Device, Space, h, parse_reference
from docs.spec.vectors.reference_records import Refused, check_extra, number, pack, refuse, unpack

__all__ = [
    "Head",
    "Heading",
    "embed",
    "epoch_body",
    "feature_of",
    "genesis_body",
    "head_name",
    "layer",
    "open_head",
    "open_space",
    "record_message",
    "sign_head",
    "suite",
    "unwrap",
    "wrap_info",
    "writer_of",
]

LARGEST_HEAD = 256 * 1024
_CODE = "head.damaged"

suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


# ---- 3: membership records -------------------------------------------------------------------------------------------


def genesis_body(
    nonce: bytes,
    privacy: int,
    policy: list[object],
    thresholds: list[int],
    member: bytes,
    devices: list[Device],
    time: int,
) -> bytes:
    """The body of a genesis of feature level 1; ``policy`` is k, n, floor and the map of domains."""
    publics = [device.public for device in devices]
    return pack(["genesis", 1, nonce, 1, 1, privacy, policy, thresholds, member, publics, time, {}])


def record_message(body: bytes) -> bytes:
    """What both signatures of a record cover."""
    return b"ropewalk record 1\0" + body


def wrap_info(space_id: bytes, epoch: int, device: bytes, check: bytes) -> bytes:
    """HPKE's info of a member's wrap."""
    return b"ropewalk epoch 1\0" + space_id + number(epoch, 8) + device + check


def unwrap(device: Device, wrapped: bytes, info: bytes) -> bytes:
    """What a wrap holds."""
    try:
        return suite.decrypt(wrapped, hpke.MLKEM768X25519PrivateKey(device.mlkem, device.x25519), info=info)
    except (InvalidTag, ValueError):
        raise Refused("keys.box-damaged", "a wrap for another device") from None


def epoch_body(
    space_id: bytes, genesis: bytes, author: Device, secrets: bytes, wraps: list[tuple[bytes, bytes]]
) -> bytes:
    """The body of epoch 1; ``secrets`` is E || S || W."""
    check, steward_check = h("epoch check", secrets), h("steward check", secrets[32:64])
    pairs = [list(wrap) for wrap in wraps]
    return pack(["epoch", 1, space_id, 1, [h("record", genesis)], author.id, check, steward_check, pairs, [], [], {}])


def _verify(public: list[object], record: list[object]) -> bool:
    body, quick, slow = record
    try:
        assert isinstance(quick, bytes)
        assert isinstance(slow, bytes)
        assert isinstance(body, bytes)
        ed25519, mldsa = public[1:3]
        assert isinstance(ed25519, bytes)
        assert isinstance(mldsa, bytes)
        Ed25519PublicKey.from_public_bytes(ed25519).verify(quick, record_message(body))
        MLDSA65PublicKey.from_public_bytes(mldsa).verify(slow, record_message(body))
    except InvalidSignature:
        return False
    return True


def open_space(space_id: bytes, objects: dict[str, bytes], device: Device) -> tuple[Space, dict[bytes, bytes]]:
    """A space of one epoch from its record objects, and the Ed25519 key of each member's device."""
    code = "members.record-damaged"
    records = []
    for name, data in objects.items():
        refuse(code, "another hash", not name.endswith(h("object", data).hex()))
        records.append(unpack(data, 2 << 20, code))
    bodies = [record[0] for record in records if isinstance(record[0], bytes)]
    genesis = next(i for i, body in enumerate(bodies) if h("space", body) == space_id)
    first = unpack(bodies[genesis], 2 << 20, code)
    publics = first[9]
    assert isinstance(publics, list)
    refuse(code, "a genesis signed by another", not _verify(publics[0], records[genesis]))
    keys = {_device_id(public): public[1] for public in publics}
    epoch = next(i for i, body in enumerate(bodies) if unpack(body, 2 << 20, code)[0] == "epoch")
    fields = unpack(bodies[epoch], 2 << 20, code)
    check, wraps = fields[6], fields[8]
    refuse(code, "another space, or parent", fields[:5] != ["epoch", 1, space_id, 1, [h("record", bodies[genesis])]])
    author = next(public for public in publics if _device_id(public) == fields[5])
    refuse(code, "an epoch signed by another", not _verify(author, records[epoch]))
    assert isinstance(wraps, list)
    assert isinstance(check, bytes)
    wrapped = next(wrap for one, wrap in wraps if one == device.id)
    plain = unwrap(device, wrapped, wrap_info(space_id, 1, device.id, check))
    refuse(code, "other secrets", h("epoch check", plain) != check or h("steward check", plain[32:64]) != fields[7])
    tag = h("record", bodies[epoch])[:8]
    return Space(space_id, tag, plain[:32], plain[32:64], plain[64:]), keys


def feature_of(space_id: bytes, objects: dict[str, bytes]) -> int:
    """The feature level that a space's genesis says."""
    bodies = [unpack(data, 2 << 20, "members.record-damaged")[0] for data in objects.values()]
    genesis = next(body for body in bodies if isinstance(body, bytes) and h("space", body) == space_id)
    return int(str(unpack(genesis, 2 << 20, "members.record-damaged")[3]))


def _device_id(public: list[object]) -> bytes:
    return h("device", number(int(str(public[0])), 1) + b"".join(key for key in public if isinstance(key, bytes)))[:16]


# ---- 6.1: sealing a head ---------------------------------------------------------------------------------------------


def writer_of(device: bytes, incarnation: bytes) -> bytes:
    """The writer's 16 bytes."""
    return h("writer", device + incarnation)[:16]


def layer(record: bytes) -> bytes:
    """The plain bytes of a layer."""
    plain = number(len(record), 4) + record
    return plain + bytes(-len(plain) % 256)


def embed(directory: bytes, column: bytes) -> bytes:
    """An embedded pack."""
    return number(len(directory), 4) + directory + column


@dataclass(frozen=True)
class Heading:
    """The fields of an envelope that are not derived; the lying ones serve to make heads that must be refused."""

    device: Device
    incarnation: bytes
    sequence: int
    previous: bytes = bytes(32)
    version: int = 1
    feature: int = 1
    kind: int = 0
    space: bytes | None = None
    writer: bytes | None = None
    extra: object = None
    layers: list[bytes] | None = None

    @property
    def writer_id(self) -> bytes:
        """Of the name, and of the envelope unless that lies."""
        return writer_of(self.device.id, self.incarnation)

    def place(self, space: Space) -> bytes:
        """What the contexts of the layers end with."""
        return space.id + (self.writer or self.writer_id) + number(self.sequence, 8) + self.previous

    def boxes(self, space: Space, steward: bytes, member: bytes, embedded: bytes = b"") -> list[bytes]:
        """The three layers, from the plain bytes of the first two."""
        place = self.place(space)
        return [
            space.seal("steward", b"steward" + place, steward),
            space.seal("member", b"member" + place, member),
            embedded,
        ]


def sign_head(space: Space, heading: Heading, boxes: list[bytes], *, signer: Device | None = None) -> bytes:
    """The object of a head."""
    envelope = pack(
        [
            heading.version,
            heading.space or space.id,
            heading.writer or heading.writer_id,
            heading.device.id,
            heading.incarnation,
            heading.sequence,
            heading.previous,
            heading.feature,
            heading.kind,
            [h("layer", box) for box in boxes] if heading.layers is None else heading.layers,
            {} if heading.extra is None else heading.extra,
        ]
    )
    message = b"ropewalk head 1\0" + h("head", envelope)
    return pack([envelope, *boxes, (signer or heading.device).ed25519.sign(message)])


def head_name(space_id: bytes, writer: bytes, sequence: int, data: bytes) -> str:
    """The name of the object."""
    return f"{space_id.hex()}/heads/{writer.hex()}/{2**64 - 1 - sequence:016x}-{h('object', data).hex()}"


# ---- 6: opening a head -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """A head, checked and opened."""

    hash: bytes
    writer: bytes
    sequence: int
    previous: bytes
    steward: list[object]
    member: list[object]
    vector: dict[bytes, tuple[int, bytes]]  # of the others
    root: bytes | None
    embedded: bytes


def open_head(space: Space, name: str, data: bytes, devices: dict[bytes, bytes], feature: int = 1) -> Head:
    """Check and open a head by its object's name; ``devices`` holds the Ed25519 key of each member's device."""
    space_hex, _, writer_hex, last = name.split("/")
    inverse, check = last.split("-")
    refuse(_CODE, "other bytes than the name says", h("object", data).hex() != check)
    match unpack(data, LARGEST_HEAD, _CODE):
        case [bytes(envelope), bytes(steward), bytes(member), bytes(embedded), bytes(signature)]:
            boxes = [steward, member, embedded]
        case _:
            raise Refused(_CODE, "not five strings of bytes")
    match unpack(envelope, LARGEST_HEAD, _CODE):
        case [
            1, bytes(in_space), bytes(writer), bytes(device), bytes(incarnation), int(sequence), bytes(previous),
            int(level), int(), list(layers), extra,
        ]:  # fmt: skip
            check_extra(extra, _CODE)
        case _:
            raise Refused(_CODE, "not an envelope of version 1")
    digest = h("head", envelope)
    if device not in devices:
        raise Refused(_CODE, "not a member's device")
    try:
        Ed25519PublicKey.from_public_bytes(devices[device]).verify(signature, b"ropewalk head 1\0" + digest)
    except InvalidSignature:
        raise Refused(_CODE, "a signature that does not verify") from None
    named = (in_space.hex(), writer.hex(), f"{2**64 - 1 - sequence & 2**64 - 1:016x}")
    refuse(
        _CODE, "another space, writer or sequence", named != (space_hex, writer_hex, inverse) or in_space != space.id
    )
    refuse(_CODE, "a writer that does not follow", len(incarnation) != 16 or writer != writer_of(device, incarnation))
    refuse(_CODE, "another feature level", level != feature)
    refuse(_CODE, "sequence and previous", sequence < 1 or len(previous) != 32 or (sequence == 1) == any(previous))
    refuse(_CODE, "another layer", layers != [h("layer", box) for box in boxes] or len(embedded) > 64 * 1024)
    place = space.id + writer + number(sequence, 8) + previous
    opened = _steward(_layer(space, "steward", place, steward))
    members = _layer(space, "member", place, member)
    vector, root = _member(members)
    refuse(_CODE, "itself in its vector", writer in vector)
    return Head(digest, writer, sequence, previous, opened, members, vector, root, embedded)


def _layer(space: Space, key: str, place: bytes, box: bytes) -> list[object]:
    refuse("keys.epoch-unknown", "of another epoch", len(box) >= 8 + 32 + 16 and box[:8] != space.epoch_tag)
    try:
        plain = space.open(key, key.encode() + place, box)
    except Refused as error:
        raise Refused(_CODE, str(error)) from None
    end = 4 + int.from_bytes(plain[:4], "big")
    refuse(_CODE, "another padding", plain != layer(plain[4:end]))
    return unpack(plain[4:end], LARGEST_HEAD, _CODE)


def _steward(fields: list[object]) -> list[object]:
    match fields:
        case [1, int(), list(), list(), int(), list(), list(), list(), None, extra]:
            check_extra(extra, _CODE)
            return fields
    raise Refused(_CODE, "not a steward layer of version 1")


def _member(fields: list[object]) -> tuple[dict[bytes, tuple[int, bytes]], bytes | None]:
    match fields:
        case [1, int(), list(), list(flat), root, int(entries), int(), str(note), extra]:
            check_extra(extra, _CODE)
        case _:
            raise Refused(_CODE, "not a member layer of version 1")
    refuse(_CODE, "a note over 1,000 bytes, or a count below 0", len(note.encode()) > 1000 or entries < 0)
    refuse(_CODE, "a vector that ends within an item, or too long", len(flat) % 3 != 0 or len(flat) > 3 * 1024)
    vector: dict[bytes, tuple[int, bytes]] = {}
    last = b""
    for at in range(0, len(flat), 3):
        match flat[at : at + 3]:
            case [bytes(writer), int(sequence), bytes(digest)] if len(writer) == 16 and len(digest) == 32:
                refuse(_CODE, "a vector out of order", writer <= last or sequence < 1)
                vector[writer], last = (sequence, digest), writer
            case _:
                raise Refused(_CODE, "a vector of other things")
    if root is None:
        return vector, None
    if not isinstance(root, bytes):
        raise Refused(_CODE, "a root that is not bytes")
    try:
        parse_reference(root)
    except Refused as error:
        raise Refused(_CODE, str(error)) from None
    return vector, root
