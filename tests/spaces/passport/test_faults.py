"""Each fault of a store is found by the probe that is meant for it; honest stores show none."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ropewalk.spaces.passport import terms
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    DiskStore,
    Limit,
    Listed,
    MemoryStore,
    ObjectName,
    Parts,
    Store,
    StoreGone,
)
from ropewalk.testing import Fault, FaultStore, Rule, check_store
from ropewalk.testing.unfit import UNFIT, Slow
from tests.spaces.passport.looks import PREFIX, looked

FULL = {"nothing large", "tears large", "tells too late"}  # what only a full look can find
FOUND = {
    "forgets": ("read-after-write", "bad"),
    "halves": ("read-after-write", "bad"),
    "flips": ("read-after-write", "bad"),
    "cannot read": ("read-after-write", "bad"),
    "forgets later": ("keeps", "bad"),
    "nobody reads": ("read-after-write", "bad"),
    "no ranges": ("ranges", "bad"),
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
    "lists nothing": ("list-after-write", "bad"),
    "may not be listed": ("list-after-write", "bad"),
    "hides the rest": ("list-after-write", "bad"),
    "lists late": ("list-after-write", "limited"),
    "lists backwards": ("list-order", "limited"),
    "lists from the start": ("list-order", "limited"),
    "lists other sizes": ("list-after-write", "limited"),
    "invents": ("list-after-write", "limited"),
    "lists for ever": ("list-after-write", "bad"),
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


async def test_a_range_that_holds_nothing_need_not_be_given() -> None:
    passport = await looked(UNFIT["stops at the end"]())
    assert not terms(passport).refused
    finding = passport.finding("ranges")
    assert finding is not None
    assert finding.value == 6  # of nine; nobody ever asks for the others


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("nobody reads", "^of 4 objects that it acknowledged 4 cannot be read: reads are not allowed"),
        ("no ranges", "a range from 3 of 10000 bytes cannot be read: ranges are not served"),
        ("lists nothing", "of 16 objects its listings leave out 16 at the end of the look too$"),
        ("may not be listed", "what lies there cannot be listed: listings are not allowed$"),
        ("hides the rest", "leave out 5 at the end"),
        ("cannot read", "does not come back: object .* cannot be read"),
    ],
)
async def test_why_it_is_refused_is_what_is_wrong(fault: str, why: str) -> None:
    assert re.search(why, terms(await looked(UNFIT[fault]())).refused)


async def test_what_is_listed_by_the_end_of_the_look_was_only_late() -> None:
    """Listings that follow some calls later, and those that never do."""

    class Lags(MemoryStore):
        seen: dict[ObjectName, int]
        calls, behind = 0, 0

        async def put(self, name: ObjectName, parts: Parts) -> None:
            self.calls += 1
            self.seen.setdefault(name, self.calls)
            await super().put(name, parts)

        async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
            async for listed in super().list(prefix, after):
                if self.seen[listed.name] + self.behind < self.calls:
                    yield listed

    for behind, verdict in ((0, "limited"), (20, "limited"), (10_000, "bad")):
        store = Lags()
        store.seen, store.behind = {}, behind
        finding = (await looked(store)).finding("list-after-write")
        assert finding is not None
        assert finding.verdict == verdict


async def test_a_store_that_leaves_heads_alone_out_of_its_listings_is_refused() -> None:
    hides = FaultStore(MemoryStore(), Rule(Fault.HIDE, name=lambda name: "/heads/" in name))
    why = "of 16 objects its listings leave out 4 of heads at the end of the look too"
    assert terms(await looked(hides)).refused == why


async def test_a_store_that_does_not_answer_for_heads_alone_is_refused_and_one_that_is_gone_is_not_judged() -> None:
    gone = Rule(Fault.GONE_BEFORE, on={"list"}, name=lambda name: "/heads/" in name)
    why = "it answers where shares are listed, and not where heads are: "
    assert why in terms(await looked(FaultStore(MemoryStore(), gone))).refused
    with pytest.raises(StoreGone):
        await looked(FaultStore(MemoryStore(), Rule(Fault.GONE_BEFORE, on={"list"}, skip=1)))


async def test_what_is_needed_and_cannot_even_be_tried_is_bad() -> None:
    """Who takes one object and then nothing would else be let off, since nothing was ever tried."""
    passport = await looked(FaultStore(MemoryStore(), Rule(Fault.REFUSE, on={"put"}, skip=1)))
    found = {finding.probe: finding.verdict for finding in passport.findings}
    assert (found["writes"], found["whole"]) == ("good", "limited")
    assert {found[probe] for probe in ("read-after-write", "ranges", "list-order")} == {"bad"}


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
