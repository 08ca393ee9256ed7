"""Vectors of passports: where probes lie, passports with what follows from them, and what is none (passport.md).

Flow: fixture, reference -> cases, each opened again by the reference -> make.py -> passport.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import DEVICE, STRANGER, Case
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_passport import open_passport, prefixes, sign, terms
from docs.spec.vectors.reference_records import Refused, pack

__all__ = ["cases"]

STORE = made("passport store", 16)
KEY = DEVICE.ed25519.public_key().public_bytes_raw()
_NAMES = ["version", "store", "device", "kind", "time", "software", "quick", "left", "findings"]
_GOOD: list[object] = ["writes", "yes", "good", "it takes objects"]
_FIELDS: list[object] = [1, STORE, KEY, "folder", 1_795_000_000_000_000_000, "0.1.0", 0, b"", [_GOOD]]


def _body(**fields: object) -> bytes:
    return pack([fields.get(name, value) for name, value in zip(_NAMES, _FIELDS, strict=True)])


def cases() -> list[Case]:
    """All cases of passport.json, of one store, by the device of basics.json."""
    probes, left = prefixes(KEY, STORE)
    found: list[Case] = [
        {
            "what": "prefixes",
            "why": "of the device of basics.json in a store",
            "device": KEY.hex(),
            "store": STORE.hex(),
            "probes": probes,
            "left": left,
        }
    ]
    return [*found, *map(_checked, [*_good(), *_damaged()])]


def _checked(case: Case) -> Case:
    refused, fields = "", list[object]()
    try:
        fields = open_passport(bytes.fromhex(str(case["bytes"])), STORE, KEY)
    except Refused as error:
        refused = error.code
    assert refused == case.get("error", ""), case
    return case if refused else {**case, "terms": terms(fields)}


def _case(why: str, data: bytes, error: str = "") -> Case:
    case: Case = {"what": "passport", "why": why, "store": STORE.hex(), "device": KEY.hex(), "bytes": data.hex()}
    return {**case, "error": error} if error else case


def _good() -> list[Case]:
    told: list[tuple[str, list[object]]] = [
        ("nothing wrong", [_GOOD]),
        ("nothing tried", []),
        ("unknown counts for nothing", [["largest", 1 << 20, "unknown", ""], ["delete", None, "unknown", ""]]),
        ("bad: nothing is put into it", [_GOOD, ["keeps", 3, "bad", "it loses"]]),
        ("bad by a probe of a later version", [["a-later-probe", None, "bad", ""]]),
        ("read-only", [["writes", "no", "limited", ""]]),
        ("16 MiB at most", [["largest", 1 << 24, "limited", ""]]),
        ("a limit above all that is put", [["largest", 1 << 40, "limited", ""]]),
        ("neither deletions nor hints", [["delete", "no", "limited", ""], ["hints", "no", "limited", ""]]),
        ("late deletions and hints", [["delete", "late", "limited", ""], ["hints", "late", "limited", ""]]),
    ]
    found = [_case(why, sign(_body(findings=findings), DEVICE)) for why, findings in told]
    return [*found, _case("quick, of a node, something left", sign(_body(kind="tls", quick=1, left=bytes(16)), DEVICE))]


def _damaged() -> list[Case]:
    body, error = _body(), "passport.damaged"
    good = sign(body, DEVICE)
    changed: list[tuple[str, dict[str, object]]] = [
        ("a later version", {"version": 2}),
        ("of another store", {"store": bytes(16)}),
        ("by another device, which signed it", {"device": STRANGER.ed25519.public_key().public_bytes_raw()}),
        ("a kind with capital letters", {"kind": "TLS"}),
        ("a time before 1970", {"time": -1}),
        ("neither quick nor full", {"quick": 2}),
        ("17 bytes left", {"left": bytes(17)}),
        ("a verdict that there is not", {"findings": [["writes", "yes", "fine", ""]]}),
        ("a value of bytes", {"findings": [["writes", b"yes", "good", ""]]}),
        ("words too long", {"findings": [["writes", "yes", "good", "x" * 301]]}),
        ("65 findings", {"findings": [_GOOD] * 65}),
    ]
    found = [
        _case(why, sign(_body(**fields), STRANGER if "by another" in why else DEVICE), error) for why, fields in changed
    ]
    return [
        *found,
        _case("nothing", b"", error),
        _case("a byte more", good + b"\0", error),
        _case("signed by a stranger", sign(body, STRANGER), error),
        _case("signed as a head is", sign(body, DEVICE, b"ropewalk head 1\0"), error),
        _case("not in the shortest form", pack([b"\xdc\x00\x09" + body[1:], DEVICE.ed25519.sign(b"")]), error),
        _case("a signature too short", pack([body, bytes(63)]), error),
    ]
