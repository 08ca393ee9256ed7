"""Frames: finding them in bytes that come in any pieces.

Flow: `get_buffer` and `buffer_updated`, or `feed` -> Reader -> the taker's `taken`, or `piece` and `piece_end`
Never: holds a buffer while nothing is underway; copies what was read into its place; believes a length over the limit.
Source: docs/spec/broker.md section 1.
"""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Generator, Sequence
from typing import Protocol

from ropewalk.broker.errors import BadFrame, OverLimit

__all__ = ["HEADER", "MOST_SEGMENTS", "Bytes", "Reader", "Taker", "size_of"]

Bytes = bytes | bytearray | memoryview

HEADER = struct.Struct(">IHH")
MOST_SEGMENTS = 4096
_PIECE = 1  # flag: the frame is a piece of a blob
_BUFFER = 256 * 1024  # bytes that are read at once
_SMALL = 64 * 1024  # bytes of a frame that is kept with the rest, and so copied with each read, until it is whole
_POOLED = 4  # buffers of a thread that wait to be used again


def size_of(frame: Bytes) -> int:
    """The size that a frame says it has; -1 where that cannot be seen in these bytes."""
    if len(frame) < HEADER.size:
        return -1
    body, count, _ = HEADER.unpack_from(frame)
    if len(frame) < HEADER.size + 4 * count:
        return -1
    size: int = HEADER.size + 4 * count + body + sum(struct.unpack_from(f">{count}I", frame, HEADER.size))
    return size


class Taker(Protocol):
    """Who gets the frames."""

    def taken(self, body: memoryview, segments: Sequence[bytes]) -> None:
        """A frame is whole; the view is good until this returns."""

    def piece(self, body: memoryview, size: int) -> memoryview:
        """A piece of a blob begins: where its bytes go."""

    def piece_end(self) -> None:
        """The piece is whole."""


class _Pool(threading.local):
    """Buffers of one thread. A session has one only from `get_buffer` to the end of `buffer_updated`."""

    def __init__(self) -> None:
        self.free: list[memoryview] = []


_pool = _Pool()


class Reader:
    """Cuts a stream of bytes into frames; `get_buffer` and `buffer_updated` are those of `asyncio.BufferedProtocol`.

    Attributes:
        limit: Bytes of the longest frame.
        received: Bytes so far.
    """

    def __init__(self, taker: Taker, limit: int) -> None:
        self.limit = limit
        self.received = 0
        self._taker = taker
        self._buffer: memoryview | None = None
        self._rest = b""  # the beginning of a frame
        self._parts: Generator[memoryview, None, None] | None = None  # of the frame that is read into its place
        self._into = memoryview(b"")  # what is missing of the part

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the next bytes go."""
        if self._parts is not None:
            return self._into
        buffer = self._buffer
        if buffer is None:
            free = _pool.free
            self._buffer = buffer = free.pop() if free else memoryview(bytearray(_BUFFER))
        return buffer[len(self._rest) :]

    def buffer_updated(self, size: int) -> None:
        """So many bytes came.

        Raises:
            PeerFault: They are not what they must be; nothing more can be read.
        """
        self.received += size
        if self._parts is not None:
            self._into = self._into[size:]
            self._fill(self._into[:0], 0)
            return
        buffer, self._buffer = self._buffer, None
        assert buffer is not None
        rest = self._rest
        if rest:
            buffer[: len(rest)] = rest
            size += len(rest)
            self._rest = b""
        try:
            at = self._cut(buffer, size)
            if at < size:
                self._rest = bytes(buffer[at:size])
        finally:
            if len(_pool.free) < _POOLED:
                _pool.free.append(buffer)

    def feed(self, data: Bytes) -> None:
        """Take bytes that are there already.

        Raises:
            PeerFault: They are not what they must be; nothing more can be read.
        """
        view = memoryview(data).cast("B")
        while view:
            room = self.get_buffer(len(view))
            size = min(len(room), len(view))
            room[:size] = view[:size]
            self.buffer_updated(size)
            view = view[size:]

    def _cut(self, view: memoryview, end: int) -> int:
        """Take the frames at the beginning of ``view``; how far they go."""
        at = 0
        taken = self._taker.taken
        while end - at >= 8:
            body, count, flags = HEADER.unpack_from(view, at)
            size = 8 + 4 * count + body
            if not body or flags > _PIECE or count > MOST_SEGMENTS or (flags and count != 1):
                raise BadFrame(f"a frame begins with body {body}, segments {count}, flags {flags:#x}")
            if size > self.limit:
                raise OverLimit(f"a frame has {size:,} bytes, the limit is {self.limit:,}")
            if not count:
                if at + size <= end:
                    taken(view[at + 8 : at + size], ())
                    at += size
                    continue
                lengths: tuple[int, ...] = ()
            else:
                if end - at < 8 + 4 * count:
                    break
                lengths = struct.unpack_from(f">{count}I", view, at + 8)
                size += sum(lengths)
                if size > self.limit:
                    raise OverLimit(f"a frame has {size:,} bytes, the limit is {self.limit:,}")
            if not count and size <= _SMALL:
                break
            self._parts = self._placed(body, lengths, flags)
            self._into = next(self._parts)
            at = self._fill(view[:end], at + 8 + 4 * count)
        return at

    def _fill(self, view: memoryview, at: int) -> int:
        """Go on with the frame that is read into its place; how far it goes in ``view``."""
        parts, into = self._parts, self._into
        assert parts is not None
        while True:
            have = min(len(into), len(view) - at)
            if have:
                into[:have] = view[at : at + have]
                at += have
                into = into[have:]
            if into:
                self._into = into
                return at
            following = next(parts, None)
            if following is None:
                self._parts, self._into = None, memoryview(b"")
                return at
            into = following

    def _placed(self, size: int, lengths: tuple[int, ...], flags: int) -> Generator[memoryview, None, None]:
        """The parts of a frame, each to be filled before the next is asked for."""
        body = memoryview(bytearray(size))
        yield body
        if flags:
            yield self._taker.piece(body, lengths[0])
            self._taker.piece_end()
            return
        segments: list[bytes] = []
        for length in lengths:
            # Bytes that only a BytesIO has can be written through its buffer and then taken out as they are, uncopied.
            place = io.BytesIO(bytes(length))
            yield place.getbuffer()
            segments.append(place.getvalue())
        self._taker.taken(body, segments)
