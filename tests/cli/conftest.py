"""What the tests of the command line share: a user with a home and a folder to work in, commands in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ropewalk.cli import outcome
from ropewalk.cli.main import main
from ropewalk.spaces import identity
from tests.cli.keeping import kept

STORES = 5


@dataclass(frozen=True)
class Result:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        """The error that --json gave."""
        found: dict[str, str] = json.loads(self.err.splitlines()[-1])["error"]
        return found


Run = Callable[..., Result]
As = Callable[..., Result]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user in a folder of their own, who has set up nothing; keys open fast, and no busy disk is owed anything."""
    monkeypatch.setattr(identity, "MEMORY", 64)
    monkeypatch.setattr(identity, "PASSES", 1)
    monkeypatch.setattr(outcome, "PATIENCE", 60.0)
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "one two three")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def run(user: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """A command, run in this process; a status other than 0 must be expected."""

    def command(*words: str, status: int = 0) -> Result:
        capfdbinary.readouterr()
        got = main(words)
        out, err = capfdbinary.readouterr()
        result = Result(got, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"))
        assert got == status, result
        return result

    return command


@pytest.fixture
def photos(run: Run, user: Path) -> Path:
    """A space called photos over five stores, s0 to s4, any two of which may be lost."""

    def make() -> None:
        run("init", "--yes")
        for at in range(STORES):
            run("store", "add", f"s{at}", str(user / f"s{at}"), "--domain", f"machine=here,disk=d{at}")
        names = ",".join(f"s{at}" for at in range(STORES))
        run("space", "create", "photos", "--stores", names, "--survive", "2", "--across", "store")

    kept("photos", user, make)
    return user


@pytest.fixture
def machine(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> As:
    """A command on one of several machines, each with a home of its own: the first word says which."""

    def command(home: str, *words: str, status: int = 0) -> Result:
        with monkeypatch.context() as there:
            there.setenv("ROPEWALK_HOME", str(user.parent / home))
            return run(*words, status=status)

    return command
