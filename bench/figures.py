"""Figures: one thing measured round by round, its sides in turn within each, so that all share a slow minute.

Flow: sides -> in_turns -> a Figure of each -> report
Never: compares figures of two runs: the machine changes more than the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

from measure import say, turned

__all__ = ["FULL", "QUICK", "Figure", "Load", "in_turns", "plain"]


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything the platform's parts do."""

    rounds: int
    turns: int  # of each side in one process, after one that warms up
    echoes: int  # round trips in one turn
    accepts: int  # connections in one turn
    idle: int  # connections that do nothing
    hops: int  # between threads, or turns of a loop, in one round
    rest: float  # seconds in which an idle loop is watched
    counts: int  # increments in one round
    pushes: int  # to the collector in one round
    starts: int  # of a process
    section: float  # seconds of remote calls of one side and work, after a quarter of it that warms up
    references: int  # to remote objects, held at once
    sessions: int  # that do nothing
    files: int  # in the tree of a merge
    changes: int  # on each side of a merge
    members: int  # of a group that one is put out of, with a device each
    heads: int  # that a space is behind when it is opened
    streamed: int  # bytes through nodes, in one round
    small_files: int  # through nodes, in one round
    entries: int  # of a folder that a browser shows
    sought: int  # places in a film, in one round


FULL = Load(
    7,
    6,
    1_500,
    100,
    10_000,
    2_000,
    3.0,
    200_000,
    20,
    21,
    0.4,
    100_000,
    1_000,
    100_000,
    1_000,
    300,
    10_000,
    1 << 30,
    500,
    10_000,
    30,
)
QUICK = Load(
    *(3, 2, 500, 30, 1_000, 300, 1.0, 50_000, 5, 5, 0.2, 100_000, 1_000, 10_000, 100, 100, 1_000, 1 << 27, 200),
    *(2_000, 10),
)


@dataclass(slots=True)
class Figure:
    """One side of a comparison."""

    work: str
    side: str
    unit: str
    values: list[float] = field(default_factory=list)  # one of each round
    more: str = ""  # what else is to be known of it

    @property
    def median(self) -> float:
        """Of the rounds."""
        return median(self.values)

    @property
    def shown(self) -> str:
        """The median for people."""
        return f"{plain(self.median)} {self.unit}"


def in_turns(work: str, unit: str, sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Figure]:
    """Measure each side once in every round; the first side is what the others are compared with."""
    figures = {side: Figure(work, side, unit) for side in sides}
    for number in range(rounds):
        for side in turned(list(sides), number):
            figures[side].values.append(sides[side]())
    say(f"{work}: {', '.join(f'{side} {figure.shown}' for side, figure in figures.items())}")
    return figures


def plain(number: float) -> str:
    """Four digits, all those before the point, and no more."""
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.4g}"
