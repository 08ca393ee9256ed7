"""What is counted arrives, whoever counts at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.metrics.values import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    Counter,
    Gauge,
    Histogram,
    LockedCounter,
    LockedGauge,
    LockedHistogram,
    WrongValue,
)

_THREADS, _TIMES = 8, 20_000


@pytest.fixture
def fast_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hammer(act: Callable[[], None]) -> None:
    begin = threading.Barrier(_THREADS)

    def work() -> None:
        begin.wait(30)
        for _ in range(_TIMES):
            act()

    threads = [threading.Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@pytest.mark.parametrize("kind", [COUNTER, LockedCounter])
def test_counter_loses_nothing_between_threads(kind: type[Counter], fast_switching: None) -> None:
    counter = kind()
    hammer(counter.inc)
    assert counter.value == _THREADS * _TIMES


@pytest.mark.parametrize("kind", [GAUGE, LockedGauge])
def test_gauge_loses_nothing_between_threads(kind: type[Gauge], fast_switching: None) -> None:
    gauge = kind()

    def act() -> None:
        gauge.inc(3)
        gauge.dec(2)

    hammer(act)
    assert gauge.value == _THREADS * _TIMES


@pytest.mark.parametrize("kind", [HISTOGRAM, LockedHistogram])
def test_histogram_loses_nothing_between_threads(kind: type[Histogram], fast_switching: None) -> None:
    histogram = kind((1.0, 2.0))
    hammer(lambda: histogram.observe(2))
    assert histogram.reading() == ([0, _THREADS * _TIMES, 0], 2 * _THREADS * _TIMES)
    assert histogram.count == _THREADS * _TIMES


def test_the_locked_kinds_are_for_other_interpreters() -> None:
    whole = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
    assert (COUNTER is Counter) is whole


@pytest.mark.parametrize("kind", [Counter, LockedCounter])
@pytest.mark.parametrize("amount", [-1, -0.5, float("nan")])
def test_counter_refuses_what_is_not_growth(kind: type[Counter], amount: float) -> None:
    counter = kind()
    with pytest.raises(WrongValue, match="expected 0 or more") as caught:
        counter.inc(amount)
    assert caught.value.code == "metrics.value"
    assert counter.value == 0


def test_values_have_no_room_for_more() -> None:
    with pytest.raises(AttributeError):
        Counter().other = 1  # type: ignore[attr-defined]


def test_gauge_holds_any_number() -> None:
    gauge = Gauge()
    gauge.set(float("-inf"))
    assert gauge.value == float("-inf")


def test_histogram_refuses_nan() -> None:
    histogram = Histogram((1.0,))
    with pytest.raises(WrongValue):
        histogram.observe(float("nan"))
    assert histogram.reading() == ([0, 0], 0)


@given(st.lists(st.floats(allow_nan=False, min_value=-1e9, max_value=1e9)))
def test_each_observation_is_in_the_first_bucket_that_holds_it(observed: list[float]) -> None:
    bounds = (-1.0, 0.0, 0.5, 100.0)
    histogram = Histogram(bounds)
    for value in observed:
        histogram.observe(value)
    below = 0
    for bound, count in zip(bounds, histogram.counts, strict=False):
        below += count
        assert below == sum(value <= bound for value in observed)
    assert histogram.count == len(observed)
