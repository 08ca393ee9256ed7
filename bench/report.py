"""Report: rows and goals as tables for people, and all of it as JSON.

Flow: Rounds, probes, figures -> Goal -> Markdown, JSON
Never: judges a rounded figure: `met` is of the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from figures import Figure, plain
from measure import Ratio, Row, ratio

__all__ = ["Goal", "Report", "beside", "faster", "table"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what it must not exceed or fall short of."""

    what: str
    got: float
    limit: float
    unit: str = ""
    more: str = ""  # what else is to be known of it
    least: bool = False  # the limit is the least, not the most

    @property
    def met(self) -> bool:
        """Whether it keeps to its limit."""
        return self.got >= self.limit if self.least else self.got <= self.limit

    def cells(self) -> list[str]:
        """A line of the table."""
        wanted = f"at {'least' if self.least else 'most'} {plain(self.limit)} {self.unit}".strip()
        return [self.what, f"{plain(self.got)} {self.unit}".strip(), self.more, wanted, "yes" if self.met else "no"]


def faster(what: str, one: Row | None, others: Sequence[Row | None], least: float, of: str = "") -> list[Goal]:
    """How many times faster a row is than the fastest of some others; nothing where one side was not measured."""
    measured = [row for row in others if row is not None]
    if one is None or not measured:
        return []
    other = min(measured, key=lambda row: row.seconds)
    found = ratio([taken.synced for taken in other.runs], [taken.synced for taken in one.runs])
    more = f"{_span(found)}; without the sync {other.before_sync / one.before_sync:.2f}"
    return [Goal(f"{what} {other.program}{of}", found.median, least, "x", more, least=True)]


def beside(what: str, one: Figure, other: Figure, limit: float, *, least: bool = False) -> Goal:
    """How many times one side's figure is that of another: the median of the rounds, each in one process."""
    found = ratio(one.values, other.values)
    more = f"{_span(found)}; {one.shown} beside {other.shown}"
    return Goal(what, found.middle, limit, "x", more, least=least)


@dataclass(slots=True)
class Report:
    """All that a run found."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)  # whole programs
    figures: list[Figure] = field(default_factory=list)  # the sides of a comparison; its first is what others stand by
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The tables."""
        lines = [f"{name}: {value}" for name, value in self.machine.items()]
        if self.rows:
            lines += ["", *table(_HEADINGS, [_cells(row) for row in self.rows], right=range(3, len(_HEADINGS)))]
        if self.figures:
            first = {figure.work: figure for figure in reversed(self.figures)}
            cells = [_figure(figure, first[figure.work]) for figure in self.figures]
            lines += ["", *table(_FIGURES, cells, right=range(2, 5))]
        if self.goals:
            lines += ["", *table(_GOALS, [goal.cells() for goal in self.goals])]
        lines += [""] * bool(self.notes) + [f"- {note}" for note in self.notes]
        return "\n".join(lines)

    def plain(self) -> dict[str, object]:
        """For JSON: every single run too."""
        return {
            "machine": self.machine,
            "rows": [asdict(row) for row in self.rows],
            "figures": [asdict(figure) for figure in self.figures],
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
_GOALS = ("goal", "got", "more", "wanted", "met")
_FIGURES = ("work", "side", "median", "least to most", "beside the first", "more")


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


def _figure(figure: Figure, first: Figure) -> list[str]:
    times = "" if figure is first else f"{ratio(figure.values, first.values).middle:.2f} x"
    span = f"{plain(min(figure.values))} to {plain(max(figure.values))}" if len(figure.values) > 1 else ""
    return [figure.work, figure.side, figure.shown, span, times, figure.more]


def _span(found: Ratio) -> str:
    return f"rounds {found.low:.2f} to {found.high:.2f}"
