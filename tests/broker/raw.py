"""Raw: one broker, and messages written and read by hand at its other end.

Flow: messages -> `say` -> the broker -> `heard`, messages it said in answer
Never: uses the broker's own code for what it writes or reads.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from ropewalk.broker.limits import Limits
from ropewalk.broker.offers import Object
from tests.broker.pair import End, Nothing

__all__ = ["Raw", "ext", "frame", "hello"]

Ext = msgspec.msgpack.Ext
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def ext(code: int, content: Any) -> Ext:
    """A value of an extension."""
    return Ext(code, _encode(content))


def frame(body: Any, segments: tuple[bytes, ...] = (), flags: int = 0) -> bytes:
    """A frame; ``body`` is encoded unless it is bytes already."""
    data = body if isinstance(body, bytes) else _encode(body)
    head = struct.pack(f">IHH{len(segments)}I", len(data), len(segments), flags, *map(len, segments))
    return head + data + b"".join(segments)


def hello(**more: Any) -> bytes:
    """The first frame."""
    return frame({"ropewalk": "broker", "version": 1, "least": 1, "nonce": bytes(32), "limits": {}} | more)


class Raw:
    """A broker, and who plays its other end by hand.

    Attributes:
        all: Every message that it said, hellos and blobs left out.
        blobs: Frames with pieces that it said: body, piece.
    """

    def __init__(
        self,
        door: Object | None = None,
        *,
        server: bool = True,
        limits: Limits | None = None,
        logged_in: bool = True,
        theirs: dict[str, int] | None = None,
    ) -> None:
        self.end = End(door or Nothing(), server=server, limits=limits)
        self.broker = self.end.broker
        self.me: Any = self.end.door
        self.all: list[list[Any]] = []
        self.blobs: list[tuple[list[int], bytes]] = []
        self._data = b""
        self.end.hear(hello(limits=theirs if theirs is not None else dict.fromkeys(("frame", "weight"), 1 << 30)))
        if logged_in and server:
            self.broker.accept(self.end.limits)
        self.heard()

    def say(self, *messages: Any) -> list[list[Any]]:
        """Send these messages in one frame; what comes back at once."""
        return self.give(frame(list(messages)))

    def give(self, data: bytes) -> list[list[Any]]:
        """Send bytes; what comes back at once."""
        self.end.hear(data)
        return self.heard()

    def heard(self) -> list[list[Any]]:
        """What the broker has said since the last look."""
        self.end.say()
        self._data += bytes(self.end.said)
        self.end.said = bytearray()
        new: list[list[Any]] = []
        while len(self._data) >= 8:
            body, count, flags = struct.unpack_from(">IHH", self._data)
            lengths = struct.unpack_from(f">{count}I", self._data, 8)
            at = 8 + 4 * count
            value = _decode(self._data[at : at + body])
            end = at + body + sum(lengths)
            if flags:
                self.blobs.append((value, self._data[at + body : end]))
            elif isinstance(value, list):
                new += value
            self._data = self._data[end:]
        self.all += new
        return new

    async def rest(self) -> list[list[Any]]:
        """Let tasks go on until all is quiet; what was said."""
        new: list[list[Any]] = []
        for _ in range(10):
            await asyncio.sleep(0)
            new += self.heard()
        return new

    @property
    def code(self) -> str:
        """Why the session is over; "" where it is not."""
        return "" if self.end.error is None else self.end.error.code

    async def stop(self) -> None:
        """End."""
        await self.end.stop()
