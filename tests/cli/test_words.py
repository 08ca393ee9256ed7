"""How places are read and how names, sizes and dates are shown."""

from __future__ import annotations

import io
import json
import os
import sys
from base64 import b64decode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.cli.failure import Failure
from ropewalk.cli.options import Keyed
from ropewalk.cli.output import Voice, count, date, path_fields, shown, size
from ropewalk.cli.place import BadPlace, Place, parse_place, parse_version
from ropewalk.cli.progress import steps, transfer_bar
from ropewalk.errors import Misuse, Refused

NAMES = st.binary(max_size=40).map(os.fsdecode)


@given(NAMES | st.text())
def test_what_is_shown_is_safe_for_a_terminal(name: str) -> None:
    assert shown(name).isprintable()
    shown(name).encode()


@given(st.text().filter(str.isprintable))
def test_what_is_safe_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name


@given(st.binary(max_size=40))
def test_a_path_in_json_gives_back_its_bytes(raw: bytes) -> None:
    fields = json.loads(json.dumps(path_fields(os.fsdecode(raw))))
    assert (b64decode(fields["path_base64"]) if "path_base64" in fields else fields["path"].encode()) == raw


@given(NAMES | st.text())
def test_any_argument_is_a_place_or_is_refused(text: str) -> None:
    for parse in (parse_place, parse_version):
        with suppress(BadPlace):
            assert text.startswith(parse(text).space)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("photos", Place("photos", "", into=True)),
        ("photos:", Place("photos", "", into=True)),
        ("photos:/", Place("photos", "/", into=True)),
        ("photos:/a", Place("photos", "/a")),
        ("photos:a/b/", Place("photos", "a/b/", into=True)),
        ("photos:/a:b", Place("photos", "/a:b")),
        ("été:/a", Place("été", "/a")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["", ":", ":/a", "/a", "./a", "../a:b", "a b:/c", "-x:/a", "a@b"])
def test_no_places(text: str) -> None:
    with pytest.raises(BadPlace):
        parse_place(text)


def test_a_version_stands_after_the_last_at() -> None:
    assert parse_version("photos:/a@b/c@1a2b") == Place("photos", "/a@b/c", version="1a2b")
    assert parse_version("photos@1a2b") == Place("photos", "", into=True, version="1a2b")


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5_500_000, "5.2 MiB"),
        (2**63, "8.0 EiB"),
    ],
)
def test_sizes(amount: int, words: str) -> None:
    assert size(amount) == words


def test_counts() -> None:
    assert [count(1, "file"), count(0, "file"), count(1234, "copy/copies")] == ["1 file", "0 files", "1,234 copies"]


@given(st.integers(-(2**63), 2**64))
def test_any_time_has_a_date(nanoseconds: int) -> None:
    assert date(nanoseconds)


@pytest.mark.parametrize("nanoseconds", [2**80, -(2**80)])
def test_a_time_beyond_every_calendar_is_shown_in_seconds(nanoseconds: int) -> None:
    assert date(nanoseconds) == f"@{nanoseconds // 10**9}"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for key, value in setting.items():
        monkeypatch.setenv(key, value)
    terminal = Tty()
    monkeypatch.setattr(sys, "stderr", terminal)
    Voice().error("it \x1b[0m broke", code="x", hint="mend it")
    assert ("\x1b[31merror:" in terminal.getvalue()) is coloured
    assert "it \\x1b[0m broke\nhint: mend it\n" in terminal.getvalue()


def test_a_terminal_without_utf_8_gets_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Voice().line("café")
    sys.stdout.flush()
    assert raw.getvalue() == b"caf\\xe9\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("no"), 4),
        (ExceptionGroup("several", [ExceptionGroup("more", [Misuse("bad")]), Refused("no")]), 2),
        (FileNotFoundError(2, "No such file or directory", "x"), 3),
        (PermissionError(13, "Permission denied", b"x\xff"), 4),
        (OSError(28, "No space left on device"), 5),
        (OSError(5, "Input/output error"), 5),
        (ValueError("bug"), 1),
    ],
)
def test_every_exception_has_a_status(error: Exception, status: int) -> None:
    assert Failure.of(error).status == status


def test_a_bar_is_drawn_where_someone_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Tty()
    monkeypatch.setattr(sys, "stderr", terminal)
    with transfer_bar("put [bold]x", Keyed()) as bar:
        assert bar is not None
        bar.expect(3, 3_000_000)
        bar.advance(2, 1_500_000)
    with steps("check", Keyed()) as step:
        step(1, 7)
    drawn = terminal.getvalue()
    assert "put [bold]x" in drawn
    assert "2/3 files" in drawn
    assert "1.4/2.9 MiB" in drawn
    assert "1/7" in drawn


@pytest.mark.parametrize("options", [Keyed(quiet=True), Keyed(json=True)])
def test_no_bar_is_drawn_for_programs(monkeypatch: pytest.MonkeyPatch, options: Keyed) -> None:
    monkeypatch.setattr(sys, "stderr", Tty())
    with transfer_bar("put", options) as bar:
        assert bar is None
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with transfer_bar("put", Keyed()) as bar:
        assert bar is None
