"""The format once more: commitments, branches and proof files (groups.md 4.1, 5.2 and 6).

Flow: fields -> bytes, and back
Never: imports ropewalk.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from docs.spec.vectors.reference import Device, h, m
from docs.spec.vectors.reference_heads import record_message, writer_of
from docs.spec.vectors.reference_records import Pairs, Refused, check_extra, number, pack, refuse, unpack

__all__ = ["blind_of", "branch_of", "commitment_of", "proof_file", "verify_proof"]

_CODE = "proof.damaged"
_LIMIT = 4 << 20


def blind_of(epoch_secret: bytes, space_id: bytes, writer: bytes, sequence: int, previous: bytes) -> bytes:
    """What hides a commitment."""
    return m(h("seen blind", epoch_secret), space_id + writer + number(sequence, 8) + previous)


def commitment_of(blind: bytes, seen: bytes) -> bytes:
    """What an envelope commits to."""
    return h("seen", blind + seen)


def branch_of(writer: bytes, head: bytes) -> bytes:
    """The name of the branch that a head begins."""
    return h("branch", writer + head)[:16]


def proof_file(
    kind: int,
    space_id: bytes,
    records: list[bytes],
    exhibits: list[bytes],
    word: tuple[Device, bytes | None, str, int] | None = None,
) -> bytes:
    """A proof file; ``word`` is who says it, of which store, what and when."""
    statement: list[object] | None = None
    if word is not None:
        finder, store, text, time = word
        fields = [kind, space_id, records, exhibits, finder.id, store, text, time]
        message = b"ropewalk proof 1\0" + h("proof", pack(fields))
        statement = [finder.id, store, text, time, finder.ed25519.sign(message)]
    return pack(["ropewalk proof", 1, kind, space_id, records, exhibits, statement, {}])


def verify_proof(data: bytes) -> tuple[int, bytes]:
    """Kind and device of a proof that rests on the genesis alone."""
    match unpack(data, _LIMIT, _CODE):
        case [
            "ropewalk proof", 1, int(kind), bytes(space_id), [bytes(genesis)], [bytes(one), bytes(other)],
            statement, extra,
        ]:  # fmt: skip
            check_extra(extra, _CODE)
        case _:
            raise Refused(_CODE, "not a proof file of version 1")
    devices = _devices(space_id, genesis)
    store = _statement(kind, space_id, [genesis], [one, other], statement, devices)
    refuse(_CODE, "another kind", kind not in range(1, 7))
    if kind in (5, 6):
        refuse(_CODE, "nobody's word", store is None)
        return kind, (_rollback if kind == 5 else _replay)(space_id, one, other, devices)
    if kind == 2:
        return kind, _forked_record(space_id, one, other, devices)
    first, second = (_head(space_id, exhibit, devices, opened=kind == 3) for exhibit in (one, other))
    refuse(_CODE, "two writers", first[1] != second[1])
    if kind == 1:
        same = first[2] == second[2] or (first[3] == second[3] and any(first[3]))
        refuse(_CODE, "no fork", not same or (first[2], first[0]) >= (second[2], second[0]))
    else:
        refuse(_CODE, "out of order", first[2] >= second[2])
        refuse(_CODE, "no lower level", kind == 4 and first[4] <= second[4])
        refuse(_CODE, "nothing forgotten", kind == 3 and not _less(first[5], second[5]))
    return kind, first[6]


_Devices = dict[bytes, tuple[Ed25519PublicKey, MLDSA65PublicKey]]


def _devices(space_id: bytes, genesis: bytes) -> _Devices:
    space, author, *_, brought = _record(genesis, {})
    refuse(_CODE, "another space", space != space_id or author not in brought)
    return brought


def _record(data: bytes, devices: _Devices) -> tuple[bytes, bytes, bytes, int, bytes, _Devices]:
    """Space, author, incarnation, number and hash of a record, and the devices that a genesis brings."""
    match unpack(data, 2 << 20, _CODE):
        case [bytes(body), bytes(quick), bytes(slow)]:
            fields = unpack(body, 2 << 20, _CODE)
        case _:
            raise Refused(_CODE, "no record")
    brought: _Devices = {}
    match fields:
        case ["genesis", 1, *_, list(publics), int(), _]:
            for public in publics:
                keys = Ed25519PublicKey.from_public_bytes(public[1]), MLDSA65PublicKey.from_public_bytes(public[2])
                brought[h("device", number(public[0], 1) + b"".join(public[1:]))[:16]] = keys
            said = h("space", body), next(iter(brought)), b"", 0
        case ["epoch", 1, bytes(space), int(count), list(), bytes(author), *_]:
            said = space, author, b"", count
        case ["op", 1, bytes(space), bytes(author), bytes(life), int(count), *_]:
            said = space, author, life, count
        case _:
            raise Refused(_CODE, "no record that is known")
    if (signer := brought.get(said[1]) or devices.get(said[1])) is not None:
        try:
            signer[0].verify(quick, record_message(body))
            signer[1].verify(slow, record_message(body))
        except InvalidSignature:
            raise Refused(_CODE, "a record that is not signed") from None
    return *said, h("record", body), brought


def _forked_record(space_id: bytes, one: bytes, other: bytes, devices: _Devices) -> bytes:
    first, second = _record(one, devices), _record(other, devices)
    refuse(_CODE, "another number", first[:4] != second[:4] or first[0] != space_id or not first[2])
    refuse(_CODE, "a stranger's", first[1] not in devices)
    refuse(_CODE, "out of order", first[4] >= second[4])
    return first[1]


def _statement(
    kind: int,
    space_id: bytes,
    records: list[bytes],
    exhibits: list[bytes],
    statement: object,
    devices: _Devices,
) -> bytes | None:
    match statement:
        case None:
            return None
        case [bytes(finder), bytes() | None as store, str(text), int(time), bytes(signature)]:
            refuse(_CODE, "a longer text", len(text.encode()) > 500 or (store is not None and len(store) != 16))
        case _:
            raise Refused(_CODE, "no statement")
    fields = pack([kind, space_id, records, exhibits, finder, store, text, time])
    refuse(_CODE, "a finder who is not introduced", finder not in devices)
    try:
        devices[finder][0].verify(signature, b"ropewalk proof 1\0" + h("proof", fields))
    except InvalidSignature:
        raise Refused(_CODE, "a statement that is not signed") from None
    return store


_Exhibit = tuple[bytes, bytes, int, bytes, int, dict[bytes, int], bytes]


def _head(
    space_id: bytes, exhibit: bytes, devices: _Devices, *, opened: bool = False, foreign: bool = False
) -> _Exhibit:
    """Hash, writer, sequence, previous, level, what it has seen, and the device of an exhibit."""
    parts = unpack(exhibit, _LIMIT, _CODE)
    refuse(_CODE, "another exhibit", len(parts) != (4 if opened else 2))
    signed, signature = parts[:2]
    assert isinstance(signed, bytes)
    assert isinstance(signature, bytes)
    match unpack(signed, 256 * 1024, _CODE):
        case [
            1, bytes(space), bytes(writer), bytes(device), bytes(incarnation), int(sequence), bytes(previous),
            int(level), int(), list(), extra,
        ]:  # fmt: skip
            pass
        case _:
            raise Refused(_CODE, "no envelope")
    refuse(_CODE, "another space or writer", (space != space_id) != foreign or writer != writer_of(device, incarnation))
    digest = h("head", signed)
    refuse(_CODE, "a stranger's", device not in devices and not foreign)
    try:
        if device in devices:
            devices[device][0].verify(signature, b"ropewalk head 1\0" + digest)
    except InvalidSignature:
        raise Refused(_CODE, "not signed") from None
    seen: dict[bytes, int] = {}
    if opened:
        blind, plain = parts[2:]
        assert isinstance(blind, bytes)
        assert isinstance(plain, bytes)
        assert isinstance(extra, Pairs)
        held = dict(extra)
        refuse(_CODE, "another commitment", held.get(1) != commitment_of(blind, plain))
        flat = unpack(plain, _LIMIT, _CODE)[1]
        assert isinstance(flat, list)
        seen = dict(zip(flat[::3], flat[1::3], strict=True))
    return digest, writer, sequence, previous, level, seen, device


def _less(before: dict[bytes, int], after: dict[bytes, int]) -> bool:
    less = [last for writer, last in before.items() if after.get(writer, 0) < last]
    return any(all(other < last or before.get(name, 0) >= other for name, other in after.items()) for last in less)


def _is_record(exhibit: bytes) -> bool:
    return len(unpack(exhibit, _LIMIT, _CODE)) == 3


def _replay(space_id: bytes, one: bytes, other: bytes, devices: _Devices) -> bytes:
    if _is_record(one):
        space, author, *_ = _record(one, devices)
        name = f"{space_id.hex()}/records/{h('object', one).hex()}".encode()
        refuse(_CODE, "this very space, or another name", space == space_id or other != name)
        return author
    device = _head(space_id, one, devices, foreign=True)[6]
    prefix = f"{space_id.hex()}/heads/".encode()
    refuse(_CODE, "another name", not other.startswith(prefix) or not other.isascii() or len(other) > 200)
    return device


def _rollback(space_id: bytes, one: bytes, other: bytes, devices: _Devices) -> bytes:
    if _is_record(one):
        space, device, *_ = _record(one, devices)
        refuse(_CODE, "another space, or a stranger's", space != space_id or device not in devices)
        folder = f"{space_id.hex()}/records/"
        place = folder + h("object", one).hex()
    else:
        _, writer, sequence, _, _, _, device = _head(space_id, one, devices)
        folder = f"{space_id.hex()}/heads/{writer.hex()}/"
        place = f"{folder}{2**64 - 1 - sequence:016x}"
    match unpack(other, _LIMIT, _CODE):
        case [str(after), list(names)]:
            pass
        case _:
            raise Refused(_CODE, "no listing")
    listed = [after, *(str(name) for name in names)]
    refuse(_CODE, "out of order", listed != sorted(set(listed)) or after >= place)
    refuse(_CODE, "elsewhere", any(not name.startswith(folder) for name in listed[1:] if name != "~"))
    refuse(_CODE, "ends before", listed[-1] <= place or any(name.startswith(place) for name in listed))
    return device
