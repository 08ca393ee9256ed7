"""Journal: the heads of a space that a device wrote or has checked, and what became of each.

Flow: publish -> add_head (durable) -> stores -> settle_head; learning -> add_head -> standing
Never: holds a root or a note unsealed: with a root's reference and a store one could read all that hangs from it.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a query here is a list of columns
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ropewalk.spaces.keys import BoxDamaged, SpaceKeys
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.state.faults import StateDamaged
from ropewalk.spaces.state.known import ACKED, PENDING, KnownHead

__all__ = ["JOURNAL_SCHEMA", "Journal"]

JOURNAL_SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (
    name TEXT PRIMARY KEY, hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    previous BLOB NOT NULL, time INTEGER NOT NULL, about BLOB NOT NULL, embedded INTEGER NOT NULL,
    state INTEGER NOT NULL, data BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_by_writer ON heads (writer, sequence);
CREATE INDEX IF NOT EXISTS heads_pending ON heads (sequence) WHERE state = 0;
CREATE TABLE IF NOT EXISTS owed_heads (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
"""
_HEAD = "name, hash, writer, sequence, previous, time, about, embedded, state"
# From writer to writer along the index: each commit asks, and there may be very many heads of few writers.
_WRITERS = (
    "WITH RECURSIVE writers (one) AS (SELECT min(writer) FROM heads UNION ALL"
    " SELECT (SELECT min(writer) FROM heads WHERE writer > one) FROM writers WHERE one IS NOT NULL)"
)


class _About(msgspec.Struct, frozen=True, array_like=True):
    root: bytes | None
    entries: int
    note: str
    vector: list[tuple[bytes, int, bytes]]


_about = Format(_About, 256 * 1024, "what is remembered of a head")


class Journal:
    """The part of the state that knows heads."""

    path: Path
    _db: sqlite3.Connection
    _keys: SpaceKeys | None

    def add_head(self, head: KnownHead, data: bytes | None = None) -> None:
        """Remember a head; ``data`` is kept while it is pending."""
        self._db.execute(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(head.name, head.hash, head.writer, head.sequence, head.previous, head.time),
                *(self._seal(head), head.embedded, head.state, data),
            ),
        )

    # A root's reference opens all content that hangs from it, and a note is for members: both rest sealed.

    def _seal(self, head: KnownHead) -> bytes:
        vector = [(writer, *item) for writer, item in head.vector.items()]
        about = encode(_About(head.root, head.entries, head.note, vector))
        return self._unlocked.seal(self._unlocked.member, b"state" + head.hash, about)

    def _head(self, row: Sequence[Any]) -> KnownHead:
        name, digest, writer, sequence, previous, time, box, embedded, state = row
        try:
            about = _about.decode(self._unlocked.open(self._unlocked.member, b"state" + digest, box))
        except (BoxDamaged, RecordMalformed) as error:
            raise StateDamaged(f"local state {self.path.name} is damaged: {error}") from None
        vector = {seen: (last, digest) for seen, last, digest in about.vector}
        known = (name, digest, writer, sequence, previous, time, about.root, about.entries, about.note, vector)
        return KnownHead(*known, bool(embedded), state)

    @property
    def _unlocked(self) -> SpaceKeys:
        if self._keys is None:
            raise AssertionError("the state's heads are used before `unlock`")
        return self._keys

    def unlock(self, keys: SpaceKeys) -> None:
        """Give the keys with which what is secret rests sealed; heads can be used from then on."""
        self._keys = keys

    def settle_head(self, name: str, state: int) -> None:
        """A pending head was acknowledged or withdrawn."""
        self._db.execute("UPDATE heads SET state = ?, data = NULL WHERE name = ?", (state, name))

    def pending(self) -> list[tuple[KnownHead, bytes]]:
        """Heads whose fate is not known, oldest first, with the bytes to send again."""
        # The state is spelt out, so that the index of the few that are pending serves.
        rows = self._db.execute(f"SELECT {_HEAD}, data FROM heads WHERE state = {PENDING:d} ORDER BY sequence")
        return [(self._head(row[:-1]), bytes(row[-1])) for row in rows]

    def heads(self, state: int = ACKED) -> list[KnownHead]:
        """All heads in a state, newest first."""
        rows = self._db.execute(f"SELECT {_HEAD} FROM heads WHERE state = ? ORDER BY sequence DESC, writer", (state,))
        return [self._head(row) for row in rows]

    def newest_heads(self) -> list[KnownHead]:
        """The newest acknowledged head of each writer."""
        rows = self._db.execute(
            f"{_WRITERS} SELECT {_HEAD} FROM writers CROSS JOIN heads ON writer = one AND state = ? AND sequence ="
            " (SELECT others.sequence FROM heads AS others WHERE others.writer = one AND others.state = ?"
            " ORDER BY others.sequence DESC LIMIT 1)",
            (ACKED, ACKED),
        )
        return [self._head(row) for row in rows]

    def head_names(self) -> set[str]:
        """The object names of all acknowledged heads."""
        return {row[0] for row in self._db.execute("SELECT name FROM heads WHERE state = ?", (ACKED,))}

    def newest_head(self, writer: bytes) -> KnownHead | None:
        """The newest acknowledged head of a writer."""
        row = self._db.execute(
            f"SELECT {_HEAD} FROM heads WHERE writer = ? AND state = ? ORDER BY sequence DESC LIMIT 1", (writer, ACKED)
        ).fetchone()
        return self._head(row) if row else None

    def head_at(self, writer: bytes, sequence: int) -> KnownHead | None:
        """The acknowledged head of a writer with this sequence."""
        row = self._db.execute(
            f"SELECT {_HEAD} FROM heads WHERE writer = ? AND sequence = ? AND state = ?", (writer, sequence, ACKED)
        ).fetchone()
        return self._head(row) if row else None

    def head_named(self, name: str) -> KnownHead | None:
        """A head by its object's name."""
        row = self._db.execute(f"SELECT {_HEAD} FROM heads WHERE name = ?", (name,)).fetchone()
        return self._head(row) if row else None

    def is_unacknowledged(self, name: str) -> bool:
        """Whether a head is our own and pending or withdrawn."""
        row = self._db.execute("SELECT state FROM heads WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] != ACKED

    def last_sequence(self, writer: bytes) -> int:
        """The highest sequence ever used by a writer, in whatever state."""
        row = self._db.execute("SELECT max(sequence) FROM heads WHERE writer = ?", (writer,)).fetchone()
        return row[0] or 0

    def owe_head(self, name: str, stores: Iterable[str]) -> None:
        """A head is not yet in these stores."""
        self._db.executemany("INSERT OR IGNORE INTO owed_heads VALUES (?, ?)", [(name, store) for store in stores])

    def owed_heads(self) -> list[tuple[str, str]]:
        """(head, store) pairs still to be put."""
        return list(self._db.execute("SELECT name, store FROM owed_heads ORDER BY name"))

    def owed_head_hashes(self) -> list[bytes]:
        """Hashes of the acknowledged heads that are not in every store."""
        return [
            bytes(row[0])
            for row in self._db.execute(
                "SELECT DISTINCT heads.hash FROM owed_heads"
                " CROSS JOIN heads ON heads.name = owed_heads.name WHERE state = ?",  # in this order: few are owed
                (ACKED,),
            )
        ]

    def paid_head(self, name: str, store: str) -> None:
        """A head that was owed is in the store, or no longer wanted there."""
        self._db.execute("DELETE FROM owed_heads WHERE name = ? AND store = ?", (name, store))
