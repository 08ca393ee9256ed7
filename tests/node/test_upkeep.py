"""Upkeep opens what the settings name, keeps it open, and says what is wrong once; in simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest
from msgspec.structs import replace

from ropewalk.errors import Unavailable
from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.node.upkeep import LONGEST_PAUSE, STEADY, Upkeep
from ropewalk.spaces.home import Home, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.state import ACKED, QUEUED, WITHDRAWN
from ropewalk.spaces.warnings import Warnings

KEYS = DeviceKeys(bytes(32))
SPACE = "ab" * 32


class Pool:
    names = ("disk",)

    def __init__(self) -> None:
        self.why: str | None = None

    def why_down(self, name: str) -> str | None:
        return self.why

    async def opened(self) -> None:
        """All that it has is open."""


class Ledger:
    """Heads by their states, as far as changes that wait are concerned."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}

    async def do(self, ask: Callable[..., Any], *args: Any) -> Any:
        return ask(self, *args)

    def queued_names(self) -> list[str]:
        return [name for name, state in self.heads.items() if state == QUEUED]

    def head_named(self, name: str) -> Any:
        return SimpleNamespace(state=self.heads[name]) if name in self.heads else None


class Core:
    def __init__(self) -> None:
        self.pool, self.ledger = Pool(), Ledger()


class FakeSpace:
    """A space of which nothing is known but that it is open."""

    def __init__(self) -> None:
        self.core, self.warnings = Core(), Warnings()
        self.closed = False
        self.broken: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0.5)
        self.closed = True

    async def watch(self) -> AsyncIterator[None]:
        yield None
        raise await asyncio.shield(self.broken)


class House:
    """A home, and what was opened of it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder, folder / "state")
        self.opened: list[tuple[str, FakeSpace]] = []
        self.fails: dict[str, BaseException] = {}
        self.tries = 0

    def spaces(self, *names: str) -> None:
        made = {name: SpaceSetting(SPACE, ["disk"]) for name in names}
        self.home.update(lambda old: replace(old, stores={"disk": StoreSetting("/a", "cd" * 16)}, spaces=made))

    async def open(self, home: Home, name: str, device: DeviceKeys) -> Any:
        self.tries += 1
        if (error := self.fails.get(name)) is not None:
            raise error
        space = FakeSpace()
        self.opened.append((name, space))
        return space

    def named(self) -> list[str]:
        return [name for name, space in self.opened if not space.closed]


def simulated(folder: Path, body: Callable[[House, Upkeep], Awaitable[None]]) -> None:
    async def main() -> None:
        house = House(folder)
        upkeep = Upkeep(house.home, KEYS, opens=house.open, clock=asyncio.get_running_loop().time)
        work = asyncio.create_task(upkeep.work())
        try:
            await body(house, upkeep)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        assert house.named() == [], "all are closed at the end"

    run(main(), loop=Simulated())


def informed(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.INFO and "waited" in one.getMessage()]


def test_what_was_published_of_what_waited_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(house: House, _: Upkeep) -> None:
        house.spaces("photos")
        await asyncio.sleep(2)
        heads = house.opened[0][1].core.ledger.heads
        heads |= {"one": QUEUED, "two": QUEUED, "three": QUEUED, "four": QUEUED}
        await asyncio.sleep(3)
        assert informed(caplog) == [], "what waits is not published"
        heads |= {"one": ACKED, "two": ACKED}
        await asyncio.sleep(3)
        assert informed(caplog) == ["photos: 2 changes that waited were published, 2 still to go"]
        heads["three"] = ACKED
        await asyncio.sleep(3)
        assert informed(caplog)[1:] == ["photos: 1 change that waited was published, 1 still to go"]
        heads["four"] = WITHDRAWN
        await asyncio.sleep(3)
        assert len(informed(caplog)) == 2, "what was given up was not published"
        heads |= {"five": QUEUED}
        await asyncio.sleep(3)
        heads["five"] = ACKED
        await asyncio.sleep(3)
        assert informed(caplog)[2:] == ["photos: 1 change that waited was published"]

    with caplog.at_level(logging.INFO, "ropewalk.spaces"):
        simulated(folder, body)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_spaces_are_opened_closed_and_opened_anew_as_the_settings_say(folder: Path) -> None:
    async def body(house: House, upkeep: Upkeep) -> None:
        await asyncio.sleep(2)
        assert house.named() == []
        house.spaces("photos", "music")
        await asyncio.sleep(2)
        assert sorted(house.named()) == ["music", "photos"]
        assert sorted(upkeep.open) == ["music", "photos"]
        house.spaces("photos")
        await asyncio.sleep(3)
        assert house.named() == ["photos"]
        kept = house.opened[0]
        house.home.update(lambda old: replace(old, paper_shown="2026-01-01"))
        await asyncio.sleep(3)
        assert kept in house.opened
        assert len(house.opened) == 2, "what does not concern a space leaves it open"
        house.home.update(lambda old: replace(old, stores={"disk": StoreSetting("/b", "cd" * 16)}))
        await asyncio.sleep(3)
        assert house.named() == ["photos"]
        assert len(house.opened) == 3, "its store is somewhere else now"

    simulated(folder, body)


@pytest.mark.parametrize("error", [Unavailable("no store answers"), ValueError("a fault of ours")])
def test_a_space_that_fails_holds_up_no_other_and_is_said_once(
    folder: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    async def body(house: House, _: Upkeep) -> None:
        house.spaces("photos", "music")
        house.fails["photos"] = error
        await asyncio.sleep(3600)
        assert house.named() == ["music"]
        assert len([line for line in warned(caplog) if str(error) in line]) == 1
        tries = house.tries
        assert tries <= 3600 / LONGEST_PAUSE + 8, "and is tried more and more seldom"
        del house.fails["photos"]
        await asyncio.sleep(2 * LONGEST_PAUSE)
        assert sorted(house.named()) == ["music", "photos"]

    with caplog.at_level(logging.INFO, "ropewalk.spaces"):
        simulated(folder, body)


def test_a_space_that_is_watched_no_more_is_opened_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(house: House, _: Upkeep) -> None:
        house.spaces("photos")
        await asyncio.sleep(2)
        (one,) = house.opened
        one[1].broken.set_result(Unavailable("it broke"))
        await asyncio.sleep(10)
        assert one[1].closed
        assert house.named() == ["photos"]

    with caplog.at_level(logging.INFO, "ropewalk.spaces"):
        simulated(folder, body)
    assert warned(caplog) == ["photos: it broke"]


def test_a_store_that_comes_and_goes_is_said_to_be_away_once_and_back_once_it_stays(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(house: House, _: Upkeep) -> None:
        house.spaces("photos")
        await asyncio.sleep(2)
        space = house.opened[0][1]
        for number in range(20):
            space.core.pool.why = f"no answer {number}"
            await asyncio.sleep(5)
            space.core.pool.why = None
            await asyncio.sleep(5)
        space.warnings.append("store disk is not there: as above")
        space.warnings.append("a lie was shown")
        await asyncio.sleep(2)
        assert warned(caplog) == ["photos: store disk is not there: no answer 0", "photos: a lie was shown"]
        assert not any("back" in one.getMessage() for one in caplog.records)
        await asyncio.sleep(STEADY + 2)
        assert [one.getMessage() for one in caplog.records][-1] == "photos: store disk is back"
        space.core.pool.why = "gone again"
        await asyncio.sleep(2)
        assert warned(caplog)[2:] == ["photos: store disk is not there: gone again"]

    with caplog.at_level(logging.INFO, "ropewalk.spaces"):
        simulated(folder, body)


def test_settings_that_are_wrong_change_nothing_and_are_said_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(house: House, _: Upkeep) -> None:
        house.spaces("photos")
        await asyncio.sleep(2)
        text = house.home.settings_file.read_text()
        house.home.settings_file.write_text("stores = 7")
        await asyncio.sleep(60)
        assert house.named() == ["photos"]
        assert len(warned(caplog)) == 1
        house.home.settings_file.write_text(text)
        house.spaces("photos", "music")
        await asyncio.sleep(2)
        assert sorted(house.named()) == ["music", "photos"]

    with caplog.at_level(logging.INFO, "ropewalk.spaces"):
        simulated(folder, body)
