"""Telling: what a membership record says by itself of where it belongs and who signed it.

Flow: object -> RecordSays, or None; checking, learning
Never: checks a signature, or whether the record counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members.operations import parse_operation
from ropewalk.spaces.members.records import RecordDamaged, Signed, parse, parse_epoch, parse_genesis

__all__ = ["RecordSays", "record_says"]

_fields = msgspec.msgpack.Decoder(list[msgspec.Raw])
_bytes = msgspec.msgpack.Decoder(bytes)


@dataclass(frozen=True, slots=True)
class RecordSays:
    """What a record says of itself."""

    signed: Signed
    space: bytes
    author: bytes  # device id
    life: bytes  # the incarnation of an operation, else b""
    number: int  # count of an operation, number of an epoch, 0 of a genesis
    keys: PublicKeys | None  # of a genesis, which brings its author's


def record_says(data: bytes) -> RecordSays | None:
    """What an object says, if it is a genesis, an epoch or an operation of any space."""
    if (signed := parse(data)) is None:
        return None
    try:
        genesis = parse_genesis(signed.body)
    except RecordDamaged:
        pass
    else:
        first = genesis.devices[0]
        return RecordSays(signed, hashed("space", signed.body), first.id, b"", 0, first)
    try:
        space = _bytes.decode(_fields.decode(signed.body)[2])
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
        return None
    if len(space) != 32:
        return None
    if (operation := parse_operation(signed.body, space)) is not None:
        return RecordSays(signed, space, operation.author, operation.incarnation, operation.count, None)
    if (epoch := parse_epoch(signed.body, space)) is not None:
        return RecordSays(signed, space, epoch.author, b"", epoch.number, None)
    return None
