"""Stores that take no large objects: packs are made to fit them, and where that cannot be, it is said which and why."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from ropewalk.spaces.passport.record import found
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.state import State
from tests.spaces.making import World
from tests.spaces.passport.test_counted import a_world, seen
from tests.spaces.test_offline import allow

MIB = 1 << 20
FILE = random.Random(1).randbytes(9 * MIB)  # three chunks in each column, if nothing is in the way


def limit(world: World, names: Iterable[str], size: int) -> None:
    """This device has seen that stores take no more than so many bytes."""
    seen(world, list(names), found("largest", size, "limited", "larger ones are not taken"))


def largest(world: World) -> dict[str, int]:
    return {name: max((len(data) for _, data in store.puts), default=0) for name, store in world.stores.items()}


async def test_packs_are_made_to_fit_what_all_stores_take(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, world.stores, 2 * MIB + 4000)
    async with world.open() as space:
        outcome = await space.write("a", FILE)
        assert outcome is not None
        assert outcome.in_full
        assert await space.read("a") == FILE
    assert max(largest(world).values()) <= 2 * MIB + 4000
    assert max(largest(world).values()) > 2 * MIB  # as full as they may be


async def test_the_stores_that_are_needed_decide(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, ["d1", "d4"], 2 * MIB + 4000)
    async with world.open() as space:
        outcome = await space.write("a", FILE)
        assert outcome is not None
        assert outcome.in_full
        packs = [pack for pack in await space.core.ledger.do(lambda state: list(state.packs())) if pack.head is None]
    assert {share.store for pack in packs for share in pack.shares} == set(world.stores)
    assert largest(world)["d1"] <= 2 * MIB + 4000


async def test_a_store_that_takes_not_one_chunk_does_not_make_packs_small(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, ["d2"], MIB)
    async with world.open() as space:
        outcome = await space.write("a", FILE)
        assert outcome is not None
        assert outcome.owed_shares > 0
        assert await space.read("a") == FILE
    assert largest(world)["d2"] <= MIB
    assert largest(world)["d0"] > 3 * MIB


async def test_where_too_few_take_a_chunk_the_error_names_them_and_their_limit(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, ["d1", "d4"], MIB)
    async with world.open() as space:
        with pytest.raises(
            BelowFloor, match=r"floor is 4 .*d1 takes .* 1,048,576 bytes, 1,048,592 .*; d4 takes"
        ) as caught:
            await space.write("a", FILE)
        assert "store passport d1" in caught.value.hint
        assert "d0" not in str(caught.value)
    assert not any("/packs/" in name for store in world.stores.values() for name, _ in store.puts)


async def test_small_chunks_go_where_a_large_one_would_not(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, ["d1", "d4"], MIB)
    async with world.open() as space:
        async with space.change() as change:
            for at in range(48):
                await change.write(f"f{at}", FILE[at * 150_000 :][:150_000])
        assert await space.read("f47") == FILE[47 * 150_000 :][:150_000]
        assert await space.core.ledger.do(lambda state: state.owed_shares()) == []
    assert MIB // 2 < largest(world)["d1"] <= MIB


async def test_nothing_is_queued_that_no_store_will_ever_take(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    limit(world, world.stores, MIB)
    allow(world.home)
    async with world.open() as space:
        with pytest.raises(BelowFloor, match="d0 takes objects of at most"):
            await space.write("a", FILE)
        assert await space.core.ledger.do(State.queued_names) == []
