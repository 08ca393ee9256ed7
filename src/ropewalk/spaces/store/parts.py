"""Parts: an object handed over in pieces, measured and walked through without joining them.

Flow: pool -> Parts -> memory, folder
Never: copies more than it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from ropewalk.errors import Misuse
from ropewalk.spaces.store.interface import LARGEST_HINT, LARGEST_OBJECT, ObjectName, Parts, hint_name

__all__ = ["checked_hint", "checked_range", "pieces", "size_of", "views"]


def views(parts: Parts) -> list[memoryview]:
    """The parts as plain bytes to look at, without the empty ones."""
    return [view for part in parts if (view := memoryview(part).cast("B")).nbytes]


def size_of(parts: Parts) -> int:
    """Bytes in all.

    Raises:
        Misuse: More than ``LARGEST_OBJECT``.
    """
    size = sum(view.nbytes for view in views(parts))
    if size > LARGEST_OBJECT:
        raise Misuse(f"object of {size} bytes is too large: want at most {LARGEST_OBJECT}")
    return size


def checked_hint(name: ObjectName, parts: Parts) -> int:
    """Bytes in all of what is to be kept as a hint.

    Raises:
        Misuse: The name is no hint's, or there is more than ``LARGEST_HINT``.
    """
    hint_name(name)
    if (size := size_of(parts)) > LARGEST_HINT:
        raise Misuse(f"hint of {size} bytes is too large: want at most {LARGEST_HINT}")
    return size


def pieces(parts: Parts, most: int) -> Iterator[memoryview]:
    """The object in order, in pieces of at most ``most`` bytes."""
    for view in views(parts):
        for start in range(0, view.nbytes, most):
            yield view[start : start + most]


def checked_range(offset: int, length: int | None) -> None:
    """Refuse a range that starts or ends before 0.

    Raises:
        Misuse: It does.
    """
    if offset < 0 or (length is not None and length < 0):
        raise Misuse(f"range cannot be read: want offset and length of 0 or more, got {offset} and {length}")
