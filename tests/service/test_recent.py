"""Recent: the last lines of the log are there for who asks, and no more of them."""

from __future__ import annotations

import io
import logging

import pytest

from ropewalk.service.logs import RECENT, Recent, Said, logging_to


@pytest.fixture
def kept() -> Recent:
    recent = Recent(most=3)
    recent.setFormatter(Said())
    return recent


def _log(recent: Recent, text: str, *, name: str = "shop.web", level: int = logging.INFO, **extra: object) -> None:
    logger = logging.Logger(name)  # noqa: LOG001 - one that is not kept
    logger.addHandler(recent)
    logger.log(level, text, extra=extra)


def test_only_the_last_lines_are_kept(kept: Recent) -> None:
    for number in range(5):
        _log(kept, f"line {number}")
    assert [line.text for line in kept.lines(10)] == ["line 2", "line 3", "line 4"]
    assert [line.text for line in kept.lines(1)] == ["line 4"]


def test_by_level_and_by_logger(kept: Recent) -> None:
    _log(kept, "one", level=logging.DEBUG)
    _log(kept, "two", name="shop", level=logging.ERROR)
    _log(kept, "three", name="shopping", level=logging.WARNING)
    assert [line.text for line in kept.lines(10, least=logging.WARNING)] == ["two", "three"]
    assert [line.text for line in kept.lines(10, logger="shop")] == ["one", "two"]


def test_a_long_line_is_cut_and_control_characters_are_none(kept: Recent) -> None:
    _log(kept, "x" * 100_000)
    _log(kept, "a\x1b[2Jb", peer="c\nd")
    first, second = kept.lines(2)
    assert len(first.text) < 3_000
    assert second.text == "a\\x1b[2Jb peer=c\\nd"


def test_a_line_that_cannot_be_made_stops_nobody(kept: Recent) -> None:
    class Bad:
        def __str__(self) -> str:
            raise ValueError

    _log(kept, "%s", name="x")
    kept.emit(logging.LogRecord("x", logging.INFO, "f", 1, "%s", (Bad(),), None))
    assert len(kept.lines(10)) == 1


def test_what_a_process_logs_is_kept() -> None:
    with logging_to(io.StringIO()):
        logging.getLogger("tests.recent").warning("here it is")
    assert "here it is" in [line.text for line in RECENT.lines(5)]
    logging.getLogger("tests.recent").warning("no more")
    assert "no more" not in [line.text for line in RECENT.lines(5)]
