"""Settling: what a crash left open is finished only where all of it can still be had, on as many stores as promised."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.state import KnownPack, State
from ropewalk.testing.faults import Stop
from tests.spaces.making import World, a_space, object_of

FILE = random.Random(4).randbytes(400_000)


async def _crashed(tmp_path: Path) -> tuple[World, KnownPack, list[tuple[str, str]]]:
    """A space whose newest change is in the journal and in no store; its pack, and where each share of that lies."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")

        async def stop(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("under way", FILE)
        (pack,) = await space.core.ledger.do(State.unannounced)
        places = [(share.store, str(object_of(space, pack, share))) for share in pack.shares]
    return world, pack, places


async def _lose(world: World, places: list[tuple[str, str]]) -> None:
    for store, name in places:
        (held,) = await world.stores[store].names(name)
        await world.stores[store].lose(held)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_what_can_be_brought_back_to_the_floor_is_and_then_survives_any_two_stores(
    tmp_path: Path, lost: int
) -> None:
    world, _, places = await _crashed(tmp_path)
    await _lose(world, places[:lost])
    async with world.open() as space:
        assert await space.read("under way") == FILE
        report = await check(space.core, everything=True)
        assert report.ok, report.lines
    for gone in itertools.combinations(world.stores.values(), 2):
        for store in gone:
            store.gone = True
        async with world.open() as space:
            assert await space.read("under way") == FILE
        for store in gone:
            store.gone = False


@pytest.mark.parametrize("how", ["lost", "cut", "lost, and one store away"])
async def test_what_can_not_is_given_up(tmp_path: Path, how: str) -> None:
    world, _, places = await _crashed(tmp_path)
    if how == "cut":
        for store, name in places[:3]:
            (held,) = await world.stores[store].names(name)
            await world.stores[store].cut(held, 5)
    else:
        await _lose(world, places[: 2 if "away" in how else 3])
    if "away" in how:
        world.stores[places[4][0]].gone = True
    async with world.open() as space:
        assert [info.path async for info in space.list()] == ["before"]
        assert await space.core.ledger.do(State.pending) == []
        before = space.core.writer_id
    for kept in world.stores.values():
        kept.gone = False
    async with world.open() as space:
        outcome = await space.write("after", b"2")
        assert outcome is not None
        assert (outcome.head.sequence, outcome.head.writer) == (1, before)
        report = await check(space.core, everything=True)
        assert report.lost == 0, report.lines
    assert len(await world.names("/heads/")) == 2


async def test_a_store_that_is_away_and_has_a_share_is_made_good_before_the_head_is_sent(tmp_path: Path) -> None:
    """Four of five hold it, one of these is away: the fifth gets its share now, so that the floor stands."""
    world, pack, places = await _crashed(tmp_path)
    await _lose(world, places[:1])
    world.stores[places[1][0]].gone = True
    async with world.open() as space:
        assert await space.read("under way") == FILE
        held = await space.core.ledger.do(State.pack_named, pack.name)
        assert held is not None
        assert len(held.good) == 5
