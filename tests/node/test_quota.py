"""Quota as it is: what each object costs besides its bytes, and that who gives up a call gains nothing by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.node.register import ENTRY, OverQuota
from ropewalk.spaces.store import ObjectName
from tests.node.making import GUEST, a_node

KEY = GUEST.public_key().public_bytes_raw()
SIZE = 100_000


async def test_an_empty_object_costs_its_entry(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant(quota=3 * ENTRY)
        await town.node.look()
        offered = town.node.offers["disk1"]
        outcomes = await offered.put_small(KEY, [(f"a{number}", b"") for number in range(5)])
        assert [error is None for error in outcomes] == [True, True, True, False, False]
        assert isinstance(outcomes[3], OverQuota)


@pytest.mark.parametrize("small", [True, False])
async def test_who_gives_up_puts_and_deletes_what_they_left_has_no_more_room_for_it(folder: Path, small: bool) -> None:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant(quota=10 * (SIZE + ENTRY))
        await town.node.look()
        offered = town.node.offers["disk1"]

        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(SIZE)

        for number in range(60):
            put = (
                offered.put_small(KEY, [(f"a{number}", bytes(SIZE))])
                if small
                else offered.put(KEY, f"a{number}", SIZE, pieces())
            )
            task = asyncio.ensure_future(put)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if number % 3:
                await offered.delete(KEY, f"a{number}")
        await asyncio.gather(*offered.books._ends, return_exceptions=True)
        lies = [listed.size async for listed in offered.store.list("")]
        assert offered._register.used(offered.account) == sum(lies) + ENTRY * len(lies)
        assert sum(lies) <= 10 * SIZE


async def test_what_could_not_be_set_aside_stays_and_is_paid_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant()
        await town.node.look()
        offered = town.node.offers["disk1"]
        name = "a" * 64 + "/packs/1"
        await offered.put_small(KEY, [(name, b"data")])
        monkeypatch.setattr(offered, "_worth_keeping", _yes)
        used = offered._register.used(offered.account)

        async def full(_name: ObjectName, _label: str) -> int:
            raise OverQuota("a test said so")

        monkeypatch.setattr(offered.store, "set_aside", full)
        with pytest.raises(OverQuota):
            await offered.delete(KEY, name)
        assert await offered.get(KEY, name, 0, 4) == b"data"
        assert offered._register.used(offered.account) == used
        assert await offered._register.labels(offered.account) == {}


async def _yes(_key: bytes, _space: bytes | None) -> bool:
    return True
