"""A store that hangs holds nothing up for long: what the others have is acknowledged, and it owes the rest."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ropewalk.spaces.owing import AT_ONCE
from ropewalk.spaces.pool import patience, roster
from ropewalk.spaces.pool import pool as pool_module
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.state import State
from ropewalk.spaces.store import Store
from tests.spaces.making import a_space

LONG = 30.0  # seconds in which a test that does not hang is done


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SLOWEST_RATE", 1 << 40)
    monkeypatch.setattr(patience, "GRACE", 0.05)
    monkeypatch.setattr(roster, "LINGER", 0.05)
    monkeypatch.setattr(roster, "PARTING", 0.05)


def _owed(state: State) -> tuple[int, int]:
    return len(state.owed_heads()), sum(len(numbers) for _, numbers in state.owed_shares(all_packs=True))


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("size", "shares"), [(3000, 0), (200_000, 1)])
async def test_a_write_is_acknowledged_without_it_and_what_it_brings_later_counts(
    tmp_path: Path, size: int, shares: int
) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")
        world.stores["d2"].hang("put", "room")
        data = os.urandom(size)
        outcome = await space.write("a", data)
        assert outcome is not None
        assert (outcome.copies, outcome.owed_heads, outcome.owed_shares) == (4, 1, shares)
        assert "d2" in outcome.why
        assert await space.read("a") == data
        assert await space.core.ledger.do(_owed) == (1, shares)
        world.stores["d2"].release()
        while await space.core.ledger.do(_owed) != (0, 0):
            await space.pay()
        assert len(await world.stores["d2"].names("/heads/")) == 2
        assert len(await world.stores["d2"].names("/packs/")) == shares
        outcome = await space.write("b", b"2")
        assert outcome is not None
        assert outcome.in_full


async def test_a_copy_that_comes_late_is_paid_for_without_being_sent_again(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].hang("put")
        await space.write("a", b"1")
        assert await space.core.ledger.do(_owed) == (1, 0)
        world.stores["d2"].release()
        while await space.core.ledger.do(_owed) != (0, 0):  # noqa: ASYNC110 - the ledger has no event to wait for
            await asyncio.sleep(0)
        heads = [name for name, _ in world.stores["d2"].puts if "/heads/" in name]
        assert len(heads) == 1


async def test_what_hangs_to_the_end_stays_owed_and_is_paid_after_the_next_opening(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].hang("put", "room")
        await space.write("a", b"1")
    world.stores["d2"].release()
    async with world.open() as space:
        assert await space.core.ledger.do(_owed) == (1, 0)
        await space.pay()
        assert await space.core.ledger.do(_owed) == (0, 0)


async def test_paying_does_not_keep_the_turn_for_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].gone = True
        await space.write("a", os.urandom(200_000))
        world.stores["d2"].gone = False
        world.stores["d2"].hang("put")
        world.clock.seconds += 60
        await space.pay()
        outcome = await space.write("b", b"2")
        assert outcome is not None
        assert outcome.copies == 4


async def test_a_share_that_was_made_again_counts_once_a_slow_store_has_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].gone = True
        await space.write("a", os.urandom(200_000))
        world.stores["d2"].gone = False
        world.stores["d2"].hang("put", name=lambda name: "/packs/" in name)
        world.clock.seconds += 60
        await space.pay()
        assert await space.core.ledger.do(_owed) == (0, 1)
        world.stores["d2"].release()
        await space.core.pool.caught_up(LONG)
        assert await space.core.ledger.do(_owed) == (0, 0)


async def test_a_slow_store_is_brought_a_few_heads_at_a_time_and_then_more(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].gone = True
        for at in range(6):
            await space.write(f"{at}", b"1")
        world.stores["d2"].gone = False
        world.stores["d2"].hang("put")
        world.clock.seconds += 60
        for _ in range(3):
            await space.pay()
        assert len([name for name, _ in world.stores["d2"].puts if "/heads/" in name]) == AT_ONCE
        assert await space.core.ledger.do(_owed) == (6, 0)
        world.stores["d2"].release()
        await space.core.pool.caught_up(LONG)
        assert await space.core.ledger.do(_owed) == (6 - AT_ONCE, 0)
        await space.pay()
        assert await space.core.ledger.do(_owed) == (0, 0)


async def test_a_membership_record_is_signed_without_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d2"].hang("put", name=lambda name: "/records/" in name)
        async with asyncio.timeout(LONG), space.group() as group:
            await group.call_device("laptop")
        owed = await space.core.ledger.do(State.owed_records)
        assert {store for _, store, _ in owed} == {"d2"}
        world.stores["d2"].release()
        await space.core.pool.caught_up(LONG)
        assert await space.core.ledger.do(State.owed_records) == []


async def test_a_head_below_the_floor_is_given_up_though_a_store_that_hangs_may_bring_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")
        for name in ("d1", "d2"):
            world.stores[name].hang("put", name=lambda name: "/heads/" in name)
        writer = space.core.writer_id
        monkeypatch.setattr(pool_module, "DEADLINE", 0.2)  # before that nobody can tell whether they will bring it
        with pytest.raises(BelowFloor):
            await space.write("refused", b"2")
        assert space.core.writer_id != writer
        for name in ("d1", "d2"):
            world.stores[name].release()
        await _settled()
        world.clock.seconds += 60
        await space.write("after", b"3")
        assert {info.path async for info in space.list()} == {"before", "after"}
        await space.pay()
    assert len(await world.names("/heads/")) == 2


async def test_a_space_opens_and_shows_what_is_in_it_without_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    data = os.urandom(200_000)
    async with world.open() as space:
        await space.write("a", data)
    freed = asyncio.Event()
    opened = world.open_store

    async def open_store(path: str, identity: bytes) -> Store:
        if path == "d1":
            await freed.wait()
        return await opened(path, identity)

    world.open_store = open_store  # type: ignore[method-assign]
    async with world.open() as space:
        assert [info.path async for info in space.list()] == ["a"]
        assert await space.read("a") == data
        outcome = await space.write("b", b"2")
        assert outcome is not None
        assert outcome.copies == 4
        await space.core.pool.opened()
        assert space.warnings == ["store d1 is not there: it does not answer"]
        freed.set()
        await _settled()
        await space.core.pool.revive()
        assert space.core.pool.up("d1")
        await space.pay()
        assert await space.core.ledger.do(_owed) == (0, 0)


@pytest.mark.parametrize("calls", [("get",), ("get", "list", "put", "delete", "room")])
async def test_reads_are_not_held_up_by_it(tmp_path: Path, calls: tuple[str, ...]) -> None:
    world = await a_space(tmp_path)
    data = os.urandom(400_000)
    async with world.open() as space:
        await space.write("a", data)
    for name in ("d0", "d3"):
        world.stores[name].hang(*calls)
        async with world.open() as space:
            assert [info.path async for info in space.list()] == ["a"]
            assert await space.read("a") == data
        world.stores[name].release()
