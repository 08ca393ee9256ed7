"""The engine: a question's life from its CALL to its FINISH, by its number."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import Cancelled, CannotSend, Lost
from ropewalk.broker.limits import Limits
from ropewalk.errors import Missing
from tests.broker.doors import Door, door_of
from tests.broker.pair import Pair
from tests.broker.raw import Raw, ext, frame
from tests.broker.streaming import awaited


async def test_a_finish_after_the_return_frees_the_number() -> None:
    raw = Raw(Door())
    assert raw.say([0, 1, 0, "echo", [5]]) == [[1, 1, 5]]
    assert raw.say([4, [1]], [0, 1, 0, "echo", [6]]) == [[1, 1, 6]]
    assert raw.code == ""


async def test_a_finish_before_the_return_cancels_and_the_number_is_free_after_the_answer() -> None:
    door = Door()
    raw = Raw(door)
    assert raw.say([0, 1, 0, "slow", [5]]) == []
    await raw.rest()
    assert raw.say([4, [1]]) == []
    (answer,) = await raw.rest()
    assert answer[:4] == [2, 1, "unavailable", "broker.cancelled"]
    assert door.stopped == 1
    assert raw.say([0, 1, 0, "echo", [6]]) == [[1, 1, 6]]
    await raw.stop()


async def test_a_method_that_goes_on_when_cancelled_returns_and_its_references_are_released() -> None:
    pair = Pair(Door())
    promise = pair.me.stubborn()
    waiting = asyncio.ensure_future(awaited(promise))
    await pair.run()
    waiting.cancel()
    await pair.run()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gc.collect()
    await pair.run()
    assert pair.server.broker.answering.answers == {}
    assert list(pair.server.broker.objects.shown) == [0]  # though the promise is still held
    with pytest.raises(Cancelled):
        promise.value()
    await pair.stop()


async def test_a_call_is_finished_twice() -> None:
    for messages in ([[4, [1]], [4, [1]]], [[4, [1, 1]]], [[4, [2]]], [[4, ["1"]]], [[4, [True]]], [[4, 1]]):
        raw = Raw(Door())
        raw.say([0, 1, 0, "echo", [5]])
        raw.say(*messages)
        assert raw.code == "broker.message"


async def test_an_open_call_is_finished_twice() -> None:
    raw = Raw(Door())
    raw.say([0, 1, 0, "slow", [5]])
    raw.say([4, [1]])
    raw.say([4, [1]])
    assert raw.code == "broker.message"
    await raw.stop()


async def test_a_number_that_is_in_use_is_used_again() -> None:
    for first in ("echo", "slow"):
        raw = Raw(Door())
        raw.say([0, 1, 0, first, [5]])
        raw.say([0, 1, 0, "echo", [5]])
        assert raw.code == "broker.message"
        await raw.stop()


async def test_an_answer_to_what_was_not_asked_or_was_answered() -> None:
    for answer in ([1, 1, 5], [2, 1, "failed", "x", "y"], [1, True, 5], [1, "1", 5]):
        raw = Raw(Door(), server=False)
        raw.say(answer)
        assert raw.code == "broker.message"
    for answer in ([1, 1, 5], [2, 1, "failed", "x", "y"]):
        raw = Raw(Door(), server=False)
        promise = raw.me.echo(5)
        raw.heard()
        raw.say([1, 1, 5])
        raw.say(answer)
        assert raw.code == "broker.message"
        assert promise.value() == 5


async def test_what_answers_wrongly_leaves_no_caller_waiting() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    for answer in ([2, 1, 5, "x", "y"], [2, 1, "failed", "x", "y", 5], [1, 1, deep], [1, 1, ext(4, [1])]):
        raw = Raw(Door(), server=False)
        promise = raw.me.echo(5)
        raw.heard()
        raw.say(answer)
        assert raw.code in ("broker.message", "broker.limit")
        with pytest.raises(Lost):
            promise.value()


async def test_a_call_that_was_held_back_is_cancelled_before_it_is_sent() -> None:
    pair = Pair(Door(), limits=Limits(questions=8))
    held = [pair.me.slow(number) for number in range(8)]
    await pair.run()
    late = pair.me.echo("late")
    through = late.name()
    deeper = pair.me.echo(through)
    waiting = asyncio.ensure_future(awaited(late))
    await asyncio.sleep(0)
    waiting.cancel()
    await pair.run()
    for promise in (late, through, deeper):
        with pytest.raises(Cancelled):
            promise.value()
    after = pair.me.echo("after")
    door = door_of(pair)
    door.gate.set()
    assert await pair.got(after) == "after"
    assert door.log == ["after"]
    assert [promise.value() for promise in held] == list(range(8))
    await pair.stop()


async def test_a_call_whose_bytes_are_underway_is_cancelled() -> None:
    pair = Pair(Door())
    pair.client.say(lanes=0)
    big = pair.me.echo(bytes(3_000_000))
    behind = big.name()
    other = pair.me.give()
    pair.client.say(lanes=3)
    pair.client.broker.asking.cancel(big)
    await pair.run()
    for promise in (big, behind):
        with pytest.raises(Cancelled):
            promise.value()
    assert isinstance(other.value(), rope.Remote)
    assert pair.client.broker.asking.used == 0
    # The numbers of its blobs are free once, not twice.
    first, second = pair.me.echo(bytes([1]) * 300_000), pair.me.echo([bytes([2]) * 300_000, bytes([3]) * 300_000])
    await pair.run()
    assert first.value()[:1] == b"\1"
    assert [one[:1] for one in second.value()] == [b"\2", b"\3"]
    await pair.stop()


async def test_an_answer_whose_bytes_are_underway_is_cancelled() -> None:
    raw = Raw(Door())
    raw.end.hear(frame([[0, 1, 0, "binary", [3_000_000]]]))
    raw.end.say(lanes=2)
    raw.end.hear(frame([[4, [1]]]))
    heard = raw.heard()
    assert [one[:4] for one in heard] == [[2, 1, "unavailable", "broker.cancelled"]]
    assert raw.blobs[-1] == ([1, 0], b"")
    assert raw.say([0, 1, 0, "echo", [2]]) == [[1, 1, 2]]
    assert raw.broker.answering.kept == 0
    await raw.stop()


async def test_a_failed_call_leaves_its_number_free() -> None:
    pair = Pair(Door())
    for _ in range(3):
        with pytest.raises(CannotSend):
            pair.me.echo(object())
    with pytest.raises(CannotSend):
        pair.me.echo("\ud800")
    assert await pair.got(pair.me.echo(1)) == 1
    await pair.run()
    assert pair.client.broker.asking.open == 0
    await pair.stop()


async def test_names_and_paths_that_cannot_be_sent_are_refused_where_they_are_made() -> None:
    pair = Pair(Door())
    promise = pair.me.slow(1)
    with pytest.raises(Missing):
        getattr(pair.me, "x" * 129)
    with pytest.raises(Missing):
        getattr(promise, "x" * 129)()
    path = promise
    for _ in range(65):
        path = path.x
    bad: list[Callable[[], Any]] = [
        path.x,
        promise[-1].x,
        promise[True].x,
        promise[2**40].x,
        lambda: pair.me.echo(promise[-1]),
        lambda: pair.me.echo(path),
    ]
    for make in bad:
        with pytest.raises(CannotSend):
            make()
    door_of(pair).gate.set()
    assert await pair.got(promise) == 1
    await pair.stop()
