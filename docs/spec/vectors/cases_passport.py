"""Vectors of passports: where probes lie, passports with what follows, what is none, what is kept (passport.md).

Flow: fixture, reference -> cases, each opened again by the reference -> make.py -> passport.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import DEVICE, STRANGER, Case
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_passport import kept, open_passport, prefixes, sign, terms
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
    return [*found, *map(_checked, [*_good(), *_damaged()]), *_kept()]


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


_DAY = 86_400 * 10**9


def _kept() -> list[Case]:
    """What is kept of a passport that was known and a new one; a day lies between them, where nothing else is said."""
    torn: list[object] = ["largest", 1 << 26, "bad", "torn"]
    small: list[object] = ["largest", 1 << 20, "limited", "small"]
    five: list[object] = ["largest", 5 << 20, "good", "five"]
    whole: list[object] = ["largest", 1 << 26, "good", "all"]
    refuses: list[object] = ["delete", "no", "limited", "it does not"]
    late: list[object] = ["delete", "late", "limited", "late"]
    loses: list[object] = ["keeps", 3, "bad", "it loses"]
    read_only: list[object] = ["writes", "no", "limited", "nothing"]
    well: list[object] = ["delete", "yes", "good", "it does"]
    died: list[object] = ["durability", "no", "bad", "gone"]
    lasts: list[object] = ["durability", "yes", "good", "there"]
    told: list[tuple[str, dict[str, object], dict[str, object]]] = [
        ("quick, nothing worse", {"findings": [_GOOD, whole, late]}, {"findings": [_GOOD, five, well]}),
        ("quick, the same limits", {"findings": [_GOOD, small]}, {"findings": [_GOOD, small]}),
        ("quick, smaller objects", {"findings": [_GOOD, ["largest", 1 << 24, "limited", ""]]}, {"findings": [small]}),
        (
            "quick, no deletions where they were late",
            {"findings": [_GOOD, late, small]},
            {"findings": [_GOOD, refuses]},
        ),
        ("quick, bad", {"findings": [_GOOD, whole, refuses]}, {"findings": [_GOOD, five, well, loses]}),
        ("quick, takes nothing", {"findings": [_GOOD, torn]}, {"findings": [read_only]}),
        ("quick, after one that refuses", {"findings": [_GOOD, torn]}, {"findings": [_GOOD, five]}),
        ("quick, after a quick one", {"quick": 1, "findings": [refuses, loses]}, {"findings": [well, _GOOD]}),
        ("quick, reached in another way", {"findings": [_GOOD, small]}, {"kind": "tls", "findings": [_GOOD, five]}),
        ("quick, by another version", {"findings": [_GOOD, small]}, {"software": "0.2.0", "findings": [_GOOD, five]}),
        ("quick, after 30 days", {"findings": [_GOOD, small]}, {"time": 30 * _DAY, "findings": [_GOOD, five]}),
        ("quick, before it", {"findings": [_GOOD, small]}, {"time": -1, "findings": [_GOOD, five]}),
        ("quick, something left", {"findings": [_GOOD, lasts]}, {"left": bytes(16), "findings": [_GOOD, lasts]}),
        ("quick, gone after a restart", {"left": bytes(16), "findings": [_GOOD, whole]}, {"findings": [_GOOD, died]}),
        (
            "full, all tried again",
            {"findings": [_GOOD, torn, refuses, loses, died]},
            {"findings": [_GOOD, whole, lasts]},
        ),
        ("full, less tried", {"findings": [_GOOD, torn, refuses]}, {"findings": [_GOOD, five, well]}),
        ("full, no room", {"findings": [_GOOD, torn]}, {"findings": [_GOOD, ["largest", None, "unknown", ""]]}),
        ("full, larger ones refused", {"findings": [_GOOD, torn]}, {"findings": [_GOOD, small]}),
        ("full, takes nothing", {"findings": [_GOOD, torn, refuses]}, {"findings": [read_only]}),
        ("full, a probe of another version", {"findings": [["later", None, "bad", ""]]}, {"findings": [_GOOD]}),
    ]
    return [_joined(why, before, now) for why, before, now in told]


def _joined(why: str, before: dict[str, object], now: dict[str, object]) -> Case:
    start, later = _FIELDS[4], now.get("time", _DAY)
    assert isinstance(start, int)
    assert isinstance(later, int)
    known = _body(**before)
    new = _body(**{**now, "quick": int(why.startswith("quick")), "time": start + later})
    fields = kept(*(open_passport(sign(body, DEVICE), STORE, KEY) for body in (known, new)))
    return {
        "what": "kept",
        "why": why,
        "store": STORE.hex(),
        "device": KEY.hex(),
        "before": sign(known, DEVICE).hex(),
        "bytes": sign(new, DEVICE).hex(),
        "kept": sign(pack(fields), DEVICE).hex(),
        "terms": terms(fields),
    }
