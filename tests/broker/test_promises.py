"""Promises: parts, pipelining, who waits and who stops waiting."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator, Container, Iterable
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import BadFrame
from ropewalk.errors import Missing, Misuse, RopewalkError
from tests.broker.pair import Pair


class Desk(rope.Object):
    """Has answers of several kinds."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.cancelled = 0
        self.gate = asyncio.Event()

    @rope.remote
    def desk(self) -> Desk:
        return self

    @rope.remote
    def parts(self) -> Any:
        return {"desks": [self, {"inner": self}], "done": 5, "value": self}

    @rope.remote
    def note(self, *things: Any) -> int:
        self.seen.append(things)
        return len(self.seen)

    @rope.remote
    def value(self) -> str:
        return "a value"

    @rope.remote
    def fail(self) -> None:
        raise rope.NoPath("it is not so")

    @rope.remote
    async def slow(self, value: Any = None) -> Any:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self if value is None else value

    @rope.remote
    def call(self, other: Any) -> Any:
        return other.value()


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
async def pair(desk: Desk) -> AsyncIterator[Pair]:
    async with asyncio.timeout(30):
        made = Pair(desk)
        yield made
        await made.stop()


async def _awaited(promise: Any) -> Any:
    return await promise


def nothing_left(pair: Pair) -> None:
    """No question is in use, at either end."""
    assert pair.client.error is None
    assert pair.server.error is None
    asking = pair.client.broker.asking
    assert not asking.questions
    assert sorted([*asking._free, *asking.finished]) == list(range(1, asking._next))
    assert not pair.server.broker.answering.answers


async def settled(pair: Pair) -> None:
    gc.collect()
    await pair.run()
    await pair.run()
    nothing_left(pair)


async def test_parts_are_taken_by_attribute_and_index_before_the_answer_and_after(pair: Pair) -> None:
    promise = pair.me.parts()
    early = [promise.desks[0].value(), promise["desks"][1]["inner"].value(), promise.desks[1].inner.desk()["value"]()]
    await pair.run()
    late = [promise.desks[0].value(), promise["desks"][1].inner.value()]
    assert [await pair.got(one) for one in (*early, *late)] == ["a value"] * 5
    fresh = pair.me.parts()
    await pair.got(fresh)
    assert await pair.got(fresh.desks[0].value()) == "a value"
    assert await pair.got(fresh["done"]) == 5
    del promise, early, late, fresh
    await settled(pair)


async def test_a_name_of_the_class_itself_is_taken_by_index(pair: Pair) -> None:
    promise = pair.me.desk()
    assert await pair.got(promise["value"]()) == "a value"
    assert promise.value() is not None
    with pytest.raises(Misuse, match="not there yet"):
        pair.me.desk().value()
    with pytest.raises(AttributeError):
        _ = promise._private
    with pytest.raises(AttributeError):
        _ = promise.part._private
    with pytest.raises(Misuse, match="expected the name of a method"):
        promise.part[0]()


@pytest.mark.parametrize("after", [False, True])
async def test_a_path_that_leads_nowhere_is_the_same_error_before_and_after(pair: Pair, after: bool) -> None:
    promise = pair.me.parts()
    if after:
        await pair.got(promise)
    for part, code in ((promise.nothing, "no-path"), (promise.desks[7], "no-path"), (promise["done"], "no-reference")):
        with pytest.raises(RopewalkError) as caught:
            await pair.got(part.value())
        assert caught.value.code == f"broker.{code}"
    with pytest.raises(Missing):
        await pair.got(promise.desks["x"])


async def test_it_can_be_awaited_again_and_by_several(pair: Pair, desk: Desk) -> None:
    promise = pair.me.slow("x")
    waiting = [asyncio.ensure_future(_awaited(promise)) for _ in range(4)]
    await pair.run()
    desk.gate.set()
    assert [await pair.got(one) for one in (*waiting, promise, promise)] == ["x"] * 6
    del promise, waiting
    await settled(pair)


async def test_an_error_is_raised_to_each_who_waits_and_as_often(pair: Pair) -> None:
    promise = pair.me.fail()
    waiting = [asyncio.ensure_future(_awaited(promise)) for _ in range(3)]
    await pair.run()
    for one in (*waiting, promise, promise):
        with pytest.raises(Missing, match="it is not so"):
            await one
    with pytest.raises(Missing):
        promise.value()
    assert promise.done()


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_call_goes_on_as_long_as_somebody_waits(pair: Pair, desk: Desk, which: int) -> None:
    """One task that was cancelled cancelled all who waited."""
    promise = pair.me.slow("x")
    waiting = [asyncio.ensure_future(_awaited(promise)) for _ in range(3)]
    await pair.run()
    waiting.pop(which).cancel()
    await pair.run()
    assert desk.cancelled == 0
    waiting.pop(0).cancel()
    await pair.run()
    assert desk.cancelled == 0
    desk.gate.set()
    assert await pair.got(waiting[0]) == "x"


async def test_a_call_is_cancelled_with_the_last_who_waits(pair: Pair, desk: Desk) -> None:
    promise = pair.me.slow("x")
    waiting = [asyncio.ensure_future(_awaited(promise)) for _ in range(3)]
    await pair.run()
    for one in waiting:
        one.cancel()
    await pair.run()
    assert desk.cancelled == 1
    for _ in range(2):  # who awaits it then is told, and not cancelled
        with pytest.raises(RopewalkError) as caught:
            await pair.got(promise)
        assert caught.value.code == "broker.cancelled"
    with pytest.raises(RopewalkError):
        await pair.got(promise.value2())
    del promise, waiting, one
    await settled(pair)


async def test_a_future_of_it_is_no_one_who_can_cancel_the_call(pair: Pair, desk: Desk) -> None:
    promise = pair.me.slow("x")
    future, other = promise.future(), promise.future()
    await pair.run()
    future.cancel()
    await pair.run()
    assert desk.cancelled == 0
    waiting = asyncio.ensure_future(_awaited(promise))
    await pair.run()
    waiting.cancel()
    await pair.run()
    assert desk.cancelled == 0  # the other future is still there
    desk.gate.set()
    assert await pair.got(other) == "x"
    assert await promise.future() == "x"
    failed = pair.me.fail()
    early = failed.future()
    await pair.run()
    for one in (early, failed.future()):
        with pytest.raises(Missing):
            await one


async def test_gather_gives_all_and_raises_the_first_error_after_all(pair: Pair, desk: Desk) -> None:
    calls = [pair.me.note(number) for number in range(5)]
    assert await pair.got(rope.gather(*calls, pair.me.parts()["done"])) == [1, 2, 3, 4, 5, 5]
    with pytest.raises(Missing):
        await pair.got(rope.gather(pair.me.note(1), pair.me.fail(), pair.me.note(2), pair.me.nothing()))
    assert len(desk.seen) == 7
    assert await rope.gather() == []


async def test_gather_that_is_cancelled_cancels_what_is_not_done(pair: Pair, desk: Desk) -> None:
    """Only the one it was waiting for was cancelled."""
    others = pair.me.slow("others")
    waiting = asyncio.ensure_future(_awaited(others))
    gathering = asyncio.ensure_future(rope.gather(pair.me.note(1), pair.me.slow(1), pair.me.slow(2), others))
    await pair.run()
    gathering.cancel()
    await pair.run()
    assert desk.cancelled == 2
    desk.gate.set()
    assert await pair.got(waiting) == "others"


@pytest.mark.parametrize("after", [False, True])
async def test_a_promise_is_an_argument_before_its_answer_and_after(pair: Pair, desk: Desk, after: bool) -> None:
    parts, failed = pair.me.parts(), pair.me.fail()
    if after:
        await pair.got(parts)
        with pytest.raises(Missing):
            await pair.got(failed)
    assert await pair.got(pair.me.note(parts["done"], [parts.desks[0]], {"a": (parts["done"],)})) == 1
    assert desk.seen == [(5, [desk], {"a": (5,)})]
    with pytest.raises(Missing, match="it is not so"):
        await pair.got(pair.me.note(failed))
    assert len(desk.seen) == 1


async def test_a_promise_that_is_dropped_is_answered_all_the_same(pair: Pair, desk: Desk) -> None:
    pair.me.note("dropped")
    pair.me.desk().note("through it")
    await pair.run()
    assert desk.seen == [("dropped",), ("through it",)]
    await settled(pair)


async def test_calls_through_an_answer_stay_in_order_after_it_is_there(pair: Pair, desk: Desk) -> None:
    promise = pair.me.slow()
    first = promise.note(1)
    await pair.run()
    desk.gate.set()
    await pair.run()
    second = promise.note(2)
    assert [await pair.got(one) for one in (first, second)] == [1, 2]
    assert desk.seen == [(1,), (2,)]


async def test_a_promise_of_another_session_is_awaited_first(pair: Pair) -> None:
    other = Pair(Desk())
    promise = other.me.note(1)
    with pytest.raises(rope.CannotSend, match="another session"):
        pair.me.note(promise)
    assert await other.got(promise) == 1
    assert await pair.got(pair.me.note(promise)) == 1
    await other.stop()


async def test_a_promise_is_no_answer_to_be(pair: Pair, desk: Desk) -> None:
    promise = pair.me.call(Desk())  # a method that gives a promise gives what it will be
    assert await pair.got(promise) == "a value"
    number: Any = 5
    with pytest.raises(Misuse, match="expected a reference"):
        await rope.describe(number)


async def test_nothing_goes_through_a_call_that_was_cancelled(pair: Pair, desk: Desk) -> None:
    """Its number was said to be finished twice, or was another call's by then."""
    promise = pair.me.slow()
    promise.note("before")
    waiting = asyncio.ensure_future(_awaited(promise))
    await pair.run()
    waiting.cancel()
    await pair.run()
    pair.me.note("has its number now")
    with pytest.raises(RopewalkError) as caught:
        await pair.got(promise.note("after"))
    assert caught.value.code == "broker.cancelled"
    with pytest.raises(RopewalkError):
        await pair.got(pair.me.note(promise))
    assert desk.seen == [("has its number now",)]
    del promise, waiting, caught
    await settled(pair)


async def test_tell_wants_no_answer_and_logs_what_fails(
    pair: Pair, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    assert pair.me.note.tell(1) is None
    assert pair.me.desk().note.tell(2) is None
    pair.me.desk().fail.tell()
    await pair.run()
    assert desk.seen == [(1,), (2,)]
    assert "it is not so" in caplog.text
    await settled(pair)


async def test_an_answer_to_be_cannot_be_iterated(pair: Pair) -> None:
    """Its parts 0, 1, 2 .. are there for the asking, so that it never came to an end."""
    promise = pair.me.parts()
    for one in (promise, promise.desks, promise["desks"][1]):
        with pytest.raises(TypeError, match="not iterable"):
            iter(one)
        with pytest.raises(TypeError, match="not iterable"):
            list(one)
        with pytest.raises(TypeError, match=r"not iterable|not a container"):
            assert 5 in one
        assert not isinstance(one, Iterable | Container)
    await pair.got(promise)
    with pytest.raises(TypeError, match="not iterable"):
        iter(promise)


@pytest.mark.parametrize("error", [rope.Lost("the connection was lost"), BadFrame("a frame of noise", hint="ask them")])
async def test_what_is_called_after_the_end_was_not_sent_and_says_so(pair: Pair, error: RopewalkError) -> None:
    promise, me = pair.me.slow(), pair.me
    through = promise.note(1)
    await pair.run()
    pair.client.end(error)
    for sent in (promise, through):
        with pytest.raises(rope.Lost, match="whether the call was done is not known"):
            sent.value()
    for call in (me.note, me.never_called_before, me.note.tell):
        for _ in range(3):
            with pytest.raises(rope.Ended, match=f"{error}; the call was not sent") as caught:
                call(2)
            assert caught.value.hint == error.hint
            assert len(traceback.extract_tb(caught.value.__traceback__)) < 8  # it does not grow from call to call


async def test_how_it_looks(pair: Pair) -> None:
    promise, failed = pair.me.note(1), pair.me.fail()
    assert (repr(promise), repr(promise.a[0])) == ("<promise>", "<part a.0 of <promise>>")
    await pair.run()
    assert (repr(promise), repr(failed)) == ("<promise of 1>", "<promise failed: it is not so>")
