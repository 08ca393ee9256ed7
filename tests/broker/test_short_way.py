"""Calls that go the short way are as those that do not: what cannot be sent is refused, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.limits import FREE, PIECE, SEGMENT, Limits
from ropewalk.errors import Missing
from tests.broker.pair import Pair

SIZES = [SEGMENT - 1, SEGMENT, PIECE, PIECE + 1]


class Door(rope.Object):
    """Gives back what it gets."""

    @rope.remote
    def echo(self, value: Any) -> Any:
        """The value."""
        return value

    @rope.remote
    def left(self, _value: Any) -> Any:
        """What is known of the call, and a promise of nothing."""
        return [rope.remaining(), rope.trace()]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair(Door(), limits=Limits(window=4 * PIECE, questions=64))
    yield made
    await made.stop()


@pytest.mark.parametrize("name", ["", "x" * 129, "\ud800"])
@pytest.mark.parametrize("value", [1, b"x" * SEGMENT], ids=["short", "beside"])
async def test_a_name_that_no_method_has_is_refused_and_costs_nothing(pair: Pair, name: str, value: Any) -> None:
    assert await pair.got(pair.me.echo(value)) == value
    with pytest.raises(Missing, match="a method's name"):
        getattr(pair.me, name)(value)
    assert await pair.got(pair.me.echo(value)) == value
    await pair.run()
    assert (pair.client.broker.asking.open, pair.client.broker.asking.used) == (0, 0)


@pytest.mark.parametrize("size", SIZES)
async def test_binary_of_every_size_crosses_whole_and_frees_its_room(pair: Pair, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for _ in range(3):
        assert await pair.got(pair.me.echo(value)) == value
    await pair.run()
    assert (pair.client.broker.asking.open, pair.client.broker.asking.used) == (0, 0)
    assert pair.server.broker.answering.kept == 0


async def test_no_more_is_underway_than_the_window_of_the_other_end(pair: Pair) -> None:
    assert await pair.got(pair.me.echo(1)) == 1
    calls = [pair.me.echo(b"x" * PIECE) for _ in range(9)]
    asking = pair.client.broker.asking
    assert asking.used <= 4 * PIECE
    assert asking.held
    waiting = asyncio.ensure_future(rope.gather(*calls))
    await pair.run()
    assert [len(one) for one in await waiting] == [PIECE] * 9
    await pair.run()
    assert (asking.open, asking.used, asking.held) == (0, 0, False)


async def test_calls_keep_their_order_whatever_way_they_go(pair: Pair) -> None:
    order: list[int] = []

    class Notes(rope.Object):
        @rope.remote
        def note(self, number: int, _value: Any = None) -> None:
            order.append(number)

    made = Pair(Notes(), limits=Limits(window=2 * PIECE, questions=8))
    for _ in range(8):  # so that there are numbers for the short way
        await made.got(made.me.note(-1))
    order.clear()
    values: list[Any] = [None, b"x" * SEGMENT, "y" * FREE, [b"z" * SEGMENT], b"w" * (PIECE + 1), 5]
    calls = [made.me.note(number, values[number % len(values)]) for number in range(40)]
    waiting = asyncio.ensure_future(rope.gather(*calls))
    await made.run()
    await waiting
    assert order == list(range(40))
    await made.stop()


async def test_a_deadline_and_a_trace_cross_with_every_kind_of_argument(pair: Pair) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    for _ in range(3):  # the first has no number for the short way yet
        for value in (1, "x" * FREE, b"x" * SEGMENT, b"x" * (PIECE + 1)):
            async with rope.deadline(100):
                with rope.tracing(parent):
                    promise = pair.me.left(value)
            seconds, trace = await pair.got(promise)
            assert 99 < seconds <= 100
            assert trace == parent
            assert (await pair.got(pair.me.left(value))) == [None, None]


async def test_a_deadline_that_is_over_is_told_at_once_and_costs_nothing(pair: Pair) -> None:
    assert await pair.got(pair.me.echo(1)) == 1
    with pytest.raises(rope.Late):
        async with rope.deadline(0.0001):
            pair.me.echo(1)
    assert await pair.got(pair.me.echo(1)) == 1
    await pair.run()
    assert pair.client.broker.asking.open == 0
