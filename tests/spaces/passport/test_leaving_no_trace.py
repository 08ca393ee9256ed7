"""A look leaves a store as it was found: at its end, after an error, and once the next look has swept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from ropewalk.errors import Unavailable
from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.spaces.passport import NothingLeft
from ropewalk.spaces.passport.ground import PATIENCE
from ropewalk.spaces.passport.looking import END, QUICK_END, SWEEPING, sweep_left
from ropewalk.spaces.store import Listed, MemoryStore, ObjectName, Store, StoreGone, object_name
from ropewalk.testing import Fault, FaultStore, Rule, Stop, StopAfter
from ropewalk.testing.unfit import UNFIT, Restarts
from tests.spaces.passport.looks import IDENTITY, KEY, LEFT, NOW, PREFIX, looked

OTHERS = object_name(f"{'a' * 64}/packs/{'b' * 64}-00-{'c' * 32}")


async def _names(store: Store) -> list[ObjectName]:
    return [listed.name async for listed in store.list("")]


@pytest.mark.parametrize("done", [False, True])
async def test_what_a_look_that_died_has_left_the_next_sweeps(done: bool) -> None:
    calls = StopAfter(10**9)
    await looked(calls.around(MemoryStore()))
    assert calls.calls > 100
    left = 0
    for at in range(0, calls.calls, 3):
        store = MemoryStore()
        await store.put(OTHERS, [b"somebody's"])
        with pytest.raises(Stop):
            await looked(StopAfter(at, done=done).around(store), seed=at)
        names = await _names(store)
        left += len(names) - 1
        assert all(name == OTHERS or name.startswith(f"{PREFIX}/") for name in names)
        passport = await looked(store, seed=at + 1)
        assert passport.verdict == "good"
        assert await _names(store) == [OTHERS]
    assert left > 100  # it was worth sweeping


async def test_an_error_in_the_middle_leaves_nothing() -> None:
    store = MemoryStore()
    around = FaultStore(store, Rule(Fault.GONE_BEFORE, on={"get"}, skip=5, times=1))
    with pytest.raises(StoreGone):
        await looked(around)
    assert await _names(store) == []


async def test_a_look_that_is_cancelled_leaves_nothing() -> None:
    store = MemoryStore()
    for turns in range(1, 40, 3):
        looking = asyncio.ensure_future(looked(store))
        for _ in range(turns):
            await asyncio.sleep(0)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        assert await _names(store) == []


@pytest.mark.parametrize("fault", sorted(UNFIT.keys() - {"deletes nothing", "deletes later", "read only", "all taken"}))
async def test_a_store_with_a_fault_is_left_clean_too(fault: str) -> None:
    store = UNFIT[fault]()
    await looked(store)
    assert list(store._objects) == []  # whatever its listing says


async def test_a_listing_cannot_have_other_names_deleted() -> None:
    class Points(MemoryStore):
        deleted: list[ObjectName]

        async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
            async for listed in super().list(""):
                yield listed

        async def delete(self, name: ObjectName) -> None:
            self.deleted.append(name)
            await super().delete(name)

    store = Points()
    store.deleted = []
    await store.put(OTHERS, [b"somebody's"])
    await looked(store)
    assert store.deleted
    assert all(name.startswith(f"{PREFIX}/") for name in store.deleted)


# -- what is left on purpose ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", [True, False])
async def test_what_was_left_is_looked_for_after_a_restart(keeps: bool) -> None:
    store = Restarts(keeps=keeps)
    before = await looked(store, leaving=True)
    assert before.left
    assert len(await _names(store)) == 3
    assert all(name.startswith(f"{LEFT}/") for name in await _names(store))
    unknown = before.finding("durability")
    assert unknown is not None
    assert unknown.verdict == "unknown"
    between = await looked(store, before=before, seed=1)
    assert (between.left, len(await _names(store))) == (before.left, 3)
    store.restart()
    after = await looked(store, before=between, restarted=True, seed=2)
    finding = after.finding("durability")
    assert finding is not None
    assert finding.verdict == ("good" if keeps else "bad")
    assert after.left == b""
    later = await looked(store, before=after, seed=3)
    assert later.finding("durability") == finding  # it was seen, and no look since can unsee it


async def test_what_was_left_is_swept_once_it_is_not_needed() -> None:
    store = MemoryStore()
    first = await looked(store, leaving=True)
    second = await looked(store, leaving=True, before=first, seed=1)
    assert len(await _names(store)) == 6  # whoever dies here has still what the home speaks of
    await sweep_left(store, IDENTITY, KEY, second.left, clock=lambda: 0.0, now=lambda: NOW)
    assert len(await _names(store)) == 3
    third = await looked(store, restarted=True, before=second, seed=2)
    finding = third.finding("durability")
    assert finding is not None
    assert finding.verdict == "good"
    await sweep_left(store, IDENTITY, KEY, third.left, clock=lambda: 0.0, now=lambda: NOW)
    assert await _names(store) == []


async def test_nothing_was_left() -> None:
    store = MemoryStore()
    for before in (None, await looked(store)):
        with pytest.raises(NothingLeft):
            await looked(store, before=before, restarted=True)


# -- a store that is silent ----------------------------------------------------------------------------------------


async def test_a_store_that_goes_silent_gets_no_passport() -> None:
    """Else it could show what it likes, and be silent where it would be caught."""
    calls = StopAfter(10**9)
    await looked(calls.around(MemoryStore()))
    for at in range(0, calls.calls, 7):
        with pytest.raises(Unavailable):
            await looked(FaultStore(MemoryStore(), Rule(Fault.GONE_BEFORE, skip=at)))


async def test_a_store_that_hangs_gets_no_passport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.spaces.passport.ground.PATIENCE", 0.0)
    monkeypatch.setattr("ropewalk.spaces.passport.ground.SLOWEST", 1 << 40)

    async def hang(_: float) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StoreGone, match="did not answer"):
        await looked(FaultStore(MemoryStore(), Rule(Fault.DELAY, on={"put"}), sleep=hang))


@pytest.mark.parametrize(("quick", "end"), [(True, QUICK_END), (False, END)])
def test_a_store_that_answers_each_call_in_the_last_moment_comes_to_an_end(quick: bool, end: float) -> None:
    async def main() -> float:
        late = Rule(Fault.DELAY, on={"get", "list", "delete"}, seconds=PATIENCE - 1)
        around = FaultStore(MemoryStore(), late, sleep=asyncio.sleep)
        with pytest.raises(StoreGone, match=f"not done within {end:.0f} s"):
            await looked(around, quick=quick)
        return asyncio.get_running_loop().time()

    assert end <= run(main(), loop=Simulated()) <= end + SWEEPING + 1


def test_a_sweep_of_what_was_left_comes_to_an_end() -> None:
    async def main() -> float:
        store = MemoryStore()
        for at in range(1000):
            await store.put(object_name(f"{LEFT}/packs/{at:064x}-00-{'0' * 32}"), [b""])
        around = FaultStore(store, Rule(Fault.DELAY, on={"delete"}, seconds=PATIENCE - 1), sleep=asyncio.sleep)
        with pytest.raises(StoreGone, match="sweeping the store was not done within 60 s"):
            await sweep_left(around, IDENTITY, KEY, b"", clock=lambda: 0.0, now=lambda: NOW)
        return asyncio.get_running_loop().time()

    assert run(main(), loop=Simulated()) == SWEEPING


async def test_a_full_store_gets_no_passport() -> None:
    with pytest.raises(Unavailable, match="full"):
        await looked(FaultStore(MemoryStore(), capacity=1000))
