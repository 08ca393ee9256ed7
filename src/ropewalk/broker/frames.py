"""Frames: finding them in bytes that come in any pieces.

Flow: `get_buffer` and `read`, or `feed` -> Reader -> the taker's `taken`, or `piece` and `piece_end`
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
_head, _short_head = HEADER.unpack_from, struct.Struct(">II").unpack_from
MOST_SEGMENTS = 4096
_PIECE = 1  # flag: the frame is a piece of a blob
_BUFFER = 256 * 1024  # bytes that are read at once
_HELD = 16 * 1024  # bytes of the beginning of a frame for which a session keeps the buffer that they are in
_DIRECT = 64 * 1024  # bytes of a part that are worth reads of their own; fewer come with what follows
_POOLED = 4  # buffers of a thread that wait to be used again, beside those that sessions had longer than a read


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
_NOTHING = memoryview(b"")


class Reader:
    """Cuts a stream of bytes into frames. It belongs to the thread that made it.

    Attributes:
        limit: Bytes of the longest frame.
        received: Bytes so far.
        taker: Who gets the frames.
    """

    taker: Taker

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.received = 0
        self._pool = _pool.free
        self._buffer: memoryview | None = None
        self._have = 0  # bytes of the beginning of a frame
        self._rest = b""  # these, where they were taken out of the buffer
        self._parts: Generator[memoryview, None, None] | None = None  # of the frame that is read into its place
        self._into = _NOTHING  # what is missing of the part

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the next bytes go: see `asyncio.BufferedProtocol`."""
        if self._parts is not None and len(self._into) >= _DIRECT:
            return self._into
        if self._buffer is None:
            pool = self._pool
            self._buffer = buffer = pool.pop() if pool else memoryview(bytearray(_BUFFER))
            if not self._have:
                return buffer
        return self._buffer[self._have :]

    def read(self, size: int) -> None:
        """So many bytes came, into the buffer that was given last.

        Raises:
            PeerFault: They are not what they must be; nothing more can be read.
        """
        self.received += size
        buffer, self._buffer = self._buffer, None
        if buffer is None or self._have or self._parts is not None:
            self._go_on(buffer, size)
            return
        at = 0
        try:
            while at <= size - 8:  # most often whole frames came, and these are bodies
                body, more = _short_head(buffer, at)
                end = at + 8 + body
                if more or not body or end > size or end - at > self.limit:
                    at = self._cut(buffer, at, size)
                    break
                self.taker.taken(buffer[at + 8 : end], ())
                at = end
        except BaseException:
            self._pool.append(buffer)
            raise
        if at < size:
            self._keep(buffer, at, size)
        else:
            self._pool.append(buffer)

    def _go_on(self, buffer: memoryview | None, size: int) -> None:
        """So many bytes came of a frame whose beginning is there."""
        if buffer is None:  # they are in their place
            self._into = self._into[size:]
            if not self._into:
                self._fill(_NOTHING, 0)
            return
        have, self._have = self._have, 0
        if self._rest:
            buffer[:have] = self._rest
            self._rest = b""
        size += have
        at = 0
        try:
            if self._parts is not None:
                at = self._fill(buffer[:size], 0)
            if at < size:
                at = self._cut(buffer, at, size)
        except BaseException:
            at = size
            raise
        finally:
            self._keep(buffer, at, size)

    def _keep(self, buffer: memoryview, at: int, end: int) -> None:
        """Keep the beginning of a frame: a long one in the buffer, which else is given back."""
        self._have = have = end - at
        if have > _HELD:
            if at:
                buffer[:have] = buffer[at:end]
            self._buffer = buffer
            return
        if have:
            self._rest = bytes(buffer[at:end])
        if len(self._pool) < _POOLED:
            self._pool.append(buffer)

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
            self.read(size)
            view = view[size:]

    def _cut(self, view: memoryview, at: int, end: int) -> int:
        """Take the frames in ``view``, the first of which begins at ``at``; how far they go."""
        while end - at >= 8:
            body, count, flags = _head(view, at)
            begin = at + 8 + 4 * count
            size = begin + body - at
            if not body or flags > _PIECE or count > MOST_SEGMENTS or (flags and count != 1):
                raise BadFrame(f"a frame begins with body {body}, segments {count}, flags {flags:#x}")
            lengths: tuple[int, ...] = ()
            if count and size <= self.limit:
                if end < begin:
                    break
                lengths = struct.unpack_from(f">{count}I", view, at + 8)
                size += sum(lengths)
            if size > self.limit:
                raise OverLimit(f"a frame has {size:,} bytes, the limit is {self.limit:,}")
            if flags or size > _BUFFER:
                self._parts = self._placed(body, lengths, flags)
                self._into = next(self._parts)
                at = self._fill(view[:end], begin)
                continue
            if at + size > end:
                break
            at += size
            body += begin
            self.taker.taken(view[begin:body], _segments(view, body, lengths) if count else ())
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
            self._into = into = _NOTHING  # what nobody looks at any more can be taken out uncopied
            following = next(parts, None)
            if following is None:
                self._parts = None
                return at
            into = following

    def _placed(self, size: int, lengths: tuple[int, ...], flags: int) -> Generator[memoryview, None, None]:
        """The parts of a frame, each to be filled before the next is asked for."""
        body = memoryview(bytearray(size))
        yield body
        if flags:
            yield self.taker.piece(body, lengths[0])
            self.taker.piece_end()
            return
        segments: list[bytes] = []
        for length in lengths:
            # Bytes that only a BytesIO has can be written through its buffer and then taken out as they are, uncopied.
            place = io.BytesIO(bytes(length))
            yield place.getbuffer()
            segments.append(place.getvalue())
        self.taker.taken(body, segments)


def _segments(view: memoryview, at: int, lengths: tuple[int, ...]) -> list[bytes]:
    """What lies there, each so long."""
    segments = []
    for length in lengths:
        segments.append(bytes(view[at : at + length]))
        at += length
    return segments
