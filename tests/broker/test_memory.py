"""Memory: what an idle session costs, and that nothing of one that is over is left."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import Ended
from ropewalk.broker.limits import Limits
from ropewalk.broker.session import Session
from tests.broker.pair import Nothing, Pair
from tests.broker.raw import frame, hello

_MANY = 1_000


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    __slots__ = ()

    def write(self, data: Any) -> None:
        pass

    def writelines(self, list_of_data: Any) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass

    close = abort


class Door(rope.Object):
    __slots__ = ()

    @rope.remote
    def echo(self, value: Any) -> Any:
        return value

    @rope.remote
    def give(self) -> Any:
        return Nothing()


def _session() -> Session:
    """One that has said and heard a hello, has limits after a login, and was used."""
    session = Session(lambda _: Door(), ours=Limits(), server=True, nonce=bytes(32))
    session.connection_made(Wire())
    _hear(session, hello(limits={"frame": 1 << 20}))

    async def leave() -> None:
        pass

    session.entered(None, leave)
    _hear(session, frame([[0, 1, 0, "echo", [1]]]) + frame([[4, [1]]]))
    return session


def _hear(session: Session, data: bytes) -> None:
    buffer = session.get_buffer(-1)
    buffer[: len(data)] = data
    session.buffer_updated(len(data))


@pytest.mark.slow
async def test_an_idle_session_costs_at_most_12_kib() -> None:
    first = [_session() for _ in range(10)]
    await asyncio.sleep(0)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        sessions = [_session() for _ in range(_MANY)]
        await asyncio.sleep(0)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / _MANY <= 12 * 1024
    for session in (*first, *sessions):
        session.abort(Ended("the test is over"))
        session.connection_lost(None)
    await asyncio.gather(*(session.wait_closed() for session in (*first, *sessions)))


async def test_nothing_is_left_of_a_session_that_is_over() -> None:
    pair = Pair(Door())
    brokers = [weakref.ref(end.broker) for end in (pair.client, pair.server)]
    held = await pair.got(pair.me.give())
    promise = pair.me.echo(held)
    await pair.stop()
    del pair, held, promise
    gc.collect()
    assert [there() for there in brokers] == [None, None]
