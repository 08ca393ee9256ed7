"""The engine: a question's life from its CALL to its FINISH, and what either way of doing a call gives."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import broker as rope
from ropewalk.broker.errors import Cancelled, CannotSend, Late, Lost
from ropewalk.broker.limits import Limits
from ropewalk.errors import Missing, Misuse, RopewalkError, Unavailable
from tests.broker.pair import Pair
from tests.broker.raw import Raw, ext, frame


class Thing(rope.Object):
    @rope.remote
    def name(self) -> str:
        return "thing"


class Door(rope.Object):
    def __init__(self) -> None:
        self.log: list[Any] = []
        self.gate = asyncio.Event()
        self.stopped = 0
        self.thing = Thing()

    @rope.remote
    def echo(self, value: Any) -> Any:
        self.log.append(value)
        return value

    @rope.remote
    async def slow(self, value: Any) -> Any:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return value

    @rope.remote
    async def stubborn(self) -> Any:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
        return self.thing

    @rope.remote
    def give(self) -> Thing:
        return self.thing

    @rope.remote
    def text(self, size: int) -> str:
        return "x" * size

    @rope.remote
    def binary(self, size: int) -> bytes:
        return bytes(size)

    @rope.remote
    def gives_up(self) -> None:
        raise asyncio.CancelledError

    @rope.remote
    def long_error(self) -> None:
        raise Misuse("é" * 5000, hint="h" * 5000)

    @rope.remote
    def no_text(self) -> None:
        raise Misuse("\ud800")

    @rope.remote
    async def until(self) -> float | None:
        return rope.remaining()

    @rope.remote
    def until_now(self) -> float | None:
        return rope.remaining()

    @rope.remote
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number


# Number by number.


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
    waiting = asyncio.ensure_future(_wait(promise))
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
    waiting = asyncio.ensure_future(_wait(late))
    await asyncio.sleep(0)
    waiting.cancel()
    await pair.run()
    for promise in (late, through, deeper):
        with pytest.raises(Cancelled):
            promise.value()
    after = pair.me.echo("after")
    door = _door(pair)
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
    raw.end.hear(_frame([0, 1, 0, "binary", [3_000_000]]))
    raw.end.say(lanes=2)
    raw.end.hear(_frame([4, [1]]))
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
    _door(pair).gate.set()
    assert await pair.got(promise) == 1
    await pair.stop()


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


# The same by either way.

_WAYS = ("echo", "give", "text", "gives_up", "long_error", "no_text", "count", "slow", "missing", "until_now")
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.tuples(st.integers()),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(_WAYS), st.lists(_values, max_size=2), st.booleans())
def test_a_call_by_the_short_way_and_by_the_long_way_give_the_same(
    method: str, arguments: list[Any], big: bool
) -> None:
    if big:
        arguments = [*arguments, "z" * 3_000]
    if method == "text":
        arguments = [2_000]

    async def outcome(careful: bool) -> Any:
        pair = Pair(Door())
        # A call answered before leaves a number, without which no call goes the short way.
        await pair.got(pair.me.echo(0))
        await pair.run()
        pair.client.broker.asking.careful = careful
        pair.server.broker.answering.careful = careful
        door = _door(pair)
        door.gate.set()
        door.log.clear()
        try:
            answer = await pair.got(getattr(pair.me, method)(*arguments))
            if isinstance(answer, rope.Stream):
                answer = "a stream"
            return type(answer), _plain(answer), door.log
        except RopewalkError as error:
            return type(error), error.code, str(error), error.hint, door.log
        finally:
            answer = None
            await pair.run()
            answers = pair.server.broker.answering.answers
            assert not [one for one in answers.values() if one.__class__.__name__ == "Open"]
            await pair.stop()

    assert asyncio.run(outcome(False)) == asyncio.run(outcome(True))


def _plain(value: Any) -> Any:
    return "a reference" if isinstance(value, rope.Remote) else value


async def test_an_error_that_is_too_long_or_no_text_is_told_nevertheless() -> None:
    raw = Raw(Door(), logged_in=False, theirs={"frame": 4096})
    (answer,) = raw.say([0, 1, 0, "long_error", []])
    assert answer[:4] == [2, 1, "misuse", "misuse"]
    assert answer[4].startswith("éé")
    (answer,) = raw.say([0, 2, 0, "no_text", []])
    assert answer[:4] == [2, 2, "misuse", "misuse"]
    assert raw.code == ""


async def test_a_deadline_in_which_the_session_was_opened_is_no_deadline_of_the_calls_it_serves() -> None:
    async with rope.deadline(30):
        pair = Pair(Door())
        raw = Raw(Door())
        assert raw.say([0, 1, 0, "until_now", []]) == [[1, 1, None]]
        raw.say([0, 2, 0, "until", []])
        assert await raw.rest() == [[1, 2, None]]
        assert await pair.got(pair.me.until()) is not None  # a call made inside of it has one
    await pair.stop()
    await raw.stop()


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


# Tell, goodbye, the end.


async def test_a_call_that_wants_no_answer_is_finished_and_its_failure_logged(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair(Door())
    pair.me.echo.tell(5)
    pair.me.missing.tell()
    await pair.run()
    assert _door(pair).log == [5]
    assert "wanted no answer" in caplog.text
    assert pair.server.broker.answering.answers == {}
    assert pair.client.broker.asking.open == 0
    await pair.stop()


async def test_after_a_goodbye_nothing_new_is_begun_and_what_is_open_is_answered() -> None:
    raw = Raw(Door(), server=False)
    promise = raw.me.echo(1)
    raw.heard()
    raw.say([13, "going"])
    with pytest.raises(Unavailable):
        raw.me.echo(2)
    raw.say([1, 1, 7])
    assert promise.value() == 7
    assert raw.code == ""


async def test_the_end_says_whether_a_call_was_sent() -> None:
    raw = Raw(Door(), server=False, theirs={"questions": 8})
    promises = [raw.me.echo(number) for number in range(9)]
    raw.heard()
    raw.end.end(rope.Ended("gone"))
    with pytest.raises(Lost, match="whether the call was done is not known"):
        promises[0].value()
    with pytest.raises(rope.Ended, match="the call was not sent"):
        promises[8].value()
    with pytest.raises(rope.Ended):
        raw.me.echo(1)


async def test_a_method_that_ends_its_own_session_is_the_last() -> None:
    class Ends(rope.Object):
        done = 0

        @rope.remote
        def end(self) -> None:
            self.done += 1
            raw.end.end(rope.Ended("enough"))

    door = Ends()
    raw = Raw(door)
    raw.say([0, 1, 0, "end", []], [0, 2, 0, "end", []])
    assert door.done == 1
    assert raw.broker.answering.answers.keys() <= {1}


async def _wait(promise: Any) -> Any:
    return await promise


def _door(pair: Pair) -> Door:
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Door)
    return door


def _frame(*messages: Any) -> bytes:
    return frame(list(messages))
