"""Aside: objects that were fetched and found to be of no use, so that they are not fetched at each look.

Flow: learning -> put_aside -> aside -> fewer gets; a head that others waited for -> take_up -> they are fetched again
Never: says that an object is bad for ever where records to come may make it good, or of one name what is so of another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

__all__ = [
    "ASIDE_BY_NAME",
    "ASIDE_BY_NEXT",
    "ASIDE_SCHEMA",
    "CLOSED",
    "JUNK",
    "MOST_ASIDE",
    "NEVER",
    "RECORDS",
    "Aside",
    "AsideRow",
    "Came",
]

ASIDE_SCHEMA = """
CREATE TABLE IF NOT EXISTS aside (object BLOB PRIMARY KEY, hash BLOB NOT NULL, until BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aside_until ON aside (until);
CREATE INDEX IF NOT EXISTS unread_heads ON heads (name) WHERE length(about) = 0;
"""
# By the hash of its bytes an object could be hidden: by who shows them under a name that they do not fit.
ASIDE_BY_NAME = """
DROP TABLE IF EXISTS aside;
CREATE TABLE aside (
    name TEXT PRIMARY KEY, until BLOB NOT NULL,
    hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL, previous BLOB NOT NULL,
    awaited BLOB NOT NULL, past INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX aside_until ON aside (until);
CREATE INDEX aside_previous ON aside (previous) WHERE length(previous) > 0;
CREATE INDEX aside_awaited ON aside (awaited, past) WHERE length(awaited) > 0;
"""
# What a head before another one has seen is no longer asked.
ASIDE_BY_NEXT = """
DROP TABLE IF EXISTS aside;
CREATE TABLE aside (
    name TEXT PRIMARY KEY, until BLOB NOT NULL,
    hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    awaited BLOB NOT NULL, past INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX aside_until ON aside (until);
CREATE INDEX aside_awaited ON aside (awaited, past) WHERE length(awaited) > 0;
"""
MOST_ASIDE = 100_000  # objects, some 30 MB; what comes beyond them is fetched each time
_MARK = "aside"  # in meta: the program's version, and what records there were when these were looked at

# Until when, where it is not until a head with this hash is known.
RECORDS = b""  # it names records that are not here
CLOSED = b"closed"  # it is sealed with keys that are not here, which come with records
JUNK = b"junk"  # it is not what it should be, by the records that are here
NEVER = b"never"  # it never is


Came = tuple[bytes, bytes, int]  # a head that is known now: its hash, writer and sequence


class AsideRow(NamedTuple):
    """What is put aside; of a head that waits for another, also what else would settle it."""

    name: str
    until: bytes
    hash: bytes = b""  # that a head is known by
    writer: bytes = b""  # its own
    sequence: int = 0
    awaited: bytes = b""  # the writer of the head that it waits for, where the next one would do
    past: int = 0  # that head's sequence


class Aside:
    """The part of the state that knows what need not be looked at.

    Objects are known by their names: the same bytes may be good under one name and none under another.
    """

    _db: sqlite3.Connection
    _at_once: Callable[[], AbstractContextManager[None]]
    get_meta: Callable[[str], bytes | None]
    set_meta: Callable[[str, bytes], None]

    def aside(self, version: bytes, records: bytes) -> dict[str, bytes]:
        """By name, until when it is put aside.

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
        return dict(self._db.execute("SELECT name, until FROM aside"))

    def put_aside(self, version: bytes, records: bytes, objects: Iterable[AsideRow]) -> None:
        """Put objects aside, as far as there is room; none if another process has learnt of other records.

        Args:
            version: As for `aside`.
            records: As for `aside`: what they were looked at with.
            objects: Each by its name, once.
        """
        if self.get_meta(_MARK) != version + b" " + records:
            return
        with self._at_once():
            room = MOST_ASIDE - self._db.execute("SELECT count(*) FROM aside").fetchone()[0]
            for one in objects:
                if room <= 0:
                    return
                room -= self._db.execute(_PUT_ASIDE, (*one, one.until, one.awaited, one.past, one.until)).rowcount

    def take_up(self, heads: Iterable[Came]) -> set[str]:
        """Heads that are known now: the objects that waited for them, or for one of these, and so on."""
        found: set[str] = set()
        if self._db.execute("SELECT 1 FROM aside LIMIT 1").fetchone() is None:
            return found
        left = list(heads)
        while left:
            digest, writer, sequence = left.pop()
            rows = self._db.execute(_WAITED, (digest, writer, sequence)).fetchall()
            for name, *came in rows:
                self._db.execute("DELETE FROM aside WHERE name = ?", (name,))
                found.add(name)
                left.append((came[0], came[1], came[2]))
        return found


# Another process may have learnt of the head just now.
_PUT_ASIDE = """
INSERT OR IGNORE INTO aside SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM heads WHERE hash = ?)
AND NOT EXISTS (SELECT 1 FROM heads WHERE writer = ? AND sequence = ? + 1 AND previous = ?)
"""
_WAITED = """
SELECT name, hash, writer, sequence FROM aside WHERE until = ?
UNION SELECT name, hash, writer, sequence FROM aside WHERE length(awaited) > 0 AND awaited = ? AND past = ? - 1
"""
