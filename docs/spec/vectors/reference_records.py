"""The format once more: numbers, refusals and records, which are msgpack in its shortest form (space.md 1).

Flow: values -> `pack` -> bytes; bytes -> `unpack` -> values, or Refused
Never: imports ropewalk, or a msgpack library.
"""

from __future__ import annotations

__all__ = ["Pairs", "Refused", "check_extra", "number", "pack", "refuse", "unpack"]

_DEEPEST = 8  # arrays and maps in each other


class Refused(Exception):
    """What a reader must refuse, with the code of the error that it gives."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def refuse(code: str, why: str, wrong: bool) -> None:
    """Refuse if something is wrong."""
    if wrong:
        raise Refused(code, why)


def number(value: int, size: int) -> bytes:
    """u8, u16, u32 or u64: an unsigned number of ``size`` bytes."""
    return value.to_bytes(size, "big")


class Pairs(list[tuple[object, object]]):
    """A map, in the order it is written."""


def _sized(size: int, small: tuple[int, int] | None, forms: tuple[int, ...]) -> bytes:
    """The lead of a value of some length: in one byte where that can be, else the first form that is wide enough."""
    if small and size < small[1]:
        return bytes([small[0] | size])
    width = next(width for width, form in zip((1, 2, 4), forms, strict=True) if form and size < 256**width)
    return bytes([dict(zip((1, 2, 4), forms, strict=True))[width]]) + number(size, width)


def pack(value: object) -> bytes:
    """One msgpack value in its shortest form."""
    match value:
        case None:
            return b"\xc0"
        case int():
            return _pack_int(value)
        case bytes():
            return _sized(len(value), None, (0xC4, 0xC5, 0xC6)) + value
        case str():
            text = value.encode()
            return _sized(len(text), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + text
        case dict():
            ascending = sorted(value, key=lambda key: key.encode() if isinstance(key, str) else key)
            return pack(Pairs((key, value[key]) for key in ascending))
        case Pairs():
            body = b"".join(pack(key) + pack(item) for key, item in value)
            return _sized(len(value), (0x80, 16), (0, 0xDE, 0xDF)) + body
        case list() | tuple():
            return _sized(len(value), (0x90, 16), (0, 0xDC, 0xDD)) + b"".join(map(pack, value))
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a record")


def _pack_int(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    if value < 0:
        if value >= -32:
            return bytes([256 + value])
        width = next(width for width in (1, 2, 4, 8) if value >= -(256**width // 2))
        return bytes([{1: 0xD0, 2: 0xD1, 4: 0xD2, 8: 0xD3}[width]]) + value.to_bytes(width, "big", signed=True)
    width = next(width for width in (1, 2, 4, 8) if value < 256**width)
    return bytes([{1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}[width]]) + number(value, width)


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise ValueError("ends within a value")
        self.at += size
        return piece

    def length(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def value(self, depth: int = 0) -> object:
        lead = self.take(1)[0]
        if lead < 0x80:
            return lead
        if lead >= 0xE0:
            return lead - 256
        if lead == 0xC0:
            return None
        if 0xC4 <= lead <= 0xC6:
            return self.take(self.length(1 << lead - 0xC4))
        if 0xCC <= lead <= 0xCF:
            return self.length(1 << lead - 0xCC)
        if 0xD0 <= lead <= 0xD3:
            return int.from_bytes(self.take(1 << lead - 0xD0), "big", signed=True)
        if lead & 0xE0 == 0xA0 or 0xD9 <= lead <= 0xDB:
            return self.take(lead & 31 if lead < 0xC0 else self.length(1 << lead - 0xD9)).decode()
        return self.several(lead, depth + 1)

    def several(self, lead: int, depth: int) -> object:
        if depth > 2 * _DEEPEST:
            raise ValueError("nested too deep")
        if lead & 0xF0 == 0x90 or lead in (0xDC, 0xDD):
            count = lead & 15 if lead < 0xC0 else self.length(2 << lead - 0xDC)
            return [self.value(depth) for _ in range(count)]
        if lead & 0xF0 == 0x80 or lead in (0xDE, 0xDF):
            count = lead & 15 if lead < 0xC0 else self.length(2 << lead - 0xDE)
            return Pairs((self.value(depth), self.value(depth)) for _ in range(count))
        raise ValueError(f"a value of type {lead:#x}")


def unpack(data: bytes, limit: int, code: str = "records.malformed") -> list[object]:
    """The array that a record is; maps in it are `Pairs`."""
    refuse(code, "longer than its limit", len(data) > limit)
    parser = _Parser(data)
    try:
        value = parser.value()
    except ValueError as error:
        raise Refused(code, str(error)) from None
    refuse(code, "bytes left over", parser.at != len(data))
    if not isinstance(value, list) or isinstance(value, Pairs):
        raise Refused(code, "not an array")
    refuse(code, "not in its shortest form", pack(value) != data)
    return value


def check_extra(extra: object, code: str = "records.malformed") -> None:
    """Fields of later versions: a map from ascending numbers, at most 1 KiB."""
    if not isinstance(extra, Pairs):
        raise Refused(code, "extra is not a map")
    keys = [key for key, _ in extra if isinstance(key, int) and key >= 0]
    refuse(code, "extra is not by number", len(keys) != len(extra) or any(a >= b for a, b in zip(keys, keys[1:])))  # noqa: B905, RUF007
    refuse(code, "extra is over 1 KiB", len(pack(extra)) > 1024)
