"""What counting costs beside a bare attribute and beside prometheus-client, and what a page costs.

    python bench/metrics.py [--rounds 9] [--check]

Flow: rounds, all ways in turn within each -> medians, nanoseconds or milliseconds
Never: compares numbers of two runs: the machine changes more than the code.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import prometheus_client

from ropewalk.metrics import Registry
from ropewalk.metrics.exposition import render
from ropewalk.metrics.values import Counter, Gauge, Histogram, LockedCounter

TIMES = 200_000
MOST_OF_BARE, MOST_OF_PROMETHEUS, MOST_OF_PAGE = 3.0, 1 / 3, 20.0


class Bare:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


def bare() -> float:
    """An attribute incremented where it stands."""
    it, times = Bare(), range(TIMES)
    begin = time.perf_counter()
    for _ in times:
        it.value += 1
    return time.perf_counter() - begin


def calling(call: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        act, times = call, range(TIMES)
        begin = time.perf_counter()
        for _ in times:
            act()
        return time.perf_counter() - begin

    return run


def observing(observe: Callable[[float], object]) -> Callable[[], float]:
    def run() -> float:
        act, times = observe, range(TIMES)
        begin = time.perf_counter()
        for _ in times:
            act(0.012)
        return time.perf_counter() - begin

    return run


def page() -> Callable[[], float]:
    registry = Registry(most_sets=2_000)
    family = registry.counter("bench_total", "x", ("listener", "number"))
    for number in range(1_000):
        family.of("web", str(number)).inc(number)

    def run() -> float:
        begin = time.perf_counter()
        render(registry.read())
        return time.perf_counter() - begin

    return run


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=9)
    words.add_argument("--check", action="store_true", help="fail where a goal is missed")
    given = words.parse_args()
    foreign = prometheus_client.CollectorRegistry()
    ways = {
        "bare attribute": bare,
        "counter": calling(Counter().inc),
        "counter with a lock": calling(LockedCounter().inc),
        "gauge": calling(Gauge().inc),
        "histogram": observing(Histogram().observe),
        "prometheus counter": calling(prometheus_client.Counter("a", "x", registry=foreign).inc),
        "prometheus histogram": observing(prometheus_client.Histogram("b", "x", registry=foreign).observe),
        "page of 1,000 series": page(),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            took[name].append(way())
    middle = {name: median(each) for name, each in took.items()}
    for name, seconds in middle.items():
        shown = f"{seconds * 1e3:8.1f} ms" if name.startswith("page") else f"{seconds / TIMES * 1e9:8.0f} ns"
        print(f"{name:22}{shown}")
    counter = middle["counter"]
    goals = {
        f"counter at most {MOST_OF_BARE:.0f} of bare": counter / middle["bare attribute"] / MOST_OF_BARE,
        "counter at most a third of prometheus": counter / middle["prometheus counter"] / MOST_OF_PROMETHEUS,
        f"page at most {MOST_OF_PAGE:.0f} ms": middle["page of 1,000 series"] * 1e3 / MOST_OF_PAGE,
    }
    for name, part in goals.items():
        print(f"{'ok  ' if part <= 1 else 'MISS'} {name}: {part:.2f} of what is allowed")
    return int(given.check and any(part > 1 for part in goals.values()))


if __name__ == "__main__":
    sys.exit(main())
