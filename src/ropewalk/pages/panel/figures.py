"""Figures: what the process has counted, as charts.

Flow: request -> Figure, a span of time -> Past -> series -> charts -> page
Never: asks for more than the page shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from ropewalk.errors import Misuse
from ropewalk.pages.names import shown
from ropewalk.pages.panel.charts import HEIGHT, LEFT, WIDTH, Chart, Line, draw
from ropewalk.pages.panel.past import EVERY, Past

__all__ = ["FIGURES", "SPANS", "BadSpan", "Figure", "charts_of", "names_of", "of_metric", "span_of"]

SPANS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}  # seconds
_POINTS = 240  # of a line
_PICTURE = {"width": WIDTH, "height": HEIGHT, "left": LEFT}


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


async def charts_of(past: Past, figures: Sequence[Figure], span: str) -> list[Chart]:
    """The charts, without those of which there are no numbers."""
    charts = []
    for figure in figures:
        told = await _asked(past, figure.metric, SPANS[span])
        if told["series"]:
            charts.append(_drawn(figure, told))
    return charts


def of_metric(name: str) -> Figure:
    """A chart for any metric."""
    known = next((figure for figure in FIGURES if figure.metric == name), None)
    return known or Figure(name, name, _unit(name))


async def names_of(past: Past) -> list[str]:
    """All metrics that have a history."""
    told = await past.ask("/series", {})
    return sorted({one["name"] for one in told["series"]})


async def _asked(past: Past, metric: str, seconds: int) -> Any:
    end = int(past.now())
    query = {"name": metric, "from": str(end - seconds), "to": str(end), "step": str(max(EVERY, seconds // _POINTS))}
    return await past.ask("/query", query)


def _drawn(figure: Figure, told: Any) -> Chart:
    lines: dict[str, dict[float, float]] = {}
    for one in told["series"]:
        at, value = (0, 2) if one["kind"] == "counter" else (0, 1)  # growth per second; the last value
        line = lines.setdefault(_label(figure, one["labels"]), {})
        for point in one["points"]:
            line[point[at]] = line.get(point[at], 0.0) + point[value]
    found = [Line(label, sorted(points.items())) for label, points in lines.items()]
    return draw(figure.title, figure.unit, found, told["from"], told["to"], told["step"])


def _label(figure: Figure, labels: dict[str, str]) -> str:
    if figure.by:
        return shown(labels.get(figure.by, ""))
    if figure.title != figure.metric:
        return ""
    return shown(", ".join(f"{name} {value}" for name, value in sorted(labels.items())))


def _unit(name: str) -> str:
    per = name.endswith(("_total", "_count", "_sum", "_bucket"))
    if "bytes" in name:
        return "B/s" if per else "B"
    if "seconds" in name and not name.endswith(("_count", "_bucket")):
        return "%" if per else "s"
    return "/s" if per else ""
