"""Footprint: about how much memory values take, in a body that is not decoded yet, or here.

`weigh` says what may be decoded at all, by rules that both ends know, and coarsely. This is for what a session holds on
to, and nearer to the truth: what is held is added up, and who asks for little must not be taken for one who wants much.

Flow: body -> `footprint`; body -> `messages`, each with its own; value -> `size_of`
Never: is less than what decoding the body takes; looks closer than it must.
Source: docs/spec/broker.md section 7; https://github.com/msgpack/msgpack/blob/master/spec.md for the first bytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from ropewalk.broker.copyables import entry_of
from ropewalk.broker.weigh import EXTENSIONS, HEADS, MAPS, count_at, length_at

__all__ = ["MOST_PER_BYTE", "footprint", "messages", "quickly", "size_of"]

MOST_PER_BYTE = 130  # no body takes more for each of its bytes

_SLOT, _ARRAY, _EMPTY, _MAP, _ENTRY, _TEXT, _WIDE, _NUMBER = 10, 80, 64, 240, 80, 56, 24, 36
_FEW, _MORE = 5, 15  # entries of a map that are in its first table; the most that its first byte can tell
_EXTENSION, _ELEMENT = 300, 112
_KINDS = {2: 450, 5: 700, 6: 900, 7: 100, 9: 1600, 11: 250}  # extensions that take more, or less
_MOMENT = 0xFF
_KIND_OF_SET = 11

_ARRAYS = bytes([*range(0x90, 0xA0), 0xDC, 0xDD])
_TEXTS = bytes([*range(0xA0, 0xC0), 0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB])
_NUMBERS = bytes([*range(0xCA, 0xD4), *range(0xE0, 0x100)])
_CLASSES = (  # of first bytes, with what each takes at most, but for the entries of large maps
    (_ARRAYS, _ARRAY),
    (b"\x80", _EMPTY),
    (bytes(range(0x81, 0x86)), _MAP),
    (bytes(range(0x86, 0x90)), _MAP + (_MORE - _FEW) * _ENTRY),
    (b"\xde\xdf", _MAP),
    (_TEXTS, _TEXT + _WIDE),
    (_NUMBERS, _NUMBER),
    (bytes(EXTENSIONS), max(_KINDS.values())),
)
_NEGATIVE = bytes(range(0xE0, 0x100))
_ONES = frozenset([*range(0x81), 0x90, 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)])
_RUN = re.compile(rb"[\x00-\x80\x90\xc0\xc2\xc3\xe0-\xff]{6,}")  # values of one byte each
_LARGE, _EXTENDED = 4, 7  # places there
_CLASS = bytes(next((at + 1 for at, (heads, _) in enumerate(_CLASSES) if one in heads), 0) for one in range(256))
_COUNTED = [(bytes([at + 1]), each) for at, (_, each) in enumerate(_CLASSES)]


def footprint(body: bytes | memoryview, enough: int = 0) -> int:
    """At least the bytes that the values of a body take; counted one by one where that may be over ``enough``."""
    data = bytes(body)
    return taken if (taken := quickly(data)) <= enough else sum(taken for _, _, taken in _values(data, 0))


def messages(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each value of the array begins that a body is, where it ends, and what it takes."""
    head = HEADS[body[0]][1] if body and body[0] in _ARRAYS else 0
    return _values(body, head)


def quickly(data: bytes) -> int:
    """The same, or more, by looking at no byte twice."""
    size, classes = len(data), data.translate(_CLASS)
    taken = size * _SLOT
    for head, each in _COUNTED:
        taken += each * classes.count(head)
    if _COUNTED[_LARGE][0] in classes:
        taken += size // 2 * _ENTRY
    if _COUNTED[_EXTENDED][0] in classes and _KIND_OF_SET in data:
        taken += size * _ELEMENT
    return taken


def _values(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Go from head to head, also inside of extensions."""
    end = len(data)
    while at < end:
        begin, taken, left = at, 0, 1
        while left and at < end:
            first = data[at]
            if left > _FEW and first in _ONES and (run := _RUN.match(data, at, at + left)) is not None:
                ones = run[0]
                taken += len(ones) * _SLOT + ones.count(b"\x80") * _EMPTY + ones.count(b"\x90") * _ARRAY
                taken += (len(ones) - len(ones.translate(None, _NEGATIVE))) * _NUMBER
                left -= len(ones)
                at += len(ones)
                continue
            cost, step, width = _COSTS[first]
            taken += cost
            left -= 1
            if width or 0xA0 <= first < 0xC0:
                head = step if width else 1
                step += int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else 0
                if first not in _BINARY:
                    text = data[at + head : at + step]
                    taken += len(text) if text.isascii() else _WIDE + 5 * len(text)
                else:
                    taken += step - head
            elif cost == _SEE:
                more, step, children = _container(data, at, first, step)
                taken += more - _SEE
                left += children
            at += step
        yield begin, at, taken


def _container(data: bytes, at: int, first: int, step: int) -> tuple[int, int, int]:
    """What one takes beside its contents, bytes to the next head, values in it."""
    if first in EXTENSIONS:
        kind = data[at + step - 1] if at + step <= len(data) else _MOMENT
        if kind == _MOMENT:  # its bytes are no heads
            return _SLOT + _EXTENSION, step + length_at(data, at), 0
        taken = _SLOT + _KINDS.get(kind, _EXTENSION)
        return taken + (_ELEMENT * count_at(data, at + step) if kind == _KIND_OF_SET else 0), step, 1
    count = count_at(data, at)
    if first not in MAPS:
        return _SLOT + _ARRAY, step, count
    if not count:
        return _SLOT + _EMPTY, step, 0
    return _SLOT + _MAP + _ENTRY * max(0, count - _FEW), step, 2 * count


_SEE = 1  # what a container costs in the table: look at it
_BINARY = frozenset({0xC4, 0xC5, 0xC6})


def _cost(first: int) -> tuple[int, int, int]:
    _, step, width = HEADS[first]
    if first in EXTENSIONS or first in MAPS or first in _ARRAYS:
        return _SEE, step, width
    return _SLOT + (_TEXT if first in _TEXTS else _NUMBER if first in _NUMBERS else 0), step, width


_COSTS = [_cost(first) for first in range(256)]


def size_of(value: Any) -> int:
    """About the bytes that a value takes here, but for those of which its text and binary consist."""
    size, values = 0, [value]
    while values:
        one = values.pop()
        kind = one.__class__
        if kind is str or kind is bytes:
            size += _TEXT
        elif kind is list or kind is tuple or kind is set:
            size += sys.getsizeof(one)
            values.extend(one)
        elif kind is dict:
            size += sys.getsizeof(one)
            values.extend(one)
            values.extend(one.values())
        elif kind is int or kind is float:
            size += _NUMBER
        elif kind is not bool and one is not None:
            size += _EXTENSION
            entry = entry_of(kind)
            if entry is not None:
                values.extend(entry.take(one).values())
    return size
