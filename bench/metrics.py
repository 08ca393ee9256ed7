"""Metrics: what counting costs beside a bare attribute and other libraries, and what a page costs.

Flow: ways to count, in turn -> nanoseconds of each -> goals
Never: lets a loop's own turn be dearer for one way than for another: each is called as its user would.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import prometheus_client
from figures import Load, in_turns
from report import Goal, Report, beside

from ropewalk.metrics import Registry
from ropewalk.metrics.exposition import render
from ropewalk.metrics.values import Counter, Gauge, Histogram, LockedCounter

__all__ = ["measure"]

BARE, OURS, PROMETHEUS = "bare attribute", "counter", "prometheus-client"


class Bare:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


def bare(times: int) -> Callable[[], float]:
    """An attribute incremented where it stands."""

    def run() -> float:
        it, repeated = Bare(), range(times)
        begin = time.perf_counter()
        for _ in repeated:
            it.value += 1
        return _each(begin, times)

    return run


def calling(times: int, call: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        act, repeated = call, range(times)
        begin = time.perf_counter()
        for _ in repeated:
            act()
        return _each(begin, times)

    return run


def observing(times: int, observe: Callable[[float], object]) -> Callable[[], float]:
    def run() -> float:
        act, repeated = observe, range(times)
        begin = time.perf_counter()
        for _ in repeated:
            act(0.012)
        return _each(begin, times)

    return run


def _each(begin: float, times: int) -> float:
    """Nanoseconds of one."""
    return (time.perf_counter() - begin) / times * 1e9


def page() -> Callable[[], float]:
    registry = Registry(most_sets=2_000)
    family = registry.counter("bench_total", "x", ("listener", "number"))
    for number in range(1_000):
        family.of("web", str(number)).inc(number)

    def run() -> float:
        begin = time.perf_counter()
        render(registry.read())
        return (time.perf_counter() - begin) * 1e3

    return run


def measure(report: Report, load: Load, _folder: Path) -> None:
    """All ways to count, and our page."""
    times, foreign = load.counts, prometheus_client.CollectorRegistry()
    ways = {
        BARE: bare(times),
        OURS: calling(times, Counter().inc),
        "counter with a lock": calling(times, LockedCounter().inc),
        PROMETHEUS: calling(times, prometheus_client.Counter("a", "x", registry=foreign).inc),
        **opentelemetry(times),
    }
    counters = in_turns("counter's increment", "ns", ways, load.rounds)
    prometheus = prometheus_client.Histogram("b", "x", registry=foreign)
    observe = {PROMETHEUS: observing(times, prometheus.observe), "histogram": observing(times, Histogram().observe)}
    observed = in_turns("histogram's observation", "ns", observe, load.rounds)
    gauge = prometheus_client.Gauge("c", "x", registry=foreign)
    put = {PROMETHEUS: observing(times, gauge.set), "gauge": observing(times, Gauge().set)}
    gauges = in_turns("gauge's setting", "ns", put, load.rounds)
    pages = in_turns("page of 1,000 series", "ms", {"ours": page()}, load.rounds)
    for found in (counters, observed, gauges, pages):
        report.figures += found.values()
    ours = counters[OURS]
    report.goals += [
        beside("a counter's increment, beside a bare attribute's", ours, counters[BARE], 3),
        beside("a counter's increment, beside prometheus-client's", ours, counters[PROMETHEUS], 1 / 3),
        Goal("a page of 1,000 series", pages["ours"].median, 20, "ms"),
    ]


def opentelemetry(times: int) -> dict[str, Callable[[], float]]:
    """Its SDK's counter, where it is installed."""
    if find_spec("opentelemetry.sdk") is None:
        return {}
    sdk: Any = import_module("opentelemetry.sdk.metrics")
    reader: Any = import_module("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    meter = sdk.MeterProvider(metric_readers=[reader]).get_meter("bench")
    return {"opentelemetry-sdk": observing(times, meter.create_counter("c").add)}
