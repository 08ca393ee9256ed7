"""Deadlines and traces: passed on, shorter with each step, over while a call waits; on a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.about import About, about_of
from ropewalk.broker.messages import AboutTold
from ropewalk.errors import Misuse, RopewalkError, Unavailable
from tests.broker.pair import Pair

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Desk(rope.Object):
    """Tells what it knows of the call, and asks others."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.cancelled: list[Any] = []
        self.gate = asyncio.Event()

    @rope.remote
    def left(self) -> list[Any]:
        return [rope.remaining(), rope.trace()]

    @rope.remote
    async def left_later(self) -> list[Any]:
        await asyncio.sleep(0)
        return [rope.remaining(), rope.trace()]

    @rope.remote
    async def ask(self, other: Any) -> Any:
        return [rope.remaining(), await other.left()]

    @rope.remote
    async def wait(self, name: Any = None) -> Any:
        self.begun.append(name)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return self

    @rope.remote
    def note(self, name: Any) -> Any:
        self.begun.append(name)
        return name


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
async def pair(desk: Desk) -> AsyncIterator[Pair]:
    async with asyncio.timeout(30):
        made = Pair(desk, Desk())
        yield made
        await made.stop()


async def _awaited(promise: Any) -> Any:
    return await promise


async def test_without_one_there_is_none(pair: Pair) -> None:
    assert rope.remaining() is None
    assert rope.trace() is None
    assert await pair.got(pair.me.left()) == [None, None]
    assert await pair.got(pair.me.left_later()) == [None, None]


@pytest.mark.parametrize("method", ["left", "left_later"])
async def test_they_go_with_the_call_and_end_with_it(pair: Pair, method: str) -> None:
    async with rope.deadline(20):
        with rope.tracing(PARENT):
            promise = getattr(pair.me, method)()
        assert rope.trace() is None
    left, parent = await pair.got(promise)
    assert 15 < left <= 20
    assert parent == PARENT
    assert await pair.got(getattr(pair.me, method)()) == [None, None]


async def test_they_are_passed_on_to_nested_calls_and_shrink(pair: Pair) -> None:
    mine = Desk()
    async with rope.deadline(20):
        with rope.tracing(PARENT):
            promise = pair.me.ask(mine)
    there, (here, parent) = await pair.got(promise)
    assert 15 < here <= there <= 20
    assert parent == PARENT


async def test_of_two_the_earlier_one_counts(pair: Pair) -> None:
    async with rope.deadline(10):
        async with rope.deadline(1000):
            assert 5 < (rope.remaining() or 0) <= 10
        async with rope.deadline(5):
            assert (rope.remaining() or 0) <= 5
        assert 5 < (rope.remaining() or 0) <= 10


async def test_it_ends_the_block_and_cancels_the_method(pair: Pair, desk: Desk) -> None:
    moving = asyncio.ensure_future(_move(pair))
    with pytest.raises(rope.Late, match=r"not done within 0.05 s|the deadline is over"):
        async with rope.deadline(0.05):
            await pair.me.wait("a")
    await pair.run()
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)
    assert (desk.begun, desk.cancelled) == (["a"], ["a"])


async def _move(pair: Pair) -> None:
    while True:
        pair.move()
        await asyncio.sleep(0)


async def test_it_cancels_the_method_though_the_caller_says_nothing(pair: Pair, desk: Desk) -> None:
    async with rope.deadline(0.05):
        promise = pair.me.wait("a")
    moving = asyncio.ensure_future(_move(pair))
    with pytest.raises(Unavailable) as caught:
        await promise
    await pair.run()
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)
    assert caught.value.code == "broker.deadline"
    assert desk.cancelled == ["a"]


async def test_it_is_over_while_the_call_waits_for_another(pair: Pair, desk: Desk) -> None:
    first = pair.me.wait("first")
    async with rope.deadline(0.05):
        second = first.note("second")
    third = first.note("third")
    moving = asyncio.ensure_future(_move(pair))
    with pytest.raises(rope.Late):  # of the class that this end has for it
        await second
    desk.gate.set()
    assert await third == "third"
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)
    assert desk.begun == ["first", "third"]


async def test_a_call_that_is_too_late_is_not_made(pair: Pair, desk: Desk) -> None:
    with pytest.raises(rope.Late):
        async with rope.deadline(0):
            pair.me.note("x")
    with pytest.raises(rope.Late):
        async with rope.deadline(-1):
            pair.me.note("x")
    await pair.run()
    assert desk.begun == []


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
async def test_a_deadline_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(Misuse, match="expected a number of seconds"):
        async with rope.deadline(seconds):
            raise AssertionError


async def test_another_timeout_is_not_taken_for_it() -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with rope.deadline(100):
            raise TimeoutError("mine")


@pytest.mark.parametrize("parent", ["", "x", PARENT.upper(), PARENT + "\r\nx: y", "00-" + "a" * 300])
async def test_a_trace_that_is_none_is_refused_here_and_passed_over_there(pair: Pair, parent: str) -> None:
    with pytest.raises(Misuse, match="expected a traceparent"), rope.tracing(parent):
        raise AssertionError
    if len(parent) < 256:
        assert about_of(AboutTold(1000, parent), 5.0) == About(6.0, None)


@pytest.mark.parametrize(
    "about", [5, [], {"deadline": 0}, {"deadline": 1.5}, {"deadline": True}, {"deadline": 2**31}, {"trace": 5}]
)
async def test_what_is_told_of_a_call_is_checked(pair: Pair, about: Any) -> None:
    pair.client.broker.outbox.say((0, 1, 0, "left", (), None, about))
    await pair.run()
    assert pair.server.error is not None
    assert pair.server.error.code == "broker.message"


async def test_what_is_not_known_of_a_call_is_passed_over(pair: Pair) -> None:
    pair.client.broker.outbox.say((0, 1, 0, "left", (), None, {"colour": "red"}))
    await pair.run()
    assert "an answer to question 1" in str(pair.server.error)  # which nobody has asked here: it was answered
    assert about_of(AboutTold(), 0.0) == about_of(None, 0.0)


async def test_a_session_made_inside_of_one_does_not_have_it() -> None:
    async with rope.deadline(20):
        made = Pair(Desk())
        promise = asyncio.ensure_future(_bare(made))
    assert await made.got(promise) == [None, None]
    await made.stop()


async def _bare(pair: Pair) -> Any:
    from ropewalk.broker.about import CURRENT

    CURRENT.set(None)
    return await pair.me.left()


async def test_errors_of_a_deadline_are_of_one_family() -> None:
    assert issubclass(rope.Late, Unavailable)
    assert issubclass(rope.Late, RopewalkError)
