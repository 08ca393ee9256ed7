"""Overlooking: what is shown in values for which there is no room, so that they are not decoded.

It counts all the same: references are released, streams closed, segments and blobs used up.

Flow: value -> `overlook` -> its extensions, found by going from head to head -> what stands for each, dropped at once
Never: makes more of a value than one of its extensions at a time.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

import re

import msgspec

from ropewalk.broker.errors import BadValue
from ropewalk.broker.unpacking import Unpacking
from ropewalk.broker.weigh import extensions

__all__ = ["overlook"]

_SHARED = 6  # an extension, whose content begins with reference and name
_COUNTED = frozenset({1, 2, 9, 10})  # those that are used up, or have to be let go, once they were decoded
_BESIDE = frozenset({1, 10})
_LONGEST = 600  # bytes of the content of one of these
_MARKS = re.compile(rb"(?:[\xd4-\xd8]|\xc7.|\xc8..|\xc9....)[\x01\x02\x06\x09\x0a]", re.DOTALL)  # of any of them
_fields = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def overlook(unpacking: Unpacking, content: bytes, *, inline: bool = False) -> None:
    """Let go of all that is shown in a value; ``inline``: it has no segments and no blobs.

    Raises:
        BadFrame, BadValue, BadMessage, OverLimit: It is not what it must be.
    """
    if _MARKS.search(content) is None:
        return
    for code, begin, end in extensions(content):
        if code == _SHARED:
            try:
                number, name, *_ = _fields(content[begin:end])
            except (ValueError, UnicodeDecodeError) as error:
                raise BadValue(f"extension {code} cannot have this content: {error}") from None
            unpacking.reference(number, name)
        elif code in _COUNTED:
            if end - begin > _LONGEST or (inline and code in _BESIDE):
                raise BadValue(f"extension {code} has {end - begin:,} bytes of content")
            unpacking.extension(code, memoryview(content)[begin:end])
