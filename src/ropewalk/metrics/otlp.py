"""OTLP: a registry pushed to an OpenTelemetry collector over HTTP.  Needs the extra `otel`.

Flow: Pusher.run -> Registry.read on the loop -> OpenTelemetry's exporter in one thread -> the collector
Never: counts through OpenTelemetry's SDK, which costs forty times as much; piles up pushes that did not go through.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ropewalk.errors import Misuse
from ropewalk.metrics.registry import HistogramReading, Reading, Registry, current_registry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

__all__ = ["NoOtel", "Pusher", "to_otlp"]

_log = logging.getLogger("ropewalk.metrics")
_LONGEST_WAIT = 300.0  # seconds between tries while the collector does not answer


class NoOtel(Misuse):
    """The extra is not installed."""

    code = "metrics.no-otel"


class Pusher:
    """Pushes every so often.  Used as `async with`; `run` for as long as it shall push.

    What a push that failed would have told, the next one tells: the numbers are totals.

    Args:
        endpoint: Full URL, such as ``http://host:4318/v1/metrics``.
        registry: This context's own by default.
        every: Seconds between pushes.
        deadline: Seconds for one push, its tries again included.
        resource: Attributes that say who pushes, such as ``service.name``.
        headers: Sent with each push.
        sleep: Waits.

    Raises:
        NoOtel: The extra `otel` is not installed.
    """

    def __init__(
        self,
        endpoint: str,
        registry: Registry | None = None,
        *,
        every: float = 60.0,
        deadline: float = 10.0,
        resource: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError:
            raise NoOtel(
                "pushing by OTLP needs a package that is not installed", hint="pip install 'ropewalk[otel]'"
            ) from None
        self._registry = registry or current_registry()
        self._every, self._deadline, self._sleep = every, deadline, sleep
        self._resource = dict(resource or {"service.name": "ropewalk"})
        self._exporter = OTLPMetricExporter(endpoint, timeout=deadline, headers=dict(headers or {}))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-otlp")
        self._started = time.time_ns()
        pushes = self._registry.counter("ropewalk_metrics_otlp_pushes_total", "pushes by OTLP, by result", ("result",))
        self._good, self._bad = pushes.of("ok"), pushes.of("failed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End a push that is under way, and the thread."""
        self._exporter.shutdown()  # wakes it from its wait before another try
        await asyncio.to_thread(self._thread.shutdown)

    async def push(self) -> bool:
        """Push once.  Whether the collector took it."""
        data = self._registry.read()
        done = await asyncio.get_running_loop().run_in_executor(self._thread, self._export, data)
        (self._good if done else self._bad).inc()
        return done

    async def run(self) -> None:
        """Push until cancelled; less often while pushes fail."""
        failed = 0
        while True:
            failed = 0 if await self.push() else failed + 1
            if failed:
                _log.warning("push by OTLP failed", extra={"code": "metrics.otlp", "failed": failed})
            longest = max(self._every, _LONGEST_WAIT)
            await self._sleep(min(self._every * 2 ** min(failed, 10), longest))

    def _export(self, readings: list[Reading]) -> bool:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        try:
            data = to_otlp(readings, self._resource, self._started, time.time_ns())
            return self._exporter.export(data) is MetricExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - the exporter and what it stands on raise what they like
            _log.exception("push by OTLP failed", extra={"code": "metrics.otlp"})
            return False


def to_otlp(readings: Iterable[Reading], resource: Mapping[str, str], started: int, now: int) -> MetricsData:
    """Readings as OpenTelemetry has them: totals since `started`; times in nanoseconds since 1970."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = [_metric(reading, started, now) for reading in readings if reading.series]
    scope = ScopeMetrics(InstrumentationScope("ropewalk"), metrics, "")
    return MetricsData([ResourceMetrics(Resource(dict(resource)), [scope], "")])


def _metric(reading: Reading, started: int, now: int) -> Metric:
    from opentelemetry.sdk.metrics import export as otel

    plain, histograms = [], []
    for values, value in reading.series.items():
        labels = dict(zip(reading.labels, values, strict=True))
        if isinstance(value, HistogramReading):
            # The extremes are not kept; None leaves the fields out, which the types do not say.
            point = (labels, started, now, sum(value.counts), value.sum, value.counts, value.bounds, None, None)
            histograms.append(otel.HistogramDataPoint(*point))  # type: ignore[arg-type]
        else:
            plain.append(otel.NumberDataPoint(labels, started, now, value))
    total_so_far = otel.AggregationTemporality.CUMULATIVE
    data: otel.Sum | otel.Gauge | otel.Histogram
    if reading.kind == "histogram":
        data = otel.Histogram(histograms, total_so_far)
    elif reading.kind == "counter":
        data = otel.Sum(plain, total_so_far, is_monotonic=True)
    else:
        data = otel.Gauge(plain)
    unit = next((unit for word, unit in (("seconds", "s"), ("bytes", "By")) if word in reading.name.split("_")), "1")
    return otel.Metric(reading.name, reading.help, unit, data)
