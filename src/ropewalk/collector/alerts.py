"""Alerts: rules over the newest numbers, and what they raise and clear.

Flow: a push -> see; the collector's tick -> judge -> events, to the history and to whoever wants them
Never: reads a clock, waits, raises twice what stands, judges numbers that are no longer brought up to date.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ropewalk.errors import Misuse

__all__ = ["MOST_STANDING", "AlertKey", "Alerts", "BadRule", "Event", "Rule"]

MOST_STANDING = 10_000  # pairs of a rule and a series that are watched
_Judge = Callable[[float, float], bool]
_WAYS: dict[str, tuple[_Judge, _Judge]] = {  # the comparison, and the one that says that it is over
    ">": (operator.gt, operator.le),
    ">=": (operator.ge, operator.lt),
    "<": (operator.lt, operator.ge),
    "<=": (operator.le, operator.gt),
}


class BadRule(Misuse):
    """A rule that cannot work."""

    code = "collector.rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """When to raise an alert.

    Attributes:
        name: What the alert is called.
        metric: The name of the series: a gauge is judged by its value, a counter by its growth per second.
        compare: ``>``, ``>=``, ``<`` or ``<=``.
        threshold: What is compared with.
        labels: Labels that a series must have to be judged; `source` may be among them.
        seconds: How long it must be so, and how long it must be over.
        clear: What must be reached again before it is over; the threshold where none is given.
    """

    name: str
    metric: str
    compare: Literal[">", ">=", "<", "<="]
    threshold: float
    labels: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    clear: float | None = None

    def __post_init__(self) -> None:
        if self.compare not in _WAYS:
            raise BadRule(f"comparison of {self.name} is {self.compare!r}, expected one of {', '.join(_WAYS)}")
        if not 0 <= self.seconds < math.inf:
            raise BadRule(f"seconds of {self.name} are {self.seconds}, expected 0 or more")
        for what, number in (("threshold", self.threshold), ("clear", self.clear)):
            if number is not None and not math.isfinite(number):
                raise BadRule(f"{what} of {self.name} is {number}, expected a number")
        # An alert that is over while it is still so would be raised and cleared for ever.
        if self.clear is not None and self.clear != self.threshold and self.is_so(self.clear):
            raise BadRule(
                f"clear of {self.name} is {self.clear}, expected a number that is not {self.compare} {self.threshold}"
            )

    def is_so(self, value: float) -> bool:
        """Whether the number is worth an alert."""
        return _WAYS[self.compare][0](value, self.threshold)

    def is_over(self, value: float) -> bool:
        """Whether the number is far enough back."""
        return _WAYS[self.compare][1](value, self.threshold if self.clear is None else self.clear)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether it judges a series with these labels."""
        return all(labels.get(label) == value for label, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What an alert is about."""

    rule: str
    source: str
    labels: str  # as JSON


@dataclass(frozen=True, slots=True)
class Event:
    """An alert was raised or cleared."""

    key: AlertKey
    kind: Literal["raised", "cleared"]
    time: float  # seconds since 1970
    value: float


@dataclass(slots=True)
class _Watched:
    rule: Rule
    value: float
    changing: float | None = None  # since when it is so while not raised, or over while raised
    raised: bool = False


class Alerts:
    """All rules of a collector.

    Args:
        rules: Each name once.
        standing: Alerts that were raised and not cleared when the collector last ended.
    """

    def __init__(self, rules: Iterable[Rule], standing: Iterable[AlertKey] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        self._of_metric: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.name in self._rules:
                raise BadRule(f"rule {rule.name} is there twice, expected each name once")
            self._rules[rule.name] = rule
            self._of_metric.setdefault(rule.metric, []).append(rule)
        self._standing = set(standing)
        self._watched: dict[AlertKey, _Watched] = {}

    def wants(self, name: str) -> bool:
        """Whether any rule judges series of this name."""
        return name in self._of_metric

    def see(self, source: str, name: str, labels: str, value: float) -> None:
        """The newest number of a series, its labels as JSON."""
        for rule in self._of_metric.get(name, ()):
            if not rule.fits({**json.loads(labels), "source": source}):
                continue
            key = AlertKey(rule.name, source, labels)
            if watched := self._watched.get(key):
                watched.value = value
            elif len(self._watched) < MOST_STANDING:
                self._watched[key] = _Watched(rule, value, raised=key in self._standing)
                self._standing.discard(key)

    def judge(self, now: float) -> list[Event]:
        """What is raised and cleared by the newest numbers; alerts of rules that are gone are cleared."""
        events = []
        for key in [key for key in self._standing if key.rule not in self._rules]:
            self._standing.remove(key)
            events.append(Event(key, "cleared", now, 0.0))
        for key, watched in self._watched.items():
            rule = watched.rule
            if not (rule.is_over(watched.value) if watched.raised else rule.is_so(watched.value)):
                watched.changing = None
                continue
            if watched.changing is None or watched.changing > now:  # the clock was set back
                watched.changing = now
            if now - watched.changing >= rule.seconds:
                watched.raised, watched.changing = not watched.raised, None
                events.append(Event(key, "raised" if watched.raised else "cleared", now, watched.value))
        return events

    def forget(self, source: str) -> None:
        """Its numbers are not brought up to date any more: what stands keeps standing, nothing is begun."""
        for key in [key for key in self._watched if key.source == source]:
            if self._watched.pop(key).raised:
                self._standing.add(key)

    def standing(self) -> list[AlertKey]:
        """What is raised now."""
        return [*self._standing, *(key for key, watched in self._watched.items() if watched.raised)]
