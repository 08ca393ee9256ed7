"""`ropewalk space offline` and `space queue`: what waits is said, shown, published, taken out and given up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.spaces.home import Home
from tests.cli.conftest import Run
from tests.cli.inviting import MAIN
from tests.cli.noding import up

PATIENCE = 200  # looks at the queue until it is empty


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
    assert put.json["waits"].startswith("2 of 5 stores answer, the write floor is 4 (s0: ")
    assert "queued on this machine alone, and not acknowledged" in run("mkdir", "photos:/folder", status=12).err
    assert "2 changes wait on this machine alone" in run("ls", "photos:/").err
    log = run("log", "photos", "--json").lines
    assert [one["queued"] for one in log] == [True, True, False]
    assert run("log", "photos").out.count("(queued)") == 2
    shown = run("space", "queue", "photos", "--json", status=12).lines
    assert [one["note"] for one in shown] == ["put b.txt", "mkdir /folder"]
    assert [one["stuck"] for one in shown] == [False, False]
    assert all(one["why"].startswith("2 of 5 stores answer, the write floor is 4") for one in shown)
    back(away)
    assert "nothing waits" in run("space", "queue", "photos").err
    assert [one["queued"] for one in run("log", "photos", "--json").lines] == [False, False, False]
    assert run("cat", "photos:/b.txt").out == "queued"


def test_the_status_says_what_waits_once(run: Run, away: list[Path]) -> None:
    assert run("status", "photos", "--json").json["queue"] == {
        "allowed": True,
        "limit": 4 * 1024**3,
        "changes": 0,
        "bytes": 0,
        "since": None,
        "stuck": False,
        "why": None,
    }
    run("mkdir", "photos:/folder", status=12)
    said = run("status", "photos")
    assert said.out.startswith("1 change waits on this machine alone, since 20")
    assert (
        " UTC, to be published once enough stores answer: 2 of 5 stores answer, the write floor is 4; they" in said.out
    )
    assert "waits" not in said.err
    assert "store s0 is away: no store at " in said.out
    queue = run("status", "photos", "--json").json["queue"]
    assert (queue["changes"], queue["allowed"], queue["stuck"]) == (1, True, False)
    assert 500 < queue["bytes"] < 5000
    assert queue["since"] > 1_700_000_000 * 10**9
    assert "s0: no store at" in queue["why"]
    back(away)
    assert run("status", "photos", "--json").json["queue"]["changes"] == 0


def test_a_cache_too_small_to_be_one_is_told(run: Run, photos: Path) -> None:
    def with_cache(size: int) -> None:
        home = Home.of_user()
        home.update(
            lambda now: replace(now, spaces={"photos": replace(now.spaces["photos"], offline=True, cache=size)})
        )

    for size in (100, -5):
        with_cache(size)
        assert f"what was read is not kept: cache in {Home.of_user().settings_file} is {size} bytes" in (
            run("space", "offline", "photos").err
        )
    with_cache(0)
    assert run("space", "offline", "photos").err == ""


@pytest.mark.system
def test_two_commands_at_once_and_a_node_that_publishes(run: Run, away: list[Path], photos: Path) -> None:
    """What both have queued goes out by the node that keeps the space open, when stores are back."""
    Path("large").write_bytes(bytes(range(256)) * 3000)

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", MAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with up(photos, "home") as node:
        puts = [start("put", "large", f"photos:/{name}", "--json") for name in ("one", "two", "three")]
        said = [put.communicate(timeout=120) for put in puts]
        assert [put.returncode for put in puts] == [12, 12, 12], said
        assert all(json.loads(out)["queued"] for out, _ in said)
        folder = next((photos.parent / "home").glob("state/spaces/*/queue"))
        assert len(list(folder.glob("*.head"))) == 3
        back(away)
        for _ in range(PATIENCE):
            if not list(folder.iterdir()):
                break
            start("store", "list").communicate(timeout=60)  # opens no space
        assert not list(folder.iterdir())
        assert node.stop() == 0
    log = run("log", "photos", "--json").lines
    assert sorted(one["note"] for one in log[:3]) == ["put large"] * 3
    assert [one["queued"] for one in log] == [False] * 4
    assert run("ls", "photos:/").out.split() == ["before", "one", "three", "two"]
    assert run("check", "photos", "--all", "--json").json["missing"] == 0


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


def test_what_rotted_says_why_it_cannot_go_out_and_how_to_get_on(run: Run, away: list[Path], photos: Path) -> None:
    Path("large").write_bytes(random.Random(1).randbytes(500_000))
    run("put", "large", "photos:/large", status=12)
    folder = next((photos.parent / "home").glob("state/spaces/*"))
    (pack,) = folder.glob("queue/*.pack")
    data = bytearray(pack.read_bytes())
    data[1000] ^= 1
    pack.write_bytes(data)
    for file in folder.glob("cache.db*"):
        file.unlink()
    back(away)
    waiting = run("space", "queue", "photos", status=12).err
    assert "column 0 is not the one that was signed" in waiting
    assert "--export FOLDER" in waiting
    Path("small").write_text("after it")
    put = run("put", "small", "photos:/more", status=12).err
    assert "column 0 is not the one that was signed" in put
    assert "it cannot be published" in put
    first, _ = run("space", "queue", "photos", "--json", status=12).lines
    assert first["stuck"] is True
    assert "column 0" in first["why"]
    assert "and cannot be published: change" in run("status", "photos").out
    run("put", "large", "photos:/again")  # the same content once more makes the same pack
    assert "nothing waits" in run("space", "queue", "photos").err
    assert run("ls", "photos:/").out.split() == ["again", "before", "large", "more"]


def test_without_it_a_change_is_refused_as_before(run: Run, away: list[Path]) -> None:
    assert "needs its stores" in run("space", "offline", "photos", "off").out
    assert "write floor" in run("mkdir", "photos:/folder", status=5).err
    back(away)
    run("mkdir", "photos:/folder")


def test_a_space_that_is_not_there_is_told_before_a_passphrase(run: Run, user: Path) -> None:
    run("space", "offline", "nowhere", "on", status=3)
    run("space", "queue", "nowhere", status=3)
    assert user.exists()
