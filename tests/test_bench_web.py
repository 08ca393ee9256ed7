"""The web benchmark's own parts, and one tiny run of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import figures
import pytest
import web
import web_ours
import web_peers
from figures import Figure
from measure import Failed
from remote import PEERS_PYTHON
from report import Report
from web_ours import BARE, OURS
from web_peers import TWISTED, UVICORN

LIGHT = replace(figures.QUICK, rounds=1, section=0.01)
SAID = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.87ms    2.05ms  31.87ms   88.31%
  33107 requests in 5.10s, 3.63MB read
{trouble}Requests/sec:   6491.57
Transfer/sec:    728.84KB
"""


def test_what_the_load_generator_says_is_read() -> None:
    assert web.read(SAID.format(trouble="")) == (33107, 6491.57)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (SAID.format(trouble="  Non-2xx or 3xx responses: 5\n"), "Non-2xx or 3xx responses: 5"),
        (SAID.format(trouble="  Socket errors: connect 0, read 3, write 0, timeout 0\n"), "Socket errors: .* read 3"),
        (SAID.format(trouble="").replace("33107", "0"), "no answers"),
        ("unable to connect", "no answers"),
        ("", "no answers"),
    ],
)
def test_a_run_with_errors_or_without_answers_counts_for_nothing(said: str, told: str) -> None:
    with pytest.raises(Failed, match=told):
        web.read(said)


def test_without_the_load_generator_the_part_is_left_out_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    report = Report({})
    web.requests(report, LIGHT, tmp_path)
    assert (report.figures, report.goals) == ([], [])
    assert report.notes == ["web is left out: wrk is not installed (`apt install wrk`)"]


def test_goals_are_of_ours_beside_each_peer_that_is_there() -> None:
    def cpu(**values: float) -> dict[str, Figure]:
        names = {"ours": OURS, "uvicorn": UVICORN, "twisted": TWISTED}
        return {names[side]: Figure("work", names[side], "us", [value]) for side, value in values.items()}

    found = {"hello": cpu(ours=20, uvicorn=19, twisted=40), "file": cpu(ours=50, uvicorn=500, twisted=200)}
    report = Report({})
    web.judge(report, found)
    assert [(goal.got, goal.limit, goal.met) for goal in report.goals] == [
        (20 / 19, 1.0, False),
        (0.5, 0.5, True),
        (0.25, 0.25, True),
    ]
    report = Report({})
    web.judge(report, {"hello": cpu(ours=20, uvicorn=21), "file": cpu(ours=50)})
    assert [goal.met for goal in report.goals] == [True]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_tiny_run_has_its_sides_and_notes_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PEERS_PYTHON, raising=False)
    absent = replace(web_peers.SIDES[TWISTED], needs=("no_such_module",))
    monkeypatch.setattr(web_peers, "SIDES", {"not there": absent})
    ours = {side: web_ours.SIDES[side] for side in (BARE, OURS)}
    monkeypatch.setattr(web_ours, "SIDES", ours)
    monkeypatch.setattr(web, "_SIDES", {**ours, "not there": absent})
    report = Report({})
    web.requests(report, LIGHT, tmp_path)
    found = {(figure.work, figure.side) for figure in report.figures}
    titles = {title for title, _, _ in web.WORKS.values()}
    assert found == {(title, side) for title in titles for side in (BARE, OURS)}
    assert all(len(figure.values) == 1 and figure.values[0] > 0 for figure in report.figures)
    assert all("requests/s" in figure.more for figure in report.figures)
    assert report.goals == []
    assert report.notes[0].startswith("web without not there (no_such_module): not installed; set ")


@pytest.mark.system
def test_a_server_that_answers_wrong_is_not_measured(tmp_path: Path) -> None:
    with web.started(OURS, "hello", tmp_path) as server:
        check = partial(web.check, f"http://127.0.0.1:{server.said()}/", OURS)
        check(b"Hello, World!")
        with pytest.raises(Failed, match="answered 13 other bytes, expected 4"):
            check(b"else")
    with pytest.raises(Failed, match="did not answer"):
        check(b"Hello, World!")
