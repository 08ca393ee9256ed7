"""How often a node far away is waited for until a store of it is open, and how often it is connected to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from ropewalk import broker, net
from ropewalk.auth import Perspectives, Portal
from ropewalk.broker import Backoff
from ropewalk.loops import Simulated, run
from ropewalk.node.node import _AnyKey
from ropewalk.remote import Nodes
from ropewalk.spaces.store import ObjectName, StoreGone
from tests.node.making import GUEST, STRANGER
from tests.remote.test_store import Lying, LyingRoom

WAY = 0.25  # seconds that bytes are under way
NAME = ObjectName("s/packs/1")


class _Half(asyncio.Protocol):
    """One end of the way: what comes is sent on from the other a while later."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self.other: _Half
        self.transport: asyncio.Transport | None = None
        self.line: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.far.open.append(self)
        for piece in self.line:
            self.transport.write(piece)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(WAY, self.other.send, data)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self.line.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other.transport is not None:
            self.other.transport.close()


@dataclass
class Far:
    """A node to which and from which bytes take a while.

    Attributes:
        address: Of it.
        connections: Made to it so far.
    """

    room: LyingRoom
    address: str = ""
    connections: int = 0
    open: list[_Half] = field(default_factory=list)
    tasks: set[asyncio.Task[object]] = field(default_factory=set)

    def come(self) -> asyncio.Protocol:
        """Somebody has connected."""
        self.connections += 1
        here, there = _Half(self), _Half(self)
        here.other, there.other = there, here
        task = asyncio.create_task(net.connect("memory://near", lambda: there))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return here

    def cut(self) -> None:
        """Lose all connections."""
        halves, self.open = self.open, []
        for half in halves:
            if half.transport is not None:
                half.transport.abort()


@asynccontextmanager
async def _far(room: LyingRoom) -> AsyncIterator[Far]:
    realm = Perspectives()
    realm.give(LyingRoom, lambda _: room)
    host = broker.Host(Portal(realm, [_AnyKey()]), {"store": LyingRoom}, node=STRANGER)
    far = Far(room)
    async with (
        await net.listen("memory://near", host.protocol),
        await net.listen("memory://far", far.come) as listener,
    ):
        far.address = str(host.address(listener.endpoint.peer()))
        yield far
        await host.close(1)


def _play(act: Callable[[Far, Nodes], Awaitable[None]], room: LyingRoom | None = None) -> None:
    async def main() -> None:
        async with _far(room or LyingRoom(Lying(get=lambda offset, length: b"x"))) as far:
            await act(far, Nodes(GUEST, Backoff(first=0.1, most=0.1, jitter=lambda: 1.0)))

    run(main(), loop=Simulated(2))


async def _took(work: Awaitable[object]) -> float:
    """Seconds, as many ways."""
    now = asyncio.get_running_loop().time
    began = now()
    await work
    return (now() - began) / WAY


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("/disk1", 1 + 2),  # its hello, which is on the way at once; login, store and what it is together
        ("", 1 + 2 + 2),  # what it offers comes with the login
    ],
)
def test_a_store_is_open_after_its_hello_and_one_question(name: str, ways: int) -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        took = await _took(opening := asyncio.ensure_future(nodes.open(far.address + name)))
        assert took == pytest.approx(ways, abs=0.1)
        assert opening.result().identity == bytes(16)
        assert await _took(opening.result().get(NAME, 0, 1)) == pytest.approx(2, abs=0.1)
        await opening.result().aclose()

    _play(act)


def test_after_a_connection_was_lost_the_first_call_costs_what_any_does() -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        store = await nodes.open(f"{far.address}/disk1")
        far.cut()
        await asyncio.sleep(5)
        assert far.connections == 2
        assert await _took(store.get(NAME, 0, 1)) == pytest.approx(2, abs=0.1)
        await store.aclose()

    _play(act)


def test_stores_of_one_node_that_are_opened_at_once_come_over_one_connection() -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        opening = asyncio.gather(*(nodes.open(f"{far.address}/disk{at}") for at in range(3)))
        assert await _took(opening) == pytest.approx(3, abs=0.1)
        assert far.connections == 1
        for store in opening.result():
            await store.aclose()

    _play(act)


def test_whoever_gives_up_opening_takes_the_connection_from_nobody_else() -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        first = asyncio.create_task(nodes.open(f"{far.address}/disk1"))
        await asyncio.sleep(WAY)
        second = asyncio.create_task(nodes.open(f"{far.address}/disk2"))
        await asyncio.sleep(WAY / 10)
        first.cancel()
        store = await second
        assert far.connections == 1
        assert await store.get(NAME, 0, 1) == b"x"
        await store.aclose()

    _play(act)


def test_when_all_have_given_up_the_connection_ends() -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        opening = asyncio.create_task(nodes.open(f"{far.address}/disk1"))
        await asyncio.sleep(WAY)
        opening.cancel()
        await asyncio.wait([opening])
        await asyncio.sleep(10)
        assert far.connections == 1
        assert all(half.transport is not None and half.transport.is_closing() for half in far.open)
        assert len(asyncio.all_tasks()) == 1

    _play(act)


class Closed(LyingRoom):
    """Does not offer it at first."""

    asked = 0

    @broker.remote
    def open(self, name: str) -> Lying:
        self.asked += 1
        if self.asked == 1:
            raise broker.NoReference("not here")
        return self.store


def test_what_was_refused_with_the_login_is_asked_for_anew() -> None:
    async def act(far: Far, nodes: Nodes) -> None:
        with pytest.raises(StoreGone, match="not here"):
            await nodes.open(f"{far.address}/disk1")
        store = await nodes.open(f"{far.address}/disk1")
        assert await store.get(NAME, 0, 1) == b"x"
        await store.aclose()

    _play(act, Closed(Lying(get=lambda offset, length: b"x")))
