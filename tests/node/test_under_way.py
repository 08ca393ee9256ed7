"""Calls that their other end does not take up: they end, and keep out nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker
from ropewalk.errors import Misuse
from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.node.notices import NodeBusy
from ropewalk.node.perspective import OfferedStore
from ropewalk.node.pieces import LEAST, LONGEST_PAUSE, hastened
from ropewalk.node.rights import NotGranted
from ropewalk.node.under_way import HELD_UP, UnderWay
from ropewalk.spaces.store import ObjectName
from tests.node.making import GUEST, STRANGER, Town, a_node

NAME = ObjectName("a" * 64 + "/packs/1")
KEY = GUEST.public_key().public_bytes_raw()
SIZE = 5 << 20
HOGS = [Ed25519PrivateKey.from_private_bytes(bytes([50 + number]) * 32) for number in range(3)]


async def _disk(town: Town) -> None:
    store = await town.offer("disk1")
    await store.put(NAME, [bytes(SIZE)])
    await store.aclose()
    for key in (GUEST, *HOGS):
        town.grant(key=key)
    await town.node.look()


async def test_streams_that_nobody_reads_keep_no_other_key_from_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.under_way.HELD_UP", 0.0)
    async with a_node(folder / "home") as town, AsyncExitStack() as owned:
        await _disk(town)

        async def entered(key: Ed25519PrivateKey) -> Any:
            link = await owned.enter_async_context(
                broker.reconnecting(town.address, broker.Key(key), wanted="store", insist=False)
            )
            return await link.perspective.open("disk1")

        hogged = []
        for key in HOGS:
            store = await entered(key)
            for _ in range(24):
                stream = await store.read(NAME, 0, None)
                hogged.append(stream)
                await store.about()  # by now it was begun, and waits to be read
        assert len(hogged) > UnderWay.MOST["read"][0]
        read = [len(piece) async for piece in await (await entered(GUEST)).read(NAME, 0, None)]
        assert sum(read) == SIZE


def test_a_place_is_given_to_who_has_fewer_once_it_was_waited_for() -> None:
    """And the one that goes is the one that has waited longest, of a key that has more."""
    now = 0.0
    ended: list[int] = []

    async def main() -> None:
        nonlocal now
        under_way = UnderWay({"read": (4, 3)}, clock=lambda: now)
        owned = ExitStack()
        reads = [owned.enter_context(under_way.of(key)("read")) for key in (b"a", b"a", b"a", b"b")]

        async def stuck(number: int) -> None:
            with reads[number].waiting():
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ended.append(number)

        async with asyncio.TaskGroup() as group:
            for number in (3, 1, 0):  # b waits longest, and number 2 of a does not wait
                group.create_task(stuck(number))
                await asyncio.sleep(0)
                now += 0.1
            with pytest.raises(NodeBusy):
                owned.enter_context(under_way.of(b"c")("read"))  # none has waited long
            now += HELD_UP
            owned.enter_context(under_way.of(b"c")("read"))
            await asyncio.sleep(0)
            assert ended == [1]
            with pytest.raises(NodeBusy):
                owned.enter_context(under_way.of(b"c")("read"))  # nobody has more than it would have then
            for number in (0, 3):
                reads[number].end()
        owned.close()
        assert not under_way._own

    run(main(), loop=Simulated())


async def test_a_read_that_is_not_taken_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.node.under_way.LONGEST_PAUSE", 0.01)
    async with a_node(folder / "home") as town:
        await _disk(town)
        under_way = UnderWay()
        store = OfferedStore(town.node.offers["disk1"], KEY, under_way.of(KEY))

        async def never_takes() -> None:
            pieces = store.read(NAME, 0, None)
            try:
                async for _ in pieces:
                    await asyncio.Event().wait()
            finally:
                await pieces.aclose()  # type: ignore[attr-defined]

        reading = asyncio.create_task(never_takes())
        async with asyncio.timeout(10):
            await asyncio.wait([reading])
        assert reading.cancelled()
        assert not under_way._own


async def test_a_read_that_is_taken_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        under_way = UnderWay()
        store = OfferedStore(town.node.offers["disk1"], KEY, under_way.of(KEY))
        assert sum([len(piece) async for piece in store.read(NAME, 1, SIZE)]) == SIZE - 1
        assert not under_way._own


@pytest.mark.parametrize(("piece", "kept"), [(1, False), (LEAST // 2, True), (LEAST, True)])
def test_a_byte_now_and_then_does_not_keep_a_put_alive(piece: int, kept: bool) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            await asyncio.sleep(LONGEST_PAUSE / 2 - 1)
            yield bytes(piece)

    async def main() -> int:
        return sum([len(one) async for one in hastened(slow())])

    if kept:
        assert run(main(), loop=Simulated()) == 20 * piece
    else:
        with pytest.raises(Misuse, match="in time"):
            run(main(), loop=Simulated())


async def test_what_may_not_be_put_is_refused_before_its_bytes_are_waited_for(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        asked = False

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal asked
            asked = True
            yield b"x"

        record = "a" * 64 + "/records/" + "b" * 64
        with pytest.raises(NotGranted):
            await town.node.offers["disk1"].put(STRANGER.public_key().public_bytes_raw(), record, 100, pieces())
        assert not asked
