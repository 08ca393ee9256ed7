"""Exposition: a registry as text, as Prometheus reads it.

Flow: page -> Exposition.text(accept) -> Registry.read on the loop -> prometheus-client in a thread -> bytes, kept 1 s
Never: writes the text formats itself, renders more than once a second, keeps the loop while it renders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ropewalk.metrics.registry import HistogramReading, Reading, Registry, current_registry

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["OPENMETRICS", "PLAIN", "Exposition", "chosen", "render"]

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_KEPT = 1.0  # seconds a text is given again: many readers cost what one costs


def chosen(accept: str) -> str:
    """Which of the two types a reader gets: OpenMetrics if it names that and does not refuse it, else plain text."""
    for each in accept.split(","):
        kind, *words = (word.strip().lower() for word in each.split(";"))
        if kind == "application/openmetrics-text" and "q=0" not in words:
            return OPENMETRICS
    return PLAIN


def render(readings: Iterable[Reading], kind: str = PLAIN) -> bytes:
    """Readings as text."""
    import prometheus_client.openmetrics.exposition as openmetrics  # 80 ms, wanted only by who serves a page
    from prometheus_client.exposition import generate_latest

    make = openmetrics.generate_latest if kind == OPENMETRICS else generate_latest
    return make(_Readings(readings))


class _Readings:
    """Readings in the shape that prometheus-client renders."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import Metric

        for reading in self._readings:
            name = reading.name.removesuffix("_total") if reading.kind == "counter" else reading.name
            metric = Metric(name, reading.help, reading.kind)
            for values, value in reading.series.items():
                labels = dict(zip(reading.labels, values, strict=True))
                if isinstance(value, HistogramReading):
                    _add_histogram(metric, labels, value)
                else:
                    metric.add_sample(reading.name, labels, value)
            yield metric


def _add_histogram(metric: Metric, labels: dict[str, str], value: HistogramReading) -> None:
    below = 0
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        below += count
        edge = "+Inf" if bound == float("inf") else repr(bound)
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": edge}, below)
    metric.add_sample(f"{metric.name}_count", labels, below)
    metric.add_sample(f"{metric.name}_sum", labels, value.sum)


class Exposition:
    """The text of one registry, made when asked for and kept for a second.

    Args:
        registry: This context's own by default.
        clock: Seconds, monotonic.
    """

    def __init__(self, registry: Registry | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry or current_registry()
        self._clock = clock
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._turn = asyncio.Lock()

    async def text(self, accept: str = "") -> tuple[str, bytes]:
        """The content type and the text for a reader who accepts this."""
        kind = chosen(accept)
        async with self._turn:  # who comes while it is rendered gets the same
            made, text = self._kept.get(kind, (0.0, b""))
            if not text or self._clock() - made >= _KEPT:
                made, readings = self._clock(), self._registry.read()
                text = await asyncio.to_thread(render, readings, kind)
                self._kept[kind] = (made, text)
        return kind, text
