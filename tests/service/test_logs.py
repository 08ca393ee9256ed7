"""Logs: lines for people and for programs, whatever is in them and whoever reads them."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from typing import Literal, TextIO

import pytest

from ropewalk.metrics import Registry, using
from ropewalk.service import LogSettings
from ropewalk.service.logs import logging_to

_log = logging.getLogger("tests.logs")


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_is_logged_is_one_line_and_the_next_one_comes_too(form: Literal["text", "json"]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with logging_to(stream, LogSettings(form)):
        _log.warning("half \udcff a character", extra={"name_of_file": "\udc80", "table": {("a", 1): float("nan")}})
        _log.warning("the next")
    first, second = stream.buffer.getvalue().decode().splitlines()
    assert "half" in first
    assert "the next" in second
    if form == "json":
        assert json.loads(first)["logger"] == json.loads(second)["logger"] == "tests.logs"


def test_a_stack_has_nothing_for_the_terminal_to_obey() -> None:
    stream = io.StringIO()
    with logging_to(stream, LogSettings(format="text")):
        _log.error("failed", exc_info=ValueError("a peer said \x1b[2J \udcff"))
    assert "\\x1b[2J" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "\udcff" not in stream.getvalue()


def test_what_has_several_lines_is_set_off() -> None:
    """A stack can be read, and nothing that a peer sent looks like an event of its own."""
    stream = io.StringIO()
    with logging_to(stream, LogSettings(format="text")):
        _log.error("blocked by\n  File one\n12:00:00 info root: all is well")
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("error tests.logs: blocked by")
    assert lines[1:] == ["  |   File one", "  | 12:00:00 info root: all is well"]


def _in_time(stream: TextIO, lines: int, registry: Registry) -> None:
    def logs() -> None:
        with using(registry), logging_to(stream, LogSettings(format="text")):
            for number in range(lines):
                _log.warning("line %d", number)

    thread = threading.Thread(target=logs, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_a_reader_that_has_gone_holds_nobody_up() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    _in_time(Gone(), 25_000, Registry())


def test_a_reader_that_hangs_holds_nobody_up_and_what_it_misses_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ropewalk.service.logs"], "_PATIENCE", 0.01)
    goes_on = threading.Event()

    class Hangs(io.StringIO):
        def write(self, text: str) -> int:
            goes_on.wait(30)
            return len(text)

    registry = Registry()
    try:
        _in_time(Hangs(), 25_000, registry)
    finally:
        goes_on.set()
    assert registry.counter("ropewalk_log_dropped_total", "", ()).of().value >= 14_000
