"""Vectors of commitments, branches and proof files (groups.md 4.1, 5.2 and 6).

Flow: fixture, reference -> cases -> make.py -> proofs.json
Never: imports ropewalk.
"""

from __future__ import annotations

from dataclasses import replace

from docs.spec.vectors.fixture import DEVICE, GENESIS, SECRETS, SPACE, STRANGER, TIME, Case
from docs.spec.vectors.reference import h, made
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
VECTOR: list[bytes | int] = [made("writer a", 16), 7, made("head a", 32)]


def cases() -> list[Case]:
    """All cases of proofs.json."""
    made_here = [_commitment(), *_branches(), *_shown(), *_refused()]
    for case in made_here:
        if case["what"] == "proof":
            _check(case)
    return made_here


def file_of(case: Case) -> bytes:
    """The file of a case, with the genesis of members.json where it is named."""
    return bytes.fromhex(str(case["bytes"]).replace("genesis", GENESIS.hex()))


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
    case: Case = {"what": "proof", "why": why, "kind": kind, "bytes": data.hex().replace(GENESIS.hex(), "genesis")}
    return case | ({"error": error} if error else {"device": DEVICE.id.hex(), "hash": h("proof", data).hex()})


def _exhibits() -> dict[int, list[bytes]]:
    one, other = _signed(FIRST, note="one"), _signed(FIRST, note="other")
    before = _signed(FIRST, VECTOR)
    second = replace(FIRST, sequence=2, previous=_hash(before[0]))
    less, lower = _signed(second), _signed(replace(second, feature=1))
    name = head_name(SPACE.id, FIRST.writer_id, 1, before[2])
    return {
        1: _ordered(one[0], other[0]),
        3: [before[1], less[1]],
        4: [before[0], lower[0]],
        5: [less[0], pack(["", [name, "~"]])],
    }


def _shown() -> list[Case]:
    found = _exhibits()
    whys = {1: "a fork", 3: "a head that has seen less", 4: "a head of a lower level", 5: "a store that went back"}
    return [
        _proof(whys[kind], kind, proof_file(kind, SPACE.id, [GENESIS], exhibits, WORD if kind == 5 else None))
        for kind, exhibits in found.items()
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
    ]
    return [_proof(why, kind, data, "proof.damaged") for why, kind, data in rows]
