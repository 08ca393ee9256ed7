"""Cases of docs/spec/broker.md that need no conversation: frames, values, hellos, messages, weights, logins.

Flow: what is meant, or bytes that are wrong -> the reference's bytes, or its refusal -> make.py
Never: takes a byte from ropewalk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docs.spec.vectors.reference_broker import Refused, frame, frames, pack, unpack, weight
from docs.spec.vectors.reference_broker_session import hello, login, message

__all__ = ["cases", "refusal"]

Case = dict[str, Any]


def refusal(do: Callable[[], object]) -> str:
    """The code that something is refused with, "" where it is taken."""
    try:
        do()
    except Refused as error:
        return error.code
    return ""


def _ext(code: int, content: bytes) -> bytes:
    return b"\xc7" + bytes([len(content), code & 255]) + content


def _text(text: str) -> bytes:
    data = text.encode()
    return b"\xd9" + bytes([len(data)]) + data


# Frames.

_TWO = frame(b"\x91\x01") + frame(b"\x92\x01\x02", [b"ab", b""])
_FRAMES: list[tuple[str, bytes, int]] = [
    ("a body alone", frame(b"\x91\xc0"), 64),
    ("two frames, the second with segments, one of them empty", _TWO, 64),
    ("half a frame is nothing yet", frame(b"\x91\xc0")[:-1], 64),
    ("a piece of a blob", frame(b"\x92\x01\x03", [b"abc"], 1), 64),
    ("a frame as long as the limit", frame(b"b" * 56), 64),
    ("one byte longer, refused by its header", frame(b"b" * 57)[:8], 64),
    ("too long by its segments, refused by their lengths", frame(b"b" * 20, [b"s" * 40])[:12], 64),
    ("lengths of segments that are there in part say nothing yet", frame(b"b", [b"s" * 70])[:11], 64),
    ("the most segments, whose lengths are not there yet", frame(b"\x91\xc0", [b""] * 4096)[:8], 20_000),
    ("a segment too many", frame(b"\x91\xc0", [b""] * 4097)[:8], 20_000),
    ("no body", frame(b""), 64),
    ("a flag that is not known", frame(b"\x91\xc0", [], 2), 64),
    ("a flag that is not known beside one that is", frame(b"\x91\xc0", [b""], 3), 64),
    ("a piece without a segment", frame(b"\x92\x01\x03", [], 1), 64),
    ("a piece with two segments", frame(b"\x92\x01\x03", [b"a", b"b"], 1), 64),
    ("a good frame and then a bad one", frame(b"\x91\xc0") + bytes(8), 64),
]


def _frames() -> list[Case]:
    made = []
    for why, data, limit in _FRAMES:
        case: Case = {"why": why, "limit": limit, "bytes": data.hex()}
        if code := refusal(lambda data=data, limit=limit: frames(data, limit)):  # type: ignore[misc]
            case["error"] = code
        else:
            case["frames"] = [
                {"flags": flags, "body": body.hex(), "segments": [one.hex() for one in segments]}
                for flags, body, segments in frames(data, limit)
            ]
        made.append(case)
    return made


# Values.

_BOTH_WAYS: list[tuple[str, Any]] = [
    ("nil", None),
    ("booleans", [True, False]),
    ("integers of each length", [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53]),
    ("negative integers", [-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**53)]),
    ("integers of 64 bits", [{"int": str(2**64 - 1)}, {"int": str(-(2**63))}, {"int": str(2**53 + 1)}]),
    ("floats", [{"float": "1.5"}, {"float": "-0.0"}, {"float": "inf"}, {"float": "1e+300"}, {"float": "5e-324"}]),
    ("text", ["", "a" * 31, "a" * 32, "a" * 256, "Gr\u00fc\u00dfe \U0001f600 \u0000"]),
    ("binary", [{"bin": ""}, {"bin": "00ff"}, {"bin": "ab" * 256}]),
    ("arrays", [[], [1] * 15, [1] * 16, [[[]]]]),
    ("maps with keys of all kinds", {"map": [["a", 1], [1, 2], [-1, 3], [{"bin": "00"}, 4], [False, 5], [None, 6]]}),
    ("a map of 16", {"map": [[number, None] for number in range(16)]}),
    ("moments in each form", [{"moment": [1, 0]}, {"moment": [2**33, 1000]}, {"moment": [-1, 999_999_000]}]),
    ("the first and the last moment", [{"moment": [-62_135_596_800, 0]}, {"moment": [253_402_300_799, 999_999_000]}]),
    ("integers beyond 64 bits", [{"big": str(2**64)}, {"big": str(-(2**63) - 1)}, {"big": str(-(2**71))}]),
    ("the largest integer", {"big": str(2**8191 - 1)}),
    ("tuples", [{"tuple": []}, {"tuple": [1, {"tuple": ["a"]}, [2]]}]),
    ("sets", [{"set": []}, {"set": [7]}]),
    ("decimals", [{"decimal": text} for text in ("0", "-1.50", "1E+9", "-1.2E-7", "NaN", "Infinity", "-Infinity")]),
    ("a UUID", {"uuid": "00112233445566778899aabbccddeeff"}),
    ("dates", [{"date": "0001-01-01"}, {"date": "2024-02-29"}, {"date": "9999-12-31"}]),
    ("dates with a time", [{"time": "2024-01-02T03:04:05"}, {"time": "2024-01-02T03:04:05.000006"}]),
    ("lengths of time", [{"span": 0}, {"span": -1}, {"span": 86_400_000_000}]),
    ("a copyable that nobody knows is passed over, not refused", {"copy": ["vectors.unknown", {"map": [["a", 1]]}]}),
    ("an object of the sender", {"object": [1, "Thing"]}),
    ("an answer that is to come, and a part of it", [{"answer": [1]}, {"answer": [1, "a", 0, -1]}]),
    ("a shared object", {"shared": [1, "Board", "0011223344556677", 3, {"map": [["a", [1]]]}]}),
    ("a stream", {"stream": 1}),
]
_TAKEN: list[tuple[str, bytes, list[bytes]]] = [
    ("an integer in a longer form", b"\xd3" + bytes(7) + b"\x05", []),
    ("a float of four bytes", b"\xca\x3f\xc0\x00\x00", []),
    ("text in a longer form", b"\xdb\x00\x00\x00\x01a", []),
    ("an extension in a longer form", b"\xc9\x00\x00\x00\x01\x08\x90", []),
    ("a large integer with more bytes than it needs", _ext(7, b"\xc4\x03\x00\x00\x05"), []),
    ("a small integer as a large one", _ext(7, b"\xc4\x01\xff"), []),
    ("segments in another order", b"\x92" + _ext(1, b"\x01") + _ext(1, b"\x00"), [b"first", b"second"]),
    ("an empty segment", _ext(1, b"\x00"), [b""]),
]
_WRONG: list[tuple[str, bytes, list[bytes]]] = [
    ("an extension that is not known", _ext(17, b"\xc0"), []),
    ("a negative extension that is no timestamp", _ext(-2, b"\xc0"), []),
    ("bytes after the value", b"\x01\x01", []),
    ("a value that is cut", b"\x92\x01", []),
    ("the byte that MessagePack does not use", b"\xc1", []),
    ("text that is not UTF-8", b"\xa1\xff", []),
    ("a timestamp of five bytes", _ext(-1, bytes(5)), []),
    ("bytes after an extension's content", _ext(8, b"\x90\xc0"), []),
    ("an extension without content", _ext(8, b""), []),
    ("a segment that is not there", _ext(1, b"\x01"), [b"a"]),
    ("a segment that is used twice", b"\x92" + _ext(1, b"\x00") * 2, [b"a"]),
    ("a segment that is not used", b"\x01", [b"a"]),
    ("an object with the number of the door", _ext(2, b"\x92\x00\xa0"), []),
    ("an object without a name", _ext(2, b"\x91\x01"), []),
    ("an object with a number that is too large", _ext(2, b"\x92\xce\x80\x00\x00\x00\xa0"), []),
    ("an object with a name of 129 characters", _ext(2, b"\x92\x01" + _text("n" * 129)), []),
    ("an own object that is text", _ext(3, b"\xa11"), []),
    ("an answer without a question", _ext(4, b"\x90"), []),
    ("an answer with a step that is nil", _ext(4, b"\x92\x01\xc0"), []),
    ("an answer with 65 steps", _ext(4, b"\xdc\x00\x42" + b"\x01" * 66), []),
    ("a copyable without fields", _ext(5, b"\x91\xa1a"), []),
    ("a copyable with a field that is no text", _ext(5, b"\x92\xa1a\x81\x01\x01"), []),
    ("a shared object whose run is short", _ext(6, b"\x95\x01\xa0\xc4\x01x\x00\xc0"), []),
    ("a shared object with a negative version", _ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\xff\xc0"), []),
    ("a large integer without bytes", _ext(7, b"\xc4\x00"), []),
    ("a large integer of 1,025 bytes", b"\xc8\x04\x04\x07\xc5\x04\x01" + bytes(1025), []),
    ("a tuple that is a map", _ext(8, b"\x80"), []),
    ("a stream with the number 0", _ext(9, b"\x00"), []),
    ("a set with an element twice", _ext(11, b"\x92\x01\x01"), []),
    ("a set of arrays", _ext(11, b"\x91\x90"), []),
    ("a decimal with a space", _ext(12, _text(" 1")), []),
    ("a decimal with digits that are not ASCII", _ext(12, _text("\u0661")), []),
    ("a decimal that is a number", _ext(12, b"\x01"), []),
    ("a UUID of 15 bytes", _ext(13, b"\xc4\x0f" + bytes(15)), []),
    ("a UUID as text of 16 characters", _ext(13, _text("0" * 16)), []),
    ("a date without dashes", _ext(14, _text("20240102")), []),
    ("a date with a time and a zone", _ext(15, _text("2024-01-02T03:04:05Z")), []),
    ("a date with a time of milliseconds", _ext(15, _text("2024-01-02T03:04:05.123")), []),
    ("a length of time that is a float", _ext(16, b"\xcb" + bytes(8)), []),
    ("a length of time that is a boolean", _ext(16, b"\xc3"), []),
]


def _values() -> list[Case]:
    made: list[Case] = []
    for why, value in _BOTH_WAYS:
        body = pack(value)
        assert unpack(body) == value, why
        made.append({"why": why, "body": body.hex(), "value": value, "sent": True})
    for why, body, segments in _TAKEN + _WRONG:
        case: Case = {"why": why, "body": body.hex()}
        if segments:
            case["segments"] = [one.hex() for one in segments]
        if code := refusal(lambda body=body, segments=segments: unpack(body, segments)):  # type: ignore[misc]
            case["error"] = code
        else:
            case["value"] = unpack(body, segments)
        assert ("error" in case) == ((why, body, segments) in _WRONG), why
        made.append(case)
    return made


# Hellos.

_NONCE = {"bin": bytes(range(32)).hex()}
_HELLO: dict[str, Any] = {"ropewalk": "broker", "version": 1, "least": 1, "nonce": _NONCE, "limits": {"map": []}}


def _greeting(**change: Any) -> bytes:
    held = _HELLO | change
    return frame(pack({"map": [[key, value] for key, value in held.items() if value != "none"]}))


_HELLOS: list[tuple[str, bytes]] = [
    ("the shortest", _greeting(limits="none")),
    ("limits", _greeting(limits={"map": [["frame", 65_536], ["questions", 100]]})),
    ("keys and limits that are not known", _greeting(limits={"map": [["later", -1]]}, later=[1])),
    ("a node", _greeting(node={"bin": "ab" * 32})),
    ("one that speaks later versions too", _greeting(version=9)),
    ("one that speaks only later versions", _greeting(version=9, least=2)),
    ("one that speaks only earlier versions", _greeting(version=0, least=0)),
    ("another protocol", _greeting(ropewalk="space")),
    ("no name of the protocol", _greeting(ropewalk="none")),
    ("no version", _greeting(version="none")),
    ("a version that is text", _greeting(version="1")),
    ("no nonce", _greeting(nonce="none")),
    ("a short nonce", _greeting(nonce={"bin": "00" * 31})),
    ("a nonce that is text", _greeting(nonce="n" * 32)),
    ("a short node", _greeting(node={"bin": "00" * 31})),
    ("limits that are no map", _greeting(limits=[])),
    ("a limit that is negative", _greeting(limits={"map": [["frame", -1]]})),
    ("a limit that is text", _greeting(limits={"map": [["frame", "1"]]})),
    ("messages first", frame(pack([[10, 1]]))),
    ("a segment", frame(pack({"map": [["ropewalk", "broker"]]}), [b"a"])),
    ("a piece first", frame(pack([1, 1]), [b"a"], 1)),
    ("another protocol altogether", b"GET / HTTP/1.1\r\n"),
    ("more than 4 KiB", _greeting(more="x" * 4096)[:8]),
]


def _hellos() -> list[Case]:
    made = []
    for why, data in _HELLOS:
        code = refusal(lambda data=data: hello(data))  # type: ignore[misc]
        made.append({"why": why, "bytes": data.hex()} | ({"error": code} if code else hello(data)))
    return made


# Messages, by their form alone.

_MESSAGES: list[tuple[str, Any]] = [
    ("CALL", [0, 1, 0, "echo", [5]]),
    ("CALL of a part of an answer", [0, 2, [1, "a", 0], "echo", []]),
    (
        "CALL with named arguments and more about it",
        [0, 1, 3, "m", [], {"map": [["a", 1]]}, {"map": [["deadline", 9]]}],
    ),
    ("CALL with nil for what is left out", [0, 1, 0, "m", [], None, None]),
    ("CALL with what is not known about it", [0, 1, 0, "m", [], None, {"map": [["later", 1]]}]),
    ("RETURN", [1, 1, {"map": []}]),
    ("ERROR", [2, 1, "refused", "auth.denied", "no"]),
    ("ERROR of a family that is not known, with details", [2, 1, "new", "a.b", "no", {"map": [["hint", "try"]]}]),
    ("RELEASE", [3, [1, 2], [1, 9]]),
    ("FINISH", [4, [1, 2]]),
    ("CREDIT", [5, 1, 64]),
    ("ITEM of binary", [6, 1, {"bin": "00"}]),
    ("ITEM of any value", [6, 1, [{"bin": "93010203"}]]),
    ("END", [7, 1]),
    ("END with an error", [7, 1, "failed", "broker.failed", "no", {"map": []}]),
    ("CLOSE", [8, 1]),
    ("UPDATE", [9, 1, 2, [[["a"], 1], [["b"]]]]),
    ("PING", [10, 7]),
    ("PONG", [11, 7]),
    ("LIMITS", [12, {"map": [["frame", 2_000_000]]}]),
    ("GOAWAY", [13, "closing"]),
    ("ABORT", [14, "broker.message", "no"]),
    ("nothing", []),
    ("no array", 5),
    ("no kind", ["0"]),
    ("a kind that is not known", [15]),
    ("a negative kind", [-1]),
    ("CALL without arguments", [0, 1, 0, "m"]),
    ("CALL with a field too many", [0, 1, 0, "m", [], None, None, None]),
    ("CALL with question 0", [0, 0, 0, "m", []]),
    ("CALL with a question that is too large", [0, 2**31, 0, "m", []]),
    ("CALL with a question that is a boolean", [0, True, 0, "m", []]),
    ("CALL of text", [0, 1, "door", "m", []]),
    ("CALL of an empty path", [0, 1, [], "m", []]),
    ("CALL of a path with a step that is nil", [0, 1, [1, None], "m", []]),
    ("CALL without a method", [0, 1, 0, "", []]),
    ("CALL of a method of 129 characters", [0, 1, 0, "m" * 129, []]),
    ("CALL with arguments that are a map", [0, 1, 0, "m", {"map": []}]),
    ("CALL with names that are numbers", [0, 1, 0, "m", [], {"map": [[1, 1]]}]),
    ("CALL with a deadline of 0", [0, 1, 0, "m", [], None, {"map": [["deadline", 0]]}]),
    ("CALL with a deadline that is a float", [0, 1, 0, "m", [], None, {"map": [["deadline", {"float": "1.5"}]]}]),
    ("CALL with a trace that is a number", [0, 1, 0, "m", [], None, {"map": [["trace", 1]]}]),
    ("RETURN without a value", [1, 1]),
    ("ERROR without text", [2, 1, "failed", "a"]),
    ("ERROR with details that are an array", [2, 1, "failed", "a", "b", []]),
    ("RELEASE of arrays of unequal length", [3, [1], []]),
    ("RELEASE of none of them", [3, [1], [0]]),
    ("RELEASE of numbers", [3, 1, 1]),
    ("FINISH of a number", [4, 1]),
    ("CREDIT of nothing", [5, 1, 0]),
    ("ITEM of text", [6, 1, "a"]),
    ("ITEM of two", [6, 1, [{"bin": "01"}, {"bin": "02"}]]),
    ("END with half an error", [7, 1, "failed", "a"]),
    ("CLOSE of text", [8, "1"]),
    ("UPDATE with a negative version", [9, 1, -1, []]),
    ("UPDATE with a change that is no array", [9, 1, 1, [1]]),
    ("UPDATE with a path that is no array", [9, 1, 1, [["a", 1]]]),
    ("PING without a number", [10]),
    ("PING of text", [10, "a"]),
    ("PONG of text", [11, "a"]),
    ("LIMITS of an array", [12, []]),
    ("LIMITS with a negative one", [12, {"map": [["frame", -1]]}]),
    ("GOAWAY without text", [13, 1]),
    ("ABORT without text", [14, "broker.message"]),
    ("ABORT of numbers", [14, 1, 1]),
]


def _messages() -> list[Case]:
    made = []
    for why, value in _MESSAGES:
        code = refusal(lambda value=value: message(value))  # type: ignore[misc]
        case = {"why": why, "body": pack([value]).hex(), "message": value}
        made.append(case | ({"error": code} if code else {}))
    return made


# Weights and logins.

_WEIGHED: list[tuple[str, Any]] = [
    ("one small integer", 5),
    ("integers and floats", [128, -1, {"float": "1.5"}]),
    ("text and binary", ["", "abc", {"bin": "00" * 100}]),
    ("empty arrays and maps", [[], {"map": []}]),
    ("a map of three", {"map": [["a", 1], ["b", 2], ["c", 3]]}),
    ("a set of three", {"set": [1, 2, 3]}),
    ("a tuple, whose content counts too", {"tuple": [1, [2]]}),
    ("a moment, whose bytes are none of this", [{"moment": [0xDB000000, 0]}, []]),
    ("a copyable", {"copy": ["a.b", {"map": [["x", 1]]}]}),
]


def _weights() -> list[Case]:
    made: list[Case] = [
        {"why": why, "body": pack(value).hex(), "weight": weight(pack(value))} for why, value in _WEIGHED
    ]
    heavy = pack([{"map": []}] * 200)
    return [
        *made,
        {"why": "as heavy as may be", "body": heavy.hex(), "weight": weight(heavy), "limit": weight(heavy)},
        {"why": "too heavy by one", "body": heavy.hex(), "limit": weight(heavy) - 1, "error": "broker.limit"},
    ]


def _logins() -> list[Case]:
    one, two = (
        {"server_nonce": first * 32, "client_nonce": second * 32} for first, second in (("01", "02"), ("03", "04"))
    )
    seeds = {"node_seed": "05" * 32, "client_seed": "06" * 32}
    tls, plain = {"bound": True, "binding": "07" * 32}, {"bound": False, "binding": "00" * 32}
    given: list[tuple[str, Case]] = [
        ("over TLS", one | seeds | tls | {"name": "alice", "wanted": ""}),
        ("another session gives other signatures", two | seeds | tls | {"name": "alice", "wanted": ""}),
        ("a kind of perspective", one | seeds | tls | {"name": "alice", "wanted": "admin"}),
        ("behind a proxy", one | seeds | plain | {"name": "alice", "wanted": ""}),
        ("a server without a key", one | {"client_seed": "06" * 32} | plain | {"name": "", "wanted": ""}),
        ("names that are not ASCII", one | seeds | tls | {"name": "Zo\u00eb", "wanted": "caf\u00e9"}),
    ]
    return [{"why": why} | case | login(case) for why, case in given]


def cases() -> dict[str, list[Case]]:
    """By file."""
    return {
        "frames": _frames(),
        "values": _values(),
        "hellos": _hellos(),
        "messages": _messages(),
        "weights": _weights(),
        "logins": _logins(),
    }
