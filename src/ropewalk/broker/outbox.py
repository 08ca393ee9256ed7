"""Outbox: messages of one turn of the loop, joined into frames.

Flow: message -> `say`, or encoded -> `add`, with bytes that go beside the body -> frames -> `take` -> the connection
Never: makes a frame that the other end would refuse; leaves half a message behind when one cannot be encoded.
Source: docs/spec/broker.md section 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ropewalk.broker.errors import CannotSend
from ropewalk.broker.frames import HEADER, MOST_SEGMENTS, Bytes
from ropewalk.broker.limits import LIGHT, Limits
from ropewalk.broker.weigh import PER_BYTE, weigh
from ropewalk.errors import PeerFault

__all__ = ["FIRST", "Outbox", "encode", "encode_into", "encode_value", "frame_of"]

_HEAD = struct.Struct(">IHHBI")  # a frame's, and that of an array of messages
_pack_head, _ROOM = _HEAD.pack_into, _HEAD.size
_ARRAY = 0xDD
_SHORT = 500  # characters of an error that every frame has room for
_encoder = msgspec.msgpack.Encoder()
encode, encode_into = _encoder.encode, _encoder.encode_into
FIRST = msgspec.msgpack.Ext(1, encode(0))  # the first of the segments of a frame

Segments = Sequence[Bytes]


class Outbox:
    """What is to be sent.

    Whoever is in a hurry may append to `body` by itself, as `Asking` and `Answering` do: count the message in `count`,
    call `cut` where `body` is longer than `soft`, and `wake` where `count` was 0.

    Attributes:
        body: The frame being filled: room for its head, then messages.
        count: Messages in it.
        soft: Where a frame with more than one message ends.
        sent: Bytes of all frames taken.
        wake: Called when there is something to send and there was not; True when nobody else is expected to add to it.
    """

    def __init__(self, wake: Callable[[bool], None]) -> None:
        self.body = bytearray(_ROOM)
        self.count = 0
        self.sent = 0
        self.wake = wake
        self._frames: list[list[Bytes]] = []  # whoever appends calls `wake`
        self.limit(Limits(frame=4096, weight=2 << 20))

    def limit(self, limits: Limits) -> None:
        """What the other end accepts from now on."""
        self._frame, self._weight = limits.frame, limits.weight
        self._light = min(LIGHT, limits.weight // PER_BYTE)
        self.soft = min(self._light, limits.frame - 64)

    def say(self, message: Sequence[Any]) -> int:
        """Append a message that needs nothing beside the body; its length.

        Raises:
            CannotSend: It is too long.
        """
        body = self.body
        before = len(body)
        try:
            encode_into(message, body, -1)
            size = len(body) - before
            if len(body) > self.soft:
                self.cut(before)
        except BaseException:
            del self.body[before:]
            raise
        count = self.count
        self.count = count + 1
        if not count:
            self.wake(False)
        return size

    def say_error(self, head: Sequence[Any], error: Sequence[Any]) -> None:
        """Append a message that ends with an error; what is too long of its text and its details is left out."""
        family, code, text, details = error
        full = [*head, family, code, text]
        try:
            self.say([*full, details] if details else full)
        except CannotSend:
            self.say([*head, family, code, text[:_SHORT]])

    def add(self, message: bytes, segments: Segments = ()) -> None:
        """Append an encoded message, and its segments, whose numbers in it begin with 0.

        A message with segments ends its frame, so that no other has segments there.

        Raises:
            CannotSend: They are too long.
        """
        self.check(message, segments)
        size = len(self.body) + len(message)
        if self.count and (size > self.soft or size + _beside(segments) > self._frame):
            self._close()
        self.body += message
        self.count += 1
        if segments:
            self._close(segments)
        self.wake(False)

    def say_with(self, message: Sequence[Any], segment: bytes) -> int:
        """Append a message in which `FIRST` stands for binary that travels beside it.

        Returns:
            Its length; 0 where the other end does not take that much in one frame, and nothing is appended.
        """
        body = self.body
        before = len(body)
        encode_into(message, body, -1)
        after = len(body)
        if after > self.soft or after + len(segment) > self._frame - 4:
            del body[before:]
            return 0
        self.count += 1
        self._close((segment,))
        self.wake(False)
        return after - before

    def check(self, message: bytes, segments: Segments = ()) -> None:
        """Return if the other end takes such a message.

        Raises:
            CannotSend: It is too long, or too heavy.
        """
        size = _HEAD.size + len(message) + _beside(segments)
        if size > self._frame or len(segments) > MOST_SEGMENTS:
            raise CannotSend(
                f"a message has {size:,} bytes, the other end takes {self._frame:,}",
                hint="send less at once, binary data as bytes, or a stream",
            )
        if len(message) > self._light:
            try:
                weigh(message, self._weight)
            except PeerFault as error:
                raise CannotSend(str(error), hint=error.hint) from None

    def cut(self, before: int) -> None:
        """The message that begins at ``before``, not counted yet, made the body long: give it a frame of its own.

        Raises:
            CannotSend: It is too long even so; it is no more in the body.
        """
        message = bytes(self.body[before:])
        del self.body[before:]
        self.check(message)
        if self.count:
            self._close()
            self.wake(False)
        self.body += message

    def put_frame(self, frame: list[Bytes]) -> None:
        """Append a whole frame after what there is: a piece of a blob, or a hello."""
        if self.count:
            self._close()
        self.sent += sum(map(len, frame))
        self._frames.append(frame)

    def take(self) -> list[list[Bytes]]:
        """The frames that are to be written now, in order, each in pieces; they are ours no more."""
        if self.count:
            self._close()
        frames = self._frames
        if frames:
            self._frames = []
        return frames

    def take_body(self) -> bytearray:
        """The frame being filled, which is all that is to be written now."""
        body = self.body
        size = len(body)
        _pack_head(body, 0, size - 8, 0, 0, _ARRAY, self.count)
        self.sent += size
        self.body, self.count = bytearray(_ROOM), 0
        return body

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self.count or self._frames)

    def _close(self, segments: Segments = ()) -> None:
        """End the frame being filled."""
        body = self.body
        _pack_head(body, 0, len(body) - 8, len(segments), 0, _ARRAY, self.count)
        self.sent += len(body)
        if segments:
            sizes = list(map(len, segments))
            self.sent += sum(sizes) + 4 * len(sizes)
            head = body[:8] + struct.pack(f">{len(sizes)}I", *sizes)
            self._frames.append([head, memoryview(body)[8:], *segments])
        else:
            self._frames.append([body])
        self.body, self.count = bytearray(_ROOM), 0


def _beside(segments: Segments) -> int:
    return sum(map(len, segments)) + 4 * len(segments)


def encode_value(value: Any) -> bytes:
    """A value as MessagePack.

    Raises:
        CannotSend: It has none.
    """
    try:
        return encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise CannotSend(f"a value cannot be sent: {error}") from None


def frame_of(body: bytes, segments: Segments = (), flags: int = 0) -> list[Bytes]:
    """A frame."""
    lengths = struct.pack(f">{len(segments)}I", *map(len, segments))
    return [HEADER.pack(len(body), len(segments), flags) + lengths + body, *segments]
