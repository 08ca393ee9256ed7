"""Vectors of epochs: what one says of those before it, and what comes out of it.

Flow: labels -> secrets -> parts of `previous`, good and spoilt -> make.py -> epochs.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import DEVICE, SPACE, Case, wrap
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_epochs import chained, checks, leads_back, steward_info, stewards_lead_back
from docs.spec.vectors.reference_heads import unwrap

__all__ = ["cases"]

_NEWER = made("epoch secret 2", 32), made("steward secret 2", 32)
_OLDER = made("epoch secret 1", 32), made("steward secret 1", 32)
_W = made("space secret of epochs", 32)
_HASH = made("hash of epoch 1", 32)


def cases() -> list[Case]:
    """epochs.json."""
    good = chained(SPACE.id, 2, _NEWER, _HASH, _OLDER)
    other = chained(SPACE.id, 2, (_OLDER[0], _OLDER[1]), _HASH, _NEWER)
    spoilt: list[tuple[str, list[bytes]]] = [
        ("as it should be", good),
        ("a bit of the members' box", [good[0], _flipped(good[1], 60), good[2]]),
        ("a bit of the stewards' box", [good[0], good[1], _flipped(good[2], 60)]),
        ("a tag that is not zero", [good[0], _flipped(good[1], 0), _flipped(good[2], 7)]),
        ("the boxes swapped", [good[0], good[2], good[1]]),
        ("cut short", [good[0], good[1][:-1], good[2][:-1]]),
        ("nothing", [good[0], b"", b""]),
        ("of another number", chained(SPACE.id, 3, _NEWER, _HASH, _OLDER)),
        ("of another space", chained(made("another space", 32), 2, _NEWER, _HASH, _OLDER)),
        ("sealed with the older secrets", other),
        ("other secrets than the older record says", chained(SPACE.id, 2, _NEWER, _HASH, _NEWER)),
        ("another E, the right S", chained(SPACE.id, 2, _NEWER, _HASH, (_NEWER[0], _OLDER[1]))),
    ]
    return [*(_chain(why, part) for why, part in spoilt), _steward_wrap()]


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _chain(why: str, part: list[bytes]) -> Case:
    expected = checks(*_OLDER, _W)
    members = leads_back(SPACE.id, 2, part, _NEWER[0], _W, expected)
    stewards = stewards_lead_back(SPACE.id, 2, part, _NEWER[1], expected[1])
    return {
        "what": "chain",
        "why": why,
        "space": SPACE.id.hex(),
        "number": 2,
        "newer": [secret.hex() for secret in _NEWER],
        "space_secret": _W.hex(),
        "check": expected[0].hex(),
        "steward_check": expected[1].hex(),
        "previous": [one.hex() for one in part],
        "members": members.hex() if members is not None else None,
        "stewards": stewards.hex() if stewards is not None else None,
    }


def _steward_wrap() -> Case:
    check = checks(*_NEWER, _W)[1]
    info = steward_info(SPACE.id, 2, DEVICE.id, check)
    wrapped = wrap("steward's wrap of epoch 2", _NEWER[1], DEVICE, info)
    assert unwrap(DEVICE, wrapped, info) == _NEWER[1]
    return {
        "what": "steward-wrap",
        "why": "a steward's wrap of epoch 2",
        "number": 2,
        "steward_check": check.hex(),
        "info": info.hex(),
        "wrap": wrapped.hex(),
        "secret": _NEWER[1].hex(),
    }
