"""The format once more: passports, and what follows from them (passport.md).

Flow: fields -> signed bytes, and back; findings -> terms
Never: imports ropewalk.
"""

from __future__ import annotations

import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from docs.spec.vectors.reference import Device, h
from docs.spec.vectors.reference_records import Refused, pack, refuse, unpack

__all__ = ["open_passport", "prefixes", "sign", "terms"]

LARGEST = 65536
LARGEST_OBJECT = 64 * 1024 * 1024
_CODE = "passport.damaged"
_SIGNED = b"ropewalk passport 1\0"


def prefixes(device: bytes, store: bytes) -> tuple[str, str]:
    """Where probes lie, and what is left on purpose."""
    return h("passport probes", device + store).hex(), h("passport left", device + store).hex()


def sign(body: bytes, device: Device, tag: bytes = _SIGNED) -> bytes:
    """What is kept."""
    return pack([body, device.ed25519.sign(tag + body)])


def open_passport(data: bytes, store: bytes, device: bytes) -> list[object]:
    """The fields of a passport of this store by this device."""
    kept = unpack(data, LARGEST, _CODE)
    match kept:
        case [bytes(body), bytes(signature)] if len(signature) == 64:
            fields = unpack(body, LARGEST, _CODE)
        case _:
            raise Refused(_CODE, "not two parts")
    match fields:
        case [1, bytes(of), bytes(by), str(kind), int(time), str(software), 0 | 1, bytes(left), list(findings)]:
            refuse(_CODE, "another store", of != store)
            refuse(_CODE, "another device", by != device)
            refuse(_CODE, "no kind", not re.fullmatch("[a-z][a-z0-9+]{0,39}", kind))
            refuse(_CODE, "no time", not 0 <= time < 2**63 - 1)
            refuse(_CODE, "too long", len(software) > 40 or len(left) > 16 or len(findings) > 64)
        case _:
            raise Refused(_CODE, "other fields")
    for finding in findings:
        _check(finding)
    try:
        Ed25519PublicKey.from_public_bytes(by).verify(signature, _SIGNED + body)
    except InvalidSignature:
        raise Refused(_CODE, "another signature") from None
    return fields


def _check(finding: object) -> None:
    match finding:
        case [str(probe), value, "good" | "limited" | "bad" | "unknown", str(words)]:
            refuse(_CODE, "no probe", not re.fullmatch("[a-z][a-z-]{0,39}", probe))
            refuse(_CODE, "no value", not isinstance(value, int | str | None))
            refuse(_CODE, "too long", (isinstance(value, str) and len(value) > 100) or len(words) > 300)
        case _:
            raise Refused(_CODE, "not a finding")


def terms(fields: list[object]) -> dict[str, object]:
    """Whether a store is written to, and what is asked of it."""
    findings = fields[8]
    assert isinstance(findings, list)
    found = {probe: (value, verdict) for probe, value, verdict, _ in reversed(findings)}
    size, verdict = found.get("largest", (None, ""))
    return {
        "refused": any(one[2] == "bad" for one in findings) or found.get("writes") == ("no", "limited"),
        "largest": min(max(size, 0), LARGEST_OBJECT)
        if verdict == "limited" and isinstance(size, int)
        else LARGEST_OBJECT,
        "deletes": found.get("delete") != ("no", "limited"),
        "hints": found.get("hints") != ("no", "limited"),
    }
