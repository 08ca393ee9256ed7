"""Proofs: the proof files that a device keeps, so many of each kind against each device or store.

Flow: learning -> has_room_for, add_proof -> proofs, proof_about -> audit, records
Never: lets what one of them did push out what is known of another.
"""

from __future__ import annotations

import sqlite3

__all__ = ["MOST_OF_ONE", "MOST_PROOFS", "PROOFS_SCHEMA", "Proofs"]

PROOFS_SCHEMA = """
ALTER TABLE proofs ADD COLUMN subject BLOB NOT NULL DEFAULT x'';
ALTER TABLE proofs ADD COLUMN about BLOB NOT NULL DEFAULT x'';
CREATE INDEX IF NOT EXISTS proofs_by_subject ON proofs (kind, subject, time);
"""
MOST_OF_ONE = 4  # of one kind against one device or store: the first three, and the last one
MOST_PROOFS = 2000  # a member may have 256 devices ever, each of which may lie in four ways
OFTEN = 24 * 3600 * 10**9  # nanoseconds: the last one is replaced no sooner


class Proofs:
    """The part of the state that keeps proof files."""

    _db: sqlite3.Connection

    def has_room_for(self, kind: int, subject: bytes, about: bytes, now: int) -> bool:
        """Whether a proof would be kept: asked before it is made.

        Args:
            kind: What it shows.
            subject: Of whom: a device's id, or a store's.
            about: What by: the same for files that show the same.
            now: Nanoseconds.
        """
        if self.proof_about(kind, subject, about) is not None:
            return False
        count, newest = self._db.execute(
            "SELECT count(*), max(time) FROM proofs WHERE kind = ? AND subject = ?", (kind, subject)
        ).fetchone()
        return bool(count < MOST_OF_ONE or now - newest >= OFTEN)

    def add_proof(self, digest: bytes, kind: int, now: int, data: bytes, subject: bytes, about: bytes) -> None:
        """Keep a proof file, if there is room for it; where too many are kept, one goes of whom most are."""
        if not self.has_room_for(kind, subject, about, now):
            return
        (count,) = self._db.execute(
            "SELECT count(*) FROM proofs WHERE kind = ? AND subject = ?", (kind, subject)
        ).fetchone()
        if count >= MOST_OF_ONE:
            self._forget_newest(kind, subject)
        elif self._db.execute("SELECT count(*) FROM proofs").fetchone()[0] >= MOST_PROOFS:
            most, *where = self._db.execute(
                "SELECT count(*) AS most, kind, subject FROM proofs GROUP BY kind, subject"
                " ORDER BY most DESC, kind DESC, subject LIMIT 1"
            ).fetchone()
            if most <= count + 1:
                return
            self._forget_newest(*where)
        self._db.execute(
            "INSERT OR IGNORE INTO proofs (hash, kind, time, data, subject, about) VALUES (?, ?, ?, ?, ?, ?)",
            (digest, kind, now, data, subject, about),
        )

    def _forget_newest(self, kind: int, subject: bytes) -> None:
        self._db.execute(
            "DELETE FROM proofs WHERE hash = (SELECT hash FROM proofs WHERE kind = ? AND subject = ?"
            " ORDER BY time DESC, hash DESC LIMIT 1)",
            (kind, subject),
        )

    def proof_about(self, kind: int, subject: bytes, about: bytes) -> bytes | None:
        """The file that shows this, if it is kept."""
        row = self._db.execute(
            "SELECT data FROM proofs WHERE kind = ? AND subject = ? AND about = ?", (kind, subject, about)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def proofs(self) -> list[tuple[bytes, int, int, bytes]]:
        """Hash, kind, time and bytes of the proof files that are kept, oldest first."""
        rows = self._db.execute("SELECT hash, kind, time, data FROM proofs ORDER BY time, hash")
        return [(bytes(digest), kind, time, bytes(data)) for digest, kind, time, data in rows]
