"""What is remembered of slow stores from one command to the next: for a short while, and nothing rests on it."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.lately import FILE, HOLDS, LONGEST, Lately
from ropewalk.spaces.pool.patience import LINGER
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.pool.roster import BRIEFLY
from ropewalk.spaces.store import MemoryStore, ObjectName, Store
from tests.spaces.pool.timed import TimedStore

IDS = {f"d{at}": f"{at:032x}" for at in range(5)}


class Home:
    def __init__(self, folder: Path) -> None:
        self.path, self.time = folder / FILE, 5 * 10**18

    def lately(self) -> Lately:
        return Lately(self.path.parent, IDS, lambda: self.time)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_it_is_remembered_for_a_while_and_until_it_was_quick(home: Home) -> None:
    home.lately().note(["d0", "d1", "d2"], ["d1", "d2"])
    assert home.lately().slow() == {"d1", "d2"}
    home.lately().note(["d2"], [])
    assert home.lately().slow() == {"d1"}
    home.time += int(HOLDS * 1e9) - 1_000_000
    assert home.lately().slow() == {"d1"}
    home.time += 2_000_000
    assert home.lately().slow() == set()


def test_nothing_is_written_where_all_are_well(home: Home) -> None:
    home.lately().note(list(IDS), [])
    assert os.listdir(home.path.parent) == []


def test_a_clock_that_was_put_back_makes_nothing_last_longer(home: Home) -> None:
    home.lately().note(["d0"], ["d0"])
    home.time -= 10**9
    assert home.lately().slow() == set()


@given(st.one_of(st.binary(max_size=50), st.sampled_from([b"[1]", b'{"00000000000000000000000000000000": "x"}'])))
def test_a_file_that_is_none_says_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.path.write_bytes(data)
    assert home.lately().slow() == set()
    home.path.write_bytes(b"[" * (2 * LONGEST))
    assert home.lately().slow() == set()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    home = Home(tmp_path / "missing")
    home.lately().note(["d0"], ["d0"])
    assert home.lately().slow() == set()


# ---- the pool ----------------------------------------------------------------------------------------------------


async def _opened(home: Home, seconds: dict[str, float]) -> tuple[Pool, float]:
    """A pool whose stores take so long to open, 0.1 s by default; and how long that was waited for."""

    async def reopen(name: str) -> Store:
        await asyncio.sleep(seconds.get(name, 0.1))
        return MemoryStore()

    loop = asyncio.get_running_loop()
    members = [PoolStore(StoreDomains(name), None, "not yet", partial(reopen, name)) for name in IDS]
    pool = Pool(members, loop.time, home.lately())
    began = loop.time()
    await pool.revive(3)
    return pool, loop.time() - began


def test_a_store_that_does_not_open_is_waited_for_once_and_not_by_the_next_command(home: Home) -> None:
    async def main() -> None:
        pool, took = await _opened(home, {"d2": 1e6})
        assert took == pytest.approx(0.1 + LINGER)
        began = asyncio.get_running_loop().time()
        await pool.revive()
        assert asyncio.get_running_loop().time() - began <= BRIEFLY, "nor again by this one"
        await pool.aclose()
        pool, took = await _opened(home, {"d2": 1e6})
        assert took == pytest.approx(0.1 + BRIEFLY)
        assert [name for name in IDS if not pool.up(name)] == ["d2"]
        assert pool.why_down("d2") == "it does not answer"
        await pool.aclose()

    run(main(), loop=Simulated(2))


def test_one_that_is_needed_is_waited_for_whatever_is_remembered(home: Home) -> None:
    async def main() -> None:
        home.lately().note(["d1", "d2", "d3"], ["d1", "d2", "d3"])
        pool, took = await _opened(home, {"d1": 5.0, "d2": 6.0, "d3": 7.0})
        assert took == pytest.approx(5.0 + BRIEFLY)
        assert pool.up("d1")
        await pool.aclose()

    run(main(), loop=Simulated(2))


@pytest.mark.parametrize(("seconds", "took"), [(1.5, 1.5), (1e6, LINGER)])
def test_one_that_is_wanted_to_tell_what_is_newest_gets_its_time_though_it_was_slow(
    home: Home, seconds: float, took: float
) -> None:
    async def main() -> None:
        home.lately().note(["d2"], ["d2"])
        pool, _ = await _opened(home, {"d2": seconds})
        assert not pool.up("d2")
        await pool.want(len(IDS), LINGER)
        assert asyncio.get_running_loop().time() == pytest.approx(took)
        assert pool.up("d2") == (seconds < LINGER)
        await pool.aclose()

    run(main(), loop=Simulated(2))


def test_one_that_opens_late_is_used_from_then_on_and_one_that_opens_quickly_is_a_store_like_any(home: Home) -> None:
    async def main() -> None:
        home.lately().note(["d3"], ["d3"])
        pool, _ = await _opened(home, {"d2": 3.0})
        assert not pool.is_late("d3")
        assert not pool.up("d2")
        await asyncio.sleep(3.0)
        assert pool.up("d2")
        assert pool.is_late("d2"), "reads go elsewhere until it has shown that it is quick"
        await pool.aclose()
        assert home.lately().slow() == {"d2"}

    run(main(), loop=Simulated(2))


def test_a_store_whose_calls_were_slow_is_remembered(home: Home) -> None:
    async def main() -> None:
        stores = {name: TimedStore(0.01) for name in IDS}
        stores["d4"].seconds = 0.5
        members = [PoolStore(StoreDomains(name), store) for name, store in stores.items()]
        pool = Pool(members, asyncio.get_running_loop().time, home.lately())
        for at in range(2):
            await pool.put_copies(ObjectName(f"an/object-{at}"), b"x", enough=4)
        await pool.aclose()
        assert home.lately().slow() == {"d4"}

    run(main(), loop=Simulated(2))
