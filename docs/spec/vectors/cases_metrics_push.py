"""Cases of docs/spec/metrics-push.md: frames that are right, and what is refused with which code.

Flow: plain values -> MessagePack by their generic encoder, not by the classes that ropewalk reads with -> make.py
Never: takes a frame from ropewalk.
"""

from __future__ import annotations

from typing import Any

import msgspec

RUN = bytes(range(16))
HELLO = [1, 1, "web-1", "secret", RUN, 10.0]
DEFINE = [2, [[0, "a_total", "counter", {"b": "c"}], [1, "level", "gauge", {}]]]
GOOD: list[tuple[str, str, list[Any]]] = [
    ("hello", "agent", HELLO),
    ("define", "agent", DEFINE),
    ("push", "agent", [3, 1, 1_700_000_000_000, [[0, 3.0], [1, -1.5]]]),
    ("push without values", "agent", [3, 2, 1_700_000_010_000, []]),
    ("welcome", "collector", [4, 1, 7]),
    ("ack", "collector", [5, 8]),
    ("refusal", "collector", [6, "collector.token", "the token is not that of web-1", 300.0]),
]


def frame(body: bytes) -> bytes:
    """A body after its length."""
    return len(body).to_bytes(4) + body


def packed(value: object) -> bytes:
    """A frame of a value."""
    return frame(msgspec.msgpack.encode(value))


def cases() -> dict[str, object]:
    """All of them; a bad one is what an agent sends from the beginning of a connection."""
    hello, define = packed(HELLO), packed(DEFINE)
    bad = {
        "push before the hello": packed([3, 1, 5, []]),
        "second hello": hello + hello,
        "empty frame": bytes(4),
        "unknown message": hello + packed([9]),
        "field too many": hello + packed([3, 1, 5, [], 0]),
        "number that is not defined": hello + define + packed([3, 1, 5, [[2, 1.0]]]),
        "number twice": hello + define + packed([3, 1, 5, [[0, 1.0], [0, 1.0]]]),
        "definition twice": hello + define + define,
        "counter that shrinks": hello + define + packed([3, 1, 5, [[0, -1.0]]]),
        "value that is not finite": hello + define + packed([3, 1, 5, [[1, float("inf")]]]),
        "sequence that does not grow": hello + packed([3, 2, 5, []]) + packed([3, 2, 5, []]),
        "bytes after the message": hello + frame(msgspec.msgpack.encode([3, 1, 5, []]) + b"\x00"),
        "text that is not UTF-8": frame(b"\x96\x01\x01\xa1\xff\xa0\xc4\x10" + RUN + b"\x0a"),
    }
    too_long = {
        "frame over 4 KiB before the hello": (4 * 1024 + 1).to_bytes(4),
        "frame over 256 KiB": hello + (256 * 1024 + 1).to_bytes(4),
    }
    return {
        "good": [
            {"name": name, "from": side, "value": _shown(value), "frame": packed(value).hex()}
            for name, side, value in GOOD
        ],
        "bad": [
            {"name": name, "bytes": data.hex(), "code": code}
            for code, group in (("collector.frame", bad), ("collector.limit", too_long))
            for name, data in group.items()
        ],
    }


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value
