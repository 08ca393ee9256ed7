"""Sizes and times as people write them, and nothing else."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.cli.amounts import parse_end, parse_size, parse_span, span
from ropewalk.errors import Misuse

DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("4096", 4096),
        ("7B", 7),
        ("1K", 1024),
        ("1.5k", 1536),
        ("50G", 50 << 30),
        ("2 TiB", 2 << 40),
        ("3MB", 3 << 20),
        ("9B", 9),
    ],
)
def test_a_size_is_so_many_bytes(text: str, amount: int) -> None:
    assert parse_size(text, "--quota") == amount


@pytest.mark.parametrize("text", ["50", "4095", "1.5", " 7 "])
def test_a_number_that_lacks_its_unit_is_not_taken_for_so_many_bytes(text: str) -> None:
    with pytest.raises(Misuse, match="without a unit") as caught:
        parse_size(text, "--quota")
    assert f"{text.strip()}G" in caught.value.hint


@pytest.mark.parametrize("text", ["", "G", "-1", "1e9", "1GG", "1 G G", "ten", "nan", "1" * 19, "999999P", "1.G"])
def test_what_is_no_size_is_refused_by_the_option_s_name(text: str) -> None:
    with pytest.raises(Misuse, match="--quota is"):
        parse_size(text, "--quota")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("7d", 7 * DAY), ("2w", 14 * DAY)])
def test_a_time_is_so_many_seconds(text: str, seconds: float) -> None:
    assert parse_span(text, "--keep", 1, 100 * DAY) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1y", "59m", "11d", "inf"])
def test_what_is_no_time_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="--keep is"):
        parse_span(text, "--keep", 3600, 10 * DAY)


def test_an_end_is_after_the_last_moment_of_a_day_or_so_long_from_now() -> None:
    now = datetime.fromisoformat("2026-11-23T12:00").timestamp()
    assert parse_end("30d", "--until", now) == int(now + 30 * DAY)
    assert parse_end("2026-11-23", "--until", now) == int(datetime.fromisoformat("2026-11-24").timestamp())
    for text in ("2026-11-22", "2026-02-30", "tomorrow", "", "9999-12-31", "0s"):
        with pytest.raises(Misuse, match="--until is"):
            parse_end(text, "--until", now)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (90, "90 seconds"), (3600, "1 hour"), (DAY, "1 day"), (36 * 3600, "36 hours")],
)
def test_a_time_is_said_in_the_largest_unit_that_says_it_well(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.text(max_size=20))
def test_junk_is_refused_and_nothing_else_happens(text: str) -> None:
    for parse in (
        lambda: parse_size(text, "x"),
        lambda: parse_span(text, "x", 0, 1e12),
        lambda: parse_end(text, "x", 1e9),
    ):
        try:
            assert parse() >= 0
        except Misuse:
            continue
