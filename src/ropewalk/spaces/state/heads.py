"""Heads: the heads of a space that a device wrote or has checked, and what each of them says.

Flow: publish, learning -> add_head -> standing, judging
Never: holds a root or a note unsealed: with a root's reference and a store one could read all that hangs from it.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a query here is a list of columns
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ropewalk.spaces.keys import BoxDamaged, EpochUnknown, KeyRing, MembersOnly
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.state.faults import StateDamaged
from ropewalk.spaces.state.inserting import insert
from ropewalk.spaces.state.known import ACKED, BROKEN, QUARANTINED, QUEUED, REFUSED, KnownHead

__all__ = ["HEAD", "HEADS_BY_NUMBER", "HEADS_SCHEMA", "JUDGED_SCHEMA", "Heads"]

HEADS_SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (
    name TEXT PRIMARY KEY, hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    previous BLOB NOT NULL, time INTEGER NOT NULL, about BLOB NOT NULL, embedded INTEGER NOT NULL,
    state INTEGER NOT NULL, data BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_by_writer ON heads (writer, sequence);
CREATE INDEX IF NOT EXISTS heads_pending ON heads (sequence) WHERE state = 0;
"""
# From the third version on: by whom a head is and what it knew, so that it can be judged again.
JUDGED_SCHEMA = """
ALTER TABLE heads ADD COLUMN device BLOB NOT NULL DEFAULT x'';
ALTER TABLE heads ADD COLUMN feature INTEGER NOT NULL DEFAULT 1;
ALTER TABLE heads ADD COLUMN frontier BLOB NOT NULL DEFAULT x'';
ALTER TABLE heads ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS named_packs (
    pack BLOB, manifest BLOB, directory BLOB, PRIMARY KEY (pack, manifest, directory)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_by_hash ON heads (hash);
CREATE INDEX IF NOT EXISTS heads_set_aside ON heads (writer, sequence) WHERE state > 2;
"""
# From the tenth version on rows have numbers.  They are long, for what a head says rests in them: in a table that is a
# tree of names each took a page for itself, and each index had whole names: three times the room, and twice the time.
HEADS_BY_NUMBER = """
CREATE TABLE numbered_heads (
    name TEXT NOT NULL PRIMARY KEY, hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    previous BLOB NOT NULL, time INTEGER NOT NULL, about BLOB NOT NULL, embedded INTEGER NOT NULL,
    state INTEGER NOT NULL, data BLOB, device BLOB NOT NULL DEFAULT x'', feature INTEGER NOT NULL DEFAULT 1,
    frontier BLOB NOT NULL DEFAULT x'', named INTEGER NOT NULL DEFAULT 0);
INSERT INTO numbered_heads SELECT name, hash, writer, sequence, previous, time, about, embedded, state, data, device,
    feature, frontier, named FROM heads;
DROP TABLE heads;
ALTER TABLE numbered_heads RENAME TO heads;
CREATE INDEX heads_by_writer ON heads (writer, sequence, hash);
CREATE INDEX heads_pending ON heads (sequence) WHERE state = 0;
CREATE INDEX heads_by_hash ON heads (hash);
CREATE INDEX heads_set_aside ON heads (writer, sequence) WHERE state > 2;
CREATE INDEX heads_kept ON heads (time) WHERE data IS NOT NULL;
CREATE INDEX unread_heads ON heads (name) WHERE length(about) = 0;
"""
HEAD = "name, hash, writer, sequence, previous, time, about, embedded, state, device, feature, frontier"
_JUDGED = f"state IN ({ACKED:d}, {QUARANTINED:d}, {REFUSED:d}, {BROKEN:d})"
_NAME_PACK = "INSERT OR IGNORE INTO named_packs VALUES (?, ?, ?)"
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


class Heads:
    """The part of the state that knows heads."""

    path: Path
    _db: sqlite3.Connection
    _keys: KeyRing | None
    _catch_up: Callable[[], None] | None

    def add_head(self, head: KnownHead, data: bytes | None = None) -> None:
        """Remember a head; ``data`` is kept while it is pending."""
        self._add_heads([(*self._row(head), data, 0)])

    def add_heads(self, heads: Sequence[tuple[KnownHead, Sequence[tuple[bytes, bytes, bytes]]]]) -> None:
        """Remember heads that came from stores, each with the packs that it names, as for `name_packs`."""
        self._add_heads([(*self._row(head), None, 1) for head, _ in heads])
        self._db.executemany(_NAME_PACK, [pack for _, packs in heads for pack in packs])

    def _add_heads(self, rows: Sequence[Sequence[Any]]) -> None:
        insert(self._db, f"INSERT OR REPLACE INTO heads ({HEAD}, data, named)", rows)

    def _row(self, head: KnownHead) -> Sequence[Any]:
        return (
            *(head.name, head.hash, head.writer, head.sequence, head.previous, head.time),
            *(self._seal(head), head.embedded, head.state, head.device, head.feature, b"".join(head.frontier)),
        )

    # A root's reference opens all content that hangs from it, and a note is for members: both rest sealed.  Of a head
    # that a steward could not read there is nothing to seal; members pass such a row over, as if they had not met it.

    def _seal(self, head: KnownHead) -> bytes:
        if head.unread or not self._unlocked.reads:
            return b""
        vector = [(writer, *item) for writer, item in head.vector.items()]
        about = encode(_About(head.root, head.entries, head.note, vector))
        return self._unlocked.seal("member", b"state" + head.hash, about)

    def _head(self, row: Sequence[Any]) -> KnownHead:
        name, digest, writer, sequence, previous, time, box, embedded, state, device, feature, frontier = row
        newest = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
        if not box:
            itself = {writer: (sequence, digest)}
            return KnownHead(
                *(name, digest, writer, sequence, previous, time, None, 0, "", itself),
                *(bool(embedded), state, device, feature, newest),
                unread=True,
            )
        try:
            about = _about.decode(self._opened(b"state" + digest, box))
        except (BoxDamaged, RecordMalformed) as error:
            raise StateDamaged(f"local state {self.path.name} is damaged: {error}") from None
        vector = {seen: (last, digest) for seen, last, digest in about.vector}
        known = (name, digest, writer, sequence, previous, time, about.root, about.entries, about.note, vector)
        return KnownHead(*known, bool(embedded), state, device, feature, newest)

    def _opened(self, context: bytes, box: bytes) -> bytes:
        try:
            return self._unlocked.open("member", context, box)
        except (EpochUnknown, MembersOnly):
            if self._catch_up is None:
                raise
            self._catch_up()  # another process of this device has learnt of the epoch, and kept its record here
            return self._unlocked.open("member", context, box)

    @property
    def _unlocked(self) -> KeyRing:
        if self._keys is None:
            raise AssertionError("the state's heads are used before `unlock`")
        return self._keys

    def _usable(self, of: str = "heads") -> str:
        """Which rows are what they seem: for a steward all; for members not those that were a steward's."""
        if self._keys is not None and not self._keys.reads:
            return "1"
        return f"length({of}.about) > 0"  # the length alone needs no page of a large one

    @property
    def _judged(self) -> str:
        return f"{_JUDGED} AND {self._usable()}"

    def unread_heads(self) -> list[str]:
        """Names of the heads that we met as a steward, and have not read since."""
        rows = self._db.execute(f"SELECT name FROM heads WHERE {_JUDGED} AND length(about) = 0")
        return [row[0] for row in rows]

    def unlock(self, keys: KeyRing, catch_up: Callable[[], None] | None = None) -> None:
        """Give the keys with which what is secret rests sealed; heads can be used from then on.

        Args:
            keys: Of all epochs that are known; epochs that are added later open their rows too.
            catch_up: Asked, in the state's thread, to add what other processes have learnt, when a row does not open.
        """
        self._keys, self._catch_up = keys, catch_up

    def heads(self, state: int = ACKED) -> list[KnownHead]:
        """All heads in a state, newest first."""
        rows = self._db.execute(
            f"SELECT {HEAD} FROM heads WHERE state = ? AND {self._usable()} ORDER BY sequence DESC, writer", (state,)
        )
        return [self._head(row) for row in rows]

    def newest_heads(self, *, queued: bool = False) -> list[KnownHead]:
        """The newest acknowledged head of each writer; with ``queued``, those that wait to be published, too."""
        rows = self._db.execute(
            f"{_WRITERS} SELECT {HEAD} FROM writers CROSS JOIN heads ON writer = one AND state IN (?, ?)"
            " AND sequence = (SELECT others.sequence FROM heads AS others"
            f" WHERE others.writer = one AND others.state IN (?, ?) AND {self._usable('others')}"
            f" ORDER BY others.sequence DESC LIMIT 1) AND {self._usable()}",
            2 * (ACKED, QUEUED if queued else ACKED),
        )
        return [self._head(row) for row in rows]

    def head_names(self) -> set[str]:
        """The object names of all heads that were checked, whatever became of them."""
        return {row[0] for row in self._db.execute(f"SELECT name FROM heads WHERE {self._judged}")}

    def newest_head(self, writer: bytes) -> KnownHead | None:
        """The newest head of a writer that was acknowledged, or waits to be published."""
        row = self._db.execute(
            f"SELECT {HEAD} FROM heads WHERE writer = ? AND state IN (?, ?) AND {self._usable()}"
            " ORDER BY sequence DESC LIMIT 1",
            (writer, ACKED, QUEUED),
        ).fetchone()
        return self._head(row) if row else None

    def head_hashed(self, digest: bytes) -> KnownHead | None:
        """A head that was checked, by its hash, whatever became of it."""
        row = self._db.execute(f"SELECT {HEAD} FROM heads WHERE hash = ? AND {self._judged}", (digest,)).fetchone()
        return self._head(row) if row else None

    def head_places(self) -> dict[bytes, tuple[bytes, int]]:
        """Writer and sequence of all heads that were checked, by hash."""
        rows = self._db.execute(f"SELECT hash, writer, sequence FROM heads WHERE {self._judged}")
        return {bytes(digest): (bytes(writer), sequence) for digest, writer, sequence in rows}

    def hashes_at(self, writer: bytes, sequence: int) -> list[bytes]:
        """Hashes of a writer's heads with this sequence that were checked, in order; of more, the first two."""
        rows = self._db.execute(
            f"SELECT hash FROM heads WHERE writer = ? AND sequence = ? AND {self._judged} ORDER BY hash LIMIT 2",
            (writer, sequence),
        )
        return [bytes(row[0]) for row in rows]

    def hashes_after(self, writer: bytes, sequence: int, previous: bytes) -> list[bytes]:
        """Hashes of a writer's heads with this sequence that were checked and name another as the one before."""
        rows = self._db.execute(
            f"SELECT hash FROM heads WHERE writer = ? AND sequence = ? AND previous = ? AND {self._judged}"
            " ORDER BY hash",
            (writer, sequence, previous),
        )
        return [bytes(row[0]) for row in rows]

    def newest_kept(self, writer: bytes, last: int) -> KnownHead | None:
        """The newest head of a writer up to a sequence that is accepted, or in quarantine."""
        row = self._db.execute(
            f"SELECT {HEAD} FROM heads WHERE writer = ? AND sequence <= ? AND state IN (?, ?)"
            f" AND {self._usable()} ORDER BY sequence DESC LIMIT 1",
            (writer, last, ACKED, QUARANTINED),
        ).fetchone()
        return self._head(row) if row else None

    def name_packs(self, head: str, packs: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """A head that is remembered names these packs, with the hashes of manifest and directory."""
        self._db.executemany(_NAME_PACK, packs)
        self._db.execute("UPDATE heads SET named = 1 WHERE name = ?", (head,))

    def named_packs(self) -> dict[bytes, set[tuple[bytes, bytes]]]:
        """Hashes of manifest and directory that heads name for each pack."""
        found: dict[bytes, set[tuple[bytes, bytes]]] = {}
        for pack, manifest, directory in self._db.execute("SELECT pack, manifest, directory FROM named_packs"):
            found.setdefault(bytes(pack), set()).add((bytes(manifest), bytes(directory)))
        return found

    def unnamed_heads(self) -> list[str]:
        """Heads of which it is not remembered which packs they name."""
        return [row[0] for row in self._db.execute(f"SELECT name FROM heads WHERE named = 0 AND {self._judged}")]

    def heads_at(self, writer: bytes, first: int, last: int | None = None) -> list[KnownHead]:
        """All heads of a writer that were checked with these sequences, whatever became of them, in order."""
        rows = self._db.execute(
            f"SELECT {HEAD} FROM heads WHERE writer = ? AND sequence BETWEEN ? AND ? AND {self._judged}"
            " ORDER BY sequence, hash",
            (writer, first, first if last is None else last),
        )
        return [self._head(row) for row in rows]

    def has_head_from(self, writer: bytes, sequence: int) -> bool:
        """Whether any head of a writer with this sequence or a later one was checked."""
        row = self._db.execute(
            f"SELECT 1 FROM heads WHERE writer = ? AND sequence >= ? AND {self._judged} LIMIT 1", (writer, sequence)
        ).fetchone()
        return row is not None

    def writers(self) -> dict[bytes, bytes]:
        """The writers of heads that were checked, each with its device."""
        rows = self._db.execute(
            f"{_WRITERS} SELECT one, (SELECT device FROM heads WHERE writer = one LIMIT 1) FROM writers"
            " WHERE one IS NOT NULL"
        )
        return {bytes(writer): bytes(device) for writer, device in rows}

    def set_aside(self) -> list[KnownHead]:
        """Heads that were checked and do not count, by writer and sequence."""
        rows = self._db.execute(
            f"SELECT {HEAD} FROM heads WHERE state > 2 AND state != {QUEUED:d} AND {self._usable()}"
            " ORDER BY writer, sequence"
        )
        return [self._head(row) for row in rows]

    def reconsider_head(self, name: str, state: int) -> None:
        """What became of a head that was checked is another thing now."""
        self._db.execute(f"UPDATE heads SET state = ? WHERE name = ? AND {_JUDGED}", (state, name))

    def head_named(self, name: str) -> KnownHead | None:
        """A head by its object's name."""
        row = self._db.execute(f"SELECT {HEAD} FROM heads WHERE name = ? AND {self._usable()}", (name,)).fetchone()
        return self._head(row) if row else None

    def newest_number(self, writer: bytes) -> int:
        """The sequence of the newest head of a writer that counts; 0 where there is none."""
        row = self._db.execute(
            f"SELECT sequence FROM heads WHERE writer = ? AND state = ? AND {self._usable()}"
            " ORDER BY sequence DESC LIMIT 1",
            (writer, ACKED),
        ).fetchone()
        return row[0] if row else 0

    def newest_below(self, writer: bytes, sequence: int) -> int:
        """The highest sequence below this one of a head of a writer that was checked; 0 where there is none."""
        row = self._db.execute(
            f"SELECT max(sequence) FROM heads WHERE writer = ? AND sequence < ? AND {self._judged}", (writer, sequence)
        ).fetchone()
        return row[0] or 0

    def last_sequences(self) -> dict[bytes, int]:
        """By writer, the highest sequence of its heads, whatever became of them."""
        rows = self._db.execute(
            f"{_WRITERS} SELECT one, (SELECT max(sequence) FROM heads WHERE writer = one) FROM writers"
            " WHERE one IS NOT NULL"
        )
        return {bytes(writer): sequence for writer, sequence in rows}

    def last_sequence(self, writer: bytes) -> int:
        """The highest sequence ever used by a writer, in whatever state."""
        row = self._db.execute("SELECT max(sequence) FROM heads WHERE writer = ?", (writer,)).fetchone()
        return row[0] or 0
