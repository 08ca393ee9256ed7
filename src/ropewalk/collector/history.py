"""History: what was pushed, on disk, with retention.

Flow: add -> one writer thread, all that waits in one transaction -> fsync -> the caller goes on; readers beside it
Never: answers before what it answers for is on disk; keeps more than its retention; begins anew without saying so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ropewalk.collector.alerts import AlertKey, Event
from ropewalk.collector.intake import Sample
from ropewalk.collector.tables import Tables
from ropewalk.errors import Damaged, RopewalkError, Unavailable

__all__ = ["BrokenHistory", "Busy", "History", "Retention"]

_log = logging.getLogger("ropewalk.collector")
_T = TypeVar("_T")

_MOST_WAITING = 1_000  # jobs; each connection waits for its own, so only a great many connections fill it
_MOST_TOGETHER = 100  # jobs in one transaction
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ASIDE_KEPT = 2  # damaged files
_ROLL = 600  # seconds
_SHRINK = 0.75  # of what a level keeps, each time the file is too large


class BrokenHistory(Damaged):
    """The file is not what was written."""

    code = "collector.history-damaged"


class Busy(Unavailable):
    """The history cannot take or give anything now."""

    code = "collector.history"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long numbers are kept at each resolution, in seconds, and how large the file may be, in bytes."""

    raw: float = 2 * 86_400
    minute: float = 30 * 86_400
    hour: float = 2 * 365 * 86_400
    size: int = 2 << 30


@dataclass(slots=True)
class _Job:
    act: Callable[[Tables], Any]
    done: Future[Any] = field(default_factory=Future)


class History:
    """The file.  Used as `async with`.

    Args:
        path: Made where there is none.
        retention: What is kept.
        most_series: How many series of all sources.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        retention: Retention = Retention(),
        *,
        most_series: int = 50_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path, self.retention, self._clock = path, retention, clock
        self._most_series = most_series
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_MOST_WAITING)
        self._writer = threading.Thread(target=self._write, name="ropewalk-history")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-history-reader")
        self._reading: tuple[int, sqlite3.Connection] | None = None
        self._closed = False
        self._generation = 0  # grows when the file is begun anew

    async def __aenter__(self) -> Self:
        self._writer.start()
        try:
            await self._do(lambda _: None)  # opened, or why not
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and close."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.submit(self._close_reader).result()
        self._readers.shutdown()
        self._jobs.put(None)  # the writer is the last, and tidies up what SQLite leaves to the last
        self._writer.join()

    # ---- what may be done ----

    async def begin(self, source: str, run: bytes, every: float) -> int:
        """A source begins to push; the sequence up to which its pushes are kept."""
        now = self._clock()
        return await self._do(lambda tables: tables.begin(source, run, every, now))

    async def add(self, source: str, run: bytes, sample: Sample) -> int | None:
        """Keep a push, once.  It is on disk when this returns.

        Returns:
            How many values had no place among the series, or None where the push was kept before.
        """
        now = self._clock()
        return await self._do(lambda tables: tables.add(source, run, sample, now))

    async def record(self, events: list[Event]) -> None:
        """Keep what was raised and cleared."""
        await self._do(lambda tables: tables.record(events))

    async def standing(self) -> list[AlertKey]:
        """Alerts that are raised and not cleared."""
        return await self._do(lambda tables: tables.standing())

    async def roll(self) -> None:
        """Move what is some minutes old to where it is read from; to be called every few minutes.

        In small steps, between which pushes are kept.
        """
        before = int(self._clock()) // _ROLL * _ROLL
        while await self._do(lambda tables: tables.roll(before)):
            pass

    async def prune(self) -> None:
        """Remove what is too old, and more of it while the file is too large; to be called every hour or so."""
        now, keep = self._clock(), {level: getattr(self.retention, level) for level in ("raw", "minute", "hour")}
        while True:
            before = {level: now - seconds for level, seconds in keep.items()}
            after: int | None = 0
            while after is not None:
                after = await self._do(lambda tables, before=before, after=after: tables.prune(before, after))  # type: ignore[misc]
            if await self.ask(_size) <= self.retention.size:
                return
            # The finest goes first, each level down to what the one above it makes of it.
            level = next((level for level, least in _LEAST.items() if keep[level] > least), None)
            if level is None:
                _log.error("history stays too large", extra={"code": "collector.history", "reason": "size"})
                return
            keep[level] *= _SHRINK

    async def ask(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        """Read, beside the writer.

        Raises:
            BrokenHistory: The file is damaged; it is begun anew.
            Busy: It cannot be read now.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, read)
        except BrokenHistory:
            generation = self._generation
            await self._do(lambda _: self._note_damage(generation))
            raise

    # ---- the reader's thread ----

    def _read(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            if self._reading is None or self._reading[0] != self._generation:
                self._close_reader()
                self._reading = self._generation, _connect(self.path)
                self._reading[1].execute("PRAGMA query_only = 1")
            # One moment for all that is read, while the writer moves numbers from one table to the other.
            self._reading[1].execute("BEGIN")
            try:
                return read(self._reading[1])
            finally:
                self._reading[1].execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _told(error) from error

    def _close_reader(self) -> None:
        if self._reading:
            self._reading[1].close()
            self._reading = None

    # ---- the writer's thread ----

    async def _do(self, act: Callable[[Tables], _T]) -> _T:
        if self._closed:
            raise Busy("the history is closed")
        job = _Job(act)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Busy(f"{_MOST_WAITING} writes to the history wait already") from None
        result: _T = await asyncio.wrap_future(job.done)
        return result

    def _write(self) -> None:
        db: sqlite3.Connection | None = None
        tables: Tables | None = None
        ending = False
        while not ending:
            jobs = self._next()
            ending = jobs[-1] is None
            work = [job for job in jobs if job]
            try:
                if db is None or tables is None:
                    db, tables = self._open()
                self._transact(db, tables, work)
            except (sqlite3.Error, OSError, RopewalkError) as error:
                told = _told(error)
                if db:
                    db.close()
                    db = tables = None
                if isinstance(told, BrokenHistory):
                    self._move_aside(told)
                    with contextlib.suppress(sqlite3.Error, OSError, RopewalkError):  # else by the next job
                        db, tables = self._open()
                for job in work:
                    _settle(job, error=told)
        if db:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _next(self) -> list[_Job | None]:
        jobs = [self._jobs.get()]
        while jobs[-1] and len(jobs) < _MOST_TOGETHER:
            try:
                jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return jobs

    def _open(self) -> tuple[sqlite3.Connection, Tables]:
        try:
            return self._try_open()
        except sqlite3.DatabaseError as error:
            told = _told(error)
            if not isinstance(told, BrokenHistory):
                raise
            self._move_aside(told)
            return self._try_open()

    def _try_open(self) -> tuple[sqlite3.Connection, Tables]:
        db = _connect(self.path)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # what is acknowledged survives a power cut too
            db.execute("PRAGMA journal_size_limit = 67108864")
            return db, Tables(db, self._most_series)
        except BaseException:
            db.close()
            raise

    @staticmethod
    def _transact(db: sqlite3.Connection, tables: Tables, jobs: list[_Job]) -> None:
        """Do all of them in one transaction, and tell each when it is on disk."""
        done: list[tuple[_Job, Any]] = []
        db.execute("BEGIN IMMEDIATE")
        try:
            for job in jobs:
                db.execute("SAVEPOINT job")
                try:
                    done.append((job, job.act(tables)))
                except (sqlite3.Error, RopewalkError):
                    raise
                except Exception as error:  # noqa: BLE001 - a fault of ours in one job, which the others do not share
                    _log.exception("history refused a write", extra={"code": Busy.code})
                    db.execute("ROLLBACK TO job")
                    tables.forget_ids()
                    _settle(job, error=_told(error))
                db.execute("RELEASE job")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            tables.forget_ids()
            raise
        for job, result in done:
            _settle(job, result)
        db.executescript("PRAGMA incremental_vacuum(1000)")  # `execute` would stop after the first page

    def _note_damage(self, generation: int) -> None:
        if generation == self._generation:  # nobody did so meanwhile
            raise BrokenHistory("the history was found damaged while it was read")

    def _move_aside(self, why: RopewalkError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{ending}").rename(f"{aside}{ending}")
        found = sorted(self.path.parent.glob(f"{self.path.name}.damaged-*[0-9]"))
        for old in found[:-_ASIDE_KEPT]:
            for ending in ("-wal", "-shm", ""):
                Path(f"{old}{ending}").unlink(missing_ok=True)
        self._generation += 1
        _log.error(
            "history is damaged (%s): moved to %s and begun anew", why, aside.name, extra={"code": BrokenHistory.code}
        )


_LEAST = {"raw": 3_600.0, "minute": 86_400.0, "hour": 7 * 86_400.0}  # seconds that retention by size leaves


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


def _size(db: sqlite3.Connection) -> int:
    pages, free, size = (
        db.execute(f"PRAGMA {word}").fetchone()[0] for word in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _told(error: Exception) -> RopewalkError:
    if isinstance(error, RopewalkError):
        return error
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGE:
        return BrokenHistory(f"the history is damaged: {error}")
    return Busy(f"the history cannot be used: {error}")


def _settle(job: _Job, result: object = None, *, error: RopewalkError | None = None) -> None:
    # Whoever waited may be gone: then its future is cancelled, or its loop is closed.
    with contextlib.suppress(RuntimeError):
        if job.done.set_running_or_notify_cancel():
            if error:
                job.done.set_exception(error)
            else:
                job.done.set_result(result)
