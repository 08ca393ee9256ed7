"""Families, their labels and their bounds."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from ropewalk.metrics import (
    BadName,
    HistogramReading,
    Reading,
    Redefined,
    Registry,
    WrongLabels,
    current_registry,
    using,
)
from ropewalk.metrics.registry import MOST_LABEL_CHARACTERS


def reading(registry: Registry, name: str) -> Reading:
    return next(each for each in registry.read() if each.name == name)


def test_a_series_is_the_same_object_each_time() -> None:
    registry = Registry()
    family = registry.counter("a_total", "things", ("listener",))
    assert registry.counter("a_total", "other words", ("listener",)) is family
    assert family.of("web") is family.of("web")
    assert family.of("web") is not family.of("telnet")
    family.of("web").inc(2)
    assert reading(registry, "a_total") == Reading(
        "a_total", "counter", "things", ("listener",), {("web",): 2, ("telnet",): 0}
    )


def test_a_histogram_is_read_whole() -> None:
    registry = Registry()
    registry.histogram("a_seconds", "x", buckets=(1, 2)).of().observe(1.5)
    assert reading(registry, "a_seconds").series == {(): HistogramReading((1.0, 2.0), (0, 1, 0), 1.5)}


@pytest.mark.parametrize(
    "other",
    [
        lambda registry: registry.gauge("a_total", "x", ("b",)),
        lambda registry: registry.counter("a_total", "x"),
        lambda registry: registry.counter("a_total", "x", ("c",)),
        lambda registry: registry.gauge("a", "the name of the counter in OpenMetrics"),
        lambda registry: registry.gauge("h_count", "what a histogram shows"),
        lambda registry: registry.histogram("h", "other buckets", buckets=(1, 2, 3)),
    ],
)
def test_a_name_means_one_thing(other: object) -> None:
    registry = Registry()
    registry.counter("a_total", "x", ("b",))
    registry.histogram("h", "x", buckets=(1, 2))
    with pytest.raises(Redefined) as caught:
        other(registry)  # type: ignore[operator]
    assert caught.value.code == "metrics.redefined"


@pytest.mark.parametrize("name", ["", "0a_total", "a b_total", "a-b_total", "ä_total", "a_total\n", "no_suffix"])
def test_bad_names_of_counters_are_refused(name: str) -> None:
    with pytest.raises(BadName):
        Registry().counter(name, "x")


@pytest.mark.parametrize("label", ["", "0", "a-b", "__a", "a:b"])
def test_bad_labels_are_refused(label: str) -> None:
    with pytest.raises(BadName):
        Registry().gauge("a", "x", (label,))


def test_labels_are_named_once_and_le_belongs_to_histograms() -> None:
    with pytest.raises(BadName, match="each once"):
        Registry().gauge("a", "x", ("b", "b"))
    with pytest.raises(BadName, match="le"):
        Registry().histogram("a", "x", ("le",))


@pytest.mark.parametrize("buckets", [(), (1, 1), (2, 1), (1, float("inf")), (float("nan"),)])
def test_buckets_grow(buckets: tuple[float, ...]) -> None:
    with pytest.raises(BadName, match="buckets"):
        Registry().histogram("a", "x", buckets=buckets)


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c"), ("a", 1), ("a", None)])
def test_label_values_are_as_many_as_labels_and_text(values: tuple[str, ...]) -> None:
    with pytest.raises(WrongLabels):
        Registry().gauge("a", "x", ("b", "c")).of(*values)


def test_past_the_bound_of_sets_counting_goes_on_and_is_told() -> None:
    registry = Registry(most_sets=3)
    family = registry.counter("a_total", "x", ("peer",))
    for number in range(10):
        family.of(str(number)).inc()
    assert family.of("1").value == 1
    assert family.of("9") is family.dropped
    assert family.dropped.value == 7
    assert len(reading(registry, "a_total").series) == 3
    assert reading(registry, "ropewalk_metrics_dropped_total").series == {("a_total",): 8}
    family.drop("0")
    assert family.of("new") is not family.dropped


def test_the_count_of_refusals_is_bounded_too() -> None:
    registry = Registry(most_sets=1)
    for name in ("a_total", "b_total"):
        family = registry.counter(name, "x", ("peer",))
        family.of("1")
        family.of("2")
    assert len(reading(registry, "ropewalk_metrics_dropped_total").series) == 1


def test_label_values_are_cut_and_always_text() -> None:
    registry = Registry()
    family = registry.gauge("a", "x", ("path",))
    family.of("x" * 10_000).inc()
    family.of("x" * 10_001).inc()
    family.of("\udcff").inc()
    series = reading(registry, "a").series
    assert series == {("x" * MOST_LABEL_CHARACTERS,): 2, ("\\udcff",): 1}
    family.drop("\udcff")
    assert len(reading(registry, "a").series) == 1


def test_callbacks_bring_gauges_up_to_date_until_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    gauge = registry.gauge("a", "x").of()
    calls: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    registry.before_collect(fail)
    take_back = registry.before_collect(lambda: gauge.set(len(calls)))
    calls.append(1)
    with caplog.at_level(logging.ERROR, "ropewalk.metrics"):
        assert reading(registry, "a").series == {(): 1}
    assert [record.__dict__["code"] for record in caplog.records] == ["metrics.callback"]
    assert reading(registry, "ropewalk_metrics_callback_failures_total").series[()] == 2
    take_back()
    take_back()
    calls.append(2)
    assert reading(registry, "a").series == {(): 1}


def test_a_callback_may_take_itself_back_and_make_families() -> None:
    registry = Registry()

    def once() -> None:
        take_back()
        registry.gauge("late", "x").of().set(1)

    take_back = registry.before_collect(once)
    assert reading(registry, "late").series == {(): 1}
    registry.read()


async def test_a_registry_belongs_to_a_context() -> None:
    outside = current_registry()

    async def look() -> Registry:
        return current_registry()

    async with asyncio.timeout(5):
        with using(Registry()) as mine:
            assert await asyncio.create_task(look()) is mine
            assert await asyncio.to_thread(current_registry) is mine
            with using(Registry()) as inner:
                assert current_registry() is inner
            assert current_registry() is mine
    assert current_registry() is outside


def test_threads_that_make_the_same_series_share_it() -> None:
    family = Registry().counter("a_total", "x", ("n",))
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait(30)
        for number in range(500):
            family.of(str(number)).inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(family.read().series.values()) == {8}
