"""A space that stays open reads what other devices write meanwhile, wherever the packs of it lie."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.check import check
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.home import Home
from ropewalk.spaces.pool.pool import REST
from ropewalk.spaces.reader import ChunkMissing
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import Listed
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space
from tests.spaces.model import contents

LARGE = 300_000  # bytes: too many for a head


async def two_homes(tmp_path: Path) -> tuple[World, World]:
    """One space, and two that use it, each with a memory of his own."""
    world = await a_space(tmp_path)
    return world, replace(world, home=Home(world.home.config, tmp_path / "other"))


async def newest(space: Space) -> HeadName:
    """The name of the newest head."""
    name = HeadName.decode((await space.log())[0].name)
    assert name is not None
    return name


async def test_a_pack_of_a_head_that_is_heard_of_is_read_without_opening_again(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        await reading._take([await newest(writing)])
        assert await reading.read("a") == contents(1, LARGE)
        assert not reading.warnings


async def test_who_hears_of_the_last_of_several_heads_reads_what_the_others_brought(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        for number in range(4):
            await writing.write(f"f{number}", contents(number, LARGE))
        await reading._take([await newest(writing)])
        for number in range(4):
            assert await reading.read(f"f{number}") == contents(number, LARGE)
        assert len(await reading.log()) == 4
        assert not reading.warnings


async def test_a_read_finds_what_another_read_learnt_while_it_was_about_to(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        await reading._take([await newest(writing)])
        learn = reading._named_packs.learn

        async def after_another() -> bool:
            assert await learn()
            return await learn()  # by now there is nothing left to learn

        reading.core.reader.learn_packs = after_another
        assert await reading.read("a") == contents(1, LARGE)
        assert not reading.warnings


async def test_a_check_loses_nothing_that_came_since_the_opening(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        await reading._take([await newest(writing)])
        assert (await check(reading.core, everything=True)).lost == 0


async def test_shares_in_a_store_that_was_away_are_not_owed_once_it_is_back(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        store = one.stores["d0"]
        store.rules.append(Rule(Fault.GONE_BEFORE))
        await reading._take([await newest(writing)])
        assert await reading.read("a") == contents(1, LARGE)
        assert await reading.core.ledger.do(State.owed_shares)
        store.rules.clear()
        one.clock.seconds += 60
        puts = len(store.puts)
        assert await reading.pay() == 0
        assert not await reading.core.ledger.do(State.owed_shares)
        assert len(store.puts) == puts, "what was there was made again"


async def test_what_too_few_stores_give_now_is_not_called_lost(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    whole = random.Random(1).randbytes(3 << 20)  # a chunk in each data column: two stores have two of the three at most
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", whole)
        for name in ("d0", "d1", "d2"):
            one.stores[name].rules.append(Rule(Fault.GONE_BEFORE, name=lambda name: "/packs/" in name))
        await reading._take([await newest(writing)])
        with pytest.raises(RopewalkError):
            await reading.read("a")
        for name in ("d0", "d1", "d2"):
            one.stores[name].rules.clear()
        one.clock.seconds += 60
        assert await reading.read("a") == whole


@pytest.mark.parametrize("passed", [0.0, 60.0])
async def test_a_pack_is_found_as_soon_as_a_store_that_has_it_is_back(tmp_path: Path, passed: float) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        for store in one.stores.values():
            store.rules.append(Rule(Fault.GONE_BEFORE, name=lambda name: "/packs/" in name))
        await reading._take([await newest(writing)])
        for _ in range(2):
            with pytest.raises(ChunkMissing):
                await reading.read("a")
        for store in one.stores.values():
            store.rules.clear()
        one.clock.seconds += passed  # whether their rest is over or not
        reading._named_packs._roused -= passed + REST
        assert await reading.read("a") == contents(1, LARGE)
        assert not await reading.core.ledger.do(State.owed_shares)


async def test_stores_that_answer_and_have_no_share_of_a_pack_are_not_asked_again_for_each_read(tmp_path: Path) -> None:
    one, other = await two_homes(tmp_path)
    async with one.open() as writing, other.open() as reading:
        await writing.write("a", contents(1, LARGE))
        await reading._take([await newest(writing)])
        for store in one.stores.values():
            for name in await store.names("/packs/"):
                await store.lose(name)
        asked: list[str] = []
        honest = reading.core.pool.list

        def listed(store: str, prefix: str, after: str = "") -> AsyncIterator[Listed]:
            asked.append(store)
            return honest(store, prefix, after)

        with mock.patch.object(reading.core.pool, "list", listed):
            one.stores["d0"].gone = True
            for _ in range(3):
                with pytest.raises(ChunkMissing):
                    await reading.read("a")
            one.stores["d0"].gone = False
            one.clock.seconds += 60
            for _ in range(3):
                with pytest.raises(ChunkMissing):
                    await reading.read("a")
        assert sorted(asked) == sorted([*one.stores, *one.stores]), "once, and once more when one of them is back"
