"""Memory: the C library is told to keep the memory that it once got.

Flow: main -> keep_memory -> mallopt
Never: changes anything where the C library is not glibc.
"""

from __future__ import annotations

__all__ = ["keep_memory"]

# By default glibc maps every block of some hundred KiB afresh and gives it back when it is freed, so each pack and each
# MiB read is paid for with page faults; measured, those cost more than the coding itself.
MAPPED_FROM = 64 * 1024 * 1024  # bytes; above the largest buffer that is used again and again
KEPT_FREE = 256 * 1024 * 1024  # bytes; at most so much stays with the process, within its bound on memory
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_memory() -> bool:
    """Ask for it; whether it was granted."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False  # not glibc
    return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT_FREE))
