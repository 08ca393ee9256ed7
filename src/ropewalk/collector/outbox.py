"""Outbox: what an agent has measured and the collector has not yet acknowledged.

Flow: readings -> Sampler.sample -> Outbox.put -> take -> sent; Ack or Welcome -> settle
Never: loses a count while the process lives, sends one twice, grows past its bound.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ropewalk.collector.wire import MOST_SERIES, MOST_VALUE, Definition
from ropewalk.metrics import HistogramReading, Reading

__all__ = ["Measured", "Outbox", "Sampler"]

_MOST_LABELS = 16
_MOST_VALUE = MOST_VALUE / 1e10  # room for differences, and for many that become one


@dataclass(slots=True)
class Measured:
    """The numbers of one moment, by the number of their series."""

    sequence: int
    time: int  # milliseconds since 1970
    values: dict[int, float]


class Sampler:
    """Readings to what changed: counters to what was added, histograms to counters.

    Attributes:
        definitions: What each number stands for.
        refused: Series that had no place or whose names the wire does not take.
    """

    def __init__(self, most: int = MOST_SERIES) -> None:
        self.definitions: list[Definition] = []
        self.refused = 0
        self._most = most
        self._numbers: dict[tuple[str, tuple[str, ...]], int] = {}
        self._last: dict[int, float] = {}

    def sample(self, readings: Iterable[Reading]) -> dict[int, float]:
        """What there is to say since the last time."""
        self.refused = 0
        said: dict[int, float] = {}
        for reading in readings:
            if len(reading.name) > 190 or len(reading.labels) > _MOST_LABELS:  # room for a suffix and for `le`
                self.refused += len(reading.series)
                continue
            for values, value in reading.series.items():
                labels = dict(zip(reading.labels, values, strict=True))
                if isinstance(value, HistogramReading):
                    for name, edge, number in _parts(reading.name, value):
                        self._add(said, name, (*values, edge), {**labels, "le": edge} if edge else labels, number)
                elif reading.kind == "counter":
                    self._add(said, reading.name, values, labels, value)
                elif (
                    abs(value) <= _MOST_VALUE and (number_ := self._number(reading.name, "gauge", values, labels)) >= 0
                ):
                    said[number_] = +value  # True is a number in Python, and not on the wire
        return said

    def _add(
        self, said: dict[int, float], name: str, values: tuple[str, ...], labels: dict[str, str], now: float
    ) -> None:
        if not abs(now) <= _MOST_VALUE or (number := self._number(name, "counter", values, labels)) < 0:
            return
        last = self._last.get(number)
        self._last[number] = now
        if last is None:
            said[number] = now  # the first time even if it is 0, so that it is known to be there
        elif now != last:
            said[number] = now - last if now > last else now  # it was forgotten and begun anew

    def _number(self, name: str, kind: str, values: tuple[str, ...], labels: dict[str, str]) -> int:
        number = self._numbers.get((name, values), -1)
        if number < 0:
            if len(self.definitions) >= self._most:
                self.refused += 1
                return -1
            number = self._numbers[name, values] = len(self.definitions)
            self.definitions.append(Definition(number, name, kind, labels))  # type: ignore[arg-type]
        return number


def _parts(name: str, value: HistogramReading) -> Iterator[tuple[str, str, float]]:
    yield f"{name}_sum", "", value.sum
    yield f"{name}_count", "", sum(value.counts)
    for bound, count in zip((*value.bounds, math.inf), value.counts, strict=True):
        if count:
            yield f"{name}_bucket", "+Inf" if bound == math.inf else repr(bound), count


class Outbox:
    """Pushes in their order.

    Args:
        definitions: To tell counters, which are added when two pushes become one, from gauges, which are not.
        most: How many wait; past it the two oldest become one, so that no count is lost but when it was.
        window: How many are under way without an acknowledgement.
    """

    def __init__(self, definitions: list[Definition], most: int = 60, window: int = 8) -> None:
        self._definitions, self._most, self._window = definitions, most, window
        self._waiting: deque[Measured] = deque()
        self._under_way: deque[Measured] = deque()
        self._sequence = 0
        self.folded = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    @property
    def under_way(self) -> int:
        """How many were sent and not settled."""
        return len(self._under_way)

    def put(self, time: int, values: dict[int, float]) -> None:
        """One more push."""
        self._sequence += 1
        self._waiting.append(Measured(self._sequence, time, values))
        self._bound()

    def _bound(self) -> None:
        while len(self._waiting) > self._most:
            older, newer = self._waiting.popleft(), self._waiting[0]
            self.folded += 1
            for number, value in older.values.items():
                if self._definitions[number].kind == "counter":
                    newer.values[number] = newer.values.get(number, 0) + value
                else:
                    newer.values.setdefault(number, value)

    def take(self) -> Measured | None:
        """The next to send, if one waits and the window is open."""
        if not self._waiting or len(self._under_way) >= self._window:
            return None
        self._under_way.append(self._waiting.popleft())
        return self._under_way[-1]

    def settle(self, sequence: int) -> bool:
        """All up to this one are kept.  False where it was never sent."""
        while self._under_way and self._under_way[0].sequence <= sequence:
            self._under_way.popleft()
        return sequence <= self._sequence and not (self._waiting and self._waiting[0].sequence <= sequence)

    def begin(self, sequence: int) -> bool:
        """A new connection, on which all up to this one are known to be kept.  False where that cannot be."""
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way.clear()
        while self._waiting and self._waiting[0].sequence <= sequence:
            self._waiting.popleft()
        self._bound()
        return sequence <= self._sequence
