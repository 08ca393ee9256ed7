"""Journal: the heads of a space that a device wrote or has checked, and what became of each.

Flow: publish -> add_head (durable) -> stores -> settle_head; learning -> add_head -> standing
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
from ropewalk.spaces.state.known import ACKED, BROKEN, PENDING, QUARANTINED, QUEUED, REFUSED, WITHDRAWN, KnownHead

__all__ = ["JOURNAL_SCHEMA", "JUDGED_SCHEMA", "Journal"]

JOURNAL_SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (
    name TEXT PRIMARY KEY, hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    previous BLOB NOT NULL, time INTEGER NOT NULL, about BLOB NOT NULL, embedded INTEGER NOT NULL,
    state INTEGER NOT NULL, data BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_by_writer ON heads (writer, sequence);
CREATE INDEX IF NOT EXISTS heads_pending ON heads (sequence) WHERE state = 0;
CREATE TABLE IF NOT EXISTS owed_heads (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
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
CREATE TABLE IF NOT EXISTS forks (writer BLOB, sequence INTEGER, PRIMARY KEY (writer, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    kind INTEGER, one TEXT, other TEXT, reported INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, one, other))
    WITHOUT ROWID;
"""
_HEAD = "name, hash, writer, sequence, previous, time, about, embedded, state, device, feature, frontier"
_JUDGED = f"state IN ({ACKED:d}, {QUARANTINED:d}, {REFUSED:d}, {BROKEN:d})"
_NAME_PACK = "INSERT OR IGNORE INTO named_packs VALUES (?, ?, ?)"
MOST_WITHDRAWN = 64  # heads that were given up and of which the bytes are kept; 16 MB at most
MOST_EVIDENCE = 1000  # pairs of heads that prove something; one is enough to freeze a device
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
        insert(self._db, f"INSERT OR REPLACE INTO heads ({_HEAD}, data, named)", rows)

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
                f"SELECT {_HEAD}, data FROM heads WHERE hash = ? AND state IN (?, ?, ?)",
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
        rows = self._db.execute(f"SELECT {_HEAD}, data FROM heads WHERE state = {PENDING:d} ORDER BY sequence")
        return [(self._head(row[:-1]), bytes(row[-1])) for row in rows]

    def heads(self, state: int = ACKED) -> list[KnownHead]:
        """All heads in a state, newest first."""
        rows = self._db.execute(
            f"SELECT {_HEAD} FROM heads WHERE state = ? AND {self._usable()} ORDER BY sequence DESC, writer", (state,)
        )
        return [self._head(row) for row in rows]

    def newest_heads(self, *, queued: bool = False) -> list[KnownHead]:
        """The newest acknowledged head of each writer; with ``queued``, those that wait to be published, too."""
        rows = self._db.execute(
            f"{_WRITERS} SELECT {_HEAD} FROM writers CROSS JOIN heads ON writer = one AND state IN (?, ?)"
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
            f"SELECT {_HEAD} FROM heads WHERE writer = ? AND state IN (?, ?) AND {self._usable()}"
            " ORDER BY sequence DESC LIMIT 1",
            (writer, ACKED, QUEUED),
        ).fetchone()
        return self._head(row) if row else None

    def head_hashed(self, digest: bytes) -> KnownHead | None:
        """A head that was checked, by its hash, whatever became of it."""
        row = self._db.execute(f"SELECT {_HEAD} FROM heads WHERE hash = ? AND {self._judged}", (digest,)).fetchone()
        return self._head(row) if row else None

    def head_hashes(self) -> set[bytes]:
        """Hashes of all heads that were checked."""
        return {bytes(row[0]) for row in self._db.execute(f"SELECT hash FROM heads WHERE {self._judged}")}

    def hashes_at(self, writer: bytes, sequence: int) -> list[bytes]:
        """Hashes of a writer's heads with this sequence that were checked."""
        rows = self._db.execute(
            f"SELECT hash FROM heads WHERE writer = ? AND sequence = ? AND {self._judged}", (writer, sequence)
        )
        return [bytes(row[0]) for row in rows]

    def newest_kept(self, writer: bytes, last: int) -> KnownHead | None:
        """The newest head of a writer up to a sequence that is accepted, or in quarantine."""
        row = self._db.execute(
            f"SELECT {_HEAD} FROM heads WHERE writer = ? AND sequence <= ? AND state IN (?, ?)"
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
            f"SELECT {_HEAD} FROM heads WHERE writer = ? AND sequence BETWEEN ? AND ? AND {self._judged}"
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
            f"SELECT {_HEAD} FROM heads WHERE state > 2 AND state != {QUEUED:d} AND {self._usable()}"
            " ORDER BY writer, sequence"
        )
        return [self._head(row) for row in rows]

    def reconsider_head(self, name: str, state: int) -> None:
        """What became of a head that was checked is another thing now."""
        self._db.execute(f"UPDATE heads SET state = ? WHERE name = ? AND {_JUDGED}", (state, name))

    def add_fork(self, writer: bytes, sequence: int) -> None:
        """A writer has two heads of this sequence."""
        self._db.execute("INSERT OR IGNORE INTO forks VALUES (?, ?)", (writer, sequence))

    def forks(self) -> dict[bytes, list[int]]:
        """Where writers are known to have forked, in order."""
        found: dict[bytes, list[int]] = {}
        for writer, sequence in self._db.execute("SELECT writer, sequence FROM forks ORDER BY writer, sequence"):
            found.setdefault(bytes(writer), []).append(sequence)
        return found

    def add_evidence(self, kind: int, one: str, other: str) -> None:
        """Two heads, by name, that together prove something of their author."""
        self._db.execute(
            "INSERT OR IGNORE INTO evidence SELECT ?, ?, ?, 0 WHERE (SELECT count(*) FROM evidence) < ?",
            (kind, one, other, MOST_EVIDENCE),
        )

    def evidence(self, *, reported: bool | None = False) -> list[tuple[int, str, str]]:
        """What was found and is not in the records yet; with None, all of it."""
        wanted = "" if reported is None else f" WHERE reported = {int(reported)}"
        return list(self._db.execute(f"SELECT kind, one, other FROM evidence{wanted} ORDER BY kind, one, other"))

    def report_evidence(self, kind: int, one: str, other: str) -> None:
        """It is in the records now."""
        self._db.execute(
            "UPDATE evidence SET reported = 1 WHERE kind = ? AND one = ? AND other = ?", (kind, one, other)
        )

    def head_named(self, name: str) -> KnownHead | None:
        """A head by its object's name."""
        row = self._db.execute(f"SELECT {_HEAD} FROM heads WHERE name = ? AND {self._usable()}", (name,)).fetchone()
        return self._head(row) if row else None

    def is_unacknowledged(self, name: str) -> bool:
        """Whether a head is our own and not acknowledged."""
        row = self._db.execute("SELECT state FROM heads WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] in (PENDING, WITHDRAWN, QUEUED)

    def unacknowledged(self) -> set[str]:
        """Names of heads of our own that are not acknowledged."""
        rows = self._db.execute("SELECT name FROM heads WHERE state IN (?, ?, ?)", (PENDING, WITHDRAWN, QUEUED))
        return {row[0] for row in rows}

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
