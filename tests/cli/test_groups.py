"""`ropewalk invite`, `join`, `device`, `members`, `member`: people come, go, and come to see the same.

Two homes over the same folders are two machines; an inviter that waits is a process of its own.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from ropewalk.cli import join
from ropewalk.spaces.home import Home
from tests.cli.conftest import As
from tests.cli.inviting import by_file, invited, waiting


@pytest.mark.system
def test_by_a_code_anna_reads_and_writes_the_same_space(machine: As, photos: Path) -> None:
    machine("home", "put", _file(photos, "old", b"from the start"), "photos:/old")
    told = invited(photos, machine, "anna", "invite", "photos", "--role", "writer", "--as", "anna")
    assert (told["space"], told["role"], told["name"], told["missing"]) == ("photos", "writer", "anna", [])
    assert len(told["stores"]) == 5
    assert machine("anna", "cat", "photos:/old").out == "from the start"
    machine("anna", "put", _file(photos, "new", b"from anna"), "photos:/new")
    assert machine("home", "cat", "photos:/new").out == "from anna"
    people = machine("home", "members", "photos", "--json").lines
    assert [(one["name"], one["role"], one["you"]) for one in people] == [
        (people[0]["name"], "admin", True),
        ("anna", "writer", False),
    ]
    assert {one["paper"] for one in people[1]["devices"]} == {True, False}


@pytest.mark.system
def test_a_code_is_good_for_one_try(machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(photos, "invite", "photos") as inviter:
        words = inviter.command
        number = words[1].partition("-")[0]
        machine("eve", "init", "--yes")
        wrong = f"{number}-{'crossover-clockwork' if 'crossover' not in words[1] else 'onlooker-dupont'}"
        refused = machine("eve", "join", wrong, *words[2:], "--json", status=4)
        assert refused.error["code"] == "invite.abandoned"
        status, _, err = inviter.end()
        assert status == 4
        assert json.loads(err.splitlines()[-1])["error"]["code"] == "invite.wrong-code"
    monkeypatch.setattr(join, "PATIENCE", 0.5)
    late = machine("anna", *words, "--yes", "--json", status=5)
    assert "nobody listens there" in late.err
    assert [one["role"] for one in machine("home", "members", "photos", "--json").lines] == ["admin"]


@pytest.mark.system
def test_an_invite_that_is_withdrawn_is_void(machine: As, photos: Path) -> None:
    with waiting(photos, "invite", "photos") as inviter:
        inviter.process.send_signal(signal.SIGINT)
        status, _, _ = inviter.end()
    assert status == 130
    folder = photos.parent / "home" / "state" / "invites"
    assert sorted(name.suffix for name in folder.iterdir() if name.suffix in (".open", ".burnt")) == [".burnt", ".open"]


@pytest.mark.system
def test_admins_are_invited_with_three_words(machine: As, photos: Path) -> None:
    with waiting(photos, "invite", "photos", "--role", "admin") as inviter:
        assert inviter.told["code"].count("-") == 3


def test_who_is_put_out_reads_nothing_new(machine: As, photos: Path) -> None:
    by_file(photos, machine, "bob", "--as", "bob")
    machine("bob", "put", _file(photos, "his", b"bob was here"), "photos:/his")
    removed = machine("home", "member", "remove", "bob", "--json")
    assert removed.json["epoch"] == 2
    assert removed.json["exposed"] == []
    machine("home", "put", _file(photos, "secret", b"not for bob"), "photos:/secret")
    assert machine("bob", "cat", "photos:/his").out == "bob was here"
    gone = machine("bob", "cat", "photos:/secret", status=3)
    assert "this device was put out of photos" in gone.err
    refused = machine("bob", "put", _file(photos, "late", b"x"), "photos:/late", "--json", status=4)
    assert refused.error["code"] == "space.read-only"
    assert machine("home", "cat", "photos:/his").out == "bob was here"
    assert [one["name"] for one in machine("home", "members", "photos", "--json").lines][1:] == []
    assert machine("home", "member", "remove", "bob", "--json", status=3).error["code"] == "members.no-such-person"


def test_roles(machine: As, photos: Path) -> None:
    by_file(photos, machine, "anna", "--as", "anna")
    machine("home", "member", "role", "anna", "reader")
    refused = machine("anna", "put", _file(photos, "x", b"x"), "photos:/x", status=4)
    assert "its role is reader" in refused.err
    assert machine("anna", "ls", "photos:/").out == ""
    assert "only an admin" in machine("anna", "invite", "photos", "--file", "i", status=4).err
    assert machine("anna", "member", "remove", _me(machine, "home"), "--json", status=4).error["code"] == (
        "members.not-allowed"
    )
    machine("home", "member", "role", "anna", "admin")
    machine("anna", "member", "remove", _me(machine, "home"))
    assert "this device was put out" in machine("home", "put", _file(photos, "y", b"y"), "photos:/y", status=4).err


def test_the_last_admin_stays(machine: As, photos: Path) -> None:
    me = _me(machine, "home")
    for words in (["member", "remove", me, "--yes"], ["member", "role", me, "writer"]):
        assert machine("home", *words, "--json", status=4).error["code"] == "group.last-admin"


@pytest.mark.system
def test_one_more_machine_of_ones_own(machine: As, photos: Path) -> None:
    machine("home", "space", "create", "music", "--stores", "s0,s1,s2", "--survive", "1", "--across", "store")
    machine("home", "put", _file(photos, "song", b"la"), "music:/song")
    invited(photos, machine, "laptop", "device", "add", joining=("--device", "old-laptop"))
    assert machine("laptop", "cat", "music:/song").out == "la"
    listed = machine("home", "device", "list", "--json").lines
    assert [(one["name"], one["spaces"]) for one in listed if one["name"] == "old-laptop"] == [
        ("old-laptop", ["music", "photos"])
    ]
    assert sum(one["paper"] for one in listed) == 1
    revoked = machine("home", "device", "revoke", "old-laptop", "--json").lines
    assert [one["space"] for one in revoked] == ["music", "photos"]
    assert "was put out" in machine("laptop", "put", _file(photos, "z", b"z"), "music:/z", status=4).err
    assert "this device itself" in machine("home", "device", "revoke", _this(listed), status=2).err


def test_by_files_alone(machine: As, photos: Path) -> None:
    invite = by_file(photos, machine, "carl", "--as", "carl", "--role", "admin")
    assert machine("home", "members", "photos", "--json").lines[1]["role"] == "admin"
    assert invite.stat().st_mode & 0o777 == 0o600
    before = set(photos.glob("*.answer"))
    for answer in before:
        answer.unlink()
    machine("eve", "join", "--file", str(invite), "--yes")
    (other,) = photos.glob("*.answer")
    again = machine("home", "invite", "photos", "--answer", str(other), "--json", status=4)
    assert again.error["code"] == "invite.used"
    assert len(machine("home", "members", "photos", "--json").lines) == 2


def _file(user: Path, name: str, data: bytes) -> str:
    path = user / f"file-{name}"
    path.write_bytes(data)
    return str(path)


def _me(machine: As, home: str) -> str:
    return next(str(one["id"]) for one in machine(home, "members", "photos", "--json").lines if one["you"])


def _this(listed: list[dict[str, Any]]) -> str:
    return next(str(one["id"]) for one in listed if one["this"])


def test_stores_that_are_not_within_reach_are_named(machine: As, photos: Path) -> None:
    invite = photos / "invite"
    machine("home", "invite", "photos", "--file", str(invite), "--no-places")
    machine("dora", "join", "--file", str(invite), "--yes")
    (answer,) = photos.glob("*.answer")
    machine("home", "invite", "photos", "--answer", str(answer))
    welcome = str(answer.with_suffix(".welcome"))
    refused = machine("dora", "join", "--file", str(invite), "--welcome", welcome, status=2)
    assert "none of the 5 stores of photos is within reach" in refused.err
    machine("dora", "store", "add", "mine", str(photos / "s0"))
    told = machine("dora", "join", "--file", str(invite), "--welcome", welcome, "--stores", "mine")
    assert told.err.count("is not set up here") == 4
    assert "machine=here" in told.err
    assert set(Home(photos.parent / "dora", photos.parent / "dora" / "state").load().spaces) == {"photos"}
