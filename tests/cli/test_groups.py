"""`ropewalk invite`, `join`, `device`, `members`, `member`: people come, go, and come to see the same.

Two homes over the same folders are two machines; an inviter that waits is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ropewalk.cli import join
from ropewalk.spaces.home import Home
from tests.cli.conftest import Result, Run

As = Callable[..., Result]
_MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ropewalk.spaces import identity
identity.MEMORY, identity.PASSES = 64, 1
from ropewalk.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def machine(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> As:
    """A command on one of several machines, each with a home of its own: the first word says which."""

    def command(home: str, *words: str, status: int = 0) -> Result:
        with monkeypatch.context() as there:
            there.setenv("ROPEWALK_HOME", str(user.parent / home))
            return run(*words, status=status)

    return command


class Waiting:
    """An inviter that waits for somebody."""

    def __init__(self, home: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "ROPEWALK_HOME": str(home)},
        )
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline() or b"{}")

    @property
    def command(self) -> list[str]:
        """What to type on the other machine."""
        words: list[str] = self.told["command"].split()[1:]
        return [word.replace(_host(word), "127.0.0.1") if word.startswith("tcp://") else word for word in words]

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Exit status, the documents that followed, and what went to stderr."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


def _host(url: str) -> str:
    return url.removeprefix("tcp://").rpartition(":")[0]


@contextmanager
def waiting(user: Path, *words: str) -> Iterator[Waiting]:
    """One that is ended, whatever happens."""
    one = Waiting(user.parent / "home", *words)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def invited(user: Path, machine: As, home: str, *words: str, joining: tuple[str, ...] = ()) -> dict[str, Any]:
    """Somebody is let in by a code; what the joiner was told."""
    with waiting(user, *words) as inviter:
        joined = machine(home, *inviter.command, *joining, "--yes", "--json")
        status, done, err = inviter.end()
    assert status == 0, err
    assert len(done) >= 1
    told: dict[str, Any] = joined.lines[-1]
    return told


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
    monkeypatch.setattr(join, "PATIENCE", 0.5)
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
    again = machine("home", "invite", "photos", "--answer", str(next(photos.glob("*.answer"))), "--json", status=4)
    assert again.error["code"] == "invite.used"


def by_file(user: Path, machine: As, home: str, *words: str) -> Path:
    """Somebody is let in by an invite, an answer and a welcome file; the invite file."""
    invite = user / f"{home}.invite"
    machine("home", "invite", "photos", "--file", str(invite), *words)
    before = set(user.glob("*.answer"))
    machine(home, "join", "--file", str(invite), "--yes")
    (answer,) = set(user.glob("*.answer")) - before
    machine("home", "invite", "photos", "--answer", str(answer))
    machine(home, "join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome")))
    return invite


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
