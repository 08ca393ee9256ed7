"""Stores by where they are: an id that is not known yet is learnt once, and held from then on."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.errors import Misuse
from ropewalk.spaces import places
from ropewalk.spaces.home import Home, SettingsDamaged, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.places import UnknownPlace, opener, opens, scheme_of
from ropewalk.spaces.store import DiskStore

KEYS = DeviceKeys(bytes(32))


@pytest.mark.parametrize(
    ("place", "scheme"),
    [("/mnt/a", ""), ("a", ""), ("C://x", ""), ("tls://h:1#k", "tls"), ("unix:/a", "unix"), ("s3://b/p", "s3")],
)
def test_a_place_is_a_folder_or_has_a_scheme(place: str, scheme: str) -> None:
    assert scheme_of(place) == scheme


def test_a_scheme_that_nothing_knows_is_refused() -> None:
    with pytest.raises(UnknownPlace, match="gopher"):
        opens("gopher")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "home" / "state")


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """Which ids stores of the scheme ``far`` were opened with."""
    expected: list[bytes | None] = []

    async def open_far(place: str, identity: bytes | None, _home: Home, _device: DeviceKeys) -> DiskStore:
        expected.append(identity)
        return await DiskStore.open(tmp_path / place.removeprefix("far://"), identity)

    monkeypatch.setattr(places, "opens", lambda _: open_far)
    return expected


async def test_an_id_that_is_not_known_is_learnt_at_the_first_opening(
    home: Home, tmp_path: Path, far: list[bytes | None]
) -> None:
    made = await DiskStore.create(tmp_path / "a")
    await made.aclose()
    home.add_store("a", StoreSetting("far://a", "", {"site": "x"}))
    home.add_store("b", StoreSetting("far://b", ""))
    assert home.store("a").id == ""
    open_store = opener(home, KEYS)
    for _ in range(2):
        store = await open_store("far://a", bytes.fromhex(home.store("a").id))
        await store.aclose()
    assert far == [None, made.identity]
    assert home.store("a") == StoreSetting("far://a", made.identity.hex(), {"site": "x"})
    assert home.store("b").id == ""


async def test_two_names_for_one_store_are_refused_once_that_is_seen(
    home: Home, tmp_path: Path, far: list[bytes | None]
) -> None:
    made = await DiskStore.create(tmp_path / "a")
    await made.aclose()
    home.add_store("a", StoreSetting(str(tmp_path / "a"), made.identity.hex()))
    home.add_store("far", StoreSetting("far://a", ""))
    with pytest.raises(Misuse, match="'a' already"):
        await opener(home, KEYS)("far://a", b"")
    assert home.store("far").id == ""


def test_a_folder_has_an_id_from_the_start(home: Home) -> None:
    home.add_store("a", StoreSetting("far://a", ""))
    home.load()
    home.update(lambda old: replace(old, stores={"a": StoreSetting("/mnt/a", "")}))
    with pytest.raises(SettingsDamaged, match="32 hex digits"):
        home.load()
