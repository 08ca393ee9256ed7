"""Report: rows and goals as tables for people, and all of it as JSON.

Flow: Rounds, probes -> Goal -> Markdown, JSON
Never: judges a rounded figure: `met` is of the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from measure import Row, ratio

__all__ = ["Bound", "Faster", "Goal", "Report", "faster", "table"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure and what it must not exceed."""

    what: str
    got: float
    most: float
    unit: str = ""
    more: str = ""  # what else is to be known of it

    @property
    def met(self) -> bool:
        """Whether it keeps to its bound."""
        return self.got <= self.most

    def cells(self) -> list[str]:
        """A line of the table."""
        got = f"{_plain(self.got)} {self.unit}".strip()
        return [self.what, got, self.more, f"at most {_plain(self.most)} {self.unit}".strip(), _word(met=self.met)]


@dataclass(frozen=True, slots=True)
class Faster:
    """How many times faster something is than something else, and what it should be."""

    what: str
    got: float
    low: float  # the worst pair of a round
    high: float
    before_sync: float
    least: float

    @property
    def met(self) -> bool:
        """Whether it is as fast as it should be."""
        return self.got >= self.least

    def cells(self) -> list[str]:
        """A line of the table."""
        more = f"rounds {self.low:.2f} to {self.high:.2f}; without the sync {self.before_sync:.2f}"
        return [self.what, f"{self.got:.2f} x", more, f"at least {self.least:g} x", _word(met=self.met)]


Goal = Bound | Faster


def faster(what: str, one: Row | None, others: Sequence[Row | None], least: float, of: str = "") -> list[Goal]:
    """A row beside the fastest of some others; nothing where one side was not measured."""
    measured = [row for row in others if row is not None]
    if one is None or not measured:
        return []
    other = min(measured, key=lambda row: row.seconds)
    found = ratio(one, other)
    return [Faster(f"{what} {other.program}{of}", found.median, found.low, found.high, found.before_sync, least)]


@dataclass(slots=True)
class Report:
    """All that a run found."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The tables."""
        lines = [f"{name}: {value}" for name, value in self.machine.items()]
        if self.rows:
            lines += ["", *table(_HEADINGS, [_cells(row) for row in self.rows], right=range(3, len(_HEADINGS)))]
        headings = ("goal", "got", "more", "wanted", "met")
        lines += ["", *table(headings, [goal.cells() for goal in self.goals])]
        lines += [""] * bool(self.notes) + [f"- {note}" for note in self.notes]
        return "\n".join(lines)

    def plain(self) -> dict[str, object]:
        """For JSON: every single run too."""
        return {
            "machine": self.machine,
            "rows": [asdict(row) for row in self.rows],
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
            "notes": self.notes,
        }


_HEADINGS = (
    "work",
    "step",
    "program",
    "rate",
    "without the sync",
    "seconds (least, most)",
    "CPU s/GiB",
    "peak MiB",
    "others' CPU s",
)


def _cells(row: Row) -> list[str]:
    low, high = row.spread
    others = sum(taken.others for taken in row.runs) / len(row.runs)
    return [
        row.work,
        row.step,
        row.program,
        row.rate(row.seconds),
        row.rate(row.before_sync),
        f"{row.seconds:.2f} ({low:.2f}, {high:.2f})",
        f"{row.cpu_per_gib:.1f}",
        f"{row.peak / 2**20:.0f}",
        f"{others:.1f}",
    ]


def table(headings: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Markdown, padded so that it can be read as it is."""
    widths = [max(len(line[at]) for line in (headings, *lines)) for at in range(len(headings))]

    def padded(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * (width - 1) + ":" if at in right else "-" * width for at, width in enumerate(widths)]
    return [padded(headings), padded(rule), *[padded(line) for line in lines]]


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.4g}"


def _word(*, met: bool) -> str:
    return "yes" if met else "no"
