"""Vectors of hints: digests, bulletins, and each refusal that there is reason for (hints.md 1).

Flow: fixture, reference -> cases, each opened again by the reference -> make.py -> hints.json
Never: imports ropewalk.
"""

from __future__ import annotations

from dataclasses import replace

from docs.spec.vectors.fixture import DEVICE, SPACE, STRANGER, Case
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_hints import (
    heads_digest,
    hint_key,
    hint_name,
    open_bulletin,
    records_digest,
    seal_bulletin,
    seal_plain,
)
from docs.spec.vectors.reference_records import Refused, number, pack

__all__ = ["ACTIVE", "cases", "object_of"]

ACTIVE = {DEVICE.id: DEVICE.ed25519.public_key().public_bytes_raw()}
VECTOR = {made(f"writer {at}", 16): (at + 1, made(f"head {at}", 32)) for at in range(3)}
RECORDS = [made("record b", 32), made("record a", 32)]
NEWEST: list[object] = [[made("writer 0", 16), 1, made("object", 32)]]
THREE: list[object] = [[writer, VECTOR[writer][0], made("object", 32)] for writer in sorted(VECTOR)]
_LONG = 1024  # bytes; longer ones are sealed anew from their record
FIELDS: list[object] = [
    *(1, DEVICE.id, made("run", 16), 7, 1_795_000_000_000_000_000, 60),
    *(heads_digest(VECTOR), records_digest(RECORDS), NEWEST, {}),
]


def _with(**fields: object) -> bytes:
    names = ["version", "device", "run", "count", "time", "period", "heads", "records", "newest", "extra"]
    return pack([fields.get(name, value) for name, value in zip(names, FIELDS, strict=True)])


def object_of(case: Case) -> bytes:
    """The object of a case: as it is, or its record signed and sealed anew."""
    if "bytes" in case:
        return bytes.fromhex(str(case["bytes"]))
    return seal_bulletin(SPACE, DEVICE, bytes.fromhex(str(case["record"])))


def cases() -> list[Case]:
    """All cases of hints.json; all are of the space and the device of basics.json, which alone is active."""
    found = [*_names_and_digests(), *_good(), *_damaged()]
    for case in found:
        if case["what"] == "bulletin":
            _check(case)
    return found


def _check(case: Case) -> None:
    refused = ""
    try:
        fields = open_bulletin(SPACE, object_of(case), ACTIVE)
        assert pack(fields).hex() == case["record"], case
    except Refused as error:
        refused = error.code
    assert refused == case.get("error", ""), (case, refused)


def _names_and_digests() -> list[Case]:
    vectors: list[tuple[str, dict[bytes, tuple[int, bytes]]]] = [
        ("of no heads", {}),
        ("of three writers, by ascending writer", VECTOR),
        ("of the last sequence", {made("writer 0", 16): (2**63 - 1, made("head 0", 32))}),
    ]
    told: list[Case] = [
        {"what": "hint", "why": "name and key", "name": hint_name(SPACE), "key": hint_key(SPACE).hex()},
        {
            "what": "records-digest",
            "why": "of two records, ascending",
            "records": [one.hex() for one in RECORDS],
            "digest": records_digest(RECORDS).hex(),
        },
    ]
    for why, vector in vectors:
        heads = [[writer.hex(), at, head.hex()] for writer, (at, head) in vector.items()]
        told.append({"what": "heads-digest", "why": why, "heads": heads, "digest": heads_digest(vector).hex()})
    return told


def _good() -> list[Case]:
    many: list[object] = [[number(at, 16), 2**63 - 1, made("object", 32)] for at in range(1, 65)]
    rows = [
        ("with three heads", _with(newest=THREE)),
        (
            "of an empty space, the first of its run",
            _with(count=1, newest=[], heads=heads_digest({}), time=0, period=1),
        ),
        ("with 64 heads, the last count and time", _with(newest=many, count=2**63 - 1, time=2**63 - 1, period=600)),
        ("with fields of a later version", _with(extra={9: "later"})),
    ]
    told: list[Case] = [{"what": "bulletin", "why": why, "record": record.hex()} for why, record in rows]
    for case in told:
        if len(data := object_of(case)) < _LONG:
            case["bytes"] = data.hex()
    return told


def _damaged() -> list[Case]:
    other = [[made("writer 0", 16), 1, made("object", 32)]]
    records = [
        ("version 2", _with(version=2)),
        ("a device id of 15 bytes", _with(device=DEVICE.id[1:])),
        ("a run of 15 bytes", _with(run=bytes(15))),
        ("count 0", _with(count=0)),
        ("a count over 63 bits", _with(count=2**63)),
        ("a time before 1970", _with(time=-1)),
        ("a time over 63 bits", _with(time=2**63)),
        ("a period of 0 s", _with(period=0)),
        ("a period of 601 s", _with(period=601)),
        ("a digest of heads of 31 bytes", _with(heads=bytes(31))),
        ("a digest of records of 33 bytes", _with(records=bytes(33))),
        ("one writer twice", _with(newest=other * 2)),
        ("writers not in order", _with(newest=THREE[::-1])),
        ("a writer of 15 bytes", _with(newest=[[bytes(15), 1, bytes(32)]])),
        ("a head of sequence 0", _with(newest=[[bytes(15) + b"\1", 0, bytes(32)]])),
        ("a head of a sequence over 63 bits", _with(newest=[[bytes(15) + b"\1", 2**63, bytes(32)]])),
        ("an object hash of 31 bytes", _with(newest=[[bytes(15) + b"\1", 1, bytes(31)]])),
        ("a head of two parts", _with(newest=[[bytes(15) + b"\1", 1]])),
        ("nine fields", pack(FIELDS[:9])),
        ("eleven fields", pack([*FIELDS, 0])),
        ("extra over 1 KiB", _with(extra={1: bytes(1030)})),
        ("bytes left over", _with() + b"\0"),
        ("a number not in its shortest form", b"\x9a\xcc\x01" + _with()[2:]),
        ("no record", b"junk"),
    ]
    not_active = "a device that is not active"
    codes = {"a device id of 15 bytes": "hint.not-active"}
    told: list[Case] = [
        {"what": "bulletin", "why": why, "record": record.hex(), "error": codes.get(why, "hint.damaged")}
        for why, record in records
    ]
    told.append(
        {"what": "bulletin", "why": not_active, "record": _with(device=STRANGER.id).hex(), "error": "hint.not-active"}
    )
    return told + [
        {"what": "bulletin", "why": why, "bytes": data.hex(), "error": code} for why, data, code in _objects()
    ]


def _objects() -> list[tuple[str, bytes, str]]:
    sound = seal_bulletin(SPACE, DEVICE, _with())
    signed = pack([_with(), bytes(64)])
    padded = number(len(signed), 4) + signed + bytes(-(4 + len(signed)) % 256)
    elsewhere = replace(SPACE, id=made("another space", 32))
    box, damaged = "keys.box-damaged", "hint.damaged"
    return [
        ("a signature by another device", seal_bulletin(SPACE, STRANGER, _with()), damaged),
        ("a signature of zeros", seal_plain(SPACE, padded), damaged),
        ("padding that is not zeros", seal_plain(SPACE, padded[:-1] + b"\1"), damaged),
        ("padding too much", seal_plain(SPACE, padded + bytes(256)), damaged),
        ("no padding", seal_plain(SPACE, padded[: 4 + len(signed)]), damaged),
        ("nothing inside", seal_plain(SPACE, b""), damaged),
        ("a length past the end", seal_plain(SPACE, b"\xff" * 256), damaged),
        ("the bulletin of another space", seal_bulletin(elsewhere, DEVICE, _with()), box),
        ("a bit of the box turned over", sound[:-1] + bytes([sound[-1] ^ 1]), box),
        ("a box that ends early", sound[:-1], box),
    ]
