"""Memory: the C library keeps the memory that it once got, and garbage is looked for only while a command works.

Flow: main -> keep_memory -> keep_freed, mallopt; main -> collect_later, collect_again, collect_no_more -> gc
Never: changes what the C library does where it is not glibc, or how garbage is collected in a process that is not ours.
"""

from __future__ import annotations

import gc

from ropewalk.freed import keep_freed

__all__ = ["collect_again", "collect_later", "collect_no_more", "keep_memory"]

# By default glibc maps every block of some hundred KiB afresh and gives it back when it is freed, so each pack and each
# MiB read is paid for with page faults; measured, those cost more than the coding itself.
KEPT_FREE = 256 * 1024 * 1024  # bytes; at most so much stays with the process, within its bound on memory
# Left to itself, each thread frees into a heap of its own, which it and no other takes memory from again.
HEAPS = 1
_M_ARENA_MAX = -8  # malloc.h


def keep_memory() -> bool:
    """Ask for it; whether it was granted."""
    if not keep_freed(KEPT_FREE):
        return False  # not glibc
    import ctypes

    return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS))


def collect_later() -> None:
    """Until `collect_again`: imports make many objects and no garbage, and looking through them takes 15 ms."""
    gc.disable()


def collect_again() -> None:
    """Where it was put off: from here on, what the imports have made is passed over."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def collect_no_more() -> None:
    """The process ends: it would look through all that is left, to free what the system takes back at once: 20 ms."""
    gc.freeze()
