"""Weighing: what a body may cost in memory, and in time, before it is decoded.

An empty map is one byte on the wire and 64 in memory, so a limit on bytes alone is none on memory.  And who chooses the
keys of a large map may choose such as fall on one place of its table, where they are not text, binary or numbers.

Flow: body -> weigh: an upper bound by a few passes in C, and only where that is over the limit the exact weight;
      body -> check_keys, which walks only what may hold a large map
Never: decodes; says how deep (`too_deep` does, afterwards: decoding survives any depth).
Source: docs/spec/broker.md section 7; https://github.com/msgpack/msgpack/blob/master/spec.md for the first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ropewalk.broker.errors import BadFrame, OverLimit

__all__ = [
    "EXTENSIONS",
    "HEADS",
    "LARGE",
    "MAPS",
    "PER_BYTE",
    "check_keys",
    "count_at",
    "extensions",
    "length_at",
    "too_deep",
    "weigh",
]

_BYTE, _CONTAINER, _TEXT, _NUMBER, _ENTRY, _ELEMENT = 10, 256, 64, 48, 32, 96
PER_BYTE = _BYTE + _CONTAINER  # the most that a byte may weigh
_MOMENT = 0xFF  # the code of an extension
_MANY = 64  # entries of a map from which its keys matter
LARGE = _MANY * 8  # bytes of the shortest body with that many keys that could be a burden

EXTENSIONS = frozenset([0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)])
MAPS = bytes([*range(0x80, 0x90), 0xDE, 0xDF])
_CONTAINERS = bytes([*range(0x80, 0xA0), *EXTENSIONS, *range(0xDC, 0xE0)])
_TEXTS = bytes([*range(0xA0, 0xC0), 0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB])
_NUMBERS = bytes([*range(0xCA, 0xD4), *range(0xE0, 0x100)])
_NO_KEYS = frozenset([*range(0x80, 0xA0), *EXTENSIONS, *range(0xDC, 0xE0)])
_elements = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_SETS = re.compile(rb"[\xd4-\xd8]\x0b|\xc7.\x0b|\xc8..\x0b|\xc9....\x0b", re.DOTALL)
_LARGE_MAPS = [  # by first byte: the numbers of entries that may follow
    (b"\xde", re.compile(rb"\xde(?=(\x00[\x40-\xff]|[\x01-\xff].))", re.DOTALL)),
    (b"\xdf", re.compile(rb"\xdf(?=(....))", re.DOTALL)),
]


def weigh(body: bytes | bytearray | memoryview, most: int) -> int:
    """At least the weight of a body.

    Raises:
        OverLimit: The weight is more than ``most``.
    """
    data = bytes(body)
    size = len(data)
    weight = size * _BYTE
    for each, heads in ((_CONTAINER, _CONTAINERS), (_TEXT, _TEXTS), (_NUMBER, _NUMBERS)):
        weight += each * (size - len(data.translate(None, heads)))
    if len(data.translate(None, MAPS)) < size:
        weight += size // 2 * _ENTRY
    if _SETS.search(data):
        weight += size * _ELEMENT
    return weight if weight <= most else _exactly(data, most)


def _exactly(data: bytes, most: int) -> int:
    """The weight, going from head to head, also inside extensions; ends where it is too much."""
    at, end = 0, len(data)
    weight = end * _BYTE
    while at < end and weight <= most:
        first = data[at]
        cost, step, width = HEADS[first]
        weight += cost
        if width:
            step += int.from_bytes(data[at + 1 : at + 1 + width], "big")
        elif cost == _CONTAINER:
            if first in MAPS:
                weight += _ENTRY * count_at(data, at)
            elif first in EXTENSIONS:
                kind = data[at + step - 1 : at + step]
                if kind == bytes([_MOMENT]):  # its bytes are no heads
                    step += length_at(data, at)
                elif kind == b"\x0b":
                    weight += _ELEMENT * count_at(data, at + step)
        at += step
    if weight > most:
        raise OverLimit(f"a frame weighs over {most}", hint="send less at once, binary data as binary, or a stream")
    return weight


def count_at(data: bytes, at: int) -> int:
    """How many elements or entries the array or map has whose head is here; 0 where there is none."""
    first = data[at] if at < len(data) else 0
    if 0x80 <= first < 0xA0:
        return first & 15
    return int.from_bytes(data[at + 1 : at + HEADS[first][1]], "big") if 0xDC <= first <= 0xDF else 0


def length_at(data: bytes, at: int) -> int:
    """Bytes of the content of the extension whose head is here."""
    first = data[at]
    return 1 << first - 0xD4 if first >= 0xD4 else int.from_bytes(data[at + 1 : at + HEADS[first][1] - 1], "big")


def extensions(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The extensions in a value, also those inside of others: code, where the content begins, and where it ends."""
    at, end = 0, len(data)
    while at < end:
        first = data[at]
        _, step, width = HEADS[first]
        if width:
            step += int.from_bytes(data[at + 1 : at + 1 + width], "big")
        elif first in EXTENSIONS and at + step <= end:
            code, size = data[at + step - 1], length_at(data, at)
            yield code, at + step, at + step + size
            if code == _MOMENT:
                step += size
        at += step


def check_keys(body: bytes | bytearray | memoryview) -> None:
    """Return if no large map of a body has keys that can be chosen to make it slow.

    Those of text and binary are hashed with a secret, and 64 bits of a number are too few to choose from.

    Raises:
        BadFrame: An array, a map or an extension is a key.
    """
    data = bytes(body)
    if _may_have_large_map(data):
        # Chance makes such bytes of many small messages: each is looked at alone, and few are long enough.
        for part in _parts(data):
            if len(part) > 2 * _MANY and _may_have_large_map(part):
                _walk(part)


def _may_have_large_map(data: bytes) -> bool:
    for head, maps in _LARGE_MAPS:
        for found in maps.finditer(data) if head in data else ():
            count = int.from_bytes(found[1], "big")
            if count >= _MANY and 2 * count <= len(data) - found.end():
                return True
    return False


def _parts(data: bytes) -> Iterable[bytes]:
    """The elements of an array; what is none, or is not whole, in one."""
    try:
        return map(bytes, _elements(data))
    except (msgspec.DecodeError, RecursionError):
        return (data,)


def _walk(data: bytes) -> None:
    """Go through all values, knowing which are keys of large maps."""
    at, end = 0, len(data)
    left, keyed = 1, False  # values to come in the container; it is a large map, whose keys come at even numbers
    above: list[tuple[int, bool]] = []
    while at < end:
        while not left:
            if not above:
                return
            left, keyed = above.pop()
        first = data[at]
        if keyed and not left & 1 and first in _NO_KEYS:
            raise BadFrame("a key of a map is an array, a map or an extension")
        left -= 1
        cost, step, width = HEADS[first]
        if width:
            step += int.from_bytes(data[at + 1 : at + 1 + width], "big")
        elif cost == _CONTAINER:
            if first not in EXTENSIONS:
                above.append((left, keyed))
                left = count_at(data, at)
                keyed = first in MAPS and left >= _MANY
                left <<= first in MAPS
            elif data[at + step - 1 : at + step] == bytes([_MOMENT]):
                step += length_at(data, at)
            else:
                above.append((left, keyed))
                left, keyed = 1, False
        at += step


def too_deep(values: Iterable[Any], most: int) -> bool:
    """Whether lists and maps in ``values`` lie deeper than this inside each other; one alone is one deep."""
    for value in values:
        kind = value.__class__
        if kind in _NESTED and (most < 1 or too_deep(value.values() if kind is dict else value, most - 1)):
            return True
    return False


_NESTED: frozenset[Any] = frozenset({list, dict, tuple, set})


def _head(first: int) -> tuple[int, int, int]:
    """Of an item's first byte: what it weighs; bytes to the next head; how many bytes then tell how many more.

    The contents of containers and of extensions are heads again.
    """
    lengths = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
    numbers = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
    heads = {0xC7: 3, 0xC8: 4, 0xC9: 6, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5} | dict.fromkeys(range(0xD4, 0xD9), 2)
    if first in _CONTAINERS:
        return _CONTAINER, heads.get(first, 1), 0
    if first in lengths:
        return _TEXT, 1 + lengths[first], lengths[first]
    if first in _TEXTS:
        return _TEXT, 1 + (first & 31), 0
    return (_NUMBER if first in _NUMBERS else 0), numbers.get(first, 1), 0


HEADS = [_head(first) for first in range(256)]
