"""Rules raise and clear by virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.collector.alerts import AlertKey, Alerts, BadRule, Rule

KEY = AlertKey("full", "web", "{}")


def rule(**given_: Any) -> Rule:
    return Rule(**{"name": "full", "metric": "level", "compare": ">", "threshold": 10.0, **given_})


def events(alerts: Alerts, values: Sequence[tuple[float, float]]) -> list[tuple[str, float, float]]:
    got: list[tuple[str, float, float]] = []
    for now, value in values:
        alerts.see("web", "level", "{}", value)
        got += [(event.kind, event.time, event.value) for event in alerts.judge(now)]
    return got


def test_it_is_raised_after_its_time_and_cleared_after_the_same() -> None:
    alerts = Alerts([rule(seconds=30)])
    told = events(alerts, [(0, 11), (20, 12), (30, 13), (40, 14), (50, 9), (60, 8), (79, 8), (80, 7), (90, 7)])
    assert told == [("raised", 30, 13), ("cleared", 80, 7)]


def test_a_moment_of_relief_begins_the_time_anew() -> None:
    alerts = Alerts([rule(seconds=30)])
    assert events(alerts, [(0, 11), (20, 10), (25, 11), (54, 11), (55, 11)]) == [("raised", 55, 11)]


def test_what_hovers_about_the_threshold_is_raised_once() -> None:
    alerts = Alerts([rule(clear=5.0)])
    values = [(at, 11.0 if at % 2 else 9.0) for at in range(50)]
    assert events(alerts, values) == [("raised", 1, 11)]
    assert alerts.standing() == [KEY]
    assert events(alerts, [(60, 5.0)]) == [("cleared", 60, 5)]
    assert alerts.standing() == []


@pytest.mark.parametrize(("compare", "so", "over"), [(">", 11, 10), (">=", 10, 9), ("<", 9, 10), ("<=", 10, 11)])
def test_each_comparison(compare: Any, so: float, over: float) -> None:
    alerts = Alerts([rule(compare=compare)])
    assert [kind for kind, *_ in events(alerts, [(0, over), (1, so), (2, over)])] == ["raised", "cleared"]


def test_labels_and_source_choose_series() -> None:
    alerts = Alerts([rule(labels={"source": "web", "disk": "a"})])
    for source, labels in (
        ("web", '{"disk": "a"}'),
        ("web", '{"disk": "b"}'),
        ("mail", '{"disk": "a"}'),
        ("web", "{}"),
    ):
        alerts.see(source, "level", labels, 11)
    alerts.see("web", "other", '{"disk": "a"}', 11)
    assert [event.key for event in alerts.judge(0)] == [AlertKey("full", "web", '{"disk": "a"}')]
    assert (alerts.wants("level"), alerts.wants("other")) == (True, False)


def test_what_stood_before_a_restart_stands_and_is_cleared_once() -> None:
    alerts = Alerts([rule()], [KEY, AlertKey("gone", "web", "{}")])
    assert [(event.kind, event.key.rule) for event in alerts.judge(0)] == [("cleared", "gone")]
    assert alerts.standing() == [KEY]
    assert events(alerts, [(1, 12), (2, 9)]) == [("cleared", 2, 9)]


def test_a_dead_source_keeps_what_stands_and_begins_nothing() -> None:
    alerts = Alerts([rule(), rule(name="slow", seconds=100)])
    assert events(alerts, [(0, 11)]) == [("raised", 0, 11)]
    alerts.forget("web")
    assert alerts.judge(1_000) == []
    assert alerts.standing() == [KEY]
    assert events(alerts, [(2_000, 9)]) == [("cleared", 2_000, 9)]


@pytest.mark.parametrize(
    "bad",
    [{"compare": "="}, {"seconds": -1}, {"seconds": float("nan")}, {"clear": 11.0}, {"compare": "<", "clear": 9.0}],
)
def test_rules_that_cannot_work_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadRule):
        rule(**bad)


def test_names_are_there_once() -> None:
    with pytest.raises(BadRule, match="twice"):
        Alerts([rule(), rule()])


@given(st.lists(st.floats(-20, 20), max_size=60), st.integers(0, 5), st.floats(-20, 10))
def test_raised_and_cleared_take_turns(values: list[float], seconds: int, clear: float) -> None:
    alerts = Alerts([rule(seconds=seconds, clear=clear)])
    told = events(alerts, list(enumerate(values)))
    assert [kind for kind, *_ in told] == (["raised", "cleared"] * len(told))[: len(told)]
    assert all(value > 10 if kind == "raised" else value <= clear for kind, _, value in told)
