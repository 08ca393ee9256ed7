"""The format once more: the checks of epochs, and the way back from one to those before it (groups.md 3.2, 3.3).

Flow: secrets of two epochs -> a part of `previous`; such a part, the newer secrets -> the older ones, or None
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.reference import h, open_box, seal_box
from docs.spec.vectors.reference_records import Refused, number

__all__ = ["chained", "checks", "leads_back", "steward_info", "stewards_lead_back"]

_TAG = bytes(8)


def checks(epoch: bytes, steward: bytes, space: bytes) -> tuple[bytes, bytes]:
    """check and steward check of an epoch with these secrets."""
    return h("epoch check", epoch + steward + space), h("steward check", steward)


def steward_info(space_id: bytes, epoch: int, device: bytes, steward_check: bytes) -> bytes:
    """HPKE's info of a steward's wrap."""
    return b"ropewalk steward 1\0" + space_id + number(epoch, 8) + device + steward_check


def _place(space_id: bytes, epoch: int) -> bytes:
    return b"epoch" + space_id + number(epoch, 8)


def chained(
    space_id: bytes, epoch: int, newer: tuple[bytes, bytes], older_hash: bytes, older: tuple[bytes, bytes]
) -> list[bytes]:
    """What the epoch with this number says of one before it; secrets are pairs of E and S."""
    place = _place(space_id, epoch)
    members = seal_box(h("epoch chain", newer[0]), _TAG, place, older[0] + older[1])
    return [older_hash, members, seal_box(h("steward chain", newer[1]), _TAG, place, older[1])]


def leads_back(
    space_id: bytes, epoch: int, part: list[bytes], secret: bytes, space: bytes, expected: tuple[bytes, bytes]
) -> bytes | None:
    """``E' || S'`` from E; None where they are not what the older epoch's checks say."""
    try:
        plain = open_box(h("epoch chain", secret), _TAG, _place(space_id, epoch), part[1])
    except Refused:
        return None
    return plain if checks(plain[:32], plain[32:], space) == expected else None


def stewards_lead_back(space_id: bytes, epoch: int, part: list[bytes], secret: bytes, expected: bytes) -> bytes | None:
    """``S'`` from S."""
    try:
        plain = open_box(h("steward chain", secret), _TAG, _place(space_id, epoch), part[2])
    except Refused:
        return None
    return plain if h("steward check", plain) == expected else None
