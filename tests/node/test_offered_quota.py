"""How much a node keeps for whom: what is refused before it is sent, and what counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.node.register import OverQuota
from ropewalk.spaces.store import LARGEST_HINT, NameTaken
from tests.node.family import key, offered_in, pieces_of, put
from tests.node.making import GUEST, STRANGER, a_node

pytestmark = pytest.mark.usefixtures("free_entries")


async def test_what_does_not_fit_is_refused_before_it_is_sent(folder: Path) -> None:
    async with offered_in(folder, quota=1000) as (town, offered):
        town.grant(quota=100)
        await town.node.look()

        async def never() -> AsyncIterator[bytes]:
            yield b"it was asked for"
            pytest.fail("it was asked for")

        with pytest.raises(OverQuota, match="0 bytes of 100 bytes, 101"):
            await offered.put(key(GUEST), "a", 101, never())
        await put(offered, GUEST, "a", bytes(60))
        with pytest.raises(OverQuota, match="60 bytes of 100 bytes"):
            await offered.put(key(GUEST), "b", 41, never())
        await put(offered, GUEST, "b", bytes(40))
        await put(offered, GUEST, "b", bytes(40))  # again, which costs no more
        room = await offered.room(key(GUEST))
        assert room is not None
        assert (room.total, room.free) == (100, 0)


async def test_two_that_do_not_fit_together_are_not_both_begun(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        town.grant(quota=100)
        await town.node.look()
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            await go_on.wait()
            yield bytes(60)

        first = asyncio.create_task(offered.put(key(GUEST), "a", 60, slow()))
        await asyncio.sleep(0.01)
        with pytest.raises(OverQuota):
            await put(offered, GUEST, "b", bytes(60))
        go_on.set()
        await first
        await put(offered, GUEST, "c", bytes(40))


async def test_what_failed_or_was_there_already_costs_nothing(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        town.grant(quota=100)
        await town.node.look()

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(30)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await offered.put(key(GUEST), "a", 90, broken())
        with pytest.raises(Misuse):
            await offered.put(key(GUEST), "a", 90, pieces_of(bytes(89)))
        await put(offered, GUEST, "a", bytes(50))
        await put(offered, GUEST, "a", bytes(50))
        with pytest.raises(NameTaken):
            await put(offered, GUEST, "a", bytes(49))
        assert offered._register.used(offered.account) == 50


async def test_the_quota_of_all_guests_holds_for_all(folder: Path) -> None:
    async with offered_in(folder, quota=100) as (town, offered):
        town.grant()
        town.grant(key=STRANGER)
        await town.node.look()
        await put(offered, GUEST, "a", bytes(60))
        with pytest.raises(OverQuota, match="all that is offered"):
            await put(offered, STRANGER, "b", bytes(60))
        await put(offered, STRANGER, "b", bytes(40))


async def test_the_next_grant_pays_where_the_first_is_used_up(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        first, second = town.grant(quota=100), town.grant(quota=50)
        await town.node.look()
        await put(offered, GUEST, "a", bytes(80))
        await put(offered, GUEST, "b", bytes(50))
        assert [offered._register.used(offered.account, one) for one in (first, second)] == [80, 50]
        await put(offered, GUEST, "c", bytes(20))
        with pytest.raises(OverQuota):
            await put(offered, GUEST, "d", bytes(1))


async def test_a_hint_counts_the_same_whatever_replaces_it(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        town.grant(quota=LARGEST_HINT)
        await town.node.look()
        hint = "a" * 64 + "/hints/" + "0" * 32
        for data in (b"", b"x", bytes(LARGEST_HINT)):
            await offered.replace(key(GUEST), hint, data)
        assert offered._register.used(offered.account) == LARGEST_HINT
        with pytest.raises(OverQuota):
            await offered.replace(key(GUEST), "a" * 64 + "/hints/" + "1" * 32, b"")


async def test_what_was_used_is_known_after_a_restart(folder: Path) -> None:
    async with offered_in(folder) as (town, offered):
        grant = town.grant(quota=100)
        await town.node.look()
        await put(offered, GUEST, "a", bytes(60))
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        assert offered._register.used(offered.account, grant) == 60
        with pytest.raises(OverQuota):
            await put(offered, GUEST, "b", bytes(60))
