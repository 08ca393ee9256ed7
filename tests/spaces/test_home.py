"""Home: what was set up is there again, and what is not a setting is refused with a hint."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home, NotSetUp, Settings, SettingsDamaged, SpaceSetting, StoreSetting, UnknownName
from ropewalk.spaces.identity import WrongPassphrase
from tests.spaces.making import device


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "config", tmp_path / "state")


def _set(home: Home, settings: Settings) -> Settings:
    return home.update(lambda _: settings)


FULL = Settings(
    stores={"disk 1": StoreSetting("/mnt/ä", "00" * 16, {"machine": "here"})},
    spaces={"photos": SpaceSetting("11" * 32, ["disk 1"])},
    paper_shown="2026-11-22",
)


def test_settings_come_back(home: Home) -> None:
    assert home.load() == Settings()
    assert _set(home, FULL) == FULL == home.load()
    assert home.store("disk 1") == FULL.stores["disk 1"]
    assert home.space("photos") == FULL.spaces["photos"]
    assert stat.S_IMODE((home.config / "settings.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o700


def test_names_that_are_not_there_are_said_with_those_that_are(home: Home) -> None:
    with pytest.raises(UnknownName, match="known are: none"):
        home.store("disk")
    _set(home, FULL)
    with pytest.raises(UnknownName, match="known are: disk 1"):
        home.store("disk")
    with pytest.raises(UnknownName, match="known are: photos"):
        home.space("films")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "format = 2",
        "format = 'one'",
        "unknown = 1",
        "a = " + "[" * 60_000,
        "format = " + "9" * 10_000,
        "[stores.a]\npath = 1\nid = ''",
        "[stores.a]\npath = '/a'",
        "[spaces.a]\nid = ''\nstores = 'all'",
        "\udcff",
    ],
)
def test_settings_that_say_something_else_are_damaged_and_left_alone(home: Home, text: str) -> None:
    home.config.mkdir()
    path = home.config / "settings.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsDamaged):
        home.load()
    with pytest.raises(SettingsDamaged):
        _set(home, FULL)
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_a_change_that_fails_changes_nothing(home: Home) -> None:
    _set(home, FULL)

    def fail(_: Settings) -> Settings:
        raise Misuse("no")

    with pytest.raises(Misuse):
        home.update(fail)
    assert home.load() == FULL


def test_a_write_that_fails_leaves_the_old_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(home, FULL)

    def fail(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        _set(home, Settings())
    monkeypatch.undo()
    assert home.load() == FULL
    assert sorted(path.name for path in home.config.iterdir()) == [".lock", "settings.toml"]


def test_two_changes_do_not_undo_each_other(home: Home) -> None:
    def add(name: str) -> Settings:
        setting = StoreSetting(f"/{name}", "00" * 16)
        return home.update(lambda old: msgspec.structs.replace(old, stores={**old.stores, name: setting}))

    add("a")
    add("b")
    assert sorted(home.load().stores) == ["a", "b"]


def test_device_keys_are_kept_once_and_open_with_their_passphrase(home: Home) -> None:
    assert not home.has_keys
    with pytest.raises(NotSetUp):
        home.open_keys("word")
    home.keep_keys(device(), "word")
    assert home.key_file.exists()
    assert home.open_keys("word") == device()
    with pytest.raises(WrongPassphrase):
        home.open_keys("other")
    with pytest.raises(Misuse, match="already"):
        home.keep_keys(device(), "word")
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600


def test_keys_that_are_not_there_are_not_opened_ahead(home: Home) -> None:
    assert home.keys_ahead("secret") is None
    home.keep_keys(device(), "secret")
    ahead = home.keys_ahead("secret")
    assert ahead is not None
    assert home.open_keys("secret", ahead) == device()


def test_the_environment_can_say_where_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path))
    assert (Home.of_user().config, Home.of_user().state) == (tmp_path, tmp_path / "state")
    monkeypatch.delenv("ROPEWALK_HOME")
    assert "ropewalk" in os.fspath(Home.of_user().config)


def test_the_folder_of_a_space_is_private(home: Home) -> None:
    folder = home.space_folder("11" * 32)
    assert folder == home.space_folder("11" * 32)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
