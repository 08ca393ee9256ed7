"""A steward is invited, joins, and looks after a space from the command line; what it may not do is told as that."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.cli.options import Keyed
from ropewalk.cli.output import Voice
from ropewalk.cli.watch import _Watching, watch
from tests.cli.conftest import As, Result, Run
from tests.cli.inviting import by_file
from tests.cli.keeping import kept
from tests.cli.pair import Pair

LARGE = random.Random(1).randbytes(1024 * 1024)


@pytest.fixture
def work(photos: Path, machine: As) -> Path:
    """A space of two versions, and "box", a machine whose member is a steward of it."""

    def make() -> None:
        for name, data in (("small", b"small"), ("large", LARGE)):
            (photos / name).write_bytes(data)
            machine("home", "put", str(photos / name), f"photos:/{name}", "--note", f"with {name}")
        by_file(photos, machine, "box", "--role", "steward", "--as", "box")

    kept("photos with a steward", photos, make)
    return photos


@pytest.fixture
def box(work: Path, machine: As) -> Callable[..., Result]:
    """A command on the steward's machine."""
    assert work.exists()
    return lambda *words, status=0: machine("box", *words, status=status)


def shares(work: Path) -> list[Path]:
    return sorted(work.glob("s*/*/packs/*"))


def test_a_steward_is_told_what_it_can_do_and_gets_no_error_of_a_name(photos: Path, machine: As) -> None:
    invite = photos / "invite"
    machine("home", "invite", "photos", "--role", "steward", "--as", "box", "--file", str(invite))
    machine("box", "join", "--file", str(invite), "--yes")
    (answer,) = photos.glob("*.answer")
    machine("home", "invite", "photos", "--answer", str(answer))
    joined = machine("box", "join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome")))
    assert "photos is here now as box: steward, 5 stores" in joined.out
    assert joined.err.splitlines()[-1] == (
        "note: a steward reads nothing: `ropewalk watch SPACE` beats and says what comes, `ropewalk repair SPACE` mends"
    )
    assert "no name" not in joined.err


def test_a_steward_sees_who_belongs_and_what_was_signed(box: Callable[..., Result], machine: As) -> None:
    people = box("members", "photos", "--json").lines
    assert [(one["name"], one["role"], one["you"]) for one in people] == [
        (None, "admin", False),
        (None, "steward", True),
    ]
    assert "member " in box("members", "photos").out
    (mine,) = [one for one in box("device", "list", "--json").lines if one["this"]]
    assert (mine["name"], mine["spaces"]) == (None, ["photos"])
    versions = [one["version"] for one in machine("home", "log", "photos", "--json").lines]
    heads = [one for one in box("audit", "photos", "--json").lines if one["kind"] == "head"]
    assert [one["version"] for one in heads] == versions
    for one in heads:
        assert (one["time"], one["note"], one["stand"]) == (None, "", "counts")
        assert one["seen"] is not None
    said = box("audit", "photos").out
    assert said.count("seen here then") == 2
    assert "with small" not in said


def test_a_steward_sees_what_holds_and_that_all_is_well(box: Callable[..., Result]) -> None:
    found = box("status", "photos", "--json").json
    assert (found["versions"], found["entries"], found["packs"], found["promise"]["kept"]) == (2, None, 1, True)
    assert found["freshness"] is not None
    assert "entries" not in box("status", "photos").out
    assert box("check", "photos", "--json").json["ok"] is True
    everything = box("check", "photos", "--all", "--json").json
    assert (everything["ok"], everything["problems"]) == (True, [])


@pytest.mark.parametrize("harm", ["gone", "turned", "cut"])
def test_a_steward_finds_and_mends_what_a_store_has_lost_or_gives_wrong(
    box: Callable[..., Result], work: Path, machine: As, harm: str
) -> None:
    before = {path: path.read_bytes() for path in shares(work)}
    assert len(before) == 5
    path = shares(work)[1]
    path.chmod(0o600)
    if harm == "gone":
        path.unlink()
    elif harm == "turned":
        path.write_bytes(bytes(byte ^ 1 for byte in before[path]))
    else:
        path.write_bytes(before[path][:-1])
    assert box("check", "photos", "--all", "--json", status=6).json["ok"] is False
    mended = box("repair", "photos", "--json").json
    assert (mended["packs"], mended["shares"], mended["lost"], mended["owed"]) == (1, 1, 0, 0)
    assert box("check", "photos", "--all", "--json").json["ok"] is True
    assert {path: path.read_bytes() for path in shares(work)} == before
    assert machine("home", "cat", "photos:/small").out == "small"


@pytest.mark.parametrize(
    "words",
    [
        ("ls", "photos:/"),
        ("ls", "photos:/", "--at", "abcd"),
        ("cat", "photos:/small"),
        ("find", "photos:/"),
        ("du", "photos:/"),
        ("log", "photos"),
        ("diff", "photos@abcd"),
        ("get", "photos:/small", "here"),
        ("put", "new", "photos:/new"),
        ("mkdir", "photos:/folder"),
        ("mv", "photos:/small", "photos:/other"),
        ("rm", "photos:/small"),
        ("conflicts", "photos"),
        ("merge", "photos:/small"),
        ("invite", "photos", "--file", "invite"),
    ],
)
def test_what_needs_the_keys_of_members_is_refused_with_a_way_out(
    box: Callable[..., Result], work: Path, words: tuple[str, ...]
) -> None:
    (work / "new").write_bytes(b"new")
    refused = box(*words, "--json", status=4)
    assert refused.out == ""
    assert refused.error["code"] == "keys.members-only"
    assert "steward" in refused.error["message"]
    assert "ropewalk member role NAME reader" in refused.error["hint"]
    assert not (work / "here").exists()


def test_a_steward_gives_a_space_one_more_store_and_takes_it_away_again(
    box: Callable[..., Result], work: Path, machine: As
) -> None:
    box("store", "add", "more", str(work / "more"))
    box("space", "add-store", "photos", "more")
    assert len(list((work / "more").glob("*/records/*"))) == len(list((work / "s0").glob("*/records/*"))) > 0
    box("space", "remove-store", "photos", "more")
    assert machine("home", "cat", "photos:/small").out == "small"


def test_a_steward_lets_one_more_machine_of_its_own_in(box: Callable[..., Result], work: Path, machine: As) -> None:
    invite = work / "more"
    before = set(work.glob("*.answer"))
    box("device", "add", "--file", str(invite))
    machine("spare", "join", "--file", str(invite), "--yes")
    (answer,) = set(work.glob("*.answer")) - before
    box("device", "add", "--answer", str(answer))
    joined = machine("spare", "join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome")))
    assert "steward" in joined.out
    assert machine("spare", "check", "photos", "--json").json["ok"] is True
    assert "steward" in machine("spare", "ls", "photos:/", status=4).err
    assert len([one for one in box("device", "list", "--json").lines if not one["paper"]]) == 2


def test_a_steward_leaves_by_itself(box: Callable[..., Result], machine: As) -> None:
    (mine,) = [one for one in box("members", "photos", "--json").lines if one["you"]]
    box("member", "remove", mine["id"][:8], "--yes")
    assert [one["role"] for one in machine("home", "members", "photos", "--json").lines] == ["admin"]


def test_roles_change_and_the_machine_goes_on_with_what_it_had(box: Callable[..., Result], machine: As) -> None:
    machine("home", "member", "role", "box", "reader")
    assert box("ls", "photos:/").out.split() == ["large", "small"]
    machine("home", "member", "role", "box", "steward")
    machine("home", "mv", "photos:/small", "photos:/renamed")
    assert "steward" in box("ls", "photos:/", status=4).err
    assert box("check", "photos", "--json").json["ok"] is True
    machine("home", "member", "role", "box", "writer")
    listed = box("ls", "photos:/")
    assert listed.out.split() == ["large", "renamed"]
    assert listed.err == ""
    box("mkdir", "photos:/by-box")
    assert "by-box/" in machine("home", "ls", "photos:/").out.split()


# ---- watching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setenv("ROPEWALK_HOME", str(work.parent / "box"))
    return Pair(work, run, monkeypatch)


async def test_a_steward_who_watches_is_told_that_a_version_came_by_whom_and_when(
    pair: Pair, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    heard = ""
    watching = asyncio.create_task(watch("photos", number=1, common=Keyed()))
    while "watching photos" not in heard and not watching.done():
        await asyncio.sleep(0)
        heard += capfdbinary.readouterr()[1].decode()
    async with pair.open("home") as annas, annas.change("a secret note") as change:
        await change.write("new", b"1")
    assert await watching == 0
    out, err = capfdbinary.readouterr()
    (line,) = out.decode().splitlines()
    assert "device " in line
    assert line.endswith("  a new version, seen now")
    assert "secret" not in line + err.decode()


async def test_programs_are_told_what_is_not_known(pair: Pair, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    async with pair.open("box") as boxes:
        watching = _Watching(boxes, Voice(json=True))
        await boxes.live.start()
        following = asyncio.create_task(watching.follow(1))
        async with pair.open("home") as annas:
            outcome = await annas.write("new", b"1")
            assert outcome is not None
            await following
            who = annas.core.device.public().id.hex()
    (line,) = map(json.loads, capfdbinary.readouterr()[0].splitlines())
    assert (line["version"], line["device"]) == (outcome.head.hash.hex(), who)
    assert (line["time"], line["entries"], line["note"]) == (None, None, None)
    assert line["seen"] is not None
