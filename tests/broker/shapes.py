"""Shapes: bodies that cost much more memory than they have bytes, and a session that decodes them.

Flow: item, how many bytes -> `filled` -> a body; `NoSession` -> Unpacking
Never: makes them with the package's own encoder.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

from ropewalk.broker.unpacking import Unpacking

__all__ = ["SHAPES", "NoSession", "array", "cost", "ext", "filled", "integer", "mapping"]


class NoSession:
    """What unpacking asks of a session, with nothing behind it."""

    def found(self, number: int, name: str) -> Any:
        """An object."""
        return (number, name)

    def own(self, number: int) -> Any:
        """None is shown."""
        return None

    def shared(self, number: int, name: str, run: bytes, version: int, state: Any) -> Any:
        """A shared object, whose state nobody looks into."""
        return f"shared object {number}"

    def coming(self, number: int) -> Any:
        """A stream."""
        return number

    def whole(self, number: int) -> bytes:
        """A blob."""
        return bytes(number)


def integer(number: int) -> bytes:
    """From 0 to 65,535."""
    return bytes([number]) if number < 128 else b"\xcd" + number.to_bytes(2, "big")


def array(items: list[bytes]) -> bytes:
    """An array of encoded items."""
    size = len(items)
    return (bytes([0x90 | size]) if size < 16 else b"\xdd" + size.to_bytes(4, "big")) + b"".join(items)


def mapping(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A map of encoded entries."""
    size = len(entries)
    head = bytes([0x80 | size]) if size < 16 else b"\xde" + size.to_bytes(2, "big")
    return head + b"".join(key + value for key, value in entries)


def ext(code: int, content: bytes) -> bytes:
    """An extension."""
    size = len(content)
    if size < 256:
        return bytes([0xC7, size, code & 0xFF]) + content
    return b"\xc9" + size.to_bytes(4, "big") + bytes([code & 0xFF]) + content


def filled(item: bytes, size: int) -> bytes:
    """An array of the same item, of about so many bytes."""
    return array([item] * (size // len(item)))


def _text(text: str) -> bytes:
    data = text.encode()
    return b"\xd9" + bytes([len(data)]) + data


_KEYS = [*map(integer, range(128)), b"\xc0", b"\xc2", b"\xc3"]
_MORE_KEYS = [*_KEYS, *(bytes([one]) for one in range(0xE0, 0x100)), *map(integer, range(1000, 4000))]

SHAPES: dict[str, bytes] = {
    "nil": b"\xc0",
    "empty map": b"\x80",
    "empty array": b"\x90",
    "negative integer": b"\xe0",
    "integer of two bytes": b"\xcd\x12\x34",
    "integer of eight bytes": b"\xd3" + bytes([9] * 8),
    "float": b"\xca\x3f\x80\0\0",
    "empty text": b"\xa0",
    "text of a character": b"\xa1a",
    "text of a wide character": b"\xa4\xf0\x9f\x98\x80",
    "text of one wide character and many others": _text("\U0001f600" + "a" * 200),
    "binary of a byte": b"\xc4\x01x",
    "moment": ext(-1, bytes(4)),
    "large integer": ext(7, b"\xc4\x09" + bytes([1] * 9)),
    "empty tuple": ext(8, b"\x90"),
    "tuple": ext(8, b"\x91\x01"),
    "empty set": ext(11, b"\x90"),
    "decimal": ext(12, b"\xa11"),
    "uuid": ext(13, b"\xc4\x10" + bytes(16)),
    "date": ext(14, _text("2024-01-02")),
    "date and time": ext(15, _text("2024-01-02T03:04:05")),
    "length of time": ext(16, b"\x05"),
    "awaited": ext(4, b"\x91\x01"),
    "part of what is awaited": ext(4, b"\x93\x01\xa1a\xa1b"),
    "copyable that nobody knows": ext(5, b"\x92\xa1z\x80"),
    "object that was not shown": ext(3, b"\x05"),
    "maps in maps": b"\x81\x01" * 20 + b"\x80",
    "arrays in arrays": b"\x91" * 20 + b"\x80",
    **{f"map of {n}": mapping([(key, b"\xc0") for key in _MORE_KEYS[:n]])
       for n in (1, 2, 5, 6, 10, 11, 15, 16, 21, 22, 42, 43, 85, 86, 131, 171, 342, 700, 2731)},
    **{f"array of {n}": array([b"\xc0"] * n) for n in (1, 2, 3, 4, 5, 8, 9, 16, 17, 20, 60, 100, 1000)},
    **{f"set of {n}": ext(11, array([integer(one) for one in range(n)]))
       for n in (1, 4, 5, 6, 18, 19, 76, 77, 127, 307)},
}  # fmt: skip
"""Encoded items, by what they are."""


def cost(body: bytes) -> int:
    """Bytes of memory at most in use at once while a body is decoded, beside those before."""
    unpacking = Unpacking(NoSession())
    unpacking.value(b"\x91\xc0")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        unpacking.value(body)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
