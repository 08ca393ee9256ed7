"""Limits: what one end of a session accepts from the other.

Flow: ours -> hello, LIMITS -> the other end's idea of us; its hello, LIMITS -> `Granted` -> what we may send
Never: counts anything; who receives does.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

import msgspec

from ropewalk.broker.errors import BadFrame

__all__ = [
    "BEFORE_LOGIN",
    "FREE",
    "LIGHT",
    "PIECE",
    "SEGMENT",
    "SLIGHT",
    "Limits",
    "at_least",
    "before",
    "framed",
    "granted",
    "told",
    "widest",
]

SEGMENT = 16 * 1024  # bytes from which binary travels beside the body
PIECE = 256 * 1024  # the longest piece of a blob, and the longest segment of a message
FREE = 1024  # bytes of a call below which it costs nothing of the window
SLIGHT = 24  # bytes of an answer below which it takes no more memory than a question does
LIGHT = 60_000  # bytes of a body that is never too heavy; bodies of several messages are cut here


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of a session; the first ten are told to the other end, the others are ours alone.

    Attributes:
        frame: Bytes of a frame.
        depth: Arrays, maps and extensions inside each other.
        weight: What the body of a frame may weigh: see `weigh`.
        questions: Calls that are not answered and finished.
        window: Bytes of calls that are not answered.
        references: Objects of either end that the other holds.
        streams: Streams to us.
        stream_window: Bytes of a stream before we take any out.
        blob: Bytes of one binary value.
        blobs: Binary values that are underway in pieces.
        queued: Calls that wait for the answers of others.
        chain: How many answers may wait for each other in a row.
        memory: Bytes that what came may take here before calls are refused: see `burden`.
        hello: Seconds for the hello.
        login: Seconds until somebody has logged in.
        quiet: Seconds without a byte until we ask whether the other end is there, and then until it is taken as gone.
        unread: Seconds that the other end may leave unread what we have to say.
        idle: Seconds without a call, an answer or an item until the session ends; 0 for no end.
        traces: The other end may see where in our code a call failed.
    """

    frame: int = 1 << 20
    depth: int = 64
    weight: int = 16 << 20
    questions: int = 4096
    window: int = 64 << 20
    references: int = 250_000
    streams: int = 256
    stream_window: int = 1 << 20
    blob: int = 64 << 20
    blobs: int = 1024
    queued: int = 1024
    chain: int = 64
    memory: int = 15 << 20
    hello: float = 10.0
    login: float = 30.0
    quiet: float = 30.0
    unread: float = 60.0
    idle: float = 0.0
    traces: bool = False


_TOLD = (
    "frame",
    "depth",
    "weight",
    "questions",
    "window",
    "references",
    "streams",
    "stream_window",
    "blob",
    "blobs",
)

_TIMES = ("hello", "login", "quiet", "unread", "idle")

BEFORE_LOGIN = Limits(
    frame=4096,
    depth=16,
    weight=2 << 20,
    questions=8,
    window=16_384,
    references=64,
    streams=4,
    stream_window=16_384,
    blob=16_384,
    blobs=4,
    queued=16,
    chain=16,
    memory=1 << 20,
)


def before(login: Limits) -> Limits:
    """What a server accepts of somebody who has not logged in, with the times that it has for everybody."""
    return msgspec.structs.replace(BEFORE_LOGIN, **{name: getattr(login, name) for name in _TIMES})


def at_least(ours: Limits) -> Limits:
    """Limits, none below what everybody may send before it has heard of any."""
    raised = {name: max(getattr(ours, name), getattr(BEFORE_LOGIN, name)) for name in _TOLD}
    return msgspec.structs.replace(ours, **raised)


def widest(one: Limits, other: Limits) -> Limits:
    """Of each limit the larger; a session that never ends by itself is the longest."""
    both = {name: max(getattr(one, name), getattr(other, name)) for name in Limits.__struct_fields__}
    both["idle"] = both["idle"] if one.idle and other.idle else 0.0
    return Limits(**both)


def framed(limits: Limits, most: int | None) -> Limits:
    """Limits that what is below a session keeps too: it takes messages of so many bytes."""
    return limits if most is None or limits.frame <= most else msgspec.structs.replace(limits, frame=most)


def told(limits: Limits) -> dict[str, int]:
    """What the other end is told of our limits."""
    return {name: getattr(limits, name) for name in _TOLD}


def granted(before: Limits, got: object) -> Limits:
    """What the other end accepts after it told this.

    Raises:
        BadFrame: It is not a map of limits.
    """
    if not isinstance(got, dict):
        raise BadFrame(f"limits are {type(got).__name__}, expected a map")
    values = {name: getattr(before, name) for name in _TOLD}
    for name in _TOLD:
        value = got.get(name, 0)
        if type(value) is not int or value < 0:
            raise BadFrame(f"limit {name} is {value!r:.40}, expected a number")
        values[name] = max(values[name], min(value, 2**31 - 1))
    return msgspec.structs.replace(before, **values)
