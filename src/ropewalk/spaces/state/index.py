"""Index: where packs, their shares and the chunks in them lie, as far as a device knows.

Flow: writer, rebuild, survey -> add_pack, add_shares, add_chunks; reader -> locate, packs_by_id
Never: is believed: a chunk is known by its id, and what is not where the index says is looked for.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a query here is a list of columns or of question marks
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ropewalk.spaces.pack.directory import Place
from ropewalk.spaces.state.inserting import insert
from ropewalk.spaces.state.known import KnownPack, Located, SharePlace, spread

__all__ = ["INDEX_SCHEMA", "EmbeddedPack", "Index"]

_T = TypeVar("_T")
# Of two places of a chunk the one stays whose pack lacks no more shares than the other's, and is no leftover.
_BETTER = (
    "ON CONFLICT (id) DO UPDATE SET"
    " pack = excluded.pack, column = excluded.column, offset = excluded.offset, length = excluded.length"
    " WHERE EXISTS (SELECT * FROM packs AS old, packs AS new WHERE old.id = chunks.pack"
    " AND new.id = excluded.pack AND (new.announced OR new.reusable)"
    " AND (old.lacking > new.lacking OR NOT (old.announced OR old.reusable)))"
)
_BATCH = 500  # variables in one query; SQLite takes 32,766, and the gain ends long before
INDEX_SCHEMA = """
CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, k INTEGER NOT NULL, n INTEGER NOT NULL,
    lengths BLOB NOT NULL, manifest BLOB NOT NULL, directory BLOB NOT NULL, stored INTEGER NOT NULL, head TEXT,
    reusable INTEGER NOT NULL, announced INTEGER NOT NULL, lacking INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS packs_lacking ON packs (id) WHERE lacking > 0;
CREATE INDEX IF NOT EXISTS packs_unannounced ON packs (id) WHERE announced = 0;
CREATE TABLE IF NOT EXISTS shares (
    pack INTEGER NOT NULL, number INTEGER NOT NULL, store TEXT NOT NULL, object TEXT NOT NULL,
    damaged INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (pack, number, store, object)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shares_by_store ON shares (store);
CREATE TABLE IF NOT EXISTS chunks (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, column INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class EmbeddedPack:
    """A pack in a head, as it is remembered."""

    name: bytes
    length: int  # of its one column
    manifest: bytes  # hash of the manifest
    directory: bytes  # hash of the sealed directory
    stored: int
    head: str  # the head object
    places: Sequence[Place]


class Index:
    """The part of the state that knows places."""

    _db: sqlite3.Connection

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """All or nothing, alone or as a part of a transaction."""
        self._db.execute("SAVEPOINT at_once")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a disk that is full may have ended it
                self._db.execute("ROLLBACK TO at_once")
                self._db.execute("RELEASE at_once")
            raise
        self._db.execute("RELEASE at_once")

    def add_pack(
        self,
        name: bytes,
        k: int,
        n: int,
        lengths: Sequence[int],
        manifest: bytes,
        directory: bytes,
        stored: int,
        *,
        head: str | None = None,
        reusable: bool,
        announced: bool,
    ) -> int:
        """Remember a pack; its number.  One that is known already keeps its number, and may become reusable."""
        cursor = self._db.execute(
            "INSERT INTO packs (name, k, n, lengths, manifest, directory, stored, head, reusable, announced, lacking)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
            (
                *(name, k, n, msgspec.msgpack.encode(list(lengths)), manifest, directory, stored),
                *(head, reusable, announced, 0 if head else n),
            ),
        )
        if cursor.rowcount:
            assert cursor.lastrowid is not None
            return cursor.lastrowid
        row = self._db.execute("SELECT id FROM packs WHERE name = ?", (name,)).fetchone()
        self._db.execute(
            "UPDATE packs SET reusable = reusable OR ?, announced = announced OR ? WHERE id = ?",
            (reusable, announced, row[0]),
        )
        return int(row[0])

    def add_embedded(self, packs: Sequence[EmbeddedPack]) -> None:
        """Remember packs that heads embed, and where their chunks lie."""
        rows = [
            (one.name, 1, 1, msgspec.msgpack.encode([one.length]), one.manifest, one.directory, one.stored, one.head)
            for one in packs
        ]
        columns = "name, k, n, lengths, manifest, directory, stored, head, reusable, announced, lacking"
        announced = "(?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 0)"
        again = "ON CONFLICT (name) DO UPDATE SET announced = 1"
        insert(self._db, f"INSERT INTO packs ({columns})", rows, row=announced, then=again)
        chunks = [
            (place.id, one.name, place.column, place.offset, place.length) for one in packs for place in one.places
        ]
        numbered = "(?, (SELECT id FROM packs WHERE name = ?), ?, ?, ?)"
        insert(self._db, "INSERT INTO chunks", chunks, row=numbered, then=_BETTER)

    def add_chunks(self, pack: int, places: Iterable[Place]) -> None:
        """Remember where chunks lie.  A chunk that is known keeps its place, unless this pack keeps it better.

        That is so where the pack it lies in lacks more shares, or is a leftover that nobody mends.
        """
        rows = [(place.id, pack, place.column, place.offset, place.length) for place in places]
        insert(self._db, "INSERT INTO chunks", rows, then=_BETTER)

    def add_shares(self, pack: int, shares: Iterable[SharePlace]) -> None:
        """Remember where shares lie."""
        with self._at_once():
            self._db.executemany(
                "INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?, ?)",
                [(pack, share.number, share.store, share.object, share.damaged) for share in shares],
            )
            self._recount(pack)

    def _recount(self, pack: int) -> None:
        # Kept beside what it is derived from: counting the shares of all packs anew would make every commit slower.
        shares = self._db.execute(
            "SELECT number, store, object FROM shares JOIN packs ON packs.id = pack"
            " WHERE pack = ? AND NOT damaged AND number < n ORDER BY number",
            (pack,),
        )
        good = spread(SharePlace(*row) for row in shares)
        self._db.execute("UPDATE packs SET lacking = n - ? WHERE id = ? AND head IS NULL", (len(good), pack))

    def forget_share(self, pack: int, share: SharePlace) -> None:
        """A share is not there any more."""
        with self._at_once():
            self._db.execute(
                "DELETE FROM shares WHERE pack = ? AND number = ? AND store = ? AND object = ?",
                (pack, share.number, share.store, share.object),
            )
            self._recount(pack)

    def mark_damaged(self, pack: int, number: int, store: str) -> None:
        """The bytes of a share were found to be wrong."""
        with self._at_once():
            self._db.execute(
                "UPDATE shares SET damaged = 1 WHERE pack = ? AND number = ? AND store = ?", (pack, number, store)
            )
            self._recount(pack)

    def announce(self, packs: Iterable[int]) -> None:
        """A head that names these packs was acknowledged."""
        self._db.executemany("UPDATE packs SET announced = 1 WHERE id = ?", [(pack,) for pack in packs])

    def unannounced(self) -> list[KnownPack]:
        """Durable packs that no acknowledged head has named yet."""
        return self._packs("WHERE announced = 0 AND head IS NULL")

    def newest_pack(self) -> int:
        """The number of the pack that was learnt last."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM packs").fetchone()[0])

    def packs(self) -> Iterator[KnownPack]:
        """Every pack, in batches, so that a large space does not fill memory."""
        last = 0
        while batch := self._packs("WHERE id > ? ORDER BY id LIMIT 1000", (last,)):
            yield from batch
            last = batch[-1].id

    def packs_after(self, last: int, most: int) -> list[KnownPack]:
        """So many packs that were learnt after one, by its number, for whoever has other work done in between."""
        return self._packs("WHERE id > ? ORDER BY id LIMIT ?", (last, most))

    def packs_by_id(self, ids: Sequence[int]) -> dict[int, KnownPack]:
        """Some packs."""
        found: dict[int, KnownPack] = {}
        for batch in _batches(ids):
            for pack in self._packs(f"WHERE id IN ({','.join('?' * len(batch))})", tuple(batch)):
                found[pack.id] = pack
        return found

    def packs_on(self, store: str) -> list[int]:
        """The numbers of the packs of which a store has shares."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT pack FROM shares WHERE store = ?", (store,))]

    def owed_shares(self, *, all_packs: bool = False) -> list[tuple[bytes, list[int]]]:
        """Packs with fewer good shares than they should have, and the numbers that lack.

        Args:
            all_packs: Those too that no head names yet.
        """
        rows = self._db.execute("SELECT id FROM packs WHERE lacking > 0 AND (announced OR ?)", (all_packs,)).fetchall()
        owed = []
        for pack in self.packs_by_id([row[0] for row in rows]).values():
            good = pack.good
            owed.append((pack.name, [number for number in range(pack.n) if number not in good]))
        return owed

    def unknown_packs(self, most: int) -> dict[bytes, set[tuple[bytes, bytes]]]:
        """So many of the packs that heads name and that are not known, with hashes of manifest and directory."""
        found: dict[bytes, set[tuple[bytes, bytes]]] = {}
        for pack, manifest, directory in self._db.execute(
            "SELECT pack, manifest, directory FROM named_packs AS named"
            " WHERE NOT EXISTS (SELECT 1 FROM packs WHERE packs.name = named.pack) LIMIT ?",
            (most,),
        ):
            found.setdefault(bytes(pack), set()).add((bytes(manifest), bytes(directory)))
        return found

    def pack_named(self, name: bytes) -> KnownPack | None:
        """A pack by its name."""
        found = self._packs("WHERE name = ?", (name,))
        return found[0] if found else None

    def packs_called(self, prefix: str) -> list[KnownPack]:
        """The packs in shares of their own whose names start with these hex digits, two at most; with none, the newest.

        Of packs that were learnt from the stores nobody knows which is newest: it is the one that was learnt last.
        """
        if not prefix:
            return self._packs("WHERE head IS NULL AND announced ORDER BY id DESC LIMIT 1")
        return self._packs("WHERE head IS NULL AND lower(hex(name)) LIKE ? LIMIT 2", (f"{prefix}%",))

    def _packs(self, where: str, values: tuple[object, ...] = ()) -> list[KnownPack]:
        rows = self._db.execute(
            f"SELECT id, name, k, n, lengths, manifest, directory, stored, head, announced FROM packs {where}", values
        ).fetchall()
        shares: dict[int, list[SharePlace]] = {row[0]: [] for row in rows}
        for batch in _batches(list(shares)):
            for pack, number, store, name, damaged in self._db.execute(
                f"SELECT pack, number, store, object, damaged FROM shares WHERE pack IN ({','.join('?' * len(batch))})"
                " ORDER BY pack, number",
                tuple(batch),
            ):
                shares[pack].append(SharePlace(number, store, name, bool(damaged)))
        return [
            KnownPack(
                id=row[0],
                name=row[1],
                k=row[2],
                n=row[3],
                lengths=msgspec.msgpack.decode(row[4], type=list[int]),
                manifest=row[5],
                directory=row[6],
                stored=row[7],
                head=row[8],
                shares=shares[row[0]],
                announced=bool(row[9]),
            )
            for row in rows
        ]

    def locate(self, ids: Sequence[bytes]) -> dict[bytes, Located]:
        """Where chunks lie, for those that are known."""
        found = {}
        for batch in _batches(ids):
            for row in self._db.execute(
                f"SELECT id, pack, column, offset, length FROM chunks WHERE id IN ({','.join('?' * len(batch))})", batch
            ):
                found[row[0]] = Located(*row)
        return found

    def packs_of(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The names of the packs that chunks lie in, for those that are known."""
        found: dict[bytes, bytes] = {}
        for batch in _batches(ids):
            found.update(
                self._db.execute(
                    "SELECT chunks.id, packs.name FROM chunks JOIN packs ON packs.id = chunks.pack"
                    f" WHERE chunks.id IN ({','.join('?' * len(batch))})",
                    batch,
                )
            )
        return found

    def reusable(self, ids: Sequence[bytes]) -> set[bytes]:
        """Which of these chunks a new version may point at without storing them again."""
        found: set[bytes] = set()
        for batch in _batches(ids):
            found.update(
                row[0]
                for row in self._db.execute(
                    "SELECT chunks.id FROM chunks JOIN packs ON packs.id = chunks.pack"
                    f" WHERE packs.reusable AND packs.lacking = 0 AND chunks.id IN ({','.join('?' * len(batch))})",
                    batch,
                )
            )
        return found


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(items), _BATCH):
        yield items[at : at + _BATCH]
