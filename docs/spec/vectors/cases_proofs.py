"""Vectors of commitments, branches and proof files (groups.md 4.1, 5.2 and 6).

Flow: fixture, reference -> cases -> make.py -> proofs.json
Never: imports ropewalk.
"""

from __future__ import annotations

import json
from dataclasses import replace

from docs.spec.vectors.fixture import (
    DEVICE,
    GENESIS,
    RECORDED,
    SECRETS,
    SPACE,
    STRANGER,
    TIME,
    Case,
    record_name,
    signed,
    used,
)
from docs.spec.vectors.reference import Device, h, made
from docs.spec.vectors.reference_groups import operation_body
from docs.spec.vectors.reference_heads import Heading, head_name, layer, sign_head
from docs.spec.vectors.reference_proofs import (
    blind_of,
    branch_of,
    commitment_of,
    proof_file,
    verify_proof,
)
from docs.spec.vectors.reference_records import Refused, pack, unpack

__all__ = ["cases", "file_of"]

MARKER = made("store marker", 16)
WORD = (DEVICE, MARKER, "it no longer lists this head", TIME)
FIRST = Heading(DEVICE, made("incarnation", 16), 1, feature=2)
_OPERATION = "ml-dsa operation "
_recorded: dict[str, str] = {
    label: held for label, held in json.loads(RECORDED.read_text()).items() if label.startswith(_OPERATION)
}
VECTOR: list[bytes | int] = [made("writer a", 16), 7, made("head a", 32)]


def cases() -> list[Case]:
    """All cases of proofs.json."""
    made_here = [_commitment(), *_branches(), *_shown(), *_refused()]
    for case in made_here:
        if case["what"] == "proof":
            _check(case)
    return made_here


def file_of(case: Case) -> bytes:
    """The file of a case, with the genesis of members.json and signatures of recorded.json where they are named."""
    text = str(case["bytes"]).replace("genesis", GENESIS.hex())
    for label, held in _recorded.items():
        text = text.replace(f"[{label}]", held)
    return bytes.fromhex(text)


def _check(case: Case) -> None:
    found: object = None
    try:
        kind, device = verify_proof(file_of(case))
        found = (kind, device.hex(), "")
    except Refused as error:
        found = (case["kind"], "", error.code)
    assert found == (case["kind"], case.get("device", ""), case.get("error", "")), case["why"]


def _seen(heading: Heading, vector: list[bytes | int]) -> tuple[bytes, bytes, Heading]:
    """Blind and plain bytes of what a head has seen, and its heading with the commitment."""
    plain = pack([[made("epoch record", 32)], vector])
    blind = blind_of(SECRETS[:32], SPACE.id, heading.writer_id, heading.sequence, heading.previous)
    return blind, plain, replace(heading, extra={1: commitment_of(blind, plain)})


def _signed(heading: Heading, vector: list[bytes | int] | None = None, note: str = "") -> tuple[bytes, bytes, bytes]:
    """A head as an exhibit, as one that is opened, and its object."""
    blind, plain, heading = _seen(heading, vector or [])
    boxes = heading.boxes(SPACE, layer(pack([1])), layer(pack([note])))
    data = sign_head(SPACE, heading, boxes)
    parts = unpack(data, 256 * 1024)
    return pack([parts[0], parts[4]]), pack([parts[0], parts[4], blind, plain]), data


def _hash(exhibit: bytes) -> bytes:
    envelope = unpack(exhibit, 256 * 1024)[0]
    assert isinstance(envelope, bytes)
    return h("head", envelope)


def _ordered(*exhibits: bytes) -> list[bytes]:
    return sorted(exhibits, key=_hash)


def _commitment() -> Case:
    blind, plain, heading = _seen(FIRST, VECTOR)
    assert isinstance(heading.extra, dict)
    return {
        "what": "commitment",
        "why": "what a head has seen, and what hides it",
        "writer": FIRST.writer_id.hex(),
        "sequence": 1,
        "previous": bytes(32).hex(),
        "blind": blind.hex(),
        "seen": plain.hex(),
        "commitment": heading.extra[1].hex(),
    }


def _branches() -> list[Case]:
    return [
        {
            "what": "branch",
            "why": "the name of a branch",
            "writer": FIRST.writer_id.hex(),
            "head": made(label, 32).hex(),
            "branch": branch_of(FIRST.writer_id, made(label, 32)).hex(),
        }
        for label in ("one branch", "another branch")
    ]


def _proof(why: str, kind: int, data: bytes, error: str = "") -> Case:
    text = data.hex().replace(GENESIS.hex(), "genesis")
    for label, held in used.items():
        if label.startswith(_OPERATION):
            text = text.replace(held, f"[{label}]")
    case: Case = {"what": "proof", "why": why, "kind": kind, "bytes": text}
    return case | ({"error": error} if error else {"device": DEVICE.id.hex(), "hash": h("proof", data).hex()})


def _exhibits() -> dict[int, list[bytes]]:
    one, other = _signed(FIRST, note="one"), _signed(FIRST, note="other")
    before = _signed(FIRST, VECTOR)
    second = replace(FIRST, sequence=2, previous=_hash(before[0]))
    less, lower = _signed(second), _signed(replace(second, feature=1))
    name = head_name(SPACE.id, FIRST.writer_id, 1, before[2])
    return {
        1: _ordered(one[0], other[0]),
        2: sorted((_operation(1), _operation(2)), key=_record_hash),
        3: [before[1], less[1]],
        4: [before[0], lower[0]],
        5: [less[0], pack(["", [name, "~"]])],
        6: [_foreign_head(), head_name(SPACE.id, FIRST.writer_id, 1, before[2]).encode()],
    }


def _operation(time: int, space: bytes = SPACE.id, count: int = 1, author: Device = DEVICE) -> bytes:
    """An operation that does nothing, as an object."""
    body = operation_body(space, author.id, made("incarnation", 16), count, [made("parent", 32)], 9, [[]], time)
    whose = "stranger" if author is STRANGER else "device"
    where = "here" if space == SPACE.id else "elsewhere"
    made_here = signed(f"operation {time} {count} {whose} {where}", body, author)
    _recorded.update((label, held) for label, held in used.items() if label.startswith(_OPERATION))
    return made_here


def _record_hash(record: bytes) -> bytes:
    body = unpack(record, 2 << 20)[0]
    assert isinstance(body, bytes)
    return h("record", body)


def _foreign_head() -> bytes:
    """A head of another space by the same device, as an exhibit."""
    space = replace(SPACE, id=made("another space", 32))
    _, _, heading = _seen(FIRST, [])
    data = sign_head(space, heading, heading.boxes(space, layer(pack([1])), layer(pack(["foreign"]))))
    parts = unpack(data, 256 * 1024)
    return pack([parts[0], parts[4]])


def _of_records() -> dict[str, tuple[int, list[bytes]]]:
    """Testimony about membership records."""
    ours, foreign = _operation(1), _operation(1, made("another space", 32))
    name = record_name(SPACE.id, ours)
    before, behind = name[:-64] + "0" * 64, name[:-64] + "f" * 64
    return {
        "a store that hides a record": (5, [ours, pack([before, [behind]])]),
        "a store that lists no records": (5, [ours, pack(["", ["~"]])]),
        "a record of another space": (6, [foreign, record_name(SPACE.id, foreign).encode()]),
    }


def _shown() -> list[Case]:
    found = _exhibits()
    whys = {
        1: "a fork",
        2: "two records of one number",
        3: "a head that has seen less",
        4: "a head of a lower level",
        5: "a store that went back",
        6: "a head of another space",
    }
    told = {whys[kind]: (kind, exhibits) for kind, exhibits in found.items()} | _of_records()
    return [
        _proof(why, kind, proof_file(kind, SPACE.id, [GENESIS], exhibits, WORD if kind >= 5 else None))
        for why, (kind, exhibits) in told.items()
    ] + [_proof("a fork, and who found it", 1, proof_file(1, SPACE.id, [GENESIS], found[1], WORD))]


def _refused() -> list[Case]:
    found = _exhibits()
    strange = _signed(replace(FIRST, device=STRANGER), note="one"), _signed(replace(FIRST, device=STRANGER))
    fork, back = found[1], found[3]
    whole = proof_file(1, SPACE.id, [GENESIS], fork, WORD)
    blind = unpack(back[0], 256 * 1024)
    hidden = pack([blind[0], blind[1], bytes(32), blind[3]])
    rows = [
        ("one head twice", 1, proof_file(1, SPACE.id, [GENESIS], [fork[0], fork[0]])),
        ("heads in another order", 1, proof_file(1, SPACE.id, [GENESIS], fork[::-1])),
        ("two heads that follow each other", 1, proof_file(1, SPACE.id, [GENESIS], found[4])),
        ("heads by a stranger", 1, proof_file(1, SPACE.id, [GENESIS], _ordered(strange[0][0], strange[1][0]))),
        ("another space", 1, proof_file(1, made("another space", 32), [GENESIS], fork)),
        ("a statement that was changed", 1, whole.replace(b"no longer", b"NO longer")),
        ("a statement by a stranger", 1, proof_file(1, SPACE.id, [GENESIS], fork, (STRANGER, *WORD[1:]))),
        ("a blind that opens nothing", 3, proof_file(3, SPACE.id, [GENESIS], [hidden, back[1]])),
        ("a head that has seen as much", 3, proof_file(3, SPACE.id, [GENESIS], [back[1], back[1]])),
        ("the levels in another order", 4, proof_file(4, SPACE.id, [GENESIS], found[4][::-1])),
        ("testimony that is nobody's", 5, proof_file(5, SPACE.id, [GENESIS], found[5])),
        ("a listing that ends too soon", 5, proof_file(5, SPACE.id, [GENESIS], [found[5][0], pack(["", []])], WORD)),
        ("records in another order", 2, proof_file(2, SPACE.id, [GENESIS], found[2][::-1])),
        ("one record twice", 2, proof_file(2, SPACE.id, [GENESIS], [found[2][0]] * 2)),
        ("records of two numbers", 2, _sorted_records(_operation(1), _operation(1, count=2))),
        ("a replay that is nobody's word", 6, proof_file(6, SPACE.id, [GENESIS], found[6])),
        ("a replay of this very space", 6, proof_file(6, SPACE.id, [GENESIS], [fork[0], found[6][1]], WORD)),
        *_refused_of_records(),
    ]
    return [_proof(why, kind, data, "proof.damaged") for why, kind, data in rows]


def _sorted_records(*exhibits: bytes) -> bytes:
    return proof_file(2, SPACE.id, [GENESIS], sorted(exhibits, key=_record_hash))


def _refused_of_records() -> list[tuple[str, int, bytes]]:
    ours, foreign = _operation(1), _operation(1, made("another space", 32))
    name = record_name(SPACE.id, ours)
    elsewhere = made("another space", 32).hex() + name[64:]
    rows = [
        ("a listing that has the record", 5, [ours, pack(["", [name, "~"]])]),
        ("a listing of other things", 5, [ours, pack(["", [elsewhere, "~"]])]),
        ("a hidden record of another space", 5, [foreign, pack(["", ["~"]])]),
        ("a hidden record by a stranger", 5, [_operation(1, author=STRANGER), pack(["", ["~"]])]),
        ("a record of this very space", 6, [ours, name.encode()]),
        ("a record under another's name", 6, [foreign, name.encode()]),
    ]
    return [(why, kind, proof_file(kind, SPACE.id, [GENESIS], exhibits, WORD)) for why, kind, exhibits in rows]
