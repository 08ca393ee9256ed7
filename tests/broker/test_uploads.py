"""A long binary on its way, in a session: small calls pass it, and it does not keep the loop to itself."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.limits import PIECE, Limits, told
from ropewalk.broker.session import Session
from tests.broker.hosts import House, Me, simulated
from tests.broker.pair import Nothing
from tests.broker.raw import ext, frame, hello

LONG = 20 << 20
RATE = 1 << 20  # bytes a second of a slow connection
WAITING = 512 * 1024 + 4 * PIECE  # bytes that wait in a transport ahead of a small call, at most
TURN = 4 << 20  # bytes of pieces in one turn of the loop


class Vault(Me):
    """Gives and takes long binary."""

    @broker.remote
    def put(self, data: bytes) -> int:
        return len(data)

    @broker.remote
    def get(self, size: int) -> bytes:
        return bytes(size)


def slow(reader: Session) -> Session:
    """A session that reads so many bytes a second, and no more."""
    take = reader.buffer_updated

    def updated(nbytes: int) -> None:
        take(nbytes)
        transport = reader.transport
        if transport is not None:
            transport.pause_reading()
            reader.loop.call_later(nbytes / RATE, transport.resume_reading)

    reader.buffer_updated = updated  # type: ignore[method-assign]
    return reader


def client() -> Session:
    return Session(lambda _: Nothing(), ours=Limits(), server=False, nonce=bytes(32))


@pytest.mark.parametrize("way", ["there", "back"])
def test_small_calls_pass_a_long_binary_over_a_slow_connection(way: str) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        house = House(make=Vault)
        there, back = (slow, _as_it_is) if way == "there" else (_as_it_is, slow)
        async with await net.listen("memory://house", lambda: there(house.protocol())):
            _, session = await net.connect("memory://house", lambda: back(client()))
            await session.opened
            me: Any = await broker.login(session)
            desk = await me.desk("a")
            began = clock()
            long = me.put(bytes(LONG)) if way == "there" else me.get(LONG)
            passed = 0
            while not long.done():
                asked = clock()
                assert await desk.quote("x") == "a: x"
                assert clock() - asked < WAITING / RATE + 0.1
                passed += 1
            assert clock() - began == pytest.approx(LONG / RATE, rel=0.1)
            assert passed > 10
            session.close()
            await session.ended(60)

    simulated(main)


def _as_it_is(session: Session) -> Session:
    return session


class Taking(asyncio.Transport):
    """A transport to nowhere that takes all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It never pauses anybody."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        """There is nothing to end."""

    close = abort


def hear(session: Session, data: bytes) -> None:
    buffer = session.get_buffer(-1)
    buffer[: len(data)] = data
    session.buffer_updated(len(data))


async def test_one_turn_of_the_loop_sends_a_part_even_where_all_would_be_taken() -> None:
    transport = Taking()
    session = client()
    session.connection_made(transport)
    hear(session, hello(limits=told(Limits())))
    first = session.door.thing()
    await asyncio.sleep(0)
    hear(session, frame([[1, 1, ext(2, [5, "Thing"])]]))
    thing = first.value()
    session.door.put(bytes(LONG))
    turns: list[int] = []
    while not turns or len(transport.written) > turns[-1]:
        turns.append(len(transport.written))
        if len(turns) == 3:
            thing.small()
        await asyncio.sleep(0)
    each = [after - before for before, after in itertools.pairwise(turns)]
    assert LONG < sum(each) < LONG + 10_000
    assert len(each) > LONG // TURN
    assert max(each) < TURN + 2 * PIECE
    assert transport.written.index(b"small") < turns[4]
    session.abort(broker.Ended("the test is over"))
    session.connection_lost(None)
    await session.wait_closed()
