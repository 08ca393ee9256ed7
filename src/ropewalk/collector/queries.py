"""Queries: what a collector knows, as JSON pages.

/sources, /series, /query and /alerts; docs/reference/metrics.md lists their fields.

Flow: Pages -> Queries.answer -> History.ask in the reader's thread -> JSON
Never: reads without a bound, changes anything, keeps the loop while it reads.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ropewalk.collector.collector import Collector
from ropewalk.collector.tables import LEVELS, RAW, Point, Series, find, points
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.metrics.page import Page, Request

__all__ = ["BadQuery", "Queries"]

_MOST_SERIES, _MOST_LISTED, _MOST_ALERTS = 50, 1_000, 1_000
_MOST_POINTS = 11_000  # of one series: a day of the finest, and some
_READ_POINTS = 100_000  # of one series, before they are put into steps
_BACK = 3_600  # seconds asked for where no beginning is given
_STEPS = 300  # points wanted where no step is given


class BadQuery(Misuse):
    """A query that cannot be answered."""

    code = "collector.query"


class Queries:
    """Answers for a page.

    Args:
        collector: Running.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._pages: dict[str, Callable[[Mapping[str, str]], Any]] = {
            "/sources": self._sources,
            "/series": self._series,
            "/query": self._query,
            "/alerts": self._alerts,
        }

    async def answer(self, request: Request) -> Page | None:
        """The page for a path, None for one that is not here."""
        make = self._pages.get(request.path)
        if make is None:
            return None
        try:
            return _page(await make(request.query))
        except BadQuery as error:
            return _page({"error": str(error), "code": error.code}, 400)
        except RopewalkError as error:
            return _page({"error": str(error), "code": error.code}, 503)

    async def _sources(self, query: Mapping[str, str]) -> Any:
        _only(query)
        return {
            "now": self._collector.clock(),
            "sources": [
                {
                    "name": source.name,
                    "state": source.state,
                    "since": source.since,
                    "first": source.first,
                    "seen": source.seen,
                    "every": source.every,
                }
                for source in self._collector.sources.all()
            ],
        }

    async def _series(self, query: Mapping[str, str]) -> Any:
        _only(query, "name", "source")
        found = await self._find(query, _MOST_LISTED)
        return {"series": [_named(series) for series in found], "more": len(found) == _MOST_LISTED}

    async def _query(self, query: Mapping[str, str]) -> Any:
        _only(query, "name", "source", "from", "to", "step")
        if not query.get("name"):
            raise BadQuery("name is missing, expected that of a series")
        end = _number(query, "to", math.ceil(self._collector.clock()))
        begin = _number(query, "from", end - _BACK)
        if not begin < end:
            raise BadQuery(f"from is {begin} and to is {end}, expected from to be earlier")
        step = _number(query, "step", max(RAW, (end - begin) // _STEPS // RAW * RAW))
        level = self._level(step, begin, end)
        step = -(-step // LEVELS[level]) * LEVELS[level]
        begin, end = begin // step * step, -(-end // step) * step
        if (end - begin) // LEVELS[level] > _READ_POINTS:
            raise BadQuery(f"from is {begin} and to is {end}, expected less than {_READ_POINTS} hours between them")
        if (end - begin) // step > _MOST_POINTS:
            raise BadQuery(f"step is {step}, expected at least {-(-(end - begin) // _MOST_POINTS)} for this time")
        found = await self._find(query, _MOST_SERIES + 1)
        if len(found) > _MOST_SERIES:
            raise BadQuery(
                f"more than {_MOST_SERIES} series fit, expected fewer",
                hint="name a source or some labels: label.NAME=..",
            )

        def read(db: sqlite3.Connection) -> list[Any]:
            return [
                {**_named(series), "points": _stepped(series.kind, points(db, series.id, begin, end, level), step)}
                for series in found
            ]

        return {
            "from": begin,
            "to": end,
            "step": step,
            "resolution": LEVELS[level],
            "columns": _COLUMNS,
            "series": await self._collector.history.ask(read),
        }

    async def _alerts(self, query: Mapping[str, str]) -> Any:
        _only(query, "from", "to")
        end = _number(query, "to", math.floor(self._collector.clock()) + 1)
        begin = _number(query, "from", end - 7 * 86_400)
        rows = await self._collector.history.ask(
            lambda db: db.execute(
                "SELECT rule, source, labels, kind, time, value FROM alerts WHERE time >= ? AND time < ?"
                " ORDER BY time DESC, id DESC LIMIT ?",
                (begin, end, _MOST_ALERTS),
            ).fetchall()
        )
        words = ("rule", "source", "labels", "kind", "time", "value")
        return {
            "standing": [
                {"rule": key.rule, "source": key.source, "labels": json.loads(key.labels)}
                for key in self._collector.alerts.standing()
            ],
            "events": [{**dict(zip(words, row, strict=True)), "labels": json.loads(row[2])} for row in rows],
        }

    def _level(self, step: int, begin: int, end: int) -> str:
        """The coarsest level that fits the step, or a coarser one that still has the beginning."""
        history = self._collector.history
        oldest = self._collector.clock() - begin
        for level, slot in reversed(LEVELS.items()):
            if slot <= step and (end - begin) / slot <= _READ_POINTS and oldest <= getattr(history.retention, level):
                return level
        for level, slot in LEVELS.items():
            if slot > step and (end - begin) / slot <= _READ_POINTS and oldest <= getattr(history.retention, level):
                return level
        return "hour"

    async def _find(self, query: Mapping[str, str], most: int) -> list[Series]:
        labels = {word.removeprefix("label."): value for word, value in query.items() if word.startswith("label.")}
        name, source = query.get("name", ""), query.get("source", "")
        return await self._collector.history.ask(lambda db: find(db, name, source, labels, most))


_COLUMNS = {
    "gauge": ["time", "last", "mean", "low", "high"],
    "counter": ["time", "added", "per_second", "low", "high"],
}


def _stepped(kind: str, found: list[Point], step: int) -> list[list[float]]:
    """Points in steps of equal length; a step without any is left out."""
    steps: dict[int, list[Point]] = {}
    for point in found:
        steps.setdefault(point.time // step * step, []).append(point)
    rows: list[list[float]] = []
    for at, inside in steps.items():
        low, high = min(point.low for point in inside), max(point.high for point in inside)
        total = sum(point.sum for point in inside)
        if kind == "counter":
            rows.append([at, total, total / step, low, high])
        else:
            rows.append([at, inside[-1].last, total / sum(point.count for point in inside), low, high])
    return rows


def _named(series: Series) -> dict[str, Any]:
    return {"name": series.name, "source": series.source, "kind": series.kind, "labels": series.labels}


def _only(query: Mapping[str, str], *words: str) -> None:
    for word in query:
        is_label = "name" in words and word.startswith("label.")
        if word not in words and not is_label:
            raise BadQuery(f"got {word}, expected only {', '.join(words) or 'no words'}")


def _number(query: Mapping[str, str], word: str, default: int) -> int:
    text = query.get(word)
    if text is None:
        return default
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        number = -1
    if not (0 <= number < 2**40) or (word == "step" and number < RAW):
        least = RAW if word == "step" else 0
        raise BadQuery(f"{word} is {text[:40]}, expected a number of seconds, {least} or more")
    return number


def _page(value: Any, status: int = 200) -> Page:
    return Page(msgspec.json.encode(value), "application/json", status)
