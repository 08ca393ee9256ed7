"""Frames and values of docs/spec/broker.md once more, from the document alone: small and slow.

A value is shown as JSON can show it: nil, booleans, integers of up to 53 bits, text and arrays as they are, all else as
an object of one entry that says what it is; see broker/README.md.

Flow: bytes -> `frames` -> body, segments -> `unpack` -> what it shows; and back by `pack`
Never: imports ropewalk.
"""

from __future__ import annotations

import re
import struct
from typing import Any

__all__ = ["Map", "Refused", "frame", "frames", "pack", "single", "unpack", "weight"]

EXACT = 2**53
STEP_LIMIT = 64
MANY_KEYS = 64  # entries of a map from which its keys are looked at (section 7)


class Refused(Exception):
    """The document says that this must be refused."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# Frames (section 1).


def frame(body: bytes, segments: list[bytes] | None = None, flags: int = 0) -> bytes:
    """One frame."""
    parts = segments or []
    head = struct.pack(">IHH", len(body), len(parts), flags)
    return head + b"".join(struct.pack(">I", len(part)) for part in parts) + body + b"".join(parts)


def frames(data: bytes, limit: int) -> list[tuple[int, bytes, list[bytes]]]:
    """Flags, body and segments of all whole frames."""
    found, at = [], 0
    while len(data) - at >= 8:
        body, count, flags = struct.unpack_from(">IHH", data, at)
        if body == 0 or flags > 1 or count > 4096 or (flags == 1 and count != 1):
            raise Refused("broker.frame")
        if 8 + 4 * count + body > limit:
            raise Refused("broker.limit")
        if len(data) - at < 8 + 4 * count:
            break
        lengths = struct.unpack_from(f">{count}I", data, at + 8)
        size = 8 + 4 * count + body + sum(lengths)
        if size > limit:
            raise Refused("broker.limit")
        if len(data) - at < size:
            break
        place = at + 8 + 4 * count
        parts = [data[place : place + body]]
        place += body
        for length in lengths:
            parts.append(data[place : place + length])
            place += length
        found.append((flags, parts[0], parts[1:]))
        at = place
    return found


# MessagePack, with extensions left as [code, bytes].


class _Ext(tuple[int, bytes]):
    """An extension."""

    __slots__ = ()


class Map(list[tuple[Any, Any]]):
    """A map, in order."""


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise Refused("broker.frame")
    return data[at : at + size], at + size


def _number(data: bytes, at: int, size: int, signed: bool = False) -> tuple[int, int]:
    part, at = _take(data, at, size)
    return int.from_bytes(part, "big", signed=signed), at


def _text(part: bytes) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise Refused("broker.frame") from None


def _parse(data: bytes, at: int, deep: int = 0) -> tuple[Any, int]:  # noqa: C901 - a case for each first byte
    """The value that begins here, and where it ends."""
    if deep > 300:
        raise Refused("broker.frame")
    first, at = _number(data, at, 1)
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 256, at
    if first < 0xA0 or 0xDC <= first <= 0xDF:
        if first < 0xA0:
            count, is_map = first & 15, first < 0x90
        else:
            count, at = _number(data, at, 2 if first in (0xDC, 0xDE) else 4)
            is_map = first >= 0xDE
        items = []
        for _ in range(2 * count if is_map else count):
            item, at = _parse(data, at, deep + 1)
            items.append(item)
        if is_map and count >= MANY_KEYS and any(isinstance(key, list | tuple) for key in items[::2]):
            raise Refused("broker.frame")
        return (Map(zip(items[::2], items[1::2], strict=True)) if is_map else items), at
    if first < 0xC0 or 0xD9 <= first <= 0xDB:
        size, at = (first & 31, at) if first < 0xC0 else _number(data, at, 1 << first - 0xD9)
        part, at = _take(data, at, size)
        return _text(part), at
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if 0xC4 <= first <= 0xC6:
        size, at = _number(data, at, 1 << first - 0xC4)
        return _take(data, at, size)
    if 0xC7 <= first <= 0xC9 or 0xD4 <= first <= 0xD8:
        size, at = _number(data, at, 1 << first - 0xC7) if first < 0xD0 else (1 << first - 0xD4, at)
        code, at = _number(data, at, 1, signed=True)
        part, at = _take(data, at, size)
        return _Ext((code, part)), at
    if first in (0xCA, 0xCB):
        part, at = _take(data, at, 4 if first == 0xCA else 8)
        return struct.unpack(">f" if first == 0xCA else ">d", part)[0], at
    if 0xCC <= first <= 0xD3:
        return _number(data, at, 1 << (first - 0xCC) % 4, signed=first >= 0xD0)
    raise Refused("broker.frame")


def single(data: bytes) -> Any:
    """The one value that these bytes are."""
    value, at = _parse(data, 0)
    if at != len(data):
        raise Refused("broker.frame")
    return value


# Values (section 5).


def unpack(data: bytes, segments: list[bytes] | None = None) -> Any:
    """What a body shows."""
    left = dict(enumerate(segments or []))
    shown = _shown(single(data), left)
    if left:
        raise Refused("broker.frame")
    return shown


def _shown(value: Any, segments: dict[int, bytes]) -> Any:
    if isinstance(value, _Ext):
        return _extension(value[0], value[1], segments)
    if isinstance(value, Map):
        return {"map": [[_shown(key, segments), _shown(one, segments)] for key, one in value]}
    if isinstance(value, list):
        return [_shown(one, segments) for one in value]
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, float):
        return {"float": repr(value)}
    if type(value) is int and abs(value) > EXACT:
        return {"int": str(value)}
    return value


def _need(held: bool) -> None:
    if not held:
        raise Refused("broker.value")


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _moment(data: bytes) -> Any:
    if len(data) == 4:
        seconds, nano = int.from_bytes(data, "big"), 0
    elif len(data) == 8:
        both = int.from_bytes(data, "big")
        seconds, nano = both & (2**34 - 1), both >> 34
    elif len(data) == 12:
        nano, seconds = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big", signed=True)
    else:
        raise Refused("broker.frame")
    if nano > 999_999_999 or not -62_135_596_800 <= seconds <= 253_402_300_799:
        raise Refused("broker.frame")
    return {"moment": [seconds, nano]}


def _extension(code: int, data: bytes, segments: dict[int, bytes]) -> Any:  # noqa: C901 - a case for each code
    if code == -1:
        return _moment(data)
    _need(1 <= code <= 16)
    content = single(data)
    match code:
        case 1:
            _need(type(content) is int and content in segments)
            return {"segment": segments.pop(content).hex()}
        case 2:
            _need(type(content) is list and len(content) == 2 and _is_number(content[0]))
            _need(type(content[1]) is str and len(content[1]) <= 128)
            return {"object": content}
        case 3 | 9 | 10:
            _need(_is_number(content))
            return {{3: "own", 9: "stream", 10: "blob"}[code]: content}
        case 4:
            _need(type(content) is list and len(content) > 0 and _is_number(content[0]))
            _need(all(type(step) in (int, str) for step in content[1:]) and len(content) - 1 <= STEP_LIMIT)
            return {"answer": content}
        case 5:
            _need(type(content) is list and len(content) == 2 and type(content[0]) is str)
            _need(isinstance(content[1], Map) and all(type(key) is str for key, _ in content[1]))
            return {"copy": [content[0], _shown(content[1], segments)]}
        case 6:
            _need(type(content) is list and len(content) == 5 and _is_number(content[0]))
            number, name, run, version, state = content
            _need(type(name) is str and len(name) <= 128 and type(run) is bytes and len(run) == 8)
            _need(type(version) is int and version >= 0)
            return {"shared": [number, name, run.hex(), version, _shown(state, segments)]}
        case 7:
            _need(type(content) is bytes and 1 <= len(content) <= 1024)
            return {"big": str(int.from_bytes(content, "big", signed=True))}
        case 8 | 11:
            _need(type(content) is list)
            items = [_shown(item, segments) for item in content]
            if code == 11:
                _need(not any(item in items[:at] for at, item in enumerate(items)))
                _need(not any(_unfit(item) for item in items))
            return {"tuple" if code == 8 else "set": items}
        case 13:
            _need(type(content) is bytes and len(content) == 16)
            return {"uuid": content.hex()}
        case 16:
            _need(type(content) is int)
            return {"span": content}
    name, form, most = _TEXTS[code]
    _need(type(content) is str and len(content) <= most and re.fullmatch(form, content) is not None)
    return {name: content}


def _unfit(item: Any) -> bool:
    """What can be in no set: what may change, or is not there yet."""
    if isinstance(item, list):
        return True
    if not isinstance(item, dict):
        return False
    (kind, inside), *_ = item.items()
    return kind in ("map", "set", "answer") or (kind == "tuple" and any(map(_unfit, inside)))


_TEXTS = {
    12: ("decimal", r"-?[0-9]+(\.[0-9]+)?(E[+-][0-9]+)?|NaN|-?Infinity", 4096),
    14: ("date", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", 10),
    15: ("time", r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?", 26),
}


# And back, in the shortest form.


def _head(size: int, fixed: int, most: int, codes: list[int]) -> bytes:
    """A head that tells a size."""
    if size < most:
        return bytes([fixed | size])
    width = next(width for width in (1, 2, 4) if size < 256**width and codes[width.bit_length() - 1])
    return bytes([codes[width.bit_length() - 1]]) + size.to_bytes(width, "big")


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return bytes([value & 255])
    if value >= 0:
        width = next(width for width in (1, 2, 4, 8) if value < 256**width)
        return bytes([0xCC + width.bit_length() - 1]) + value.to_bytes(width, "big")
    width = next(width for width in (1, 2, 4, 8) if value >= -(256**width) // 2)
    return bytes([0xD0 + width.bit_length() - 1]) + value.to_bytes(width, "big", signed=True)


def _ext(code: int, data: bytes) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(len(data))
    head = bytes([fixed]) if fixed else _head(len(data), 0, 0, [0xC7, 0xC8, 0xC9])
    return head + bytes([code & 255]) + data


def _packed_moment(seconds: int, nano: int) -> bytes:
    if 0 <= seconds < 2**32 and nano == 0:
        return _ext(-1, seconds.to_bytes(4, "big"))
    if 0 <= seconds < 2**34:
        return _ext(-1, (nano << 34 | seconds).to_bytes(8, "big"))
    return _ext(-1, nano.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True))


def pack(shown: Any) -> bytes:  # noqa: C901 - a case for each kind
    """The bytes of what is shown; of a segment and a blob, those that name it by its number."""
    if shown is None or isinstance(shown, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[shown]
    if isinstance(shown, int):
        return _integer(shown)
    if isinstance(shown, str):
        data = shown.encode()
        return _head(len(data), 0xA0, 32, [0xD9, 0xDA, 0xDB]) + data
    if isinstance(shown, list):
        return _head(len(shown), 0x90, 16, [0, 0xDC, 0xDD]) + b"".join(map(pack, shown))
    ((kind, inside),) = shown.items()
    match kind:
        case "map":
            entries = b"".join(pack(key) + pack(value) for key, value in inside)
            return _head(len(inside), 0x80, 16, [0, 0xDE, 0xDF]) + entries
        case "bin":
            data = bytes.fromhex(inside)
            return _head(len(data), 0, 0, [0xC4, 0xC5, 0xC6]) + data
        case "zeros":
            return pack({"bin": "00" * inside})
        case "float":
            return b"\xcb" + struct.pack(">d", float(inside))
        case "int":
            return _integer(int(inside))
        case "moment":
            return _packed_moment(*inside)
        case "shared":
            number, name, run, version, state = inside
            return _ext(6, pack([number, name, {"bin": run}, version, state]))
        case "big":
            value = int(inside)
            size = (value if value >= 0 else ~value).bit_length() // 8 + 1
            return _ext(7, pack({"bin": value.to_bytes(size, "big", signed=True).hex()}))
        case "uuid":
            return _ext(13, pack({"bin": inside}))
    return _ext(_CODES[kind], pack(inside))


_KINDS = (
    "segment",
    "object",
    "own",
    "answer",
    "copy",
    "tuple",
    "stream",
    "blob",
    "set",
    "decimal",
    "date",
    "time",
    "span",
)
_CODES = dict(zip(_KINDS, (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 14, 15, 16), strict=True))


# Weight (section 7).


def weight(body: bytes) -> int:
    """What a body weighs."""
    return 10 * len(body) + _heads(single(body))


def _heads(value: Any) -> int:
    if isinstance(value, _Ext):
        if value[0] == -1:
            return 256
        content = single(value[1])
        elements = 96 * len(content) if value[0] == 11 and isinstance(content, list) else 0
        return 256 + elements + _heads(content)
    if isinstance(value, Map):
        return 256 + 32 * len(value) + sum(_heads(key) + _heads(one) for key, one in value)
    if isinstance(value, list):
        return 256 + sum(_heads(one) for one in value)
    if isinstance(value, str | bytes):
        return 64
    if isinstance(value, float) or (type(value) is int and not 0 <= value < 128):
        return 48
    return 0
