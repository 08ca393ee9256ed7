"""Checked: which records were found well signed, and what proofs among them show, so that each is looked into once.

Flow: Membership -> sealed with the device's keys -> ledger -> Checked -> the next opening's Membership
Never: is taken from a file that another's keys sealed, or says what records come to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import BoxDamaged
from ropewalk.spaces.members import MOST_RECORDS, Accused, Membership
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.state import State

__all__ = ["Checked", "keep_checked", "open_checked", "seal_checked"]

_META = "checked"
_HASH = 32  # bytes
_CONTEXT = b"records checked 2"  # another number once the rules for signatures or proofs are others
_LARGEST = 8 * 1024 * 1024  # bytes: 200 for each proof, and there may be as many as records


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked into before."""

    verified: frozenset[bytes] = frozenset()  # hashes of objects that are well signed
    judged: Mapping[bytes, Accused | None] = field(default_factory=dict)  # by hash of the proof


class _Judged(msgspec.Struct, frozen=True, array_like=True):
    proof: bytes
    device: bytes | None  # None where it proves nothing
    writer: bytes
    sequence: int
    exhibits: list[bytes]
    incarnation: bytes


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    verified: bytes
    judged: list[_Judged]


_kept = Format(_Kept, _LARGEST, "what was checked")


def seal_checked(membership: Membership, device: DeviceKeys) -> bytes:
    """What was looked into, for this device alone; the same gives the same bytes."""
    verified = sorted(membership.verified)[: 2 * MOST_RECORDS]
    judged = [
        _Judged(proof, one.device, one.writer, one.sequence, sorted(one.exhibits), one.incarnation)
        if one is not None
        else _Judged(proof, None, b"", 0, [], b"")
        for proof, one in sorted(membership.judged.items())
    ]
    return device.seal_own(_CONTEXT + membership.space_id, encode(_Kept(b"".join(verified), judged)))


def open_checked(state: State, space_id: bytes, device: DeviceKeys) -> Checked:
    """What was kept; nothing, where it does not open: then all is looked into again."""
    box = state.get_meta(_META)
    try:
        kept = _kept.decode(device.open_own(_CONTEXT + space_id, box or b""))
    except (BoxDamaged, RecordMalformed):
        return Checked()
    hashes = frozenset(kept.verified[at : at + _HASH] for at in range(0, len(kept.verified), _HASH))
    judged = {
        one.proof: None
        if one.device is None
        else Accused(one.device, one.writer, one.sequence, frozenset(one.exhibits), one.incarnation)
        for one in kept.judged
    }
    return Checked(hashes, judged)


def keep_checked(state: State, box: bytes) -> None:
    """Keep what `seal_checked` gave; a part of a transaction, or alone."""
    if state.get_meta(_META) != box:
        state.set_meta(_META, box)
