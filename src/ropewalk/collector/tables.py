"""Tables: how history lies in SQLite, and the statements over it.

New numbers go to `fresh`, which grows at its end only, so that a push of a thousand series writes a few pages.
`roll` moves them, ten minutes at once, to where each series lies together, which is what reading wants.

Flow: the writer -> begin, add, roll, prune; readers -> points, find
Never: commits; that is the writer's.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a statement here is the name of a table of ours
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ropewalk.collector.alerts import AlertKey, Event
from ropewalk.collector.intake import Sample, SeriesKey
from ropewalk.collector.wire import MOST_SERIES
from ropewalk.errors import Refused

__all__ = ["LEVELS", "RAW", "Point", "Series", "Tables", "WrongVersion", "find", "points"]

RAW = 10  # seconds of the finest slot
LEVELS = {"raw": RAW, "minute": 60, "hour": 3_600}  # finest first
_RUNS_KEPT = 8  # of a source; who still sends an older one was gone for long
_STEP_SERIES, _STEP_SECONDS = 200, 600  # moved or pruned in one transaction: what pushes may have to wait for
_FOR_EVER = 2**62
_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
    name TEXT PRIMARY KEY, every REAL NOT NULL, first REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    source TEXT NOT NULL, run BLOB NOT NULL, sequence INTEGER NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (source, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL,
    UNIQUE (name, source, labels, kind));
CREATE INDEX IF NOT EXISTS series_by_source ON series (source);
CREATE TABLE IF NOT EXISTS fresh (
    time INTEGER NOT NULL, series INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (time, series)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS raw (
    series INTEGER NOT NULL, time INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (series, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
    series INTEGER NOT NULL, time INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL, sum REAL NOT NULL,
    count INTEGER NOT NULL, last REAL NOT NULL, newest INTEGER NOT NULL, PRIMARY KEY (series, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hour (
    series INTEGER NOT NULL, time INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL, sum REAL NOT NULL,
    count INTEGER NOT NULL, last REAL NOT NULL, newest INTEGER NOT NULL, PRIMARY KEY (series, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY, rule TEXT NOT NULL, source TEXT NOT NULL, labels TEXT NOT NULL, kind TEXT NOT NULL,
    time REAL NOT NULL, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (time);
CREATE TABLE IF NOT EXISTS standing (
    rule TEXT NOT NULL, source TEXT NOT NULL, labels TEXT NOT NULL, PRIMARY KEY (rule, source, labels)) WITHOUT ROWID;
"""
# What is being moved by one step of `roll`: in memory, and of no interest to anybody after it.
_MOVING = "CREATE TEMP TABLE moving (series, time, value, PRIMARY KEY (series, time)) WITHOUT ROWID"
# The different times in `fresh` from ?1 to before ?2, without looking at every row.
_TIMES = (
    "WITH RECURSIVE times(at) AS (SELECT min(time) FROM fresh WHERE time >= ?1 UNION ALL"
    " SELECT (SELECT min(time) FROM fresh WHERE time > at) FROM times WHERE at < ?2)"
)


class WrongVersion(Refused):
    """Another version of ropewalk wrote this history."""

    code = "collector.history-version"


@dataclass(frozen=True, slots=True)
class Point:
    """What a series was in one slot of time."""

    time: int  # when the slot begins, in seconds since 1970
    low: float
    high: float
    sum: float
    count: int
    last: float


@dataclass(frozen=True, slots=True)
class Series:
    """A series that was asked for."""

    id: int
    source: str
    name: str
    kind: str
    labels: dict[str, str]


class Tables:
    """The writer's side.

    Args:
        most_series: How many series of all sources are kept.
        most_of_source: How many of one source, so that none takes the place of the others.
    """

    def __init__(self, db: sqlite3.Connection, most_series: int, most_of_source: int = MOST_SERIES) -> None:
        self._db, self._most, self._most_of_source = db, most_series, most_of_source
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise WrongVersion(f"the history has version {version}, expected {_VERSION}")
        db.executescript(f"{SCHEMA}PRAGMA user_version = {_VERSION};")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(_MOVING)
        self._ids: dict[tuple[str, SeriesKey], int] = {}
        self._counts: Counter[str] | None = None  # of series by source

    def begin(self, source: str, run: bytes, every: float, now: float) -> int:
        """A source begins to push; the sequence up to which its pushes are kept."""
        self._db.execute(
            "INSERT INTO sources VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET every = excluded.every, seen = ?",
            (source, every, now, now, now),
        )
        self._db.execute(
            "DELETE FROM runs WHERE source = ? AND run NOT IN"
            " (SELECT run FROM runs WHERE source = ? ORDER BY seen DESC LIMIT ?)",
            (source, source, _RUNS_KEPT),
        )
        row = self._db.execute("SELECT sequence FROM runs WHERE source = ? AND run = ?", (source, run)).fetchone()
        return int(row[0]) if row else 0

    def add(self, source: str, run: bytes, sample: Sample, now: float) -> int | None:
        """Keep a push, once: how many of its values had no place, or None where it is here already."""
        kept = self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence,"
            " seen = excluded.seen WHERE sequence < excluded.sequence",
            (source, run, sample.sequence, now),
        )
        if not kept.rowcount:
            return None
        self._db.execute("UPDATE sources SET seen = ? WHERE name = ?", (now, source))
        slot = min(sample.time // 1000, int(now)) // RAW * RAW
        counters: list[tuple[int, int, float]] = []
        gauges: list[tuple[int, int, float]] = []
        for key, value in sample.values:
            if number := self._id(source, key):
                (counters if key.kind == "counter" else gauges).append((slot, number, value))
        into = "INSERT INTO fresh VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
        self._db.executemany(into, gauges)
        self._db.executemany(f"{into} + value", counters)
        return len(sample.values) - len(counters) - len(gauges)

    def _id(self, source: str, key: SeriesKey) -> int:
        found = self._ids.get((source, key))
        if found:
            return found
        words = (source, key.name, key.kind, key.labels)
        row = self._db.execute(
            "SELECT id FROM series WHERE source = ? AND name = ? AND kind = ? AND labels = ?", words
        ).fetchone()
        if not row:
            if self._counts is None:
                self._counts = Counter(dict(self._db.execute("SELECT source, count(*) FROM series GROUP BY source")))
            if self._counts.total() >= self._most or self._counts[source] >= self._most_of_source:
                return 0
            self._counts[source] += 1
            cursor = self._db.execute("INSERT INTO series (source, name, kind, labels) VALUES (?, ?, ?, ?)", words)
            row = (cursor.lastrowid,)
        self._ids[source, key] = int(row[0])
        return int(row[0])

    def forget_ids(self) -> None:
        """What was looked up may not be so: a transaction was taken back, or series were removed."""
        self._ids.clear()
        self._counts = None

    def roll(self, before: int) -> bool:
        """Move one step of what is older out of `fresh`: some series, ten minutes of them; whether more is left."""
        first = self._db.execute("SELECT min(time) FROM fresh WHERE time < ?", (before,)).fetchone()[0]
        if first is None:
            return False
        end = min(before, first // _STEP_SECONDS * _STEP_SECONDS + _STEP_SECONDS)
        # `fresh` is ordered by time: its few times are stepped through, and the series are looked up at each.
        lowest = self._db.execute(
            f"{_TIMES} SELECT min((SELECT min(series) FROM fresh WHERE time = at)) FROM times WHERE at < ?2",
            (first, end),
        ).fetchone()[0]
        self._db.execute("DELETE FROM moving")
        self._db.execute(
            f"INSERT INTO moving {_TIMES} SELECT series, time, value FROM times CROSS JOIN fresh"
            " ON time = at AND series >= ?3 AND series < ?4 WHERE at < ?2",
            (first, end, lowest, lowest + _STEP_SERIES),
        )
        self._db.execute(
            "INSERT INTO raw SELECT series, time, value FROM moving WHERE true"
            " ON CONFLICT DO UPDATE SET value = excluded.value"
            " + iif((SELECT kind FROM series WHERE id = raw.series) = 'counter', raw.value, 0)"
        )
        for table in ("minute", "hour"):
            self._db.execute(
                f"INSERT INTO {table} SELECT series, slot, low, high, total, number,"
                " (SELECT value FROM moving WHERE time = newest AND series = grouped.series), newest"
                " FROM (SELECT series, time / ?1 * ?1 AS slot, min(value) AS low, max(value) AS high,"
                " sum(value) AS total, count(*) AS number, max(time) AS newest"
                " FROM moving GROUP BY series, slot) AS grouped WHERE true"
                " ON CONFLICT DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high),"
                " sum = sum + excluded.sum, count = count + excluded.count,"
                " last = iif(excluded.newest >= newest, excluded.last, last), newest = max(newest, excluded.newest)",
                (LEVELS[table],),
            )
        self._db.execute("DELETE FROM fresh WHERE (time, series) IN (SELECT time, series FROM moving)")
        return True

    def prune(self, before: Mapping[str, float], after: int) -> int | None:
        """Remove what some series have that is older than each level keeps, and those of which nothing is left.

        Args:
            before: By level, seconds since 1970.
            after: The series with which the step before ended; 0 to begin.

        Returns:
            Where this step ended; None if it was the last, which tidies up after sources that are gone.
        """
        rows = self._db.execute("SELECT id FROM series WHERE id > ? ORDER BY id LIMIT ?", (after, _STEP_SERIES))
        numbers = [row[0] for row in rows]
        for level, time in before.items():
            self._db.executemany(
                f"DELETE FROM {level} WHERE series = ? AND time < ?", [(number, int(time)) for number in numbers]
            )
        if numbers:
            oldest = self._db.execute("SELECT min(time) FROM fresh").fetchone()[0]
            if empty := [number for number in numbers if self._is_empty(number, oldest)]:
                self._db.executemany("DELETE FROM series WHERE id = ?", [(number,) for number in empty])
                self.forget_ids()
            return int(numbers[-1])
        self._db.execute("DELETE FROM alerts WHERE time < ?", (before["hour"],))
        gone = "(SELECT name FROM sources WHERE seen < ? AND name NOT IN (SELECT source FROM series))"
        self._db.execute(f"DELETE FROM runs WHERE source IN {gone}", (before["hour"],))
        self._db.execute(f"DELETE FROM sources WHERE name IN {gone}", (before["hour"],))
        return None

    def _is_empty(self, number: int, oldest: int | None) -> bool:
        """Whether no number is kept of a series."""
        for level in LEVELS:
            if self._db.execute(f"SELECT 1 FROM {level} WHERE series = ? LIMIT 1", (number,)).fetchone():
                return False
        if oldest is None:
            return True
        found = self._db.execute(
            f"{_TIMES} SELECT 1 FROM times CROSS JOIN fresh ON time = at AND series = ?3 LIMIT 1",
            (oldest, _FOR_EVER, number),
        )
        return found.fetchone() is None

    def record(self, events: Sequence[Event]) -> None:
        """Keep what was raised and cleared."""
        for event in events:
            about = (event.key.rule, event.key.source, event.key.labels)
            self._db.execute(
                "INSERT INTO alerts (rule, source, labels, kind, time, value) VALUES (?, ?, ?, ?, ?, ?)",
                (*about, event.kind, event.time, event.value),
            )
            if event.kind == "raised":
                self._db.execute("INSERT OR IGNORE INTO standing VALUES (?, ?, ?)", about)
            else:
                self._db.execute("DELETE FROM standing WHERE rule = ? AND source = ? AND labels = ?", about)

    def standing(self) -> list[AlertKey]:
        """Alerts that are raised and not cleared."""
        return [AlertKey(*row) for row in self._db.execute("SELECT rule, source, labels FROM standing")]


def find(
    db: sqlite3.Connection, name: str = "", source: str = "", labels: Mapping[str, str] | None = None, most: int = 1_000
) -> list[Series]:
    """Series by name, source and some of their labels; every one that is not given fits all."""
    wheres, values = ["true"], []
    for column, value in (("name", name), ("source", source)):
        if value:
            wheres.append(f"{column} = ?")
            values.append(value)
    found: list[Series] = []
    rows = db.execute(
        f"SELECT id, source, name, kind, labels FROM series WHERE {' AND '.join(wheres)} ORDER BY name, source, labels",
        values,
    )
    for row in rows:
        if len(found) == most:
            break
        has: dict[str, str] = json.loads(row[4])
        if all(has.get(label) == value for label, value in (labels or {}).items()):
            found.append(Series(row[0], row[1], row[2], row[3], has))
    return found


def points(db: sqlite3.Connection, series: int, begin: int, end: int, level: str) -> list[Point]:
    """What a series was from `begin` to before `end`, a point for each slot of the level that has any."""
    slot = LEVELS[level]
    columns = "time, value, value, value, 1, value" if level == "raw" else "time, low, high, sum, count, last"
    rows = db.execute(
        f"SELECT {columns} FROM {level} WHERE series = ? AND time >= ? AND time < ? ORDER BY time", (series, begin, end)
    )
    merged = {row[0]: Point(*row) for row in rows}
    is_counter = db.execute("SELECT kind FROM series WHERE id = ?", (series,)).fetchone() == ("counter",)
    # `fresh` is ordered by time: its few times are stepped through, and the series is looked up at each.
    for time, value in db.execute(
        f"{_TIMES} SELECT time, value FROM times CROSS JOIN fresh ON time = at AND series = ?3 WHERE at < ?2",
        (begin, end, series),
    ):
        at = time // slot * slot
        had = merged.get(at)
        if had is None:
            merged[at] = Point(at, value, value, value, 1, value)
        elif level == "raw":  # a late push into a slot that was moved already
            now = had.last + value if is_counter else value
            merged[at] = Point(at, now, now, now, 1, now)
        else:
            merged[at] = Point(at, min(had.low, value), max(had.high, value), had.sum + value, had.count + 1, value)
    return [merged[at] for at in sorted(merged)]
