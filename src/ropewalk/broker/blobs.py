"""Blobs: binary that comes in pieces, each read into its place.

Flow: piece -> `piece` says where its bytes go -> `piece_end` -> `whole`, once
Never: takes more than was told, or more at once than we said we take.
Source: docs/spec/broker.md section 5.3.
"""

from __future__ import annotations

import io

import msgspec

from ropewalk.broker.errors import BadFrame, BadMessage, OverLimit
from ropewalk.broker.limits import PIECE, Limits

__all__ = ["Blobs"]

_AHEAD = 8
_decode = msgspec.msgpack.Decoder().decode


class _Blob:
    __slots__ = ("at", "place", "room", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.at = self.room = 0
        self.place = io.BytesIO()

    def part(self, size: int) -> memoryview:
        """Where the next bytes go. Room is made for what comes, not for what was told: 8 times as much at most."""
        end = self.at + size
        if end > self.room:
            room = min(self.total, _AHEAD * end)
            place = io.BytesIO(bytes(room))
            place.getbuffer()[: self.at] = self.place.getbuffer()[: self.at]
            self.place, self.room = place, room
        return self.place.getbuffer()[self.at : end]


class Blobs:
    """Those that are underway to this end.

    Attributes:
        taken: Bytes of those that were used since the last look.
    """

    def __init__(self, ours: Limits) -> None:
        self.ours = ours
        self.taken = 0
        self._blobs: dict[int, _Blob] = {}
        self._size = 0
        self._filling: tuple[_Blob, int] | None = None

    def piece(self, body: memoryview, size: int) -> memoryview:
        """Where the bytes of a piece go.

        Raises:
            BadFrame, BadMessage, OverLimit: It cannot be.
        """
        try:
            head = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadFrame("the body of a piece is not as MessagePack writes it") from None
        if head.__class__ is not list or len(head) != 2 or any(type(one) is not int for one in head):
            raise BadFrame("the body of a piece is not an array of blob and total")
        number, total = head
        if not 0 < number < 2**31 or total < 0:
            raise BadFrame(f"a blob has the number {number} and {total} bytes")
        blob = self._blobs.get(number)
        if total == 0:
            if size or blob is None:
                raise BadMessage(f"blob {number} is given up, which was not begun")
            del self._blobs[number]
            self._size -= blob.total
            return memoryview(b"")
        if blob is None:
            most = min(self.ours.blob, self.ours.window - self._size)
            if total > most or len(self._blobs) >= self.ours.blobs:
                raise OverLimit(f"a blob of {total:,} bytes begins where {most:,} are taken")
            blob = self._blobs[number] = _Blob(total)
            self._size += total
        if total != blob.total or not 0 < size <= min(PIECE, total - blob.at):
            raise BadMessage(f"a piece of {size:,} bytes does not fit blob {number}")
        self._filling = (blob, size)
        return blob.part(size)

    def piece_end(self) -> None:
        """The piece is in its place."""
        if self._filling is not None:
            blob, size = self._filling
            blob.at += size
            self._filling = None

    def whole(self, number: int) -> bytes:
        """A blob, once.

        Raises:
            BadMessage: It is not whole, or there is none.
        """
        blob = self._blobs.get(number)
        if blob is None or blob.at != blob.total:
            raise BadMessage(f"blob {number} is used, which is not whole")
        del self._blobs[number]
        self._size -= blob.total
        self.taken += blob.total
        return blob.place.getvalue()
