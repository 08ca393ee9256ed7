"""Intake: the collector's side of one conversation, without the connection.

Flow: bytes -> Intake.feed, next -> Hello, then Sample after Sample, with names in place of numbers
Never: does I/O, remembers more than MOST_SERIES definitions, takes anything before a Hello or after a fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ropewalk.collector.wire import (
    MOST_BEFORE_HELLO,
    MOST_FRAME,
    MOST_SERIES,
    BadFrame,
    Define,
    FromAgent,
    Hello,
    Push,
    Reader,
    TooMuch,
)

__all__ = ["Intake", "Sample", "SeriesKey"]


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What a series is, but for the source it comes from."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: str  # as JSON with sorted keys, so that equal labels are equal text


@dataclass(frozen=True, slots=True)
class Sample:
    """A push, with what its numbers stand for."""

    sequence: int
    time: int  # milliseconds since 1970
    values: list[tuple[SeriesKey, float]]


class Intake:
    """What one agent has said so far."""

    def __init__(self) -> None:
        self._reader: Reader[FromAgent] = Reader(FromAgent, MOST_BEFORE_HELLO)  # type: ignore[arg-type]
        self._defined: dict[int, SeriesKey] = {}
        self._sequence = 0
        self.hello: Hello | None = None

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._reader.feed(data)

    @property
    def waiting(self) -> int:
        """Bytes that were fed and not looked at."""
        return self._reader.waiting

    @property
    def most(self) -> int:
        """Bytes that the next frame may have."""
        return self._reader.most

    @property
    def defined(self) -> Iterable[SeriesKey]:
        """All series that were defined."""
        return self._defined.values()

    def next(self) -> Hello | Sample | None:
        """What comes next, or None while it is not whole.

        Raises:
            TooMuch: Too long a frame, or too many series.
            BadFrame: No message, or one that has no place here.
        """
        while message := self._reader.next():
            if isinstance(message, Hello):
                if self.hello:
                    raise BadFrame("got a second hello, expected one at the beginning")
                self.hello = message
                self._reader.most = MOST_FRAME
                return message
            if not self.hello:
                raise BadFrame(f"got {type(message).__name__.lower()}, expected a hello first")
            if isinstance(message, Push):
                return self._sample(message)
            self._define(message)
        return None

    def _define(self, message: Define) -> None:
        for each in message.definitions:
            if each.id in self._defined:
                raise BadFrame(f"number {each.id} is defined twice")
            if len(self._defined) >= MOST_SERIES:
                raise TooMuch(f"more than {MOST_SERIES} series are defined")
            self._defined[each.id] = SeriesKey(each.name, each.kind, json.dumps(each.labels, sort_keys=True))

    def _sample(self, message: Push) -> Sample:
        if message.sequence <= self._sequence:
            raise BadFrame(f"sequence is {message.sequence}, expected more than {self._sequence}")
        values: dict[SeriesKey, float] = {}
        for number, value in message.values:
            key = self._defined.get(number)
            if key is None:
                raise BadFrame(f"number {number} is not defined")
            if key in values:
                raise BadFrame(f"number {number} has two values")
            if key.kind == "counter" and value < 0:
                raise BadFrame(f"{key.name} grew by {value}, expected 0 or more")
            values[key] = value
        self._sequence = message.sequence
        return Sample(message.sequence, message.time, list(values.items()))
