"""Charts: series of numbers as lines of a picture, with marks that people can read.

Flow: lines of (time, value) -> Chart: paths in units of the picture, marks of both axes, what it says in words
Never: draws over a gap in the numbers, or more lines than can be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["HEIGHT", "LEFT", "MOST", "UNITS", "WIDTH", "Chart", "Drawn", "Line", "draw"]

WIDTH, HEIGHT = 640, 160  # of the picture, in its own units
LEFT, BOTTOM, TOP = 60, 20, 8  # around the lines
MOST = 6  # lines
_GAP = 2.5  # steps without a number, from which on a line is broken
_MARKS = 4  # about so many on the upright axis
_LARGEST, _SMALLEST = 1e300, 1e-300  # what arithmetic about them still has room for
_SPANS = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400)  # between two times

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Line:
    """A series: its label, and (seconds since 1970, value), by time."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line in the picture: `path` as SVG has it; `last` in words."""

    label: str
    path: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture.

    Attributes:
        title: What is shown.
        lines: Those with the highest values.
        more: How many others there are.
        marks: Of the upright axis: height in the picture, words.
        times: Of the other one: place in the picture, words.
        words: The same for those who do not see it.
        note: Why there is no line.
    """

    title: str
    lines: tuple[Drawn, ...]
    more: int
    marks: tuple[tuple[float, str], ...]
    times: tuple[tuple[float, str], ...]
    words: str
    note: str = ""


def _plain(value: float) -> str:
    if value and (abs(value) >= 1e7 or abs(value) < 1e-3):
        return f"{value:.2e}"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:,.0f}"


def _seconds(value: float) -> str:
    if abs(value) >= 1 or not value:
        return f"{_plain(value)} s"
    return f"{_plain(value * 1e3)} ms" if abs(value) >= 1e-3 else f"{_plain(value * 1e6)} us"


def _bytes(value: float) -> str:
    power = 0
    while abs(value) >= 1024 and power < len(_BYTES) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.3g} {_BYTES[power]}"


def _share(value: float) -> str:
    return f"{_plain(value * 100)} %"


UNITS: dict[str, Callable[[float], str]] = {
    "": _plain, "s": _seconds, "B": _bytes, "B/s": lambda value: f"{_bytes(value)}/s",
    "/s": lambda value: f"{_plain(value)}/s", "%": _share,
}  # fmt: skip


def draw(title: str, unit: str, lines: Iterable[Line], begin: float, end: float, step: float, note: str = "") -> Chart:
    """A picture of some lines.

    Args:
        title: What is shown.
        unit: One of `UNITS`.
        lines: In any order; numbers that are none, and times outside, are left out.
        begin, end: Seconds since 1970.
        step: Seconds between two numbers, as they should come.
        note: Why there are no lines.
    """
    written = UNITS[unit]
    clean = [Line(one.label, [point for point in one.points if _fits(point, begin, end)]) for one in lines]
    there = sorted((one for one in clean if one.points), key=lambda one: -max(value for _, value in one.points))
    shown = sorted(there[:MOST], key=lambda one: one.label)
    values = [value for one in shown for _, value in one.points]
    low, high, apart = _frame(min(values, default=0.0), max(values, default=0.0), binary="B" in unit)
    right, depth = WIDTH - LEFT, HEIGHT - BOTTOM - TOP

    def across(at: float) -> float:
        return round(LEFT + (at - begin) / max(end - begin, 1e-9) * right, 1)

    def down(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * depth, 1)

    drawn = tuple(
        Drawn(one.label, _path(one.points, across, down, _GAP * step), written(one.points[-1][1])) for one in shown
    )
    marks = tuple((down(low + n * apart), written(low + n * apart)) for n in range(round((high - low) / apart) + 1))
    times = tuple((across(at), words) for at, words in _times(begin, end))
    said = "; ".join(
        f"{one.label or title}: now {written(one.points[-1][1])}, from {written(min(v for _, v in one.points))}"
        f" to {written(max(v for _, v in one.points))}"
        for one in shown
    )
    return Chart(title, drawn, len(there) - len(shown), marks, times, said or note or "no numbers yet", note)


def _fits(point: tuple[float, float], begin: float, end: float) -> bool:
    return begin <= point[0] <= end and abs(point[1]) < _LARGEST  # which no number that is none is


def _frame(low: float, high: float, *, binary: bool) -> tuple[float, float, float]:
    """Where the axis begins and ends, and the distance of its marks: round numbers around all values."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < _SMALLEST:
        high = low + 1
    rough = (high - low) / _MARKS
    base = 1024.0 ** max(0, math.floor(math.log(rough, 1024))) if binary and rough >= 1 else 1.0
    power = 10.0 ** math.floor(math.log10(rough / base))
    apart = base * power * next(factor for factor in (1, 2, 5, 10) if factor * power * base >= rough * (1 - 1e-9))
    return math.floor(low / apart + 1e-9) * apart, math.ceil(high / apart - 1e-9) * apart, apart


def _path(
    points: Sequence[tuple[float, float]], across: Callable[[float], float], down: Callable[[float], float], gap: float
) -> str:
    parts: list[str] = []
    before = -math.inf
    for at, value in points:
        begins = at - before > gap
        parts.append(
            f"{'M' if begins else 'L'}{across(at):g} {down(value):g}{'h0' if begins else ''}"
        )  # at least a dot
        before = at
    return "".join(parts)


def _times(begin: float, end: float) -> list[tuple[float, str]]:
    """Round local times."""
    apart = next((span for span in _SPANS if (end - begin) / span <= 6), 90 * 86400)
    offset = (datetime.fromtimestamp(begin).astimezone().utcoffset() or datetime.resolution).total_seconds() // 1
    first = math.ceil((begin + offset) / apart) * apart - offset
    form = "%H:%M" if apart < 86400 else "%d %b"
    found: list[tuple[float, str]] = []
    while first <= end and len(found) < 10:
        found.append((first, datetime.fromtimestamp(first).astimezone().strftime(form)))
        first += apart
    return found
