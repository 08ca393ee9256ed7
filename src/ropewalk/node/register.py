"""Register: what lies in a node's stores at whose cost, and what was deleted and is kept for a while.

Flow: offered -> Register -> one thread -> SQLite; sums and reservations in memory
Never: holds an object, or decides who may do what.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ropewalk.errors import Damaged, Unavailable
from ropewalk.node.grants import Grant
from ropewalk.spaces.store import StoreFull

__all__ = ["ENTRY", "OverQuota", "Register", "RegisterDamaged", "RegisterUnavailable", "Trashed"]

_T = TypeVar("_T")

ENTRY = 4096  # bytes that each object counts besides its own: its place in the folder, and the row here
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TABLES = """
create table if not exists objects (
    offer text not null, name text not null, size integer not null, payer text not null, primary key (offer, name)
) without rowid;
create table if not exists trash (
    label text primary key, offer text not null, name text not null, space blob, size integer not null,
    payer text not null, left real not null
) without rowid;
create index if not exists trash_of_space on trash (offer, space, label);
create table if not exists vetoes (
    offer text not null, space blob not null, left real not null, primary key (offer, space)
) without rowid;
"""


class OverQuota(StoreFull):
    """There may be room, and not for who asks."""

    code = "node.quota"


class RegisterDamaged(Damaged):
    """The file is not what was written."""

    code = "node.register-damaged"


class RegisterUnavailable(Unavailable):
    """The file cannot be used now."""

    code = "node.register"


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
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-node-register")
        self._open: sqlite3.Connection | None = None
        self._used: Counter[tuple[str, str]] = Counter()  # bytes by offer and payer, those in the trash too
        self._reserved: Counter[tuple[str, str]] = Counter()

    async def open(self) -> None:
        """Open or make the file.

        Raises:
            RegisterDamaged, RegisterUnavailable.
        """
        self._used.update(await self._do(self._opened))

    async def aclose(self) -> None:
        """Close it, after what is under way."""
        if self._open is not None:
            await self._do(self._closed)
        self._thread.shutdown(wait=False)

    # -- room ------------------------------------------------------------------------------------------------------

    def used(self, offer: str, payer: str | None = None) -> int:
        """Bytes that lie in an offered store at somebody's cost, or at that of all; with those on their way."""
        sums = [self._used, self._reserved]
        if payer is not None:
            return sum(one[offer, payer] for one in sums)
        return sum(size for one in sums for (where, _), size in one.items() if where == offer)

    def payer(self, offer: str, size: int, payers: Sequence[Grant], quota: int | None) -> Grant:
        """Who pays for an object; see `reserve`.

        Raises:
            OverQuota: Nobody can.
        """
        size += ENTRY
        if quota is not None and self.used(offer) + size > quota:
            raise OverQuota(
                f"all that is offered here is used: {self.used(offer)} of {quota} bytes, {size} are asked for"
            )
        for payer in payers:
            if payer.quota is None or self.used(offer, payer.id) + size <= payer.quota:
                return payer
        most = max(payers, key=lambda one: (one.quota or 0) - self.used(offer, one.id))
        raise OverQuota(
            f"the quota here is used up: {self.used(offer, most.id)} of {most.quota} bytes, {size} are asked for",
            hint="ask the node's owner for more, or use another store",
        )

    async def counts(self, offer: str, name: str) -> bool:
        """Whether somebody pays for an object of this name already."""

        def select(db: sqlite3.Connection) -> bool:
            found = db.execute("select 1 from objects where offer = ? and name = ?", (offer, name))
            return found.fetchone() is not None

        return await self._do(select)

    @contextmanager
    def reserve(self, offer: str, size: int, payers: Sequence[Grant], quota: int | None) -> Iterator[Grant]:
        """Room for an object, until the block is left; at whose cost.

        Args:
            offer: The store.
            size: Bytes, without `ENTRY`.
            payers: Who may pay, the first that can does.
            quota: Bytes for all together.

        Raises:
            OverQuota: Nobody can.
        """
        payer = self.payer(offer, size, payers, quota)
        key = offer, payer.id
        self._reserved[key] += size + ENTRY
        try:
            yield payer
        finally:
            self._reserved[key] -= size + ENTRY

    async def keep(self, offer: str, payer: str, objects: Iterable[tuple[str, int]]) -> None:
        """Objects, with their sizes, lie there at somebody's cost; those that did so already cost nobody more."""
        kept = [(offer, name, size + ENTRY, payer) for name, size in objects]

        def insert(db: sqlite3.Connection) -> int:
            new = 0
            with db:
                for row in kept:
                    if db.execute("insert or ignore into objects values (?, ?, ?, ?)", row).rowcount:
                        new += row[2]
            return new

        await self._do(insert, lambda new: self._add(offer, payer, new))

    async def forget(self, offer: str, name: str) -> None:
        """An object is gone, and nothing of it is in the trash."""

        def drop(db: sqlite3.Connection) -> tuple[str, int] | None:
            with db:
                return db.execute(  # type: ignore[no-any-return]
                    "delete from objects where offer = ? and name = ? returning payer, size", (offer, name)
                ).fetchone()

        await self._do(drop, lambda found: self._add(offer, found[0], -found[1]) if found else None)

    def _add(self, offer: str, payer: str, size: int) -> None:
        self._used[offer, payer] += size

    # -- trash -----------------------------------------------------------------------------------------------------

    async def set_aside(self, offer: str, name: str, space: bytes | None, size: int, keep: float) -> str:
        """An object is about to be deleted: written down durably, under the label that is returned."""
        label = secrets.token_hex(16)

        def move(db: sqlite3.Connection) -> tuple[str, int]:
            with _durably(db):
                found = db.execute(
                    "delete from objects where offer = ? and name = ? returning payer, size", (offer, name)
                ).fetchone()
                payer, counted = found or ("", 0)
                db.execute(
                    "insert into trash values (?, ?, ?, ?, ?, ?, ?)",
                    (label, offer, name, space, counted if found else size, payer, keep),
                )
            return payer, counted

        await self._do(move)
        return label

    async def not_gone(self, label: str) -> None:
        """It was not deleted after all, or was taken back."""

        def back(db: sqlite3.Connection) -> None:
            with _durably(db):
                found = db.execute(
                    "delete from trash where label = ? returning offer, name, size, payer", (label,)
                ).fetchone()
                if found and found[3]:
                    db.execute("insert or replace into objects values (?, ?, ?, ?)", found)

        await self._do(back)

    async def gone(self, offer: str, label: str) -> None:
        """It is not even in the trash any more."""

        def drop(db: sqlite3.Connection) -> tuple[str, int] | None:
            with db:
                return db.execute("delete from trash where label = ? returning payer, size", (label,)).fetchone()  # type: ignore[no-any-return]

        await self._do(drop, lambda found: self._add(offer, found[0], -found[1]) if found and found[0] else None)

    async def trash(self, offer: str, space: bytes | None, after: str, most: int) -> list[Trashed]:
        """What is kept of a space, by label."""

        def select(db: sqlite3.Connection) -> list[Trashed]:
            rows = db.execute(
                "select label, name, max(size - ? * (payer != ''), 0), payer, left from trash"
                " where offer = ? and space is ? and label > ? order by label limit ?",
                (ENTRY, offer, space, after, most),
            )
            return [Trashed(*row) for row in rows]

        return await self._do(select)

    async def trashed(self, offer: str, space: bytes, label: str) -> Trashed | None:
        """One of them."""

        def select(db: sqlite3.Connection) -> Trashed | None:
            row = db.execute(
                "select label, name, max(size - ? * (payer != ''), 0), payer, left from trash"
                " where offer = ? and space = ? and label = ?",
                (ENTRY, offer, space, label),
            ).fetchone()
            return Trashed(*row) if row else None

        return await self._do(select)

    async def adopt(self, offer: str, label: str, keep: float) -> None:
        """Something in the trash, of which nothing is known: it stays its time, and nobody pays."""

        def insert(db: sqlite3.Connection) -> None:
            with _durably(db):
                db.execute("insert or ignore into trash values (?, ?, '', null, 0, '', ?)", (label, offer, keep))

        await self._do(insert)

    async def labels(self, offer: str) -> dict[str, str]:
        """All labels of an offer, with the names."""
        return await self._do(
            lambda db: dict(db.execute("select label, name from trash where offer = ?", (offer,)).fetchall())
        )

    async def passed(self, seconds: float) -> list[tuple[str, str]]:
        """So much time has passed while the node ran; offer and label of what is to go for good."""

        def tick(db: sqlite3.Connection) -> list[tuple[str, str]]:
            with _durably(db):
                db.execute(
                    "update trash set left = left - ? where not exists"
                    " (select 1 from vetoes where vetoes.offer = trash.offer and vetoes.space = trash.space)",
                    (seconds,),
                )
                db.execute("update vetoes set left = left - ?", (seconds,))
                db.execute("delete from vetoes where left <= 0")
                return db.execute("select offer, label from trash where left <= 0").fetchall()

        return await self._do(tick)

    async def veto(self, offer: str, space: bytes, seconds: float) -> None:
        """For so long nothing of this space is deleted."""

        def insert(db: sqlite3.Connection) -> None:
            with _durably(db):
                db.execute("insert or replace into vetoes values (?, ?, ?)", (offer, space, seconds))

        await self._do(insert)

    async def vetoed(self, offer: str, space: bytes) -> float:
        """Seconds for which nothing of this space is deleted."""

        def select(db: sqlite3.Connection) -> float:
            found = db.execute("select left from vetoes where offer = ? and space = ?", (offer, space)).fetchone()
            return float(found[0]) if found else 0.0

        return await self._do(select)

    # -- the thread ------------------------------------------------------------------------------------------------

    async def _do(self, work: Callable[[sqlite3.Connection], _T], then: Callable[[_T], None] | None = None) -> _T:
        """Work in the thread; what follows from it is done even if nobody waits for it any more."""

        def run() -> _T:
            if self._open is None:
                self._open = self._connected()
            return work(self._open)

        def told(done: asyncio.Future[_T]) -> None:
            if then is not None and not done.cancelled() and done.exception() is None:
                then(done.result())

        done = asyncio.get_running_loop().run_in_executor(self._thread, run)
        done.add_done_callback(told)
        try:
            return await asyncio.shield(done)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                raise RegisterDamaged(
                    f"{self._path} is damaged: {error}",
                    hint="put it aside: a new one begins without what was used, and without what the trash holds",
                ) from None
            raise RegisterUnavailable(f"{self._path} cannot be used now: {error}") from None

    def _connected(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(self._path, check_same_thread=False)
        try:
            db.execute("pragma journal_mode = wal")
            # What a power cut takes of the accounts is somebody's advantage; the trash is written durably.
            db.execute("pragma synchronous = normal")
            db.executescript(_TABLES)
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _opened(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
        used: Counter[tuple[str, str]] = Counter()
        for rows in (
            db.execute("select offer, payer, sum(size) from objects group by 1, 2"),
            db.execute("select offer, payer, sum(size) from trash where payer != '' group by 1, 2"),
        ):
            for offer, payer, size in rows:
                used[offer, payer] += size
        return dict(used)

    def _closed(self, db: sqlite3.Connection) -> None:
        db.close()
        self._open = None


@contextmanager
def _durably(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that outlasts a power cut once it is over."""
    db.execute("pragma synchronous = full")
    try:
        with db:
            yield
    finally:
        db.execute("pragma synchronous = normal")
