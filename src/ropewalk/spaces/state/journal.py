"""Journal: what became of the heads that a device signed itself, and which stores still lack them.

Flow: publish -> add_head (durable) -> stores -> settle_head, or pending -> the same bytes again; owed -> paid
Never: forgets a head of which it is not known whether a store has it.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a query here is a list of columns
from collections.abc import Iterable

from ropewalk.spaces.state.heads import HEAD, Heads
from ropewalk.spaces.state.known import ACKED, PENDING, QUEUED, WITHDRAWN, KnownHead

__all__ = ["JOURNAL_SCHEMA", "Journal"]

JOURNAL_SCHEMA = """
CREATE TABLE IF NOT EXISTS owed_heads (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
"""
MOST_WITHDRAWN = 64  # heads that were given up and of which the bytes are kept; 16 MB at most


class Journal(Heads):
    """The part of the state that knows the fate of our own heads."""

    def settle_head(self, name: str, state: int) -> None:
        """A pending head was acknowledged or withdrawn; of the newest that were withdrawn the bytes are kept."""
        if state != WITHDRAWN:
            self._db.execute("UPDATE heads SET state = ?, data = NULL WHERE name = ?", (state, name))
            return
        self._db.execute("UPDATE heads SET state = ? WHERE name = ?", (state, name))
        self._db.execute(
            "UPDATE heads SET data = NULL WHERE state = ? AND data IS NOT NULL AND name NOT IN"
            " (SELECT name FROM heads WHERE state = ? AND data IS NOT NULL ORDER BY time DESC, name LIMIT ?)",
            (WITHDRAWN, WITHDRAWN, MOST_WITHDRAWN),
        )

    def given_up(self, hashes: Iterable[bytes]) -> list[tuple[KnownHead, bytes | None]]:
        """Those of these heads that are our own and not acknowledged, with their bytes if these are kept."""
        found = []
        for digest in hashes:
            rows = self._db.execute(
                f"SELECT {HEAD}, data FROM heads WHERE hash = ? AND state IN (?, ?, ?)",
                (digest, PENDING, WITHDRAWN, QUEUED),
            )
            found += [(self._head(row[:-1]), row[-1] and bytes(row[-1])) for row in rows]
        return found

    def take_back_head(self, name: str, stores: Iterable[str], data: bytes) -> None:
        """A head of our own counts after all; its bytes stay until it is known to lie where it must."""
        self._db.execute("UPDATE heads SET state = ?, data = ? WHERE name = ?", (ACKED, data, name))
        self._db.execute("DELETE FROM owed_heads WHERE name = ?", (name,))  # they owed its removal
        self.owe_head(name, stores)

    def head_data(self, name: str) -> bytes | None:
        """The bytes of a head, where they are kept."""
        row = self._db.execute("SELECT data FROM heads WHERE name = ?", (name,)).fetchone()
        return None if row is None or row[0] is None else bytes(row[0])

    def pending(self) -> list[tuple[KnownHead, bytes]]:
        """Heads whose fate is not known, oldest first, with the bytes to send again."""
        # The state is spelt out, so that the index of the few that are pending serves.
        rows = self._db.execute(f"SELECT {HEAD}, data FROM heads WHERE state = {PENDING:d} ORDER BY sequence")
        return [(self._head(row[:-1]), bytes(row[-1])) for row in rows]

    def is_unacknowledged(self, name: str) -> bool:
        """Whether a head is our own and not acknowledged."""
        row = self._db.execute("SELECT state FROM heads WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] in (PENDING, WITHDRAWN, QUEUED)

    def unacknowledged(self) -> set[str]:
        """Names of heads of our own that are not acknowledged."""
        rows = self._db.execute("SELECT name FROM heads WHERE state IN (?, ?, ?)", (PENDING, WITHDRAWN, QUEUED))
        return {row[0] for row in rows}

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
