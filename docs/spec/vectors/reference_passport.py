"""The format once more: passports, what is kept of two, and what follows from them (passport.md).

Flow: fields -> signed bytes, and back; fields before, fields now -> fields to keep; findings -> terms
Never: imports ropewalk.
"""

from __future__ import annotations

import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from docs.spec.vectors.reference import Device, h
from docs.spec.vectors.reference_records import Refused, pack, refuse, unpack

__all__ = ["kept", "open_passport", "prefixes", "sign", "terms"]

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


def kept(before: list[object], now: list[object]) -> list[object]:
    """The fields that are kept once a store was looked at again (passport.md 3)."""
    old, new = _by_probe(before), _by_probe(now)
    stays: dict[str, list[object]]
    if now[6] == 0:
        stays = {probe: one for probe, one in old.items() if one[2] == "bad" and not _again(one, new)}
        return _joined(now, new, stays)
    fresh = before[6] == 0 and before[5] == now[5] and before[3] == now[3] and _age(before, now)
    if fresh and not any(_badness(one) > _badness(old.get(probe)) for probe, one in new.items()):
        lasting = {probe: one for probe, one in new.items() if probe == "durability"}
        return _joined([*before[:7], now[7], []], old, lasting)
    stays = {probe: one for probe, one in old.items() if _badness(one) > _badness(new.get(probe))}
    return _joined(now, new, stays)


def _by_probe(fields: list[object]) -> dict[str, list[object]]:
    findings = fields[8]
    assert isinstance(findings, list)
    return {one[0]: one for one in findings}


def _joined(fields: list[object], own: dict[str, list[object]], others: dict[str, list[object]]) -> list[object]:
    return [*fields[:8], list({**own, **others}.values())[:64]]


def _age(before: list[object], now: list[object]) -> bool:
    assert isinstance(before[4], int)
    assert isinstance(now[4], int)
    days = 1 if terms(before)["refused"] else 30
    return 0 <= now[4] - before[4] < days * 86_400 * 10**9


def _again(bad: list[object], new: dict[str, list[object]]) -> bool:
    match bad[0], new.get(str(bad[0])):
        case "durability", _:
            return True
        case _, None:
            return new.get("writes", [""] * 4)[2] == "good"
        case _, [_, _, "unknown", _]:
            return False
        case "largest", [_, int(size), "good", _] if isinstance(bad[1], int):
            return size >= bad[1]
    return True


def _badness(finding: list[object] | None) -> tuple[int, int]:
    match finding:
        case ["durability", *_]:
            return 0, 0
        case [_, _, "bad", _]:
            return 2, 0
        case ["largest", int(size), "limited", _]:
            return 1, -min(size, LARGEST_OBJECT)
        case ["largest", _, "limited", _]:
            return 1, -LARGEST_OBJECT
        case [_, value, "limited", _]:
            return 1, int(value == "no")
    return 0, 0


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
