"""File: what a device remembers of one space: its journal of heads, and where packs and chunks lie.

Flow: commits and listings -> SQLite file -> reads, commits, repair
Never: holds a secret, a file name or content; or is the only copy of anything: all but the incarnation and the
       journal can be rebuilt from the stores.

The journal is the one part that must be durable before a store sees a head; the rest is written without waiting.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ropewalk.errors import RopewalkError
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.state.aside import ASIDE_BY_NAME, ASIDE_BY_NEXT, ASIDE_SCHEMA, Aside
from ropewalk.spaces.state.faults import StateDamaged, StateTooNew, explained
from ropewalk.spaces.state.folders import FOLDERS_SCHEMA, Folders
from ropewalk.spaces.state.forks import FORKS_SCHEMA, Forks
from ropewalk.spaces.state.heads import HEADS_BY_NUMBER, HEADS_SCHEMA, JUDGED_SCHEMA
from ropewalk.spaces.state.index import INDEX_SCHEMA, Index
from ropewalk.spaces.state.journal import JOURNAL_SCHEMA, Journal
from ropewalk.spaces.state.proofs import PROOFS_SCHEMA, Proofs
from ropewalk.spaces.state.queue import QUEUE_SCHEMA, Queue
from ropewalk.spaces.state.records import RECORDS_SCHEMA, Records
from ropewalk.spaces.state.sparse import SPARSE_SCHEMA, Sparse

__all__ = ["SUSPECT", "State"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"""
# What makes a file of each version of the one before it, from nothing on.
_STEPS = (
    _SCHEMA + HEADS_SCHEMA + JOURNAL_SCHEMA + INDEX_SCHEMA,
    FOLDERS_SCHEMA,
    JUDGED_SCHEMA + FORKS_SCHEMA + RECORDS_SCHEMA,
    SPARSE_SCHEMA,
    PROOFS_SCHEMA,
    ASIDE_SCHEMA,
    QUEUE_SCHEMA,
    ASIDE_BY_NAME,
    ASIDE_BY_NEXT,
    HEADS_BY_NUMBER,
)
_VERSION = len(_STEPS)
SUSPECT = ".suspect"  # beside the file, once it was found damaged while it was used
_WATCHED = (
    *("meta", "records", "heads", "owed_heads", "packs", "shares", "folders", "unsettled"),
    *("forks", "evidence", "named_packs", "owed_records", "head_sightings", "record_sightings", "proofs"),
    *("sparse_heads", "aside", "queue", "queued_packs"),
)
_CHUNK_ID = 32  # bytes at the start of a reference; all of it that may rest here unsealed


class State(Journal, Forks, Index, Folders, Records, Sparse, Proofs, Aside, Queue):
    """One SQLite file, for one thread at a time.

    Args:
        path: The file; made with mode 0600 if it is not there.
        patience: Seconds to wait for another process that writes.

    Raises:
        StateDamaged, StateTooNew, StateUnavailable.
    """

    def __init__(self, path: Path, patience: float = 30.0) -> None:
        self.path = path
        self.fresh = not path.exists() or not path.stat().st_size  # none, or one that was begun on a full disk
        self._keys: KeyRing | None = None
        self._catch_up: Callable[[], None] | None = None
        if path.with_name(path.name + SUSPECT).exists():
            raise StateDamaged(f"local state {path.name} was found damaged when it was used before")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            log = path.with_name(path.name + "-wal")  # goes when the last to use the file closes it
            left_open = log.exists() and log.stat().st_size > 0
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=patience)
        except (sqlite3.Error, OSError) as error:
            raise explained(error, f"local state {path.name}") from None
        try:
            self._begin(left_open=left_open)
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise explained(error, f"local state {path.name}") from None
        except RopewalkError:
            self._db.close()
            raise

    def _begin(self, *, left_open: bool) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -16384")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StateTooNew(f"local state has version {version}, known is {_VERSION}", hint="upgrade ropewalk")
        if version != _VERSION:
            with self.transaction():
                for statement in "".join(_STEPS[version:]).split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        if not self.fresh:
            self._inspect(everything=left_open)

    def _inspect(self, *, everything: bool) -> None:
        # Where chunks lie fills nearly all of the file, and to read that takes too long for each start.  A fault in it
        # shows when it is used, and can mislead nobody: chunks are known by their ids.
        for what in ("1",) if everything else _WATCHED:
            if (problem := self._db.execute(f"PRAGMA quick_check({what})").fetchone()[0]) != "ok":
                raise StateDamaged(f"local state {self.path.name} is damaged: {problem}")

    def take_fresh(self) -> bool:
        """Whether the file was made when it was opened; once."""
        fresh, self.fresh = self.fresh, False
        return fresh

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """All or nothing; with ``durable``, it outlasts a power cut once it ends."""
        if durable:
            self._db.execute("PRAGMA synchronous = FULL")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a disk that is full may have ended it
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        finally:
            if durable:
                self._db.execute("PRAGMA synchronous = NORMAL")

    def data_version(self) -> int:
        """Changes when another process has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def written(self) -> tuple[int, int]:
        """Changes when anybody has written: another process, or this one."""
        return self.data_version(), self._db.total_changes

    # -- what the device is --------------------------------------------------------------------------------------

    def get_meta(self, key: str) -> bytes | None:
        """A remembered value."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def set_meta(self, key: str, value: bytes) -> None:
        """Remember a value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def incarnation(self) -> bytes | None:
        """Who this device is since its memory began, was lost, or gave up a head; 16 bytes."""
        return self.get_meta("incarnation")

    def begin_incarnation(self, incarnation: bytes) -> None:
        """Be a new writer; what was stored before is not pointed at again without being stored anew."""
        self.set_meta("incarnation", incarnation)
        self._db.execute("UPDATE packs SET reusable = 0")

    def is_behind(self) -> bool:
        """Whether heads were learnt from the stores since all packs were last learnt from them."""
        return bool(self.get_meta("behind"))

    def set_behind(self, behind: bool) -> None:
        """Heads were learnt, whose packs may not be known; or all packs that the stores list were."""
        self.set_meta("behind", b"1" if behind else b"")

    def is_settled(self, root: bytes) -> bool:
        """Whether the tree of this root is known to hold nothing that joins have left to settle."""
        return self.get_meta("settled") == root[:_CHUNK_ID]

    def remember_settled(self, root: bytes) -> None:
        """It holds nothing of the kind: what is changed in turn, on top of it, will not either."""
        self.set_meta("settled", root[:_CHUNK_ID])

    def records(self) -> list[tuple[str, bytes]]:
        """The membership records seen."""
        return [(name, bytes(data)) for name, data in self._db.execute("SELECT name, data FROM records")]

    def set_records(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Remember these membership records, and no others."""
        with self._at_once():
            self._db.execute("DELETE FROM records")
            self._db.executemany("INSERT INTO records (name, data) VALUES (?, ?)", records)
