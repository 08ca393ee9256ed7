"""What one key may take up of a node, and what it is told: others go on, and learn nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Self

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker
from ropewalk.errors import Misuse, Unavailable
from ropewalk.node.notices import NodeBusy
from ropewalk.node.under_way import UnderWay
from ropewalk.remote import Nodes
from ropewalk.spaces.store import NoSuchObject, ObjectName, StoreGone
from tests.node.making import GUEST, STRANGER, Town, a_node

NAME = ObjectName("a" * 64 + "/packs/1")


def test_one_key_leaves_room_for_others_in_however_many_sessions() -> None:
    under_way = UnderWay({"put": (10, 4)})
    with Taken() as owned:
        for _ in range(4):
            owned.take(under_way.of(b"a"), "put")
        with pytest.raises(NodeBusy):
            owned.take(under_way.of(b"a"), "put")  # another session of the same key
        for key in (b"b", b"c"):
            for _ in range(3):
                owned.take(under_way.of(key), "put")
        with pytest.raises(NodeBusy):
            owned.take(under_way.of(b"d"), "put")
    with Taken() as owned:
        owned.take(under_way.of(b"a"), "put")
    assert not under_way._own


class Taken:
    """Contexts of `UnderWay` that are left together."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, take: object, kind: str) -> None:
        """One more."""
        self._stack.enter_context(take(kind))  # type: ignore[operator]


async def _disk(town: Town) -> None:
    await (await town.offer("disk1")).aclose()
    town.grant()
    await town.node.look()


async def test_strangers_do_not_take_the_places_of_those_who_were_given_something(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.node.MOST_STRANGE", 3)
    async with a_node(folder / "home") as town, AsyncExitStack() as owned:
        await _disk(town)

        async def enter(key: Ed25519PrivateKey) -> None:
            link = broker.reconnecting(town.address, broker.Key(key), wanted="store", insist=False)
            await owned.enter_async_context(link)

        for number in range(3):
            await enter(Ed25519PrivateKey.from_private_bytes(bytes([100 + number]) * 32))
        with pytest.raises(Unavailable, match="not possible now"):
            await enter(STRANGER)
        for _ in range(5):
            await enter(GUEST)


async def test_a_put_that_does_not_go_on_ends_and_gives_its_room_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.pieces.LONGEST_PAUSE", 0.01)
    async with a_node(folder / "home") as town:
        await _disk(town)
        offered = town.node.offers["disk1"]

        async def stuck() -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.get_running_loop().create_future()

        with pytest.raises(Misuse, match="next piece"):
            await offered.put(GUEST.public_key().public_bytes_raw(), NAME, 100, stuck())
        assert offered._register.used(offered.account) == 0


async def test_nobody_is_told_where_the_owner_keeps_it_nor_a_stranger_how_much_there_is(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        store = await town.store()
        with pytest.raises(NoSuchObject) as failed:
            await store.get(NAME)
        assert str(folder) not in str(failed.value)
        assert await store.room() is not None
        await store.aclose()
        stranger = await town.store(key=STRANGER)
        assert await stranger.room() is None
        await stranger.aclose()


async def test_a_session_goes_on_when_the_folder_was_opened_anew(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        nodes = Nodes(GUEST)
        store = await nodes.open(f"{town.address}/disk1")
        await store.put(NAME, [b"data"])
        settings = town.node.file.load()
        town.node.file.update(lambda _: type(settings)())  # as an editor that truncates first
        await town.node.look()
        with pytest.raises(StoreGone):
            await store.get(NAME)
        town.node.file.update(lambda _: settings)
        await town.node.look()
        assert await store.get(NAME) == b"data"
        await store.aclose()
