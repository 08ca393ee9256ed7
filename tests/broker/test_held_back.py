"""What is held back: calls over a limit, at either end, and what becomes of their deadlines."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import Late
from ropewalk.broker.limits import Limits
from tests.broker.doors import Door
from tests.broker.raw import Raw, ext

# Limits of the caller, which it keeps by itself.


async def test_no_more_questions_are_open_than_the_other_end_takes() -> None:
    raw = Raw(Door(), server=False, theirs={"questions": 8})
    promises = [raw.me.echo(number) for number in range(30)]
    assert len(raw.heard()) == 8
    done = 0
    while done < 30:
        raw.say(*[[1, message[1], None] for message in raw.all[done : done + 3] if message[0] == 0])
        done = sum(promise.done() for promise in promises)
        opened = _open(raw.all, done)
        assert opened <= 8
        raw.all = [message for message in raw.all if message[0] == 0]
    # The numbers that calls had while they were held back do not let more through afterwards.
    again = [raw.me.echo(number) for number in range(30)]
    calls = [message for message in raw.heard() if message[0] == 0]
    assert len(calls) == 8
    assert not any(promise.done() for promise in again)
    for _ in range(30):
        calls += [message for message in raw.say([1, calls.pop(0)[1], None]) if message[0] == 0]
    raw.heard()
    assert not raw.broker.asking.careful  # the short way is free again


def _open(messages: list[list[Any]], answered: int) -> int:
    return len([message for message in messages if message[0] == 0]) - answered


async def test_calls_behind_a_full_window_go_in_order_and_small_ones_need_none() -> None:
    raw = Raw(Door(), server=False, theirs={"window": 16_384, "frame": 1 << 20})
    raw.me.echo("a" * 20_000)  # alone, one may be larger
    raw.me.echo("small")
    assert [message[4][0][:5] for message in raw.heard()] == ["aaaaa", "small"]
    raw.me.echo("b" * 5_000)
    raw.me.echo("held behind it")
    assert raw.heard() == []
    assert [message[4][0][:4] for message in raw.say([1, 1, None]) if message[0] == 0] == ["bbbb", "held"]
    assert raw.broker.asking.used > 5_000
    raw.say([1, 3, None])
    assert raw.broker.asking.used == 0


async def test_many_things_to_release_and_to_finish_fit_their_frames() -> None:
    raw = Raw(Door(), server=False, theirs={"frame": 4096})
    promises = []
    for at in range(0, 20_000, 1_000):
        promises.append(raw.me.echo(1))
        question = next(message[1] for message in raw.heard() if message[0] == 0)
        raw.say([1, question, [ext(2, [number, ""]) for number in range(at + 1, at + 1_001)]])
    promises.clear()
    gc.collect()
    heard = [message for message in raw.heard() if message[0] == 3]
    assert len(heard) > 1
    assert sorted(number for message in heard for number in message[1]) == list(range(1, 20_001))
    assert raw.code == ""


# Limits of the callee.


async def test_a_question_too_many() -> None:
    for method in ("slow", "echo"):
        raw = Raw(Door(), limits=Limits(questions=8))
        raw.say(*[[0, number, 0, method, [1]] for number in range(101, 109)])
        assert raw.code == ""
        raw.say([4, [101]])
        await raw.rest()
        raw.say([0, 1, 0, method, [1]])
        assert raw.code == ""
        raw.say([0, 2, 0, "echo", [1]])
        assert raw.code == "broker.limit"
        await raw.stop()


async def test_answers_that_nobody_finishes_hold_up_what_comes_after_them() -> None:
    door = Door()
    raw = Raw(door, limits=Limits(window=1 << 20))
    raw.say(*[[0, number, 0, "text", [200_000]] for number in range(1, 7)])
    raw.say([0, 7, 0, "echo", ["held"]], [0, 8, 0, "echo", ["and this"]])
    assert door.log == []
    assert [message[1] for message in raw.say([4, [1]])] == [7, 8]
    assert door.log == ["held", "and this"]
    await raw.stop()


async def test_what_waits_for_others_to_be_finished_keeps_its_deadline_and_can_be_cancelled() -> None:
    door = Door()
    raw = Raw(door, limits=Limits(window=1 << 20))
    raw.say(*[[0, number, 0, "text", [200_000]] for number in range(1, 7)])
    assert raw.say([0, 7, 0, "echo", ["late"], None, {"deadline": 1}], [0, 8, 0, "echo", ["unwanted"]]) == []
    async with asyncio.timeout(5):
        while not (heard := raw.heard()):  # noqa: ASYNC110 - a timer of the loop's has no event
            await asyncio.sleep(0.001)
    assert heard[0][:4] == [2, 7, "unavailable", "broker.deadline"]
    assert [one[:4] for one in raw.say([4, [8]])] == [[2, 8, "unavailable", "broker.cancelled"]]
    raw.say([4, [1]])
    assert door.log == []
    await raw.stop()


# Deadlines of what is held back.


async def test_a_deadline_grows_shorter_while_a_call_is_held_back() -> None:
    raw = Raw(Door(), server=False, theirs={"questions": 8})
    for _ in range(8):
        raw.me.echo(1)
    raw.heard()
    now = raw.end.time()
    later = 0.0
    raw.broker.asking._sending._time = lambda: now + later
    async with rope.deadline(30):
        raw.me.echo("in time")
        raw.me.echo("too late")
    late = raw.me.echo
    assert late is not None
    assert raw.heard() == []
    later = 10
    (call,) = [message for message in raw.say([1, 1, None]) if message[0] == 0]
    assert 19_000 < call[6]["deadline"] <= 20_000
    later = 40
    assert [message for message in raw.say([1, 2, None]) if message[0] == 0] == []
    assert not raw.broker.asking.held


async def test_a_call_whose_deadline_is_over_before_it_is_sent_fails() -> None:
    raw = Raw(Door(), server=False, theirs={"questions": 8})
    for _ in range(8):
        raw.me.echo(1)
    raw.heard()
    raw.broker.asking._sending._time = lambda: raw.end.time() + 60
    async with rope.deadline(30):
        promise = raw.me.echo("too late")
    raw.say([1, 1, None])
    with pytest.raises(Late):
        promise.value()
