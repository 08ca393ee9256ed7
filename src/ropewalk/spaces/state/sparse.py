"""Sparse: heads of others that are not known to lie where an acknowledged head does, with the stores that have them.

Flow: learning -> doubt_head -> sparse_heads -> put before a version names them, or seen on enough -> placed_head
Never: holds a head of our own that was acknowledged, or says that a store has one which did not list, give or take it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ropewalk.spaces.state.known import PENDING, QUEUED, WITHDRAWN

__all__ = ["SPARSE_SCHEMA", "Sparse"]

SPARSE_SCHEMA = """
CREATE TABLE IF NOT EXISTS sparse_heads (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_kept ON heads (time) WHERE data IS NOT NULL;
"""
MOST_KEPT = 128  # heads whose bytes are kept; 32 MB at most
_NONE = ""  # in place of a store: there is doubt, whoever has it


class Sparse:
    """The part of the state that knows on how few stores heads were seen."""

    _db: sqlite3.Connection

    def doubt_head(self, name: str, stores: Iterable[str]) -> None:
        """A head is not known to lie on enough stores; these have it, beside those that are known to."""
        self._db.executemany(
            "INSERT OR IGNORE INTO sparse_heads VALUES (?, ?)", [(name, one) for one in (_NONE, *stores)]
        )

    def keep_head(self, name: str, data: bytes | None) -> None:
        """Keep the bytes of such a head: the one store that has it may be gone tomorrow.  Only the newest stay."""
        self._db.execute("UPDATE heads SET data = ? WHERE name = ? AND data IS NULL", (data, name))
        self._db.execute(
            "UPDATE heads SET data = NULL WHERE name IN (SELECT name FROM heads WHERE data IS NOT NULL"
            " AND state NOT IN (?, ?, ?) ORDER BY time DESC LIMIT -1 OFFSET ?)",
            (PENDING, WITHDRAWN, QUEUED, MOST_KEPT),
        )

    def sparse_heads(self) -> dict[str, set[str]]:
        """By name, the stores that are known to have each."""
        found: dict[str, set[str]] = {}
        for name, store in self._db.execute("SELECT name, store FROM sparse_heads"):
            found.setdefault(name, set()).update({store} - {_NONE})
        return found

    def placed_head(self, name: str) -> None:
        """It is known to lie on enough stores; if its bytes were kept until then, they are not any more."""
        self._db.execute("DELETE FROM sparse_heads WHERE name = ?", (name,))
        self._db.execute(
            "UPDATE heads SET data = NULL WHERE name = ? AND state NOT IN (?, ?, ?)",
            (name, PENDING, WITHDRAWN, QUEUED),
        )
