"""File: sealed chunks by their ids in one SQLite file that keeps to a limit; those used longest ago go first.

What is in it can be had again elsewhere, so nothing waits for the disk, and a file that fails is thrown away.

Flow: Cache -> get, add, touch -> SQLite
Never: is believed: whoever takes a chunk checks it against its id; or grows beyond the limit.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["CACHE_FILE", "LEAST", "ChunkFile"]

CACHE_FILE = "cache.db"
LEAST = 4 * 1024 * 1024  # bytes; a smaller limit holds too little to be of use: there is no cache then
_PAGE = 4096  # bytes, SQLite's; a chunk fills whole ones
_BESIDE = 512  # bytes for each chunk, of the two tables and the index
_FILLED = 7 / 8  # of the limit; the rest is SQLite's own, and what it frees and has not used again
_LOG = 1024  # pages of the log that is kept beside the file while it is used
_BATCH = 500  # variables in one query
_VERSION = 1
_PATIENCE = 1.0  # seconds; a cache that another process is writing to is not waited for long
_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uses (
    id BLOB PRIMARY KEY, number INTEGER NOT NULL, used INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_by_age ON uses (used, size);
CREATE TABLE IF NOT EXISTS held (size INTEGER NOT NULL);
INSERT INTO held SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM held);
"""


class ChunkFile:
    """The file, for one thread at a time.

    Args:
        path: Made with mode 0600 if it is not there.
        limit: Bytes that the file may have.

    Raises:
        sqlite3.Error, OSError: It cannot be used; it was thrown away where it is damaged.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._room = path, int(limit * _FILLED)
        try:
            self._open(limit)
        except sqlite3.DatabaseError:
            self.throw_away()
            self._open(limit)

    def _open(self, limit: int) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        try:
            self._db.execute(f"PRAGMA page_size = {_PAGE}")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(f"PRAGMA journal_size_limit = {_LOG * _PAGE}")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {_LOG}")
            self._db.execute(f"PRAGMA max_page_count = {limit // _PAGE}")  # a wall behind the sums below
            if _version(self._db) == 0:
                self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            self._used = self._db.execute("SELECT coalesce(max(used), 0) FROM uses").fetchone()[0]
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def throw_away(self) -> None:
        """Close the file and delete it: its room is free at once, where no other process has it open."""
        with suppress(AttributeError, sqlite3.Error):
            self._db.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def get(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The sealed bytes of those chunks that are here, unchecked."""
        found: dict[bytes, bytes] = {}
        for at in range(0, len(ids), _BATCH):
            some = ids[at : at + _BATCH]
            marks = ",".join("?" * len(some))
            found.update(
                self._db.execute(
                    f"SELECT id, data FROM uses JOIN chunks USING (number) WHERE id IN ({marks})",  # noqa: S608
                    some,
                )
            )
        return found

    def add(self, chunks: Mapping[bytes, bytes], used: Iterable[bytes] = (), gone: Iterable[bytes] = ()) -> None:
        """Take chunks in, and note what was used since; what was used longest ago makes room.

        Args:
            chunks: Sealed bytes by id.
            used: Ids of chunks that were given out.
            gone: Ids of chunks that were found to be wrong.
        """
        self._used += 1
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._remove(list(gone))
            there, size, new = self._there(list(chunks)), 0, list[tuple[bytes, bytes]]()
            # What is given again was used, too: else it would make room for what comes with it.
            again = [(self._used, one) for one in {*used, *there}]
            self._db.executemany("UPDATE uses SET used = ? WHERE id = ?", again)
            for one, data in chunks.items():
                if one not in there and size + _cost(data) <= self._room:
                    new.append((one, data))
                    size += _cost(data)
            self._make_room(size)
            for one, data in new:
                number = self._db.execute("INSERT INTO chunks (data) VALUES (?)", (data,)).lastrowid
                self._db.execute("INSERT INTO uses VALUES (?, ?, ?, ?)", (one, number, self._used, _cost(data)))
            self._db.execute("UPDATE held SET size = size + ?", (size,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _there(self, ids: Sequence[bytes]) -> set[bytes]:
        return {one for one in ids if self._db.execute("SELECT 1 FROM uses WHERE id = ?", (one,)).fetchone()}

    def _make_room(self, size: int) -> None:
        held = self.size()
        while held and held + size > self._room:
            oldest = self._db.execute("SELECT id FROM uses ORDER BY used, size LIMIT 64").fetchall()
            if not oldest:
                return
            for (one,) in oldest:
                held -= self._remove([one])
                if held + size <= self._room:
                    break

    def _remove(self, ids: Sequence[bytes]) -> int:
        freed = 0
        for one in ids:
            row = self._db.execute("DELETE FROM uses WHERE id = ? RETURNING number, size", (one,)).fetchone()
            if row is not None:
                self._db.execute("DELETE FROM chunks WHERE number = ?", (row[0],))
                freed += row[1]
        if freed:
            self._db.execute("UPDATE held SET size = max(size - ?, 0)", (freed,))
        return freed

    def size(self) -> int:
        """Bytes that the chunks fill, as they are counted against the limit."""
        return int(self._db.execute("SELECT size FROM held").fetchone()[0])


def _version(db: sqlite3.Connection) -> int:
    """Of the file; 0 where it is new."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(f"the cache has version {version}, known is {_VERSION}")
    return version


def _cost(data: bytes) -> int:
    return -(-len(data) // _PAGE) * _PAGE + _BESIDE
