"""Each fault of a store is found by the probe that is meant for it; honest stores show none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ropewalk.spaces.passport import terms
from ropewalk.spaces.store import LARGEST_OBJECT, DiskStore, Limit, MemoryStore, Store
from ropewalk.testing import check_store
from ropewalk.testing.unfit import UNFIT, Slow
from tests.spaces.passport.looks import PREFIX, looked

FULL = {"nothing large", "tears large", "tells too late"}  # what only a full look can find
FOUND = {
    "forgets": ("read-after-write", "bad"),
    "halves": ("read-after-write", "bad"),
    "flips": ("read-after-write", "bad"),
    "cannot read": ("read-after-write", "bad"),
    "forgets later": ("keeps", "bad"),
    "shows parts": ("whole", "bad"),
    "shifts ranges": ("ranges", "bad"),
    "stops at the end": ("ranges", "limited"),
    "answers anything": ("read-after-write", "bad"),
    "overwrites": ("overwrite", "limited"),
    "mixes": ("overwrite", "bad"),
    "claims": ("overwrite", "bad"),
    "puts once": ("overwrite", "limited"),
    "looks, then puts": ("race", "limited"),
    "tears in a race": ("race", "bad"),
    "lists late": ("list-after-write", "limited"),
    "lists backwards": ("list-order", "limited"),
    "lists from the start": ("list-order", "limited"),
    "lists other sizes": ("list-after-write", "limited"),
    "invents": ("list-after-write", "limited"),
    "lists for ever": ("list-order", "limited"),
    "deletes nothing": ("delete", "limited"),
    "deletes later": ("delete", "limited"),
    "remembers": ("delete", "bad"),
    "no hints": ("hints", "limited"),
    "stale hints": ("hints", "limited"),
    "tells nothing": ("tells", "limited"),
    "tells too late": ("tells", "limited"),
    "short names": ("names", "limited"),
    "cuts names": ("names", "bad"),
    "nothing large": ("largest", "limited"),
    "tears large": ("largest", "bad"),
    "read only": ("writes", "limited"),
    "all taken": ("writes", "limited"),
    "room is wrong": ("room", "limited"),
    "engine overwrites": ("conditional-create", "limited"),
    "clock is off": ("clock", "limited"),
    "lacks locks": ("file-system", "limited"),
}
# What breaks nothing that the contract tries, though it limits what a store is good for; that tries 5 MiB at most.
NO_BREAK = {"tells nothing", "nothing large", "engine overwrites", "clock is off", "lacks locks"}


def test_every_fault_there_is_has_its_probe() -> None:
    assert FOUND.keys() == UNFIT.keys()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for word of a change."""
    monkeypatch.setattr("ropewalk.spaces.passport.hinting.TELLS_WITHIN", 0.01)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("fault", FOUND)
async def test_a_fault_is_found_by_name(fault: str) -> None:
    probe, verdict = FOUND[fault]
    passport = await looked(UNFIT[fault](), quick=fault not in FULL)
    finding = passport.finding(probe)
    assert finding is not None
    assert finding.verdict == verdict, passport
    assert passport.verdict in ("limited", "bad")
    assert bool(terms(passport).refused) == (passport.verdict == "bad" or probe == "writes")


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("fault", sorted(FOUND.keys() - NO_BREAK - {"lists for ever"}))  # the contract reads to the end
async def test_the_contract_finds_it_too(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.testing.hints._PATIENCE", 0.01)
    with pytest.raises(AssertionError):
        async with asyncio.timeout(60):
            await check_store(lambda: asyncio.sleep(0, UNFIT[fault]()))


@pytest.mark.parametrize("fault", sorted(NO_BREAK))
@pytest.mark.slow
async def test_the_contract_allows_what_only_limits(fault: str) -> None:
    await check_store(lambda: asyncio.sleep(0, UNFIT[fault]()))


Make = Callable[[Path], Awaitable[Store]]
HONEST: dict[str, Make] = {
    "memory": lambda _: asyncio.sleep(0, MemoryStore()),
    "limited calls": lambda _: asyncio.sleep(0, Limit(MemoryStore(), 2)),
    "folder": lambda path: DiskStore.create(path / "store"),
}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("kind", HONEST)
async def test_an_honest_store_shows_no_fault(kind: str, quick: bool, tmp_path: Path) -> None:
    store = await HONEST[kind](tmp_path)
    passport = await looked(store, quick=quick, now=time.time_ns)  # a folder is compared with the machine's own clock
    assert {finding.verdict for finding in passport.findings} <= {"good", "unknown"}, passport
    assert terms(passport).refused == ""
    assert terms(passport).largest == LARGEST_OBJECT
    assert [listed async for listed in store.list("")] == []
    await store.aclose()


async def test_a_folder_says_what_it_stands_on(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    passport = await looked(store, now=lambda: (tmp_path / "store" / "ropewalk-store").stat().st_mtime_ns)
    found = {finding.probe: finding.verdict for finding in passport.findings}
    assert {found[probe] for probe in ("conditional-create", "case", "clock", "file-system", "room")} == {"good"}
    assert list((tmp_path / "store" / ".tmp").glob("*-*")) == []
    await store.aclose()


async def test_a_slow_store_is_limited() -> None:
    store = Slow()
    passport = await looked(store, clock=store.clock)
    found = {finding.probe: finding.verdict for finding in passport.findings}
    assert (found["get-time"], found["get-rate"], found["list-time"]) == ("limited", "limited", "good")
    assert not terms(passport).refused


async def test_how_large_an_object_may_be_is_a_number() -> None:
    passport = await looked(UNFIT["nothing large"](), quick=False)
    assert terms(passport).largest == 16 * 1024 * 1024
    quick = await looked(UNFIT["nothing large"]())
    assert terms(quick).largest == LARGEST_OBJECT  # nobody knows


async def test_what_cannot_be_deleted_is_kept_small_and_told() -> None:
    store = UNFIT["deletes nothing"]()
    passport = await looked(store, quick=False)
    finding = passport.finding("cleanup")
    assert finding is not None
    left = [listed async for listed in store.list("")]
    assert finding.verdict == "limited"
    assert finding.value == len(left)
    assert sum(listed.size for listed in left) < 16 * 1024 * 1024
    assert all(listed.name.startswith(f"{PREFIX}/") for listed in left)
    assert not terms(passport).deletes


async def test_the_clock_may_be_ahead_or_behind() -> None:
    passport = await looked(UNFIT["clock is off"](), now=lambda: 90 * 10**9)
    finding = passport.finding("clock")
    assert finding is not None
    assert finding.value == -90 * 10**6  # microseconds
    assert "90 s behind" in finding.words
