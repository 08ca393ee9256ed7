"""Forks: where writers have two heads of one sequence, and which pairs of heads prove something.

Flow: learning -> add_fork, add_evidence -> judging, proofs -> report_evidence
Never: forgets a fork.
"""

from __future__ import annotations

import sqlite3

__all__ = ["FORKS_SCHEMA", "Forks"]

FORKS_SCHEMA = """
CREATE TABLE IF NOT EXISTS forks (writer BLOB, sequence INTEGER, PRIMARY KEY (writer, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    kind INTEGER, one TEXT, other TEXT, reported INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, one, other))
    WITHOUT ROWID;
"""
MOST_EVIDENCE = 1000  # pairs of heads that prove something; one is enough to freeze a device


class Forks:
    """The part of the state that knows what heads prove of their writers."""

    _db: sqlite3.Connection

    def add_fork(self, writer: bytes, sequence: int) -> None:
        """A writer has two heads of this sequence."""
        self._db.execute("INSERT OR IGNORE INTO forks VALUES (?, ?)", (writer, sequence))

    def forks(self) -> dict[bytes, list[int]]:
        """Where writers are known to have forked, in order."""
        found: dict[bytes, list[int]] = {}
        for writer, sequence in self._db.execute("SELECT writer, sequence FROM forks ORDER BY writer, sequence"):
            found.setdefault(bytes(writer), []).append(sequence)
        return found

    def add_evidence(self, kind: int, one: str, other: str) -> None:
        """Two heads, by name, that together prove something of their author."""
        self._db.execute(
            "INSERT OR IGNORE INTO evidence SELECT ?, ?, ?, 0 WHERE (SELECT count(*) FROM evidence) < ?",
            (kind, one, other, MOST_EVIDENCE),
        )

    def evidence(self, *, reported: bool | None = False) -> list[tuple[int, str, str]]:
        """What was found and is not in the records yet; with None, all of it."""
        rows = self._db.execute(
            "SELECT kind, one, other FROM evidence WHERE ? IS NULL OR reported = ? ORDER BY kind, one, other",
            (reported, reported),
        )
        return list(rows)

    def report_evidence(self, kind: int, one: str, other: str) -> None:
        """It is in the records now."""
        self._db.execute(
            "UPDATE evidence SET reported = 1 WHERE kind = ? AND one = ? AND other = ?", (kind, one, other)
        )
