"""The bench of the pages: its film, its node, and tiny runs that have all figures and goals."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pages
import pages_browser
import pages_node
import pytest
from figures import QUICK
from measure import Failed
from pages_film import KEY_EVERY, Frame, write_film
from pages_node import Place, running
from report import Report
from run import GROUPS, PAGES

TINY = replace(QUICK, rounds=1, rest=0.05, streamed=8 << 20, entries=450, sought=3)
LIMITS = {
    "folder": [1000.0, 100.0],
    "transfer": [100.0, 200.0],
    "film": [300.0, 300.0],
    "up": [3.0, 3.0],
    "page": [200.0, 1.0] * 2,
}
FIGURES = {"folder": 5, "transfer": 2, "film": 4, "up": 2, "page": 4}
MAY_BE_NOTHING = ("CPU", "tasks", "longest task")  # in so short a time, or on a quick machine


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="a process's memory is read from /proc")
@pytest.mark.parametrize("part", PAGES)
def test_a_tiny_run_has_its_figures_and_goals(part: str, tmp_path: Path) -> None:
    if part != "up" and (missing := pages_browser.lacks()):
        pytest.skip(missing)
    module, function = PAGES[part]
    report = Report({})
    getattr(import_module(module), function)(report, TINY, tmp_path)
    report.text()
    assert [goal.limit for goal in report.goals] == LIMITS[part]
    assert len(report.figures) == FIGURES[part]
    assert all(value > 0 for figure in report.figures for value in figure.values if figure.side not in MAY_BE_NOTHING)
    assert report.notes == []


@pytest.mark.parametrize("part", [part for part in PAGES if part != "up"])
def test_without_a_browser_a_part_is_left_out_and_says_so(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_browser, "which", lambda _name: None)
    report = Report({})
    getattr(pages, part)(report, TINY, tmp_path)
    assert (report.figures, report.goals) == ([], [])
    assert report.notes == [f"pages without {part}: chromium is not installed (`apt install chromium`)"]


def test_all_parts_are_run_by_one_word() -> None:
    assert GROUPS["pages"] == tuple(LIMITS) == tuple(PAGES)


def test_each_cue_of_a_film_leads_to_a_whole_picture(tmp_path: Path) -> None:
    frames = [Frame(at % KEY_EVERY == 0, os.urandom(100)) for at in range(4 * KEY_EVERY)]
    file = tmp_path / "film.webm"
    seconds = write_film(frames, file, 50_000)
    data = file.read_bytes()
    assert len(data) > 50_000
    segment = data.index(b"\x18\x53\x80\x67") + 12
    assert int.from_bytes(data[segment - 8 : segment], "big") & ~(1 << 56) == len(data) - segment
    cues = data.index(b"\x1c\x53\xbb\x6b")
    at, places = cues, []
    first = data.index(b"\x1f\x43\xb6\x75", cues)
    while (at := data.find(b"\xf1" + (1 << 56 | 8).to_bytes(8, "big"), at, first)) >= 0:
        places.append(int.from_bytes(data[at + 9 : at + 17], "big"))
        at += 17
    assert len(places) == seconds / 2 == -(-50_000 // (len(data) - segment - places[-1])), "two seconds have 48 frames"
    for number, place in enumerate(places):
        cluster = data[segment + place :]
        assert cluster[:4] == b"\x1f\x43\xb6\x75"
        assert int.from_bytes(cluster[21:29], "big") == 2000 * number
        assert cluster[29:30] == b"\xa3"
        assert cluster[38:42] == b"\x81\x00\x00\x80", "the first picture of track 1, at no time after, and whole"


@pytest.mark.system
def test_a_node_that_does_not_begin_says_why(tmp_path: Path) -> None:
    with running(Place(tmp_path), "--no-such-word") as node, pytest.raises(Failed, match="no-such-word"):
        node.answers()


@pytest.mark.system
@pytest.mark.slow
def test_a_node_is_waited_for_no_longer_than_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_node, "PATIENCE", 0.0)
    with running(Place(tmp_path)) as node:
        with pytest.raises(Failed, match="wrote no file that lets in"):
            node.address()
        monkeypatch.setattr(pages_node, "PATIENCE", 60.0)  # to end it as it should
