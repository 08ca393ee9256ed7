"""Faults: what may be wrong with the file of the local state, and whose fault it is.

Flow: SQLite's error -> explained -> ours
Never: takes a file that is busy or has no room for a damaged one.
"""

from __future__ import annotations

import errno
import sqlite3

from ropewalk.errors import Damaged, Refused, RopewalkError, Unavailable

__all__ = ["StateDamaged", "StateFull", "StateTooNew", "StateUnavailable", "explained"]

# What keeps SQLite from its file without there being anything wrong with it.
_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    )
)
# What it says where there is no room on the disk: of what lies beside the file, too, as "disk I/O error".
_NO_ROOM = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR))


class StateDamaged(Damaged):
    """The local state does not open; it can be rebuilt from the stores."""

    code = "state.damaged"


class StateTooNew(Refused):
    """A later version of the software wrote the local state."""

    code = "state.too-new"


class StateUnavailable(Unavailable):
    """The local state cannot be used now: no room, no right to it, or another process has kept it for too long."""

    code = "state.unavailable"


class StateFull(StateUnavailable):
    """It may be for want of room on the disk."""

    code = "state.full"


def explained(error: sqlite3.Error | OSError, what: str) -> RopewalkError:
    """What it means that the file of the state failed: come again, or it is damaged."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if isinstance(error, OSError) or primary in _PASSING:
        no_room = primary in _NO_ROOM or getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT)
        kind = StateFull if no_room else StateUnavailable
        return kind(f"{what} cannot be used: {error}", hint="see that its disk has room and can be written")
    return StateDamaged(f"{what} is damaged: {error}", hint="it is built anew from the stores at the next opening")
