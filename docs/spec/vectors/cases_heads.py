"""Vectors of heads: sealed, opened, and each refusal that one head alone gives reason for (space.md 6).

Flow: fixture, reference -> cases -> make.py -> heads.json
Never: imports ropewalk.
"""

from __future__ import annotations

from dataclasses import replace

from docs.spec.vectors.fixture import DEVICE, SPACE, STRANGER, Case
from docs.spec.vectors.reference import h, made, seal_chunk
from docs.spec.vectors.reference_heads import Heading, embed, head_name, layer, open_head, sign_head
from docs.spec.vectors.reference_packs import column_root, directory_record, leaf_hashes, pack_name
from docs.spec.vectors.reference_records import number, pack, unpack

__all__ = ["DEVICES", "cases", "first_with", "member_layer", "object_of"]

LAST = 2**63 - 1  # what a signed number of 64 bits holds, too
FIRST = Heading(DEVICE, made("incarnation", 16), 1)
SECOND = replace(FIRST, sequence=2, previous=made("previous head", 32))
EPOCH_RECORD = made("epoch record", 32)
REFERENCE = seal_chunk(SPACE, 2, made("root node", 300))[0]
SEEN = {made("writer a", 16): (7, made("head a", 32)), made("writer b", 16): (LAST, made("head b", 32))}
VECTOR: list[bytes | int] = [part for writer in sorted(SEEN) for part in (writer, *SEEN[writer])]
DEVICES = {DEVICE.id: DEVICE.ed25519.public_key().public_bytes_raw()}
STEWARD: list[object] = [1, 1, [], [REFERENCE[:32]], 0, [], [], [], None, {}]
MEMBER: list[object] = [1, 1, [EPOCH_RECORD], [], REFERENCE, 3, 1_795_000_000_000_000_000, "a note", {}]


def _boxes(heading: Heading, steward: bytes | None = None, member: bytes | None = None) -> list[bytes]:
    return heading.boxes(SPACE, steward or layer(pack(STEWARD)), member or layer(pack(MEMBER)))


def _sealed(heading: Heading = FIRST) -> bytes:
    return sign_head(SPACE, heading, _boxes(heading))


def object_of(case: Case) -> bytes:
    """The object of a case: as it is, or the first one with another envelope, or with other layers, signed anew."""

    def part(field: str) -> bytes | None:
        return bytes.fromhex(str(case[field])) if field in case else None

    if (data := part("bytes")) is not None:
        return data
    if (envelope := part("envelope")) is not None:
        return _resigned(envelope, list(_boxes(FIRST)))
    return sign_head(SPACE, FIRST, _boxes(FIRST, part("steward_layer"), part("member_layer")))


def first_with(member: bytes | None, embedded: bytes) -> tuple[str, bytes]:
    """Name and object of the first head with another member layer, or another embedded pack."""
    boxes = FIRST.boxes(SPACE, layer(pack(STEWARD)), member or layer(pack(MEMBER)), embedded)
    data = sign_head(SPACE, FIRST, boxes)
    return head_name(SPACE.id, FIRST.writer_id, 1, data), data


def cases() -> list[Case]:
    """All cases of heads.json; all are of the space and the device of basics.json."""
    return [*_good(), *_damaged()]


def _good() -> list[Case]:
    chunk = seal_chunk(SPACE, 2, made("embedded node", 400))[1]
    root = column_root(len(chunk), leaf_hashes(chunk))
    name = pack_name([len(chunk)], [root])
    record = directory_record([h("chunk id", chunk)], [0], [len(chunk)], [[]], [])
    embedded = embed(SPACE.seal("directory", b"directory" + SPACE.id + name, record), chunk)
    packs: list[object] = [[made("a pack", 32), made("its manifest", 32), made("its directory", 32), 5000]]
    debt: list[object] = [[made("a pack", 32), b"\0\2"]]
    full: list[object] = [1, 1, packs, [REFERENCE[:32]], 1, debt, [made("a head", 32)], [], None, {}]
    seen = [1, 1, [EPOCH_RECORD], VECTOR, REFERENCE, 3, 1, "", {}]
    empty: list[object] = [1, 1, [EPOCH_RECORD], [], None, 0, 0, "", {}]
    rows = [
        ("the first of a writer, without a pack", FIRST, STEWARD, MEMBER, b""),
        ("an empty space", FIRST, [*STEWARD[:3], [], *STEWARD[4:]], empty, b""),
        ("a later one with all fields", SECOND, full, seen, b""),
        ("with an embedded pack", SECOND, STEWARD, MEMBER, embedded),
        ("of the last sequence", replace(SECOND, sequence=LAST), STEWARD, MEMBER, b""),
    ]
    later: dict[object, object] = {9: "later"}
    beyond = [
        (
            "with fields of a later version",
            replace(FIRST, extra=later),
            [*STEWARD[:9], later],
            [*MEMBER[:8], later],
            b"",
        ),
        ("a checkpoint", replace(FIRST, kind=1), STEWARD, MEMBER, b""),
    ]
    cases = [_case(*row, made_by_writers=True) for row in rows] + [_case(*row, made_by_writers=False) for row in beyond]
    return [*cases, _embedded_pack(embedded, name, chunk)]


def _embedded_pack(embedded: bytes, name: bytes, chunk: bytes) -> Case:
    return {
        "what": "embedded",
        "why": "an embedded pack, taken apart",
        "bytes": embedded.hex(),
        "name": name.hex(),
        "column": chunk.hex(),
        "chunk": h("chunk id", chunk).hex(),
    }


def _case(
    why: str, heading: Heading, steward: list[object], member: list[object], embedded: bytes, *, made_by_writers: bool
) -> Case:
    boxes = heading.boxes(SPACE, layer(pack(steward)), layer(pack(member)), embedded)
    data = sign_head(SPACE, heading, boxes)
    name = head_name(SPACE.id, heading.writer_id, heading.sequence, data)
    opened = open_head(SPACE, name, data, DEVICES)
    envelope = unpack(data, 256 * 1024)[0]
    assert isinstance(envelope, bytes)
    return {
        "what": "head",
        "why": why,
        "made_by_writers": made_by_writers,  # else only read: a writer of version 1 makes no such head
        "incarnation": heading.incarnation.hex(),
        "sequence": heading.sequence,
        "previous": heading.previous.hex(),
        "envelope": envelope.hex(),
        "steward": pack(steward).hex(),
        "member": pack(member).hex(),
        "embedded": embedded.hex(),
        "hash": opened.hash.hex(),
        "name": name,
        "bytes": data.hex(),
    }


# ---- heads that must be refused --------------------------------------------------------------------------------------


def _damaged() -> list[Case]:
    cases = [_refused(why, bytes=data) for why, data in _objects()]
    cases += [_refused(why, name, envelope=data) for why, data, name in _envelopes()]
    cases += [_refused(why, None, **{f"{which}_layer": data}) for why, which, data in _layers()]
    cases += [_refused(f"a vector {why}", member_layer=member_layer(vector=vector)) for why, vector in _vectors()]
    data = _sealed()
    other = head_name(SPACE.id, FIRST.writer_id, 1, b"other bytes")
    wrong = [
        ("bytes that the name does not commit to", other),
        ("another sequence in its name", head_name(SPACE.id, FIRST.writer_id, 2, data)),
        ("another writer in its name", head_name(SPACE.id, made("writer a", 16), 1, data)),
        ("another space in its name", head_name(made("another space", 32), FIRST.writer_id, 1, data)),
    ]
    return [*cases, *(_refused(why, name, bytes=data) for why, name in wrong)]


def _refused(why: str, name: str | None = None, **parts: bytes) -> Case:
    told: Case = {field: data.hex() for field, data in parts.items()}
    name = name or head_name(SPACE.id, FIRST.writer_id, 1, object_of(told))
    code = "keys.epoch-unknown" if why == "layers of another epoch" else "head.damaged"
    return {"what": "head", "why": why, "name": name} | told | {"error": code}


def _envelopes() -> list[tuple[str, bytes, str]]:
    rows = [
        ("version 2", replace(FIRST, version=2)),
        ("another space", replace(FIRST, space=made("another space", 32))),
        ("a writer that does not follow from the device", replace(FIRST, writer=made("writer a", 16))),
        ("an incarnation of 15 bytes", replace(FIRST, incarnation=FIRST.incarnation[1:])),
        ("a device that is not a member's", replace(FIRST, device=STRANGER)),
        ("a first head with a previous one", replace(FIRST, previous=made("previous head", 32))),
        ("a second head without a previous one", replace(FIRST, sequence=2)),
        ("a previous of 31 bytes", replace(FIRST, previous=bytes(31))),
        ("sequence 0", replace(FIRST, sequence=0)),
        ("a feature level that the records do not have", replace(FIRST, feature=2)),
        ("layer hashes of other layers", replace(FIRST, layers=[made("layer", 32)] * 3)),
        ("a layer hash too few", replace(FIRST, layers=_hashes()[:2])),
        ("layer hashes in another order", replace(FIRST, layers=_hashes()[::-1])),
        ("extra that is no map", replace(FIRST, extra=[])),
        ("extra over 1 KiB", replace(FIRST, extra={1: bytes(1030)})),
    ]
    named = [(why, _envelope(heading), heading) for why, heading in rows]
    sound = _envelope(FIRST)
    fields = unpack(sound, 256 * 1024)
    raw = [
        ("an envelope of ten fields", pack(fields[:10])),
        ("an envelope of twelve fields", pack([*fields, 0])),
        ("an envelope with a number not in its shortest form", b"\x9b\xcc\x01" + sound[2:]),
        ("an envelope with bytes left over", sound + b"\0"),
    ]
    # Each has the name that fits what it says of itself, so that the name is no reason to refuse it.
    return [(why, data, _own_name(heading, data)) for why, data, heading in named] + [
        (why, data, _own_name(FIRST, data)) for why, data in raw
    ]


def _envelope(heading: Heading) -> bytes:
    envelope = unpack(sign_head(SPACE, heading, _boxes(FIRST)), 256 * 1024)[0]
    assert isinstance(envelope, bytes)
    return envelope


def _own_name(heading: Heading, envelope: bytes) -> str:
    data = object_of({"envelope": envelope.hex()})
    return head_name(heading.space or SPACE.id, heading.writer or heading.writer_id, heading.sequence, data)


def _hashes() -> list[bytes]:
    return [h("layer", box) for box in _boxes(FIRST)]


def _objects() -> list[tuple[str, bytes]]:
    data = _sealed()
    parts = unpack(data, 256 * 1024)
    envelope, *boxes, signature = parts
    assert isinstance(envelope, bytes)
    assert isinstance(signature, bytes)
    flipped = signature[:5] + bytes([signature[5] ^ 1]) + signature[6:]
    return [
        ("nothing", b""),
        ("no array", pack(data)),
        ("four parts", pack(parts[:4])),
        ("six parts", pack([*parts, b""])),
        ("text for bytes", pack(["x", *parts[1:]])),
        ("a byte after the end", data + b"\0"),
        ("cut short", data[:-1]),
        ("a length not in its shortest form", data[:1] + b"\xc5\0" + data[2:]),
        ("a flipped bit in the signature", pack([envelope, *boxes, flipped])),
        ("no signature", pack([envelope, *boxes, b""])),
        ("signed by another device", sign_head(SPACE, FIRST, _boxes(FIRST), signer=STRANGER)),
        ("a flipped bit in the member layer", pack([envelope, boxes[0], _flip(boxes[1]), boxes[2], signature])),
        ("an embedded pack that is not signed", pack([envelope, *boxes[:2], b"\0\0\0\0", signature])),
        ("layers swapped", _resigned_layers([boxes[1], boxes[0], boxes[2]])),
        ("layers of another sequence", _resigned_layers(_boxes(SECOND))),
        ("layers of another epoch", _resigned_layers([_other_epoch(box) for box in boxes[:2]] + [b""])),
    ]


def _flip(box: object) -> bytes:
    assert isinstance(box, bytes)
    return box[:-1] + bytes([box[-1] ^ 1])


def _other_epoch(box: object) -> bytes:
    assert isinstance(box, bytes)
    return made("epoch", 8) + box[8:]


def _resigned(envelope: bytes, boxes: list[object]) -> bytes:
    return pack([envelope, *boxes, DEVICE.ed25519.sign(b"ropewalk head 1\0" + h("head", envelope))])


def _resigned_layers(boxes: list[object] | list[bytes]) -> bytes:
    return sign_head(SPACE, FIRST, [box for box in boxes if isinstance(box, bytes)])


def member_layer(**at: object) -> bytes:
    """The plain bytes of a member layer with some fields changed."""
    names = {"version": 0, "membership": 2, "vector": 3, "root": 4, "entries": 5, "time": 6, "note": 7, "extra": 8}
    changed = list(MEMBER)
    for name, value in at.items():
        changed[names[name]] = value
    return layer(pack(changed))


def _layers() -> list[tuple[str, str, bytes]]:
    sound, steward = pack(MEMBER), pack(STEWARD)
    blocks = layer(sound)
    rows = [
        ("that is not padded", blocks[: 4 + len(sound)]),
        ("with a block too many", blocks + bytes(256)),
        ("padded with ones", blocks[:-1] + b"\1"),
        ("whose length lies", number(10**6, 4) + blocks[4:]),
        ("with bytes after the record", layer(sound + b"\0")),
        ("of eight fields", layer(pack(MEMBER[:8]))),
        ("of ten fields", layer(pack([*MEMBER, 0]))),
        ("of version 2", member_layer(version=2)),
        ("with a membership that is no array", member_layer(membership=b"")),
        ("with a root of 72 bytes", member_layer(root=REFERENCE[1:])),
        ("with a root with flags 2", member_layer(root=REFERENCE[:72] + b"\2")),
        ("with a root of no bytes", member_layer(root=REFERENCE[:64] + bytes(9))),
        ("with a count of entries below 0", member_layer(entries=-1)),
        ("with a note of over 1,000 bytes", member_layer(note="n" * 1001)),
        ("with a note that is not UTF-8", layer(sound.replace(b"a note", b"a not\xff"))),
        ("with a note of bytes", member_layer(note=b"a note")),
        ("with extra that is no map", member_layer(extra=None)),
        ("with a time that is not a number", member_layer(time="now")),
    ]
    more = [
        ("that is not padded", number(len(steward), 4) + steward),
        ("of version 2", layer(pack([2, *STEWARD[1:]]))),
        ("of nine fields", layer(pack(STEWARD[:9]))),
        ("with extra that is no map", layer(pack([*STEWARD[:9], 0]))),
    ]
    return [(f"a member layer {why}", "member", data) for why, data in rows] + [
        (f"a steward layer {why}", "steward", data) for why, data in more
    ]


def _vectors() -> list[tuple[str, list[bytes | int | str]]]:
    a, b, digest = VECTOR[0], VECTOR[3], made("head a", 32)
    assert isinstance(a, bytes)
    assert isinstance(b, bytes)
    return [
        ("out of order", [b, 1, digest, a, 1, digest]),
        ("with a writer twice", [a, 1, digest, a, 2, digest]),
        ("that ends within an item", [a, 1]),
        ("with the head's own writer", [FIRST.writer_id, 1, digest]),
        ("with sequence 0", [a, 0, digest]),
        ("with a sequence below 0", [a, -1, digest]),
        ("with a writer of 15 bytes", [a[1:], 1, digest]),
        ("with a hash of 31 bytes", [a, 1, digest[1:]]),
        ("with things in another order", [a, digest, 1]),
        ("with text", [a, 1, "x" * 32]),
    ]
