"""Anna's machine, whose words are known, for the tests of `ropewalk recovery`.

Flow: an_anna -> Anna.new_words, Anna.restore -> commands in this process
Never: waits.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.conftest import STORES, Result, Run
from tests.cli.keeping import kept
from tests.cli.pair import Pair

__all__ = ["Anna", "Terminal", "an_anna", "grouped"]


def grouped(space_id: str) -> str:
    """The digits of an id that are shown."""
    return "-".join(space_id[at : at + 4] for at in range(0, 32, 4))


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


class Anna(Pair):
    """Anna's machine, whose words are known."""

    words: str

    def say(self, words: str) -> None:
        """What is typed next."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(words + "\n"))

    def ids(self) -> list[str]:
        """Options that name all spaces of Anna's first machine."""
        spaces = self.home("home").load().spaces
        return [word for name in sorted(spaces) for word in ("--id", spaces[name].id)]

    def restore(self, home: str, words: str, *options: str, status: int = 0) -> Result:
        """Somebody comes back in a home, with words, to all spaces of Anna's first machine."""
        self.say(words)
        return self.of(home, "recovery", "restore", *self.ids(), *options, status=status)

    def new_words(self, *options: str, old: str = "", status: int = 0) -> Result:
        """New words, which nobody is asked about; with the old ones, where they are given."""
        self.say(old)
        return self.anna("recovery", "paper", "--yes", *(["--old-words"] if old else []), *options, status=status)

    def members(self, home: str = "home", space: str = "photos") -> list[dict[str, object]]:
        """Who belongs, as a home sees it."""
        return self.of(home, "members", space, "--json").lines


def an_anna(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> Anna:
    """Anna, with a space photos over all stores and a file in it."""
    anna = Anna(user, run, monkeypatch)

    def make() -> str:
        words = str(anna.anna("init", "--yes", "--json").json["paper_key"])
        anna.stores("home")
        stores = ",".join(f"s{at}" for at in range(STORES))
        anna.anna("space", "create", "photos", "--stores", stores, "--survive", "2")
        anna.put("home", "a", "kept")
        return words

    anna.words = kept("anna", user, make)
    return anna
