"""Charts: whatever the numbers are, all that is drawn lies within the picture, and the marks are round and in order."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.pages.panel.charts import HEIGHT, LEFT, MOST, UNITS, WIDTH, Line, draw

VALUES = st.floats(allow_nan=True, allow_infinity=True)
POINTS = st.lists(st.tuples(st.floats(900, 5_000), VALUES), max_size=30).map(sorted)
LINES = st.lists(st.builds(Line, st.text(max_size=3), POINTS), max_size=10)


@given(LINES, st.sampled_from(sorted(UNITS)))
def test_all_that_is_drawn_lies_within_the_picture(lines: list[Line], unit: str) -> None:
    chart = draw("title", unit, lines, 1_000, 4_600, 10)
    for line in chart.lines:
        for x, y in re.findall(r"[ML](\S+) ([^MLh]+)", line.path):
            assert LEFT <= float(x) <= WIDTH
            assert -0.1 <= float(y) <= HEIGHT
    assert len(chart.lines) <= MOST
    heights = [height for height, _ in chart.marks]
    assert heights == sorted(heights, reverse=True)
    assert 2 <= len(chart.marks) <= 12
    assert len(chart.times) <= 10


def test_the_marks_are_round_and_hold_all_values() -> None:
    chart = draw("Memory", "B", [Line("", [(1_010, 3 * 2**20), (1_020, 70 * 2**20)])], 1_000, 4_600, 10)
    assert [words for _, words in chart.marks] == ["0 B", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]
    assert chart.lines[0].last == "70 MiB"
    assert chart.words == "Memory: now 70 MiB, from 3 MiB to 70 MiB"
    assert [words for _, words in draw("", "%", [Line("", [(1_010, 0.07)])], 1_000, 4_600, 10).marks] == [
        "0 %", "2 %", "4 %", "6 %", "8 %",
    ]  # fmt: skip


def test_a_line_is_broken_where_numbers_are_missing() -> None:
    points = [(1_000, 1.0), (1_010, 2.0), (1_100, 3.0), (1_110, math.nan), (1_120, 4.0)]
    (line,) = draw("", "", [Line("", points)], 1_000, 4_600, 10).lines
    assert re.sub(r"[^MLh]", "", line.path) == "MhLMhL"


def test_the_highest_lines_are_shown_and_the_others_counted() -> None:
    lines = [Line(f"line {number}", [(1_000, float(number))]) for number in range(9)]
    chart = draw("", "", [*lines, Line("nothing", [])], 1_000, 4_600, 10)
    assert [line.label for line in chart.lines] == [f"line {number}" for number in range(3, 9)]
    assert chart.more == 3
    assert draw("", "", [], 1_000, 4_600, 10).words == "no numbers yet"
