"""What is shown is read back by prometheus-client's own parsers."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as plain
from prometheus_client.openmetrics import parser as openmetrics

from ropewalk.metrics import Registry
from ropewalk.metrics import exposition as shown
from ropewalk.metrics.exposition import OPENMETRICS, PLAIN, Exposition, chosen, render
from ropewalk.metrics.process import measure_process

PARSERS: dict[str, Any] = {
    PLAIN: plain.text_string_to_metric_families,
    OPENMETRICS: openmetrics.text_string_to_metric_families,
}


def samples(registry: Registry, kind: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = render(registry.read(), kind).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in PARSERS[kind](text)
        for sample in family.samples
    }


@pytest.mark.parametrize("kind", [PLAIN, OPENMETRICS])
def test_all_kinds_come_back(kind: str) -> None:
    registry = Registry()
    measure_process(registry)
    registry.counter("a_total", "x", ("b",)).of("c").inc(3)
    registry.gauge("level", 'words with \\ and "quotes"\nand lines').of().set(-1.5)
    histogram = registry.histogram("h_seconds", "x", ("b",), buckets=(0.5, 1, 2)).of("d")
    for value in (0.5, 0.7, 5):
        histogram.observe(value)
    got = samples(registry, kind)
    assert got["a_total", (("b", "c"),)] == 3
    assert got["level", ()] == -1.5
    edges = {"0.5": 1, "1.0": 2, "2.0": 2, "+Inf": 3}
    assert {edge: got["h_seconds_bucket", (("b", "d"), ("le", edge))] for edge in edges} == edges
    assert got["h_seconds_count", (("b", "d"),)] == 3
    assert got["h_seconds_sum", (("b", "d"),)] == 6.2
    assert got["process_cpu_seconds_total", ()] > 0


@pytest.mark.parametrize("kind", [PLAIN, OPENMETRICS])
@given(value=st.floats(), label=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_number_and_any_label_come_back(kind: str, value: float, label: str) -> None:
    registry = Registry()
    registry.gauge("a", "x", ("b",)).of(label).set(value)
    text = render(registry.read(), kind).decode()
    found = [sample for family in PARSERS[kind](text) if family.name == "a" for sample in family.samples]
    assert [sample.labels for sample in found] == [{"b": label}]
    assert found[0].value == value or (math.isnan(found[0].value) and math.isnan(value))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PLAIN),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5", OPENMETRICS),
        ("Application/OpenMetrics-Text", OPENMETRICS),
        ("application/openmetrics-text;q=0", PLAIN),
        ("application/openmetrics-text; version=99\x01", OPENMETRICS),
        (";;;,,,==", PLAIN),
    ],
)
def test_the_reader_chooses(accept: str, kind: str) -> None:
    assert chosen(accept) == kind


async def test_many_readers_cost_what_one_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, now, threads = Registry(), [100.0], []
    counter = registry.counter("a_total", "x").of()
    real = render

    def watched(*args: object) -> bytes:
        threads.append(threading.current_thread())
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(shown, "render", watched)
    exposition = Exposition(registry, clock=lambda: now[0])
    async with asyncio.timeout(10):
        first = await asyncio.gather(*(exposition.text() for _ in range(20)))
        counter.inc()
        now[0] += 0.9
        assert await exposition.text() == first[0]
        assert len(threads) == 1
        assert (await exposition.text("application/openmetrics-text"))[0] == OPENMETRICS
        now[0] += 0.2
        assert b"a_total 1.0" in (await exposition.text())[1]
    assert len(threads) == 3
    assert threading.main_thread() not in threads
