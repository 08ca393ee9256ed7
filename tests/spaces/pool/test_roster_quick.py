"""Opening waits for as many stores as are needed; the others open beside, are used once they do, and end with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from ropewalk.errors import Missing
from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.lately import FILE, Lately
from ropewalk.spaces.pool.patience import GRACE, LINGER
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.pool.roster import BRIEFLY, SUSPECT
from ropewalk.spaces.store import MemoryStore, ObjectName, Store, StoreGone

NEVER = math.inf
NAME = ObjectName("an/object")
IDS = {f"d{at}": f"{at:032x}" for at in range(5)}


class Street:
    """Stores that take so long to open, 0.1 s by default.

    Attributes:
        open: Those that were opened and not closed.
        tries: What was opened, in order.
        ended: Openings that were cancelled.
        kept: Stores that have `NAME` when they are opened.
    """

    def __init__(self, folder: Path, **seconds: float) -> None:
        self.seconds = seconds
        self.open: list[str] = []
        self.tries: list[str] = []
        self.ended: list[str] = []
        self.kept: set[str] = set()
        self.lately = Lately(folder, IDS, lambda: 5 * 10**18)
        loop = asyncio.get_running_loop()
        self.pool = Pool([self.member(name) for name in IDS], loop.time, self.lately)
        self.began = loop.time()

    def member(self, name: str, place: str = "") -> PoolStore:
        return PoolStore(StoreDomains(name), None, "not yet", partial(self.reopen, place or name))

    async def reopen(self, name: str) -> Store:
        self.tries.append(name)
        seconds = self.seconds.get(name, 0.1)
        try:
            if seconds == NEVER:
                await asyncio.Event().wait()
            await asyncio.sleep(abs(seconds))
        except asyncio.CancelledError:
            self.ended.append(name)
            raise
        if seconds < 0:
            raise StoreGone("it went")
        store = Counted(self.open, name)
        if name in self.kept:
            await store.put(NAME, (b"here",))
        return store

    @property
    def took(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    @property
    def up(self) -> list[str]:
        return [name for name in self.pool.names if self.pool.up(name)]


class Counted(MemoryStore):
    """Says whether it is open."""

    def __init__(self, open_: list[str], name: str) -> None:
        super().__init__()
        self._open, self._name = open_, name
        open_.append(name)

    async def aclose(self) -> None:
        self._open.remove(self._name)
        await super().aclose()


def _play(folder: Path, act: Callable[[Street], Awaitable[None]], seconds: dict[str, float]) -> None:
    async def main() -> None:
        street = Street(folder, **seconds)
        await act(street)
        await street.pool.aclose()
        assert street.open == []
        assert len(asyncio.all_tasks()) == 1

    for seed in range(3):
        (folder / FILE).unlink(missing_ok=True)
        run(main(), loop=Simulated(seed))


def test_enough_are_not_held_up_by_those_that_hang_or_are_late(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        street.pool.begin()
        assert street.took == 0
        await street.pool.revive(3, quick=True)
        assert street.took == pytest.approx(0.1)
        await street.pool.opened(most=BRIEFLY)
        assert street.took == pytest.approx(0.1 + BRIEFLY)
        assert street.up == ["d0", "d2", "d3"]
        assert street.pool.missing() == {}, "they may open yet"
        await asyncio.sleep(0.4)
        assert street.up == ["d0", "d2", "d3", "d4"]
        assert not street.pool.is_late("d4"), "it opened in good time"
        assert sorted(street.tries) == sorted(IDS), "none was opened twice"
        await asyncio.sleep(LINGER)
        assert street.pool.missing() == {"d1": "it does not answer"}

    _play(tmp_path, act, {"d1": NEVER, "d4": 0.5})


def test_those_that_are_needed_are_waited_for(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        street.pool.begin()
        await street.pool.want(4, LINGER, quick=True)
        assert street.took == pytest.approx(1.5)
        assert street.up == ["d0", "d1", "d2", "d3"]
        await street.pool.want(5, LINGER, quick=True)
        assert street.took == pytest.approx(LINGER)
        assert street.pool.missing() == {"d4": "it does not answer"}

    _play(tmp_path, act, {"d3": 1.5, "d4": NEVER})


def test_one_that_fails_is_said_at_once_and_one_that_fails_late_once_it_does(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        assert street.pool.missing() == {"d0": "it went"}
        await asyncio.sleep(1)
        assert street.pool.missing() == {"d0": "it went", "d1": "it went"}

    _play(tmp_path, act, {"d0": -0.05, "d1": -0.5})


def test_what_opens_when_a_pool_is_closed_is_cancelled_and_has_ended_then(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        await street.pool.aclose()
        assert street.took == pytest.approx(0.1)
        assert sorted(street.ended) == ["d1", "d4"]
        street.pool = Pool([], asyncio.get_running_loop().time)

    _play(tmp_path, act, {"d1": NEVER, "d4": 0.5})


def test_a_write_gives_the_rest_a_short_while_since_they_were_begun(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        await street.pool.opened(GRACE)
        assert street.took == pytest.approx(GRACE)
        assert street.up == ["d0", "d2", "d3", "d4"]
        await street.pool.opened(GRACE)
        assert street.took == pytest.approx(GRACE), "once"
        await street.pool.opened(most=0.5)
        assert street.took == pytest.approx(GRACE + 0.5)
        await street.pool.opened()
        assert street.took == pytest.approx(LINGER)
        assert street.pool.why_down("d1") == "it does not answer"
        await street.pool.opened()
        assert street.took == pytest.approx(LINGER)

    _play(tmp_path, act, {"d1": NEVER, "d4": 0.2})


def test_where_all_else_failed_those_that_just_open_are_waited_for(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        assert await street.pool.rouse()
        assert street.took == pytest.approx(1.0)
        assert street.up == list(IDS)
        assert not await street.pool.rouse()
        assert street.took == pytest.approx(1.0)

    _play(tmp_path, act, {"d1": 1.0, "d4": 0.7})


def test_an_object_that_none_of_those_that_are_open_has_is_looked_for_in_those_that_just_open(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        street.kept = {"d4"}
        assert await street.pool.get_any(NAME, lambda data: data == b"here") == b"here"
        assert street.took == pytest.approx(LINGER)
        with pytest.raises(Missing):
            await street.pool.get_any(ObjectName("an/other"), lambda _: True)
        assert street.took == pytest.approx(LINGER)

    _play(tmp_path, act, {"d1": NEVER, "d4": 1.0})


@pytest.mark.parametrize(("until", "slow"), [(SUSPECT / 2, set()), (SUSPECT, {"d1"})])
def test_a_short_command_says_nothing_of_what_it_did_not_wait_for(tmp_path: Path, until: float, slow: set[str]) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        await asyncio.sleep(until - street.took)
        await street.pool.aclose()
        assert street.lately.slow() == slow
        street.pool = Pool([], asyncio.get_running_loop().time)

    _play(tmp_path, act, {"d1": NEVER})


def test_one_that_was_slow_lately_is_not_waited_for_by_a_write_either(tmp_path: Path) -> None:
    async def act(street: Street) -> None:
        street.lately.note(["d1"], ["d1"])
        street.pool = Pool([street.member(name) for name in IDS], street.pool._clock, street.lately)
        await street.pool.revive(3, quick=True)
        assert street.pool.missing() == {"d1": "it does not answer"}
        await street.pool.opened()
        assert street.took == pytest.approx(0.1)

    _play(tmp_path, act, {"d1": NEVER})


@pytest.mark.parametrize("seconds", [NEVER, 0.5])
def test_a_place_that_parts_while_it_opens_is_not_taken_for_the_one_that_follows(
    tmp_path: Path, seconds: float
) -> None:
    async def act(street: Street) -> None:
        await street.pool.revive(3, quick=True)
        street.pool.part("d1")
        street.pool.join(street.member("d1", "elsewhere"))
        await street.pool.revive(5)
        assert "d1" not in street.open
        assert "elsewhere" in street.open
        assert street.ended == ["d1"]

    _play(tmp_path, act, {"d1": seconds})
