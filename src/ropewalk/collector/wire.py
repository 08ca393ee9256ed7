"""Wire: what agents and the collector say to each other, as bytes.

docs/spec/metrics-push.md is the specification.

Flow: message -> encode -> bytes; bytes -> Reader.feed, next -> messages
Never: does I/O, waits, or keeps more than one frame that is not whole.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from ropewalk.errors import PeerFault, Refused

__all__ = [
    "MOST_BEFORE_HELLO",
    "MOST_FRAME",
    "MOST_SERIES",
    "MOST_VALUE",
    "VERSION",
    "Ack",
    "BadFrame",
    "Define",
    "Definition",
    "FromAgent",
    "FromCollector",
    "Hello",
    "NotWelcome",
    "Push",
    "Reader",
    "Refusal",
    "TooMuch",
    "Welcome",
    "encode",
]

VERSION = 1
MOST_FRAME = 256 * 1024  # bytes of a frame's body: a push of MOST_SERIES values takes a quarter of it
MOST_BEFORE_HELLO = 4 * 1024  # bytes, for those who have not said who they are
MOST_SERIES = 5_000  # of one source
MOST_VALUE = 1e200  # of a value, either way: the sum of any number of them is a finite number too
_HEADER = 4  # bytes of a length

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}\Z")]
Source = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}\Z")]
Label = Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}\Z")]
LabelValue = Annotated[str, Meta(max_length=128)]
Natural = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class BadFrame(PeerFault):
    """Bytes that are no frame, or a message that does not belong here."""

    code = "collector.frame"


class TooMuch(PeerFault):
    """More than a bound allows."""

    code = "collector.limit"


class NotWelcome(Refused):
    """The other side refused, and says why."""

    code = "collector.refused"


class _Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    pass


class Hello(_Message, tag=1, frozen=True):
    """The first message: who pushes."""

    version: Natural
    source: Source
    token: Annotated[str, Meta(max_length=1024)]
    run: Annotated[bytes, Meta(min_length=16, max_length=16)]  # drawn anew each time the agent begins to count
    every: Seconds  # between pushes


class Definition(_Message, frozen=True):
    """What a number stands for, on this connection."""

    id: Natural
    name: Name
    kind: Literal["counter", "gauge"]
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=17)]  # 16, and `le`


class Define(_Message, tag=2, frozen=True):
    """Definitions that later pushes use."""

    definitions: Annotated[list[Definition], Meta(min_length=1, max_length=MOST_SERIES)]


class Push(_Message, tag=3, frozen=True):
    """Numbers at one moment: of a counter what was added since the push before, of a gauge what it is."""

    sequence: Annotated[int, Meta(ge=1, le=2**53)]
    time: Natural  # milliseconds since 1970
    values: Annotated[list[tuple[Natural, float]], Meta(max_length=MOST_SERIES)]


class Welcome(_Message, tag=4, frozen=True):
    """The answer to Hello: pushes of this run up to the sequence are kept."""

    version: Natural
    sequence: Natural


class Ack(_Message, tag=5, frozen=True):
    """Pushes up to the sequence are on disk."""

    sequence: Natural


class Refusal(_Message, tag=6, frozen=True):
    """The conversation ends."""

    code: Annotated[str, Meta(max_length=64)]
    message: Annotated[str, Meta(max_length=256)]
    wait: Seconds  # before another try


FromAgent = Hello | Define | Push
FromCollector = Welcome | Ack | Refusal
_M = TypeVar("_M", FromAgent, FromCollector)

_encoder = msgspec.msgpack.Encoder()


def encode(message: FromAgent | FromCollector) -> bytes:
    """A message as a frame."""
    body = _encoder.encode(message)
    if len(body) > MOST_FRAME:
        raise TooMuch(f"frame has {len(body)} bytes, expected {MOST_FRAME} at most")
    return len(body).to_bytes(_HEADER) + body


class Reader(Generic[_M]):
    """Bytes of one connection to messages.

    Args:
        messages: The union of those that this side takes.
        most: Bytes of a frame's body; may be changed between messages.
    """

    def __init__(self, messages: type[_M], most: int = MOST_FRAME) -> None:
        self._decoder: msgspec.msgpack.Decoder[_M] = msgspec.msgpack.Decoder(messages)
        self._buffer = bytearray()
        self.most = most

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    @property
    def waiting(self) -> int:
        """Bytes that were fed and not made into messages."""
        return len(self._buffer)

    def next(self) -> _M | None:
        """The next message, or None while it is not whole.

        Raises:
            TooMuch: The frame says that it is longer than may be.
            BadFrame: It is empty or holds no message.
        """
        if len(self._buffer) < _HEADER:
            return None
        size = int.from_bytes(self._buffer[:_HEADER])
        if size > self.most:
            raise TooMuch(f"frame has {size} bytes, expected {self.most} at most")
        if len(self._buffer) < _HEADER + size:
            return None
        body = bytes(self._buffer[_HEADER : _HEADER + size])
        del self._buffer[: _HEADER + size]
        return self._message(body)

    def _message(self, body: bytes) -> _M:
        try:
            message = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadFrame(f"frame of {len(body)} bytes is no message: {error}") from None
        # What is not a number is not between any two either.
        if isinstance(message, Push) and not all(-MOST_VALUE <= value <= MOST_VALUE for _, value in message.values):
            raise BadFrame(f"a value is not a number between -{MOST_VALUE:g} and {MOST_VALUE:g}")
        return message
