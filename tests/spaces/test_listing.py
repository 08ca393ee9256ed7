"""Listing: stores that do not answer, say things twice, or list what they do not give, hide nothing and cost little."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.learning import heads as heads_module
from ropewalk.spaces.learning import learn, listing, look, looking
from ropewalk.spaces.state import State
from ropewalk.spaces.store import Listed
from ropewalk.testing import Fault, Rule
from tests.spaces.making import KeptStore, a_space
from tests.spaces.showing import sealed, show, written


class _Stutterer(KeptStore):
    """Says each name more than once."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.listed = times, 0

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            for _ in range(self.times):
                self.listed += 1
                yield listed


async def test_a_store_that_is_asked_only_in_case_another_lies_is_waited_for_less_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "DEADLINE", 1e6)
    monkeypatch.setattr(listing, "LIAR_PATIENCE", 0.02)
    world = await a_space(tmp_path, stores=3)
    world.stores["d2"].hang("list")
    async with world.open() as space:
        assert any("2 of 3 stores told" in line for line in space.warnings)
        await space.write("a", b"1")


async def test_it_is_said_once_and_each_change_does_not_look_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three stores all are needed where one may lie; the two that are there are enough to write."""
    world = await a_space(tmp_path, stores=3)
    looks = 0

    async def counted(*args: Any) -> dict[str, listing.Shown]:
        nonlocal looks
        looks += 1
        return await listing.shown_by_stores(*args)

    monkeypatch.setattr(looking, "shown_by_stores", counted)
    world.stores["d2"].gone = True
    async with world.open() as space:
        assert space.core.fresh_read == 3
        for number in range(3):
            await space.write(f"{number}", b"1")
        await look(space.core)
        assert looks == 2
        said = "2 of 3 stores told what is newest: until 3 do, that this is an old version cannot be ruled out"
        assert [line for line in space.warnings if "told" in line] == [said]
        world.stores["d2"].gone = False
        await space.write("all are back", b"1")
        assert looks == 3
        assert space.core.told == 3


@pytest.mark.parametrize("stores", ["d0", "d0 d4"])
async def test_a_store_that_lists_a_head_and_does_not_give_it_hides_nothing_that_another_has(
    tmp_path: Path, stores: str
) -> None:
    """The other one was slow to list."""
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        await show(world, name, data, "d0", "d2", "d4")
        for liar in stores.split():
            world.stores[liar].rules.append(Rule(Fault.HIDE, on={"get"}, name=lambda one: one == name.encode()))
            world.stores[liar].rules.append(Rule(Fault.CORRUPT, on={"get"}, name=lambda one: one == name.encode()))
        world.stores["d2"].rules.append(Rule(Fault.HIDE, on={"list"}))
        learned = await learn(space.core)
        assert learned.writers == {name.writer}
        having = {"d0", "d2", "d4"} if stores == "d0" else {"d2"}
        assert (await space.core.ledger.do(State.sparse_heads))[name.encode()] <= having
        assert "d2" in having


async def test_other_stores_are_asked_for_few_heads_that_those_which_list_them_do_not_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "MOST_ELSEWHERE", 3)
    world = await written(tmp_path)
    async with world.open() as space:
        name, _ = sealed(space)
        for number in range(10):
            await show(world, replace(name, sequence=number + 2, check=bytes(32)), b"junk", "d0")
        before = len(world.stores["d1"].gets)
        await learn(space.core)
        assert len(world.stores["d1"].gets) == before + 3


@pytest.mark.parametrize("times", [2, 1 << 60])
async def test_a_name_that_is_listed_again_ends_no_listing_unless_it_is_the_only_one_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(listing, "MOST_HEADS", 50)
    monkeypatch.setattr(listing, "MOST_RECORDS", 50)
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        await show(world, name, data, "d0")
        liar = _Stutterer(times)
        for held in await world.stores["d0"].names():
            await liar.put(held, (await world.stores["d0"].get(held),))
        space.core.pool._stores["d0"] = replace(space.core.pool._stores["d0"], store=liar)
        shown = (await listing.shown_by_stores(space.core, frozenset()))["d0"]
        assert shown.whole is (times == 2)
        assert len(shown.records) == 2 if times == 2 else shown.records
        assert name.encode() in shown.heads or times > 2
        assert liar.listed < 1000


async def test_no_more_is_asked_for_than_a_head_or_a_record_may_have(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await check(space.core, everything=True)
        await space.core.ledger.do(_owe_all, list(world.stores))
        await space.repair()
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        assert await space.read("a") == b"1"
    for store in world.stores.values():
        asked = [(name, length) for name, _, length in store.gets if "/packs/" not in name]
        assert asked
        assert [name for name, length in asked if length is None] == []


def _owe_all(state: State, stores: list[str]) -> None:
    for name in state.head_names():
        state.owe_head(name, stores)
