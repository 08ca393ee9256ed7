"""Register: what lies in a node's stores at whose cost, and what was deleted and is kept for a while.

Flow: offered -> Register -> RegisterFile; sums and reservations in memory
Never: holds an object, or decides who may do what.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ropewalk.node.amounts import amount
from ropewalk.node.grants import Grant
from ropewalk.node.held import Held
from ropewalk.node.register_file import RegisterFile, durably
from ropewalk.spaces.store import StoreFull

__all__ = ["ENTRY", "OverQuota", "Register", "Trashed"]

ENTRY = 4096  # bytes that each object counts besides its own: its place in the folder, and the row here


class OverQuota(StoreFull):
    """There may be room, and not for who asks."""

    code = "node.quota"


@dataclass(frozen=True, slots=True)
class Trashed:
    """What was deleted and is kept."""

    label: str
    name: str
    size: int  # bytes
    payer: str
    left: float  # seconds


class Register:
    """The accounts of one node.

    Args:
        path: Made where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._file = RegisterFile(path)
        self._used: Counter[tuple[str, str]] = Counter()  # bytes by offer and payer, those in the trash too
        self._reserved: Counter[tuple[str, str]] = Counter()
        self._trashed: Counter[str] = Counter()  # bytes by offer

    async def open(self) -> None:
        """Open or make the file.

        Raises:
            RegisterDamaged, RegisterUnavailable.
        """
        used, trashed = await self._file.do(_sums)
        self._used.update(used)
        self._trashed.update(trashed)

    async def aclose(self) -> None:
        """Close it, after what is under way."""
        await self._file.aclose()

    # -- room ------------------------------------------------------------------------------------------------------

    def used(self, offer: str, payer: str | None = None) -> int:
        """Bytes that lie in an offered store at somebody's cost, or at that of all; with those on their way."""
        sums = [self._used, self._reserved]
        if payer is not None:
            return sum(one[offer, payer] for one in sums)
        return sum(size for one in sums for (where, _), size in one.items() if where == offer)

    def trashed_bytes(self, offer: str) -> int:
        """Bytes of an offered store that lie in the trash, as far as it is known what they are."""
        return self._trashed[offer]

    def payer(self, offer: str, size: int, payers: Sequence[Grant], quota: int | None) -> Grant:
        """Who pays for an object; see `reserve`.

        Raises:
            OverQuota: Nobody can.
        """
        size += ENTRY
        if quota is not None and self.used(offer) + size > quota:
            raise OverQuota(
                f"all that is offered here is used: {amount(self.used(offer))} of {amount(quota)},"
                f" {amount(size)} are asked for"
            )
        for payer in payers:
            if payer.quota is None or self.used(offer, payer.id) + size <= payer.quota:
                return payer
        most = max(payers, key=lambda one: (one.quota or 0) - self.used(offer, one.id))
        raise OverQuota(
            f"the quota here is used up: {amount(self.used(offer, most.id))} of {amount(most.quota or 0)},"
            f" {amount(size)} are asked for",
            hint="ask the node's owner for more, or use another store",
        )

    async def counts(self, offer: str, name: str) -> bool:
        """Whether somebody pays for an object of this name already."""

        def select(db: sqlite3.Connection) -> bool:
            found = db.execute("select 1 from objects where offer = ? and name = ?", (offer, name))
            return found.fetchone() is not None

        return await self._file.do(select)

    @contextmanager
    def reserve(self, offer: str, size: int, payers: Sequence[Grant], quota: int | None) -> Iterator[Held]:
        """Room for an object, until it is written down or the block is left.

        Args:
            offer: The store.
            size: Bytes, without `ENTRY`.
            payers: Who may pay, the first that can does.
            quota: Bytes for all together.

        Raises:
            OverQuota: Nobody can.
        """
        held = Held(self.payer(offer, size, payers, quota), self._reserved, offer, size + ENTRY)
        try:
            yield held
        finally:
            held.end()

    def nothing(self, offer: str, payer: Grant) -> Held:
        """Room for what is there already."""
        return Held(payer, self._reserved, offer, 0)

    async def keep(self, offer: str, held: Held, name: str, size: int) -> bool:
        """An object lies there at somebody's cost; whether that is new: where it is not, it costs nobody more."""
        row = (offer, name, size + ENTRY, held.payer.id)

        def insert(db: sqlite3.Connection) -> bool:
            with db:
                return bool(db.execute("insert or ignore into objects values (?, ?, ?, ?)", row).rowcount)

        def counted(new: bool) -> None:
            held.end()
            if new:
                self._add(offer, held.payer.id, row[2])

        return await self._file.do(insert, counted)

    async def names(self, offer: str, after: str, most: int) -> list[str]:
        """Objects that somebody pays for, by name, those in the trash not."""

        def select(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                "select name from objects where offer = ? and name > ? order by name limit ?", (offer, after, most)
            )
            return [name for (name,) in rows]

        return await self._file.do(select)

    async def forget(self, offer: str, name: str) -> None:
        """An object is gone, and nothing of it is in the trash."""

        def drop(db: sqlite3.Connection) -> tuple[str, int] | None:
            with db:
                return db.execute(  # type: ignore[no-any-return]
                    "delete from objects where offer = ? and name = ? returning payer, size", (offer, name)
                ).fetchone()

        await self._file.do(drop, lambda found: self._add(offer, found[0], -found[1]) if found else None)

    def _add(self, offer: str, payer: str, size: int) -> None:
        self._used[offer, payer] += size

    def _throw(self, offer: str, size: int) -> None:
        self._trashed[offer] += size

    # -- trash -----------------------------------------------------------------------------------------------------

    async def set_aside(self, offer: str, name: str, space: bytes | None, size: int, keep: float) -> str:
        """An object is about to be deleted: written down durably, under the label that is returned."""
        label = secrets.token_hex(16)

        def move(db: sqlite3.Connection) -> int:
            with durably(db):
                found = db.execute(
                    "delete from objects where offer = ? and name = ? returning payer, size", (offer, name)
                ).fetchone()
                payer, counted = found or ("", size)
                db.execute(
                    "insert into trash values (?, ?, ?, ?, ?, ?, ?)",
                    (label, offer, name, space, counted, payer, keep),
                )
            return int(counted)

        await self._file.do(move, lambda counted: self._throw(offer, counted))
        return label

    async def not_gone(self, label: str) -> None:
        """It was not deleted after all, or was taken back."""

        def back(db: sqlite3.Connection) -> tuple[str, str, int, str] | None:
            with durably(db):
                found = db.execute(
                    "delete from trash where label = ? returning offer, name, size, payer", (label,)
                ).fetchone()
                if found and found[3]:
                    db.execute("insert or replace into objects values (?, ?, ?, ?)", found)
            return found  # type: ignore[no-any-return]

        await self._file.do(back, lambda found: self._throw(found[0], -found[2]) if found else None)

    async def gone(self, offer: str, label: str) -> None:
        """It is not even in the trash any more."""

        def drop(db: sqlite3.Connection) -> tuple[str, int] | None:
            with db:
                return db.execute("delete from trash where label = ? returning payer, size", (label,)).fetchone()  # type: ignore[no-any-return]

        def counted(found: tuple[str, int] | None) -> None:
            if found is not None:
                self._throw(offer, -found[1])
                if found[0]:
                    self._add(offer, found[0], -found[1])

        await self._file.do(drop, counted)

    async def trash(self, offer: str, space: bytes | None, after: str, most: int) -> list[Trashed]:
        """What is kept of a space, by label."""

        def select(db: sqlite3.Connection) -> list[Trashed]:
            rows = db.execute(
                "select label, name, max(size - ? * (payer != ''), 0), payer, left from trash"
                " where offer = ? and space is ? and label > ? order by label limit ?",
                (ENTRY, offer, space, after, most),
            )
            return [Trashed(*row) for row in rows]

        return await self._file.do(select)

    async def trashed(self, offer: str, space: bytes, label: str) -> Trashed | None:
        """One of them."""

        def select(db: sqlite3.Connection) -> Trashed | None:
            row = db.execute(
                "select label, name, max(size - ? * (payer != ''), 0), payer, left from trash"
                " where offer = ? and space = ? and label = ?",
                (ENTRY, offer, space, label),
            ).fetchone()
            return Trashed(*row) if row else None

        return await self._file.do(select)

    async def adopt(self, offer: str, label: str, keep: float) -> None:
        """Something in the trash, of which nothing is known: it stays its time, and nobody pays."""

        def insert(db: sqlite3.Connection) -> None:
            with durably(db):
                db.execute("insert or ignore into trash values (?, ?, '', null, 0, '', ?)", (label, offer, keep))

        await self._file.do(insert)

    async def labels(self, offer: str) -> dict[str, str]:
        """All labels of an offer, with the names."""
        return await self._file.do(
            lambda db: dict(db.execute("select label, name from trash where offer = ?", (offer,)).fetchall())
        )

    async def passed(self, seconds: float) -> list[tuple[str, str]]:
        """So much time has passed while the node ran; offer and label of what is to go for good."""

        def tick(db: sqlite3.Connection) -> list[tuple[str, str]]:
            with durably(db):
                db.execute(
                    "update trash set left = left - ? where not exists"
                    " (select 1 from vetoes where vetoes.offer = trash.offer and vetoes.space = trash.space)",
                    (seconds,),
                )
                db.execute("update vetoes set left = left - ?", (seconds,))
                db.execute("delete from vetoes where left <= 0")
                return db.execute("select offer, label from trash where left <= 0").fetchall()

        return await self._file.do(tick)

    async def veto(self, offer: str, space: bytes, seconds: float) -> None:
        """For so long nothing of this space is deleted."""

        def insert(db: sqlite3.Connection) -> None:
            with durably(db):
                db.execute("insert or replace into vetoes values (?, ?, ?)", (offer, space, seconds))

        await self._file.do(insert)

    async def vetoed(self, offer: str, space: bytes) -> float:
        """Seconds for which nothing of this space is deleted."""

        def select(db: sqlite3.Connection) -> float:
            found = db.execute("select left from vetoes where offer = ? and space = ?", (offer, space)).fetchone()
            return float(found[0]) if found else 0.0

        return await self._file.do(select)


def _sums(db: sqlite3.Connection) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Bytes that are used, by offer and payer; bytes in the trash, by offer."""
    used: Counter[tuple[str, str]] = Counter()
    for rows in (
        db.execute("select offer, payer, sum(size) from objects group by 1, 2"),
        db.execute("select offer, payer, sum(size) from trash where payer != '' group by 1, 2"),
    ):
        for offer, payer, size in rows:
            used[offer, payer] += size
    return dict(used), dict(db.execute("select offer, sum(size) from trash group by 1").fetchall())
