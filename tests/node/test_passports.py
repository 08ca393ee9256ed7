"""Stores are looked at again when it is time, and one that cannot be looked at stops nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ropewalk.node.passports import Passports
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import EVERY, load
from ropewalk.spaces.store import DiskStore

KEYS = DeviceKeys(bytes([5]) * 32)


async def _home(folder: Path) -> tuple[Home, bytes]:
    home = Home(folder / "home", folder / "home" / "state")
    store = await DiskStore.create(folder / "disk")
    home.add_store("disk", StoreSetting(str(folder / "disk"), store.identity.hex()))
    await store.aclose()
    return home, store.identity


async def test_a_store_is_looked_at_when_it_is_time(folder: Path) -> None:
    home, identity = await _home(folder)
    now = 10**18
    passports = Passports(home, KEYS, now=lambda: now)
    assert await passports.look() == ["disk"]
    found = load(home, identity, KEYS.public().ed25519)
    assert found is not None
    assert found.time == now
    now += 10**9
    assert await passports.look() == []
    now += int(EVERY)
    assert await passports.look() == ["disk"]


async def test_a_store_that_is_away_is_said_once_and_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, identity = await _home(folder)
    (folder / "disk").rename(folder / "away")
    passports = Passports(home, KEYS)
    with caplog.at_level(logging.WARNING, "ropewalk"):
        for _ in range(3):
            assert await passports.look() == ["disk"]
        (said,) = caplog.records
        assert "could not be looked at" in said.message
        (folder / "away").rename(folder / "disk")
        assert await passports.look() == ["disk"]
        assert load(home, identity, KEYS.public().ed25519) is not None
        assert len(caplog.records) == 1
