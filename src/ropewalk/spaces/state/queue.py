"""Queue: heads of our own that were signed while too few stores answered, in the order in which they are published.

Flow: publish -> queue_head (durable) -> queued -> later -> settle_head, tidy_queue
Never: says of one that it was acknowledged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from ropewalk.spaces.state.known import QUEUED, KnownHead

__all__ = ["QUEUE_SCHEMA", "Queue"]

QUEUE_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS queued_packs (head TEXT, pack BLOB, PRIMARY KEY (head, pack)) WITHOUT ROWID;
"""


class Queue:
    """The part of the state that knows what waits to be published."""

    _db: sqlite3.Connection
    head_named: Callable[[str], KnownHead | None]
    set_behind: Callable[[bool], None]

    def queue_head(self, name: str, since: int, packs: Iterable[bytes]) -> None:
        """A head that is remembered, with its bytes, waits from now on, after all that wait.

        Args:
            name: Of its object.
            since: Nanoseconds; a hint.
            packs: That it names.
        """
        self._db.execute("UPDATE heads SET state = ? WHERE name = ?", (QUEUED, name))
        self._db.execute("INSERT OR IGNORE INTO queue (name, since) VALUES (?, ?)", (name, since))
        self._db.executemany("INSERT OR IGNORE INTO queued_packs VALUES (?, ?)", [(name, pack) for pack in packs])

    def queued(self) -> list[tuple[KnownHead, int]]:
        """The heads that wait, in order, each with since when."""
        rows = self._db.execute(
            "SELECT queue.name, since FROM queue CROSS JOIN heads ON heads.name = queue.name"  # few wait
            " WHERE state = ? ORDER BY number",
            (QUEUED,),
        ).fetchall()
        return [(head, since) for name, since in rows if (head := self.head_named(name)) is not None]

    def queued_names(self) -> Sequence[str]:
        """Names of their objects, in order."""
        rows = self._db.execute(
            "SELECT queue.name FROM queue CROSS JOIN heads ON heads.name = queue.name WHERE state = ? ORDER BY number",
            (QUEUED,),
        )
        return [row[0] for row in rows]

    def packs_queued(self) -> set[bytes]:
        """Names of the packs that heads name which wait."""
        rows = self._db.execute(
            "SELECT pack FROM queued_packs CROSS JOIN heads ON heads.name = queued_packs.head WHERE state = ?",
            (QUEUED,),
        )
        return {bytes(row[0]) for row in rows}

    def is_queued(self, name: str) -> bool:
        """Whether a head still waits."""
        row = self._db.execute("SELECT state FROM heads WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] == QUEUED

    def tidy_queue(self) -> None:
        """Forget the places of those that wait no more."""
        self._db.execute("DELETE FROM queue WHERE name NOT IN (SELECT name FROM heads WHERE state = ?)", (QUEUED,))
        self._db.execute("DELETE FROM queued_packs WHERE head NOT IN (SELECT name FROM queue)")

    def forget_packs(self, heads: Iterable[str], packs: Iterable[bytes]) -> None:
        """Packs that nobody gets to see: those in these heads, and those of these names that lie in no store.

        Where else their chunks lie may have been forgotten for them: all packs are learnt anew at the next opening.
        """
        gone = [row for head in heads for row in self._db.execute("SELECT id FROM packs WHERE head = ?", (head,))]
        for name in packs:
            gone += self._db.execute(
                "SELECT id FROM packs WHERE name = ? AND NOT announced"
                " AND NOT EXISTS (SELECT 1 FROM shares WHERE pack = packs.id)",
                (name,),
            ).fetchall()
        self._db.executemany("DELETE FROM chunks WHERE pack = ?", gone)
        self._db.executemany("DELETE FROM packs WHERE id = ?", gone)
        if gone:
            self.set_behind(True)
