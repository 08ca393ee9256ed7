"""Freed: memory that a process keeps for itself when it is done with it, for what it needs next.

Flow: `serve`, or a program that moves much -> `keep_freed` -> the allocator, for the rest of the process
Never: is done to a program that did not ask for it.
Source: mallopt(3).
"""

from __future__ import annotations

__all__ = ["keep_freed"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 << 20  # bytes of a block that may come from the heap; glibc refuses more


def keep_freed(most: int = 64 << 20) -> bool:
    """Keep memory that is freed, up to so many bytes, rather than give it back to the system at once.

    A value of a megabyte is else given back when it is freed, and the next one pays anew for each of its pages, which
    costs more than all else that is done with it.

    Args:
        most: Bytes; 0 leaves everything as it is.

    Returns:
        Whether it is so now: only the allocator of glibc can be told.
    """
    if most <= 0:
        return False
    import ctypes  # which `import ropewalk` need not wait for

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False  # not glibc
    return bool(mallopt(_MMAP_THRESHOLD, min(most, _LARGEST)) and mallopt(_TRIM_THRESHOLD, min(most, 2**31 - 1)))
