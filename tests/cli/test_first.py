"""What `ropewalk up --new` sets up first: once, and only what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.cli.first import FOLDERS, SPACE, first
from ropewalk.cli.options import Keyed
from ropewalk.spaces.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "pass word")
    return Home.of_user()


def test_it_makes_keys_and_a_space_over_three_folders_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first(home, Keyed(), yes=True)
    settings = home.load()
    assert settings.spaces[SPACE].stores == list(FOLDERS)
    assert all(Path(one.path).is_relative_to(home.config / "stores") for one in settings.stores.values())
    assert len({one.domains["machine"] for one in settings.stores.values()}) == 1, "no promise that one machine breaks"
    told = capsys.readouterr()
    assert "not against its loss" in told.err
    keys = home.key_file.read_bytes()
    first(home, Keyed(), yes=True)
    assert (home.load(), home.key_file.read_bytes()) == (settings, keys)
    assert capsys.readouterr() == ("", "")


def test_where_stores_are_set_up_the_space_is_left_to_their_owner(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first(home, Keyed(), yes=True)
    home.update(lambda now: type(now)(stores=now.stores))
    first(home, Keyed(), yes=True)
    assert home.load().spaces == {}
