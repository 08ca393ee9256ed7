"""Stores are looked at again when it is time, beside each other; one that cannot be looked at stops nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.metrics import Registry
from ropewalk.node import Upkeep, UpkeepService
from ropewalk.node.passports import AT_ONCE, FIRST, Passports
from ropewalk.node.passports import EVERY as AGAIN
from ropewalk.service import Context
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import EVERY, Passport, load
from ropewalk.spaces.store import DiskStore, Store, StoreGone
from ropewalk.testing.unfit import UNFIT

KEYS = DeviceKeys(bytes([5]) * 32)
NOW = 10**18


async def _home(folder: Path) -> tuple[Home, bytes]:
    home = Home(folder / "home", folder / "home" / "state")
    store = await DiskStore.create(folder / "disk")
    home.add_store("disk", StoreSetting(str(folder / "disk"), store.identity.hex()))
    await store.aclose()
    return home, store.identity


async def test_a_store_is_looked_at_when_it_is_time(folder: Path) -> None:
    home, identity = await _home(folder)
    now = NOW
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


# -- several stores, in simulated time -----------------------------------------------------------------------------


class House:
    """Stores of which some answer late, and then that they are gone; the others can be looked at in no time."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.home = Home(folder, folder / "state")
        for name in names:
            self.add(name)
        self.opened: list[str] = []
        self.waiting = self.most = 0
        self.fault: Callable[[str], Exception] = StoreGone
        self.passports = Passports(self.home, KEYS, clock=lambda: 0.0, now=lambda: NOW, open_store=self.open)

    def add(self, name: str) -> None:
        self.home.add_store(name, StoreSetting(f"/{name}", self.identity(name).hex()))

    @staticmethod
    def identity(name: str) -> bytes:
        return name.encode().ljust(16, b"-")

    def known(self, name: str) -> Passport | None:
        return load(self.home, self.identity(name), KEYS.public().ed25519)

    async def open(self, place: str, _identity: bytes) -> Store:
        self.opened.append(place[1:])
        if "slow" not in place:
            return UNFIT["read only"]()
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await asyncio.sleep(50)
        finally:
            self.waiting -= 1
        raise self.fault("it did not answer")


def test_a_slow_store_holds_up_no_other(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, "a-slow", "b", "c")
        looking = asyncio.create_task(house.passports.look())
        await asyncio.sleep(1)
        assert house.known("b") is not None
        assert house.known("c") is not None
        assert not looking.done()
        assert await looking == ["a-slow", "b", "c"]

    run(main(), loop=Simulated())


def test_no_more_than_a_few_are_looked_at_at_once_and_those_that_failed_come_last(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, "a-slow", "b-slow", "c-slow")
        assert await house.passports.look() == ["a-slow", "b-slow", "c-slow"]
        assert house.most == AT_ONCE
        house.add("d")
        looking = asyncio.create_task(house.passports.look())
        await asyncio.sleep(1)
        assert house.known("d") is not None
        assert await looking == ["d", "a-slow", "b-slow", "c-slow"]
        assert not house.passports._said.keys() - house.home.load().stores.keys()
        house.home.update(lambda now: replace(now, stores={}))
        assert await house.passports.look() == []
        assert house.passports._said == {}

    run(main(), loop=Simulated())


def test_a_fault_of_ours_with_one_store_and_settings_that_are_wrong_end_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        house = House(folder, "a-slow", "b")
        house.fault = ValueError
        assert await house.passports.look() == ["a-slow", "b"]
        assert house.known("b") is not None
        text = house.home.settings_file.read_text()
        house.home.settings_file.write_text("stores = 7")
        assert await house.passports.look() == []
        assert await house.passports.look() == []
        house.home.settings_file.write_text(text)
        assert await house.passports.look() == ["a-slow"]

    with caplog.at_level(logging.WARNING, "ropewalk.spaces"):
        run(main(), loop=Simulated())
    said = [one.getMessage() for one in caplog.records if "not fit" not in one.getMessage()]
    assert len(said) == 2
    assert said[0] == "store a-slow could not be looked at: ValueError: it did not answer"
    assert said[1].startswith("the stores are not looked at: ")


def test_what_is_damaged_or_of_another_place_is_due(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, "a")
        assert await house.passports.look() == ["a"]
        assert await house.passports.look() == []
        (file,) = (house.home.state / "passports").glob("*.passport")
        file.write_bytes(b"junk")
        assert await house.passports.look() == ["a"]
        there = {"a": StoreSetting("tls://a:1#key", house.identity("a").hex())}
        house.home.update(lambda now: replace(now, stores=there))
        assert await house.passports.look() == ["a"]
        assert await house.passports.look() == []

    run(main(), loop=Simulated())


def test_a_node_looks_at_the_stores_again_and_again(folder: Path) -> None:
    """What `ropewalk up` runs; nobody has to ask."""

    async def main() -> None:
        house = House(folder, "a-slow")
        service = UpkeepService(Upkeep(house.home, KEYS), house.passports, Context("spaces", "ropewalk", Registry()))
        running = asyncio.create_task(service.run())
        await asyncio.sleep(FIRST - 1)
        assert house.opened == []
        for times in range(1, 4):
            await asyncio.sleep(AGAIN + 50 if times > 1 else 2)
            assert house.opened == ["a-slow"] * times
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()

    run(main(), loop=Simulated())
