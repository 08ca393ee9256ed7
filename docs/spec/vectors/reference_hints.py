"""The format once more: the bulletin (hints.md 1).

Flow: fields -> a record that is signed and sealed -> object, and back
Never: imports ropewalk.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from docs.spec.vectors.reference import Device, Space, h, open_box, seal_box
from docs.spec.vectors.reference_records import Refused, check_extra, number, pack, refuse, unpack

__all__ = ["heads_digest", "hint_key", "hint_name", "open_bulletin", "records_digest", "seal_bulletin", "seal_plain"]

LARGEST_OBJECT, LARGEST_RECORD = 65536, 8192
MOST_NAMED = 64
_CODE = "hint.damaged"


def hint_key(space: Space) -> bytes:
    """The key of hints."""
    return h("hint key", space.steward_secret)


def hint_name(space: Space) -> str:
    """The name of the bulletin in a store."""
    return f"{space.id.hex()}/hints/{32 * '0'}"


def heads_digest(vector: Mapping[bytes, tuple[int, bytes]]) -> bytes:
    """What stands for all heads that an author has seen."""
    return h(
        "hint heads", b"".join(writer + number(vector[writer][0], 8) + vector[writer][1] for writer in sorted(vector))
    )


def records_digest(newest: list[bytes]) -> bytes:
    """What stands for all records that an author knows."""
    return h("hint records", b"".join(sorted(newest)))


def _message(space: Space, record: bytes) -> bytes:
    return b"ropewalk hint 1\0" + h("hint", space.id + record)


def seal_bulletin(space: Space, device: Device, record: bytes) -> bytes:
    """A record, signed and sealed."""
    signed = pack([record, device.ed25519.sign(_message(space, record))])
    return seal_plain(space, number(len(signed), 4) + signed + bytes(-(4 + len(signed)) % 256))


def seal_plain(space: Space, plain: bytes) -> bytes:
    """Whatever it is, sealed as a bulletin is."""
    return seal_box(hint_key(space), space.epoch_tag, b"hint" + space.id, plain)


def open_bulletin(space: Space, data: bytes, active: Mapping[bytes, bytes]) -> list[object]:
    """The fields of a bulletin; ``active`` has the Ed25519 keys of devices by their ids."""
    refuse(_CODE, "longer than its limit", len(data) > LARGEST_OBJECT)
    plain = open_box(hint_key(space), space.epoch_tag, b"hint" + space.id, data)
    length = int.from_bytes(plain[:4], "big")
    filled = -(-(4 + length) // 256) * 256
    refuse(_CODE, "another padding", len(plain) != filled or plain[4 + length :].strip(b"\0") != b"")
    signed = unpack(plain[4 : 4 + length], LARGEST_OBJECT, _CODE)
    refuse(_CODE, "not two parts", [type(part) for part in signed] != [bytes, bytes])
    record, signature = signed
    assert isinstance(record, bytes)
    assert isinstance(signature, bytes)
    fields = unpack(record, LARGEST_RECORD, _CODE)
    kinds = [int, bytes, bytes, int, int, int, bytes, bytes, list]
    refuse(_CODE, "other fields", len(fields) != 10 or [type(field) for field in fields[:9]] != kinds)
    check_extra(fields[9], _CODE)
    version, device, run, count, time, period, heads, records, newest, _ = fields
    named = _named(newest)
    assert isinstance(device, bytes)
    if device not in active:
        raise Refused("hint.not-active", "a device that is not active")
    try:
        Ed25519PublicKey.from_public_bytes(active[device]).verify(signature, _message(space, record))
    except InvalidSignature:
        raise Refused(_CODE, "another signature") from None
    refuse(_CODE, "another version", version != 1)
    for field, size in ((device, 16), (run, 16), (heads, 32), (records, 32)):
        refuse(_CODE, "another size", not isinstance(field, bytes) or len(field) != size)
    for value, least, most in ((count, 1, 2**63 - 1), (time, 0, 2**63 - 1), (period, 1, 600)):
        refuse(_CODE, "out of range", not isinstance(value, int) or not least <= value <= most)
    refuse(_CODE, "too many heads", len(named) > MOST_NAMED)
    writers = [writer for writer, _, _ in named]
    refuse(_CODE, "not in order", writers != sorted(set(writers)))
    for writer, sequence, check in named:
        refuse(_CODE, "no head", len(writer) != 16 or len(check) != 32 or not 1 <= sequence < 2**63)
    return fields


def _named(newest: object) -> list[tuple[bytes, int, bytes]]:
    assert isinstance(newest, list)
    named = []
    for head in newest:
        match head:
            case [bytes(writer), int(sequence), bytes(check)]:
                named.append((writer, sequence, check))
            case _:
                raise Refused(_CODE, "not a head")
    return named
