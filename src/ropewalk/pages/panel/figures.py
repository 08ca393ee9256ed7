"""Figures: what processes have counted, as charts.

Flow: Figure, a span of time, whose numbers -> Counted -> series -> charts
Never: asks for more than the page shows, or adds up numbers of several processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from ropewalk.errors import Misuse, first_of
from ropewalk.pages.names import shown
from ropewalk.pages.panel.charts import MOST, Chart, Line, draw
from ropewalk.pages.panel.counted import Counted, Drawable, Listed, Numbers, WrongQuestion
from ropewalk.pages.panel.past import EVERY

__all__ = ["FIGURES", "SPANS", "BadSpan", "Figure", "Whose", "charts_of", "names_of", "of_metric", "span_of"]

SPANS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}  # seconds
_POINTS = 240  # of a line


class BadSpan(Misuse):
    """No chart has this span of time."""

    code = "pages.bad-span"


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart.

    Attributes:
        title: For people.
        metric: The series.
        unit: See `charts.UNITS`; a counter's is of its growth per second.
        by: The label that tells its lines apart.
    """

    title: str
    metric: str
    unit: str = ""
    by: str = ""


FIGURES = (
    Figure("Processor", "process_cpu_seconds_total", "%"),
    Figure("Memory", "process_resident_memory_bytes", "B"),
    Figure("Time that the loop was late", "ropewalk_loop_lag_seconds_sum", "%"),
    Figure("Tasks", "ropewalk_loop_tasks"),
    Figure("Connections", "ropewalk_net_connections_open", by="listener"),
    Figure("Received", "ropewalk_net_received_bytes_total", "B/s", by="listener"),
    Figure("Sent", "ropewalk_net_sent_bytes_total", "B/s", by="listener"),
    Figure("Requests of the web", "ropewalk_web_requests_total", "/s", by="status"),
    Figure("Shares owed to stores", "ropewalk_space_owed", by="space"),
    Figure("Kept for others", "ropewalk_node_used_bytes", "B", by="offer"),
)


def span_of(request: Request) -> str:
    """The span of time that is asked for.

    Raises:
        BadSpan.
    """
    span = request.query_params.get("span", "hour")
    if span not in SPANS:
        raise BadSpan(f"got {shown(span[:20])!r}, expected one of {', '.join(SPANS)}")
    return span


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose numbers are drawn.

    Attributes:
        source: Those of one process; "" for all that there are.
        compared: A line for each process, and no other; by these names where there are too many to ask for at once.
    """

    source: str = ""
    compared: Sequence[str] | None = None


async def charts_of(counted: Counted, figures: Sequence[Figure], span: str, whose: Whose = Whose()) -> list[Chart]:
    """The charts, without those of which there are no numbers.

    Raises:
        NoAnswer, BadAnswer.
    """
    end = int(counted.now())
    begin = end - SPANS[span]
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_chart(counted, figure, whose, begin, end)) for figure in figures]
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None
    return [chart for one in asked if (chart := one.result()) is not None]


def of_metric(name: str) -> Figure:
    """A chart for any metric."""
    known = next((figure for figure in FIGURES if figure.metric == name), None)
    return known or Figure(name, name, _unit(name))


async def names_of(counted: Counted, source: str = "") -> list[str]:
    """All metrics that have a history, or those of one process."""
    told = await counted.ask(Listed, {"source": source} if source else {})
    return sorted({one.name for one in told.series})


async def _chart(counted: Counted, figure: Figure, whose: Whose, begin: int, end: int) -> Chart | None:
    step = str(max(EVERY, (end - begin) // _POINTS))
    query = {"name": figure.metric, "from": str(begin), "to": str(end), "step": step}
    if whose.source:
        query["source"] = whose.source
    try:
        told = [await counted.ask(Numbers, query)]
    except WrongQuestion as too_many:
        if not whose.compared:
            return draw(figure.title, figure.unit, [], begin, end, EVERY, note=str(too_many))
        told = await _one_by_one(counted, query, whose.compared[:MOST])
    lines: dict[str, dict[float, float]] = {}
    for answer in told:
        for one in answer.series:
            label = _label(figure, one) if whose.compared is None else one.source
            _add(one, lines.setdefault(label, {}))
    if not lines:
        return None
    found = [Line(label, sorted(points.items())) for label, points in lines.items()]
    return draw(figure.title, figure.unit, found, begin, end, max(answer.step for answer in told))


async def _one_by_one(counted: Counted, query: dict[str, str], sources: Sequence[str]) -> list[Numbers]:
    """Of as many processes as one chart has lines, since there is no asking for all at once."""
    told = []
    for source in sources:
        try:
            told.append(await counted.ask(Numbers, {**query, "source": source}))
        except WrongQuestion:  # its own series are too many: its line is left out
            continue
    return told


def _add(one: Drawable, line: dict[float, float]) -> None:
    value = 2 if one.kind == "counter" else 1  # growth per second; the last value
    for point in one.points:
        line[point[0]] = line.get(point[0], 0.0) + point[value]


def _label(figure: Figure, one: Drawable) -> str:
    if figure.by:
        return shown(one.labels.get(figure.by, ""))
    if figure.title != figure.metric:
        return ""
    return shown(", ".join(f"{name} {value}" for name, value in sorted(one.labels.items())))


def _unit(name: str) -> str:
    per = name.endswith(("_total", "_count", "_sum", "_bucket"))
    if "bytes" in name:
        return "B/s" if per else "B"
    if "seconds" in name and not name.endswith(("_count", "_bucket")):
        return "%" if per else "s"
    return "/s" if per else ""
