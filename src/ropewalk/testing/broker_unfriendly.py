"""What an implementation of the broker must do with a peer that breaks the rules: end that session, and say why.

Flow: a row of HOSTILE: what is said, and when -> ABORT with this code
Never: harms anything but its own session.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from ropewalk.testing.broker_peer import CALL, FINISH, PING, Peer, ext, frame, hello

__all__ = ["HOSTILE", "Attack", "deep"]

FRAME, LIMIT, MESSAGE, VALUE, VERSION = (f"broker.{name}" for name in ("frame", "limit", "message", "value", "version"))


class Attack(NamedTuple):
    """What is said, and how it must end.

    Attributes:
        code: Of the ABORT.
        said: Frames, or messages; "ME" stands for the perspective.
        login: It is said after one; else instead of all.
        cut: The last of it is the beginning of a frame: as a WebSocket message, no frame at all.
    """

    code: str
    said: tuple[Any, ...]
    login: bool = True
    cut: bool = False

    async def play(self, peer: Peer) -> None:
        """Say it."""
        last = len(self.said) - 1
        for at, one in enumerate(self.said):
            ping = [] if at == last else [[PING, at]]
            if not isinstance(one, bytes):
                peer.give(frame([*(_meant(message, peer.me) for message in one), *ping]))
            elif ping and not peer.whole_frames:
                peer.give(one + frame(ping))
            else:
                peer.give(one)
                if ping:
                    peer.give(frame(ping))
            if ping and not await peer.taken(at):
                return

    def expected(self, peer: Peer) -> str:
        """The code over this connection."""
        return FRAME if self.cut and peer.whole_frames else self.code


def _meant(message: Any, me: Any) -> Any:
    if isinstance(message, list):
        return [_meant(one, me) for one in message]
    return me if message == "ME" else message


def deep(depth: int) -> Any:
    """Arrays inside each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _says(code: str, *messages: Any) -> Attack:
    return Attack(code, (list(messages),))


def _gives(code: str, data: bytes, *, login: bool = True) -> Attack:
    return Attack(code, (data,), login)


def _head(body: int, count: int = 0, flags: int = 0) -> bytes:
    return struct.pack(">IHH", body, count, flags)


def _shows(at: int) -> list[Any]:
    shown = [ext(2, [number, ""]) for number in range(at + 1, at + 2_501)]
    return [[CALL, at + 1, "ME", "note", [shown]], [FINISH, [at + 1]]]


_OPEN = [CALL, 1, "ME", "never", []]
_WATCHED = [CALL, 1, "ME", "watch", [ext(6, [7, "Mine", bytes(8), 3, {"a": [1]}])]]
_HEAVY = b"\x91\x95\x00\x01\x00\xa4echo\x91\xdc\xfb\xf4" + b"\x80" * 64_500  # empty maps, in less than 64 KiB
_KEYS = b"\xde\x00\x40" + b"".join(bytes([number, 0xA8]) + b"a value." for number in range(63)) + b"\x90\x01"

HOSTILE: dict[str, Attack] = {
    "another protocol": _gives(FRAME, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", login=False),
    "no hello": _gives(FRAME, frame([[10, 1]]), login=False),
    "a hello of another protocol": _gives(FRAME, hello(ropewalk="spaces"), login=False),
    "a hello without a nonce": _gives(FRAME, hello(nonce=None), login=False),
    "a hello with a short nonce": _gives(FRAME, hello(nonce=bytes(31)), login=False),
    "a hello of a later version": _gives(VERSION, hello(version=3, least=2), login=False),
    "a hello of an earlier version": _gives(VERSION, hello(version=0, least=0), login=False),
    "a long hello": Attack(LIMIT, (_head(4096),), login=False, cut=True),
    "a long frame before a login": Attack(LIMIT, (hello(), _head(4096)), login=False, cut=True),
    "nine questions before a login": Attack(
        LIMIT,
        (hello(), frame([[CALL, number, 0, "login", ["key", {}, ""]] for number in range(1, 10)])),
        login=False,
    ),
    "a flag": _gives(FRAME, _head(1, 0, 2) + b"\x90"),
    "an empty body": _gives(FRAME, _head(0)),
    "many segments": _gives(FRAME, _head(1, 4097)),
    "a piece of two segments": _gives(FRAME, _head(3, 2, 1)),
    "a great body": Attack(LIMIT, (_head(2**32 - 1),), cut=True),
    "a great segment": Attack(LIMIT, (_head(1, 1) + b"\xff\xff\xff\xff",), cut=True),
    "no array": _gives(FRAME, frame({"a": 1})),
    "an empty array": _gives(FRAME, frame([])),
    "half a value": _gives(FRAME, frame(b"\x92\x92\x0a\x01")),
    "more than a value": _gives(FRAME, frame(b"\x91\x92\x0a\x01\x01")),
    "a byte that is nothing": _gives(FRAME, frame(b"\x91\xc1")),
    "no UTF-8": _gives(FRAME, frame(b"\x91\x92\x0d\xa1\xff")),
    "a great array": _gives(FRAME, frame(b"\x91\xdd\xff\xff\xff\xff")),
    "a segment that nobody uses": _gives(FRAME, frame([[10, 1]], (b"x",))),
    "a number for a message": _says(MESSAGE, 5),
    "an empty message": _says(MESSAGE, []),
    "an unknown message": _says(MESSAGE, [15, 1]),
    "a negative message": _says(MESSAGE, [-1, 1]),
    "a message with a name": _says(MESSAGE, ["call", 1]),
    "a message that is too short": _says(MESSAGE, [CALL, 1, "ME", "echo"]),
    "a message that is too long": _says(MESSAGE, [10, 1, 1]),
    "a call with half of its fields": _says(MESSAGE, [CALL, 1, "ME", "echo", 5]),
    "a call without a method": _says(MESSAGE, [CALL, 1, "ME", "", []]),
    "a call of a long method": _says(MESSAGE, [CALL, 1, "ME", "x" * 129, []]),
    "a call of a number": _says(MESSAGE, [CALL, 1, "ME", 5, []]),
    "a call with names that are none": _says(MESSAGE, [CALL, 1, "ME", "echo", [], {1: 1}]),
    "a call about nothing": _says(MESSAGE, [CALL, 1, "ME", "echo", [1], None, 5]),
    "a deadline of 0": _says(MESSAGE, [CALL, 1, "ME", "echo", [1], None, {"deadline": 0}]),
    "question 0": _says(MESSAGE, [CALL, 0, "ME", "echo", [1]]),
    "question 2^31": _says(MESSAGE, [CALL, 2**31, "ME", "echo", [1]]),
    "question true": _says(MESSAGE, [CALL, True, "ME", "echo", [1]]),
    "a target that is text": _says(MESSAGE, [CALL, 1, "x", "echo", [1]]),
    "a target that is an empty path": _says(MESSAGE, [CALL, 1, [], "echo", [1]]),
    "a path with a step that is none": _says(MESSAGE, [CALL, 1, [1, None], "echo", [1]]),
    "a question in use": _says(MESSAGE, _OPEN, [CALL, 1, "ME", "echo", [1]]),
    "a question that is answered and in use": Attack(
        MESSAGE, ([[CALL, 1, "ME", "echo", [1]]], [[CALL, 1, "ME", "echo", [1]]])
    ),
    "an answer that was not asked for": _says(MESSAGE, [1, 1, 5]),
    "an error that was not asked for": _says(MESSAGE, [2, 1, "failed", "x", "y"]),
    "FINISH of nothing": _says(MESSAGE, [4, [1]]),
    "FINISH twice": _says(MESSAGE, [CALL, 1, "ME", "echo", [1]], [4, [1]], [4, [1]]),
    "FINISH twice of an open call": _says(MESSAGE, _OPEN, [4, [1, 1]]),
    "RELEASE of nothing": _says(MESSAGE, [3, [77], [1]]),
    "RELEASE of the door": _says(MESSAGE, [3, [0], [1]]),
    "RELEASE of more than was sent": _says(MESSAGE, [3, ["ME"], [2]]),
    "RELEASE of arrays of two lengths": _says(MESSAGE, [3, [1, 2], [1]]),
    "RELEASE of 0": _says(MESSAGE, [3, [1], [0]]),
    "CREDIT for nothing": _says(MESSAGE, [5, 1, 10]),
    "ITEM of nothing": _says(MESSAGE, [6, 1, b""]),
    "END of nothing": _says(MESSAGE, [7, 1]),
    "CLOSE of nothing": _says(MESSAGE, [8, 1]),
    "END twice": _says(MESSAGE, [CALL, 1, "ME", "total", [ext(9, 1)]], [7, 1], [7, 1]),
    "an item that is no form of one": _says(MESSAGE, [CALL, 1, "ME", "total", [ext(9, 1)]], [6, 1, 5]),
    "half an error at the end of a stream": _says(
        MESSAGE, [CALL, 1, "ME", "total", [ext(9, 1)]], [7, 1, "failed", "x"]
    ),
    "PING without a number": _says(MESSAGE, [10, "x"]),
    "an unknown extension": _says(VALUE, [CALL, 1, "ME", "echo", [ext(99, 1)]]),
    "a content of another kind": _says(VALUE, [CALL, 1, "ME", "echo", [ext(3, "x")]]),
    "a content that is no MessagePack": _gives(FRAME, frame(b"\x91\x95\x00\x01\x01\xa4echo\x91\xd4\x03\xc1")),
    "a reference 0": _says(VALUE, [CALL, 1, "ME", "echo", [ext(2, [0, "x"])]]),
    "a set with an element twice": _says(VALUE, [CALL, 1, "ME", "echo", [ext(11, [1, 1])]]),
    "a decimal that is none": _says(VALUE, [CALL, 1, "ME", "echo", [ext(12, "1e5")]]),
    "a UUID of 15 bytes": _says(VALUE, [CALL, 1, "ME", "echo", [ext(13, bytes(15))]]),
    "a date that is none": _says(VALUE, [CALL, 1, "ME", "echo", [ext(14, "2026-02-30")]]),
    "a segment that is not there": _says(VALUE, [CALL, 1, "ME", "echo", [ext(1, 0)]]),
    "a segment twice": _gives(VALUE, frame([[CALL, 1, 0, "echo", [ext(1, 0), ext(1, 0)]]], (b"x",))),
    "a blob that is not there": _says(MESSAGE, [CALL, 1, "ME", "echo", [ext(10, 1)]]),
    "a blob that is not whole": Attack(MESSAGE, (frame([1, 100], (b"x",), 1), [[CALL, 1, "ME", "echo", [ext(10, 1)]]])),
    "a piece too long for its blob": _gives(MESSAGE, frame([1, 5], (b"x" * 6,), 1)),
    "an empty piece": _gives(MESSAGE, frame([1, 5], (b"",), 1)),
    "a piece with another total": Attack(MESSAGE, (frame([1, 5], (b"x",), 1), frame([1, 6], (b"x",), 1))),
    "giving up a blob that is not there": _gives(MESSAGE, frame([1, 0], (b"",), 1)),
    "a piece that is no piece": _gives(FRAME, frame({"a": 1}, (b"x",), 1)),
    "a body that is too heavy": _gives(LIMIT, frame(_HEAVY)),
    "a map of 64 with a key that is an array": _gives(FRAME, frame(b"\x91\x95\x00\x01\x00\xa4echo\x91" + _KEYS)),
    "questions without end": Attack(
        LIMIT, tuple([[CALL, at + n, "ME", "never", []] for n in range(500)] for at in range(1, 5000, 500))
    ),
    "a gap in the changes of a shared object": _says(MESSAGE, _WATCHED, [9, 7, 5, [[["a"], 1]]]),
    "a change that leads nowhere": _says(MESSAGE, _WATCHED, [9, 7, 4, [[["b", "c"], 1]]]),
    "a change behind the end of an array": _says(MESSAGE, _WATCHED, [9, 7, 4, [[["a", 2], 1]]]),
    "removing what is not there": _says(MESSAGE, _WATCHED, [9, 7, 4, [[["b"]]]]),
    "a negative version": _says(MESSAGE, _WATCHED, [9, 7, -1, []]),
    "too deep": _says(LIMIT, [CALL, 1, "ME", "echo", [deep(200)]]),
    "references without end": Attack(LIMIT, tuple(_shows(at) for at in range(0, 1_000_000, 2_500))),
    "streams without end": _says(LIMIT, [CALL, 1, "ME", "note", [[ext(9, n) for n in range(1, 2000)]]]),
    "a blob without end": _gives(LIMIT, frame([1, 2**31 - 1], (b"x",), 1)),
    "blobs without end": Attack(LIMIT, tuple(frame([n, 2], (b"x",), 1) for n in range(1, 5000))),
    "a stream without credit": Attack(
        LIMIT, ([[CALL, 1, "ME", "note", [ext(9, 1)]]], *([[6, 1, bytes(30_000)]] for _ in range(200)))
    ),
}
