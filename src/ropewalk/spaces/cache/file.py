"""File: sealed chunks by their ids in one SQLite file that keeps to a limit; those used longest ago go first.

Nodes of trees have a share of their own: without them there are no folders to look at and no change can be made, and
one large file that is read would push them all out.  What is in the file can be had again elsewhere, so nothing waits
for the disk, and a file that fails is thrown away.

Flow: Cache -> get, add -> SQLite
Never: is believed: whoever takes a chunk checks it against its id; or grows beyond the limit, the log beside it too.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["CACHE_FILE", "LEAST", "ChunkFile", "is_busy", "remove"]

CACHE_FILE = "cache.db"
LEAST = 8 * 1024 * 1024  # bytes; a smaller limit holds too little to be of use: there is no cache then
_PAGE = 4096  # bytes, SQLite's; a chunk fills whole ones
_BESIDE = 512  # bytes for each chunk, of the two tables and the index
_PART = 2 * 1024 * 1024  # bytes of chunks in one transaction, at most; any chunk fits
_LOG = 2 * _PART  # of the limit, for the log beside the file: a transaction on top of one that a reader keeps there
_FILLED = 7 / 8  # of the rest; what is left is SQLite's own, and what it frees and has not used again
_NODES = 2  # one part in so many of what chunks may fill, for nodes
_DATA, _NODE = 0, 1  # kinds of chunks, each with its row in `held`
_AT_ONCE = 64  # chunks that are looked at to make room
_BATCH = 500  # variables in one query
_VERSION = 2
_PATIENCE = 1.0  # seconds; a cache that another process is writing to is not waited for long
_SCHEMA = """
CREATE TABLE chunks (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE uses (
    id BLOB PRIMARY KEY, number INTEGER NOT NULL, kind INTEGER NOT NULL, used INTEGER NOT NULL,
    size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX uses_by_age ON uses (kind, used, size);
CREATE TABLE held (kind INTEGER PRIMARY KEY, size INTEGER NOT NULL);
INSERT INTO held VALUES (0, 0), (1, 0);
"""


class ChunkFile:
    """The file, for one thread at a time.

    Args:
        path: Made with mode 0600 if it is not there.
        limit: Bytes that the file may have, with what SQLite keeps beside it.

    Raises:
        sqlite3.Error, OSError: It cannot be used; it was thrown away where it is damaged.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._pages = path, (limit - _LOG) // _PAGE
        self._room = int((limit - _LOG) * _FILLED)
        try:
            self._open()
        except sqlite3.Error as error:
            if is_busy(error):
                raise
            remove(path)
            self._open()

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        try:
            self._db.execute(f"PRAGMA page_size = {_PAGE}")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")  # `_change` empties the log
            self._db.execute(f"PRAGMA max_page_count = {self._pages}")  # a wall behind the sums below
            if self._version() == 0:
                self._begin()
            self._used = max(self._newest(kind) for kind in (_DATA, _NODE))
        except BaseException:
            self._db.close()
            raise

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._version() == 0:  # else another process was quicker
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _version(self) -> int:
        """Of the file; 0 where it is new."""
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"the cache has version {version}, known is {_VERSION}")
        return version

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._db.close()

    def get(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The sealed bytes of those chunks that are here, unchecked."""
        found: dict[bytes, bytes] = {}
        for at in range(0, len(ids), _BATCH):
            some = ids[at : at + _BATCH]
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT id, data FROM uses JOIN chunks USING (number) WHERE id IN ({marks})",  # noqa: S608
                some,
            )
            found.update((one, data) for one, data in rows if isinstance(data, bytes))
        return found

    def add(
        self,
        chunks: Mapping[bytes, bytes],
        nodes: Collection[bytes] = (),
        used: Iterable[bytes] = (),
        gone: Iterable[bytes] = (),
        growth: int | None = None,
    ) -> None:
        """Take chunks in, and note what was used since; what was used longest ago makes room, nodes last.

        Args:
            chunks: Sealed bytes by id.
            nodes: Those of them that are nodes of trees.
            used: Ids of chunks that were given out.
            gone: Ids of chunks that were found to be wrong.
            growth: Bytes by which the file may grow, if not up to the limit.
        """
        self._used += 1
        room = self._room if growth is None else min(self._room, self.size() + self._unused() + growth)
        with self._change() as may:
            if not may:
                return
            for one in gone:
                self._remove(one)
            there = {one for one, data in chunks.items() if self._is_there(one, len(data))}
            # What is given again was used, too: else it would make room for what comes with it.
            again = [(self._used, one) for one in {*used, *there}]
            self._db.executemany("UPDATE uses SET used = ? WHERE id = ?", again)
        for some in _parts([(one, data) for one, data in chunks.items() if one not in there]):
            with self._change() as may:
                if not may:
                    return
                self._take(some, nodes, room)

    @contextmanager
    def _change(self) -> Iterator[bool]:
        """A transaction; or none, and False, where a reader still needs what the one before it wrote to the log."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if self._log() > _PART:
            yield False
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield True
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # a disk that is full may have ended it
            self._db.execute("ROLLBACK")

    def _log(self) -> int:
        try:
            return self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _is_there(self, one: bytes, length: int) -> bool:
        """Whether a chunk is here; one of another length is not."""
        row = self._db.execute(
            "SELECT typeof(data), length(data) FROM uses JOIN chunks USING (number) WHERE id = ?", (one,)
        ).fetchone()
        if row != ("blob", length):
            self._remove(one)
            return False
        return True

    def _take(self, chunks: Iterable[tuple[bytes, bytes]], nodes: Collection[bytes], room: int) -> None:
        """Take in chunks, which may fill so much with those that are here: nodes first."""
        of_nodes, new = min(room, self._room // _NODES), dict[int, list[tuple[bytes, bytes]]]()
        content = [item for item in chunks if item[0] not in nodes]
        new[_NODE], size = _fitting([item for item in chunks if item[0] in nodes], of_nodes)
        self._make_room(_NODE, of_nodes - size)
        room -= self._held(_NODE) + size
        new[_DATA], size = _fitting(content, room)
        self._make_room(_DATA, room - size)
        for kind, some in new.items():
            for one, data in some:
                number = self._db.execute("INSERT INTO chunks (data) VALUES (?)", (data,)).lastrowid
                row = one, number, kind, self._used, _cost(data)
                self._db.execute("INSERT INTO uses VALUES (?, ?, ?, ?, ?)", row)
                self._db.execute("UPDATE held SET size = size + ? WHERE kind = ?", (_cost(data), kind))

    def _make_room(self, kind: int, most: int) -> None:
        """Let chunks of one kind go until the others fill no more than ``most``."""
        oldest = "SELECT id FROM uses WHERE kind = ? ORDER BY used, size LIMIT ?"
        while (held := self._held(kind)) > most:
            for (one,) in self._db.execute(oldest, (kind, _AT_ONCE)).fetchall():
                self._remove(one)
                if self._held(kind) <= most:
                    break
            if self._held(kind) >= held:
                raise sqlite3.DatabaseError(f"chunks fill {held} bytes of the cache, and there are none to let go")

    def _remove(self, one: bytes) -> None:
        row = self._db.execute("DELETE FROM uses WHERE id = ? RETURNING number, kind, size", (one,)).fetchone()
        if row is not None:
            self._db.execute("DELETE FROM chunks WHERE number = ?", row[:1])
            self._db.execute("UPDATE held SET size = size - ? WHERE kind = ?", (row[2], row[1]))

    def size(self) -> int:
        """Bytes that the chunks fill, as they are counted against the limit."""
        return self._held(_DATA) + self._held(_NODE)

    def _unused(self) -> int:
        """Bytes that chunks left which made room."""
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0]) * _PAGE

    def _held(self, kind: int) -> int:
        return _whole(self._db.execute("SELECT size FROM held WHERE kind = ?", (kind,)).fetchone())

    def _newest(self, kind: int) -> int:
        return _whole(self._db.execute("SELECT coalesce(max(used), 0) FROM uses WHERE kind = ?", (kind,)).fetchone())


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it is only that another process uses the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def remove(path: Path) -> None:
    """Delete a file of chunks, with what SQLite keeps beside it: the room is free where no process has it open.

    Raises:
        OSError.
    """
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _whole(row: tuple[object, ...] | None) -> int:
    """The number in a row; what is none of ours shows that the file is damaged."""
    value = row[0] if row else None
    if not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise sqlite3.DatabaseError(f"the cache counts {value!r}")
    return value


def _parts(chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """As many chunks as go into one transaction."""
    some: list[tuple[bytes, bytes]] = []
    size = 0
    for item in chunks:
        if some and size + _cost(item[1]) > _PART:
            yield some
            some, size = [], 0
        some.append(item)
        size += _cost(item[1])
    if some:
        yield some


def _fitting(chunks: Iterable[tuple[bytes, bytes]], room: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """Those of some chunks that there is room for, and what they fill."""
    some, size = list[tuple[bytes, bytes]](), 0
    for one, data in chunks:
        if size + _cost(data) <= room:
            some.append((one, data))
            size += _cost(data)
    return some, size


def _cost(data: bytes) -> int:
    return -(-len(data) // _PAGE) * _PAGE + _BESIDE
