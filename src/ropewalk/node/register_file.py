"""Register file: the file in which a node's register lies, and the one thread that reads and writes it.

Flow: what is to be done with a connection -> the thread -> its outcome, and what follows from that, in the event loop
Never: counts, or decides what is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ropewalk.errors import Damaged, Unavailable

__all__ = ["RegisterDamaged", "RegisterFile", "RegisterUnavailable", "durably"]

_T = TypeVar("_T")

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


class RegisterDamaged(Damaged):
    """The file is not what was written."""

    code = "node.register-damaged"


class RegisterUnavailable(Unavailable):
    """The file cannot be used now."""

    code = "node.register"


class RegisterFile:
    """The file, made where there is none; it is opened by what is done first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-node-register")
        self._open: sqlite3.Connection | None = None

    async def aclose(self) -> None:
        """Close it, after what is under way."""
        if self._open is not None:
            await self.do(self._closed)
        self._thread.shutdown(wait=False)

    async def do(self, work: Callable[[sqlite3.Connection], _T], then: Callable[[_T], None] | None = None) -> _T:
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
            raise RegisterUnavailable(
                f"the accounts of this node cannot be used now: {error}",
                hint=f"they are in {self._path}: is there room on that disk?",
            ) from None

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

    def _closed(self, db: sqlite3.Connection) -> None:
        db.close()
        self._open = None


@contextmanager
def durably(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that outlasts a power cut once it is over."""
    db.execute("pragma synchronous = full")
    try:
        with db:
            yield
    finally:
        db.execute("pragma synchronous = normal")
