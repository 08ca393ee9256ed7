"""Records: msgpack values in the one form that the format allows (docs/spec/space.md 1).

Flow: struct -> encode -> bytes; bytes from a store -> Format.decode -> struct
Never: accepts a second encoding of the same value, or lets a few bytes ask for much memory.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.keys import Buffer

__all__ = ["NO_EXTRA", "Format", "RecordMalformed", "encode"]

T = TypeVar("T")

NO_EXTRA = msgspec.Raw(b"\x80")  # the empty map: no field of a later version
LARGEST_EXTRA = 1024  # bytes

_extra = msgspec.msgpack.Decoder(dict[int, object])
_encoder = msgspec.msgpack.Encoder(order="sorted")


class RecordMalformed(Damaged):
    """Bytes are not a record of the expected form."""

    code = "records.malformed"


def encode(record: object) -> bytes:
    """The record's bytes; numbers and lengths in their shortest form, maps by key."""
    return _encoder.encode(record)


class Format(Generic[T]):
    """One kind of record.

    Args:
        kind: Its type, whose fields are typed throughout, so that nothing is built that was not asked for.
        limit: Bytes at most.
        what: Its name in messages.
    """

    def __init__(self, kind: type[T], limit: int, what: str) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._limit, self._what = limit, what

    def decode(self, data: Buffer) -> T:
        """Parse exactly one record.

        Raises:
            RecordMalformed: Too long, of other types, with bytes left over, or not in the form that `encode` gives.
        """
        if len(data) > self._limit:
            raise RecordMalformed(f"{self._what} has {len(data)} bytes, expected at most {self._limit}")
        try:
            record = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordMalformed(f"{self._what} does not parse: {error}") from None
        if _encoder.encode(record) != data:
            raise RecordMalformed(f"{self._what} is not in its shortest form")
        extra = bytes(getattr(record, "extra", NO_EXTRA))
        if not _is_extra(extra):
            raise RecordMalformed(
                f"{self._what} has extra fields of {len(extra)} bytes, up to {LARGEST_EXTRA} by ascending number can be"
            )
        return record


def _is_extra(extra: bytes) -> bool:
    if extra == b"\x80":
        return True
    try:
        fields = _extra.decode(extra)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return False
    ascending = list(fields) == sorted(fields) and min(fields, default=0) >= 0
    return ascending and len(extra) <= LARGEST_EXTRA and msgspec.msgpack.encode(fields) == extra
