"""A store that was seen to be unfit is counted nowhere: for a new space, for a write, for what may be deleted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.evacuate import StoreNeeded, check_can_go
from ropewalk.spaces.home import Settings, StoreSetting
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.passport import Finding, keep
from ropewalk.spaces.passport.record import found
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.promise import explain
from ropewalk.spaces.state import WITHDRAWN, State
from ropewalk.spaces.status import status
from ropewalk.spaces.store import StoreReadOnly
from tests.spaces.making import KeptStore, World, a_space, device, paper
from tests.spaces.passport.test_record import ONE
from tests.spaces.test_offline import allow

BAD = found("keeps", 0, "bad", "it loses objects")
GOOD = found("keeps", 1, "good", "it keeps objects")


def id_of(name: str) -> bytes:
    return name.encode().ljust(16, b"-")


async def a_world(folder: Path) -> World:
    """A space over stores that can be told apart by their ids."""
    world = await a_space(folder)

    def named(settings: Settings) -> Settings:
        known = {name: StoreSetting(name, id_of(name).hex()) for name in settings.stores}
        return msgspec.structs.replace(settings, stores=known)

    world.home.update(named)
    return world


def seen(world: World, names: Collection[str], finding: Finding = BAD) -> None:
    """This device has looked at stores, and found so."""
    for name in names:
        keep(world.home, msgspec.structs.replace(ONE, store=id_of(name), findings=(finding,)), device())


async def test_no_space_is_made_on_it(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    seen(world, ["d3"])
    before = {name: await store.names() for name, store in world.stores.items()}
    names = list(world.stores)
    policy = plan_policy([StoreDomains(name) for name in names], {"store": 1})
    with pytest.raises(StoreReadOnly, match="d3 is not written to: it loses objects"):
        await create_space(
            *(world.home, "more", names, policy, 1, device(), paper().public()),
            clock=world.clock,
            now=world.now,
            open_store=world.open_store,
        )
    assert {name: await store.names() for name, store in world.stores.items()} == before
    assert "more" not in world.home.load().spaces


async def test_a_write_that_would_need_it_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    seen(world, ["d1", "d3"])
    async with world.open() as space:
        incarnation = space.core.incarnation
        with pytest.raises(BelowFloor, match=r"3 of 5 stores answer, the write floor is 4 .*d1 is not written to: it"):
            await space.write("a", b"a")
        assert space.core.incarnation == incarnation
        assert await space.core.ledger.do(State.heads, WITHDRAWN) == []
    allow(world.home)
    async with world.open() as space:
        outcome = await space.write("a", b"a")
        assert outcome is not None
        assert outcome.queued
        said = await status(space.core)
        assert (
            "store d3 is not written to: it loses objects; `ropewalk store passport d3` looks at it again" in said.lines
        )
        assert said.as_dict()["refused"] == {"d1": "it loses objects", "d3": "it loses objects"}
    seen(world, ["d1", "d3"], GOOD)
    async with world.open() as space:
        assert await space.core.ledger.do(State.queued_names) == []


async def test_what_is_found_while_a_space_is_open_counts_from_the_next_change_on(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    async with world.open() as space:
        await space.write("a", b"a")
        before = len(await world.stores["d2"].names())
        seen(world, ["d2"])
        outcome = await space.write("b", b"b")
        assert outcome is not None
        assert "not written to" in outcome.why["d2"]
        assert len(await world.stores["d2"].names()) == before
        assert [line for line in space.warnings if "d2 is not written to" in line]
        seen(world, ["d2"], GOOD)
        await space.write("c", b"c")
        await space.pay()
        assert len(await world.stores["d2"].names("/heads/")) == 3


async def test_the_status_counts_on_it_for_no_write(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    async with world.open() as space:
        await space.write("a", b"a")
        well = (await status(space.core)).promise.writes.of("store")
        seen(world, ["d2"])
        await space.current()
        ill = await status(space.core)
        now = ill.promise.writes.of("store")
        assert well is not None
        assert now is not None
        assert (well.holds, now.holds) == (1, 0)
        assert explain(ill.promise)


async def test_no_store_is_emptied_because_of_what_lies_there(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    world.stores["d5"] = KeptStore()

    def with_one_more(settings: Settings) -> Settings:
        stores = {**settings.stores, "d5": StoreSetting("d5", id_of("d5").hex())}
        space = msgspec.structs.replace(settings.spaces["photos"], stores=list(stores))
        return msgspec.structs.replace(settings, stores=stores, spaces={"photos": space})

    world.home.update(with_one_more)
    async with world.open() as space:
        await space.write("a", bytes(300_000))
        check_can_go(space.core, "d0")
        seen(world, ["d5"])
        await space.current()
        with pytest.raises(StoreNeeded, match="without store d0"):
            check_can_go(space.core, "d0")
        check_can_go(space.core, "d5")
