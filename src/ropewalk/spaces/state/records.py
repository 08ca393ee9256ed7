"""Records: the membership records that a device keeps, what stores still owe of them, and what each store has shown.

Flow: learning, authoring -> add_record -> Membership.read; owed_records -> stores; listings -> sightings -> rollbacks
Never: says what a record means, or forgets one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from ropewalk.spaces.state.known import WITHDRAWN

__all__ = ["RECORDS_SCHEMA", "Records"]

RECORDS_SCHEMA = """
ALTER TABLE records ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS owed_records (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS head_sightings (
    store TEXT, writer BLOB, sequence INTEGER NOT NULL, PRIMARY KEY (store, writer)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record_sightings (store TEXT, name TEXT, PRIMARY KEY (store, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proofs (
    hash BLOB PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
"""


class Records:
    """The part of the state that knows membership records and what stores have shown."""

    _db: sqlite3.Connection

    def add_records(self, records: Iterable[tuple[str, bytes]], now: int) -> None:
        """Remember membership records beside those that are known.

        Args:
            records: Names and bytes; the caller has checked that one commits to the other.
            now: When they were first seen here, nanoseconds; a hint.
        """
        self._db.executemany(
            "INSERT OR IGNORE INTO records (name, data, seen) VALUES (?, ?, ?)",
            [(name, data, now) for name, data in records],
        )

    def record_names(self) -> set[str]:
        """Names of the records that are known."""
        return {row[0] for row in self._db.execute("SELECT name FROM records")}

    def records_seen(self) -> dict[str, int]:
        """When each record was first seen here, by its name."""
        return dict(self._db.execute("SELECT name, seen FROM records"))

    def owe_record(self, name: str, stores: Iterable[str]) -> None:
        """A record is not yet in these stores."""
        self._db.executemany("INSERT OR IGNORE INTO owed_records VALUES (?, ?)", [(name, store) for store in stores])

    def owed_records(self) -> list[tuple[str, str, bytes]]:
        """Name, store and bytes of what is still to be put."""
        return [
            (name, store, bytes(data))
            for name, store, data in self._db.execute(
                "SELECT owed_records.name, store, data FROM owed_records"
                " JOIN records ON records.name = owed_records.name ORDER BY owed_records.name, store"
            )
        ]

    def paid_record(self, name: str, store: str) -> None:
        """A record that was owed is in the store."""
        self._db.execute("DELETE FROM owed_records WHERE name = ? AND store = ?", (name, store))

    def head_sightings(self, store: str) -> dict[bytes, int]:
        """The newest head of each writer that a store is known to have had, of those that are sure to be there."""
        rows = self._db.execute("SELECT writer, sequence FROM head_sightings WHERE store = ?", (store,))
        return {bytes(writer): sequence for writer, sequence in rows}

    def saw_heads(self, store: str, newest: Mapping[bytes, int]) -> None:
        """A store has shown these."""
        self._db.executemany(
            "INSERT OR REPLACE INTO head_sightings VALUES (?, ?, ?)",
            [(store, writer, sequence) for writer, sequence in newest.items()],
        )

    def forget_store(self, store: str) -> None:
        """What a store is owed counts no more: it gets nothing new. By what it has shown it is judged as before."""
        self._db.execute("DELETE FROM owed_records WHERE store = ?", (store,))
        # Of a head that was given up it is the removal that is owed, and stays so.
        self._db.execute(
            "DELETE FROM owed_heads WHERE store = ? AND name NOT IN (SELECT name FROM heads WHERE state = ?)",
            (store, WITHDRAWN),
        )

    def record_sightings(self, store: str) -> set[str]:
        """The records that a store has shown."""
        return {row[0] for row in self._db.execute("SELECT name FROM record_sightings WHERE store = ?", (store,))}

    def saw_records(self, store: str, names: Iterable[str]) -> None:
        """A store has shown these."""
        self._db.executemany("INSERT OR IGNORE INTO record_sightings VALUES (?, ?)", [(store, one) for one in names])
