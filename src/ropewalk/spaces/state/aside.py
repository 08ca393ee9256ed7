"""Aside: objects that were fetched and found to be of no use, so that they are not fetched at each look.

Flow: learning -> put_aside -> aside -> fewer gets; a head that others waited for -> take_up -> they are fetched again
Never: says that an object is bad for ever where records to come may make it good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

__all__ = ["ASIDE_SCHEMA", "CLOSED", "JUNK", "MOST_ASIDE", "NEVER", "RECORDS", "Aside"]

ASIDE_SCHEMA = """
CREATE TABLE IF NOT EXISTS aside (object BLOB PRIMARY KEY, hash BLOB NOT NULL, until BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aside_until ON aside (until);
CREATE INDEX IF NOT EXISTS unread_heads ON heads (name) WHERE length(about) = 0;
"""
MOST_ASIDE = 100_000  # objects, some 10 MB; what comes beyond them is fetched each time
_MARK = "aside"  # in meta: the program's version, and what records there were when these were looked at

# Until when, where it is not until a head with this hash is known.
RECORDS = b""  # it names records that are not here
CLOSED = b"closed"  # it is sealed with keys that are not here, which come with records
JUNK = b"junk"  # it is not what it should be, by the records that are here
NEVER = b"never"  # it never is


class Aside:
    """The part of the state that knows what need not be looked at.

    Objects are known by the hash of all of their bytes, which stands in their names.
    """

    _db: sqlite3.Connection
    _at_once: Callable[[], AbstractContextManager[None]]
    get_meta: Callable[[str], bytes | None]
    set_meta: Callable[[str, bytes], None]

    def aside(self, version: bytes, records: bytes) -> dict[bytes, bytes]:
        """By object, until when it is put aside.

        Args:
            version: Of the program, without spaces; another one may make more of an object.
            records: What tells a set of records from any other; when it changes, all but `NEVER` are taken up.
        """
        mark, before = version + b" " + records, self.get_meta(_MARK)
        if before != mark:
            stays = NEVER if before is not None and before.partition(b" ")[0] == version else None
            with self._at_once():
                self._db.execute("DELETE FROM aside WHERE until IS NOT ?", (stays,))
                self.set_meta(_MARK, mark)
        return dict(self._db.execute("SELECT object, until FROM aside"))

    def put_aside(self, version: bytes, records: bytes, objects: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Put objects aside, as far as there is room; none if another process has learnt of other records.

        Args:
            version: As for `aside`.
            records: As for `aside`: what they were looked at with.
            objects: Each with the hash that a head is known by, or none, and until when.
        """
        if self.get_meta(_MARK) != version + b" " + records:
            return
        with self._at_once():
            room = MOST_ASIDE - self._db.execute("SELECT count(*) FROM aside").fetchone()[0]
            for one, digest, until in objects:
                if room <= 0:
                    return
                room -= self._db.execute(
                    "INSERT OR IGNORE INTO aside SELECT ?, ?, ? WHERE NOT EXISTS (SELECT * FROM heads WHERE hash = ?)",
                    (one, digest, until, until),
                ).rowcount

    def take_up(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Heads that are known now: the objects that waited for them, or for one of these, and so on."""
        found: set[bytes] = set()
        if self._db.execute("SELECT 1 FROM aside LIMIT 1").fetchone() is None:
            return found
        left = list(hashes)
        while left:
            digest = left.pop()
            rows = self._db.execute("SELECT object, hash FROM aside WHERE until = ?", (digest,)).fetchall()
            if rows:
                self._db.execute("DELETE FROM aside WHERE until = ?", (digest,))
                found.update(one for one, _ in rows)
                left += [after for _, after in rows if after]
        return found
