"""`ropewalk space offline` and `space queue`: what waits is said, shown, published, taken out and given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def away(run: Run, photos: Path) -> list[Path]:
    """A space in which offline work is allowed, three of whose five stores have just gone."""
    (photos / "a.txt").write_text("before")
    run("put", "a.txt", "photos:/before")
    assert "is off" in run("space", "offline", "photos").out
    said = run("space", "offline", "photos", "on", "--json").json
    assert said == {"space": "photos", "offline": True, "queue": 4 * 1024**3, "cache": 256 * 1024**2}
    gone = [photos / f"s{number}" for number in range(3)]
    for folder in gone:
        folder.rename(folder.with_suffix(".gone"))
    return gone


def back(gone: list[Path]) -> None:
    for folder in gone:
        folder.with_suffix(".gone").rename(folder)


def test_what_is_queued_has_a_status_of_its_own_and_is_published_later(run: Run, away: list[Path]) -> None:
    Path("b.txt").write_text("queued")
    put = run("put", "b.txt", "photos:/", "--json", status=12)
    assert (put.json["queued"], put.json["copies"], put.json["stores"]) == (True, 0, 5)
    assert "queued on this machine alone, and not acknowledged" in run("mkdir", "photos:/folder", status=12).err
    assert "2 changes wait on this machine alone" in run("ls", "photos:/").err
    log = run("log", "photos", "--json").lines
    assert [one["queued"] for one in log] == [True, True, False]
    assert run("log", "photos").out.count("(queued)") == 2
    shown = run("space", "queue", "photos", "--json", status=12).lines
    assert [one["note"] for one in shown] == ["put b.txt", "mkdir /folder"]
    back(away)
    assert "nothing waits" in run("space", "queue", "photos").err
    assert [one["queued"] for one in run("log", "photos", "--json").lines] == [False, False, False]
    assert run("cat", "photos:/b.txt").out == "queued"


def test_what_waits_is_taken_out_then_given_up(run: Run, away: list[Path]) -> None:
    Path("b.txt").write_text("queued")
    Path("taken").mkdir()
    Path("taken", "there").touch()
    run("put", "b.txt", "photos:/folder/b.txt", status=12)
    run("rm", "photos:/before", status=12)
    assert "no empty folder" in run("space", "queue", "photos", "--export", "taken", "--drop", status=2).err
    run("space", "queue", "photos", "--export", "out", "--drop")
    assert Path("out/folder/b.txt").read_text() == "queued"
    assert [path.name for path in Path("out").rglob("*")] == ["folder", "b.txt"]
    back(away)
    assert run("ls", "photos:/").out == "before\n"


def test_without_it_a_change_is_refused_as_before(run: Run, away: list[Path]) -> None:
    assert "needs its stores" in run("space", "offline", "photos", "off").out
    assert "write floor" in run("mkdir", "photos:/folder", status=5).err
    back(away)
    run("mkdir", "photos:/folder")


def test_a_space_that_is_not_there_is_told_before_a_passphrase(run: Run, user: Path) -> None:
    run("space", "offline", "nowhere", "on", status=3)
    run("space", "queue", "nowhere", status=3)
    assert user.exists()
