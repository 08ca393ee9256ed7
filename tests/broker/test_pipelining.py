"""Pipelining: calls on answers that are not there yet, and such answers as arguments."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import CannotSend, NoReference
from ropewalk.broker.limits import Limits
from ropewalk.errors import Missing, Misuse, RopewalkError, Unavailable
from tests.broker.pair import Pair
from tests.broker.raw import Raw, ext


class Desk(rope.Object):
    gate: asyncio.Event

    def __init__(self, name: str) -> None:
        self.name = name

    @rope.remote
    async def later(self, word: str) -> str:
        await self.gate.wait()
        return f"{self.name} later:{word}"

    @rope.remote
    def say(self, word: Any) -> str:
        return f"{self.name}:{word}"

    @rope.remote
    def desk(self, name: str) -> Desk:
        return Desk(f"{self.name}/{name}")


@rope.copyable("tests.pipelining.pair")
@dataclass
class Two:
    first: Any
    second: Any

    def hidden(self) -> None:
        raise AssertionError

    @property
    def secret(self) -> Any:
        raise AssertionError


class Door(rope.Object):
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.made = 0

    @rope.remote
    async def desk(self, name: str) -> Desk:
        await self.gate.wait()
        return Desk(name)

    @rope.remote
    async def parts(self) -> Any:
        await self.gate.wait()
        return {"items": [Desk("zero"), Desk("one")], "two": Two(Desk("first"), {"n": 5})}

    @rope.remote
    async def fails(self) -> None:
        await self.gate.wait()
        raise Misuse("that went wrong", hint="do it otherwise")

    @rope.remote
    async def breaks(self) -> None:
        await self.gate.wait()
        raise ValueError("a bug")

    @rope.remote
    async def back(self, value: Any) -> Any:
        await self.gate.wait()
        return value

    @rope.remote
    def add(self, one: int, other: int) -> int:
        return one + other

    @rope.remote
    def count(self) -> int:
        self.made += 1
        return self.made


async def _with(door: Door | None = None, **more: Any) -> tuple[Pair, Door]:
    door = door or Door()
    Desk.gate = asyncio.Event()
    return Pair(door, **more), door


async def test_a_chain_of_dependent_calls_takes_one_round_trip() -> None:
    pair, door = await _with()
    door.gate.set()
    last = pair.me.desk("a").desk("b").desk("c").say("deep")
    pair.client.say()
    pair.server.hear(bytes(pair.client.said))  # all that the client ever sends
    pair.client.said = bytearray()
    for _ in range(5):
        await asyncio.sleep(0)
    pair.server.say()
    pair.client.hear(bytes(pair.server.said))
    assert last.value() == "a/b/c:deep"
    await pair.stop()


async def test_a_path_leads_through_arrays_maps_and_copyables() -> None:
    pair, door = await _with()
    parts = pair.me.parts()
    calls = [
        parts["items"][1].say("x"),
        parts.two.first.say("y"),
        pair.me.add(parts.two.second.n, parts["two"]["second"]["n"]),
    ]
    door.gate.set()
    assert [await pair.got(call) for call in calls] == ["one:x", "first:y", 10]
    await pair.stop()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (["items", 2], "broker.no-path"),
        (["items", "append"], "broker.no-path"),
        (["missing"], "broker.no-path"),
        (["two", "hidden"], "broker.no-path"),
        (["two", "secret"], "broker.no-path"),
        (["two", "__class__"], "broker.no-path"),
        (["two", "__dict__"], "broker.no-path"),
        (["two", 0], "broker.no-path"),
        (["items", 0, "name"], "broker.no-path"),
        (["items", 0, "say"], "broker.no-path"),
        (["items"], "broker.no-reference"),
        (["two"], "broker.no-reference"),
        ([], "broker.no-reference"),
        (["two", "second", "n"], "broker.no-reference"),
    ],
)
async def test_a_path_that_leads_nowhere_fails_the_same_before_and_after_the_answer(
    steps: list[int | str], code: str, early: bool
) -> None:
    pair, door = await _with()
    parts = pair.me.parts()
    if not early:
        door.gate.set()
        await pair.got(parts)
    asking = pair.client.broker.asking
    promise = asking.call_path(parts, tuple(steps), "say", ["x"], {})
    door.gate.set()
    with pytest.raises(RopewalkError) as caught:
        await pair.got(promise)
    assert caught.value.code == code
    assert isinstance(caught.value, Missing if code == "broker.no-path" else Misuse)
    await pair.stop()


async def test_a_failure_is_that_of_all_that_needs_it(caplog: pytest.LogCaptureFixture) -> None:
    pair, door = await _with()
    fails, breaks = pair.me.fails(), pair.me.breaks()
    needs = [fails.say("x"), pair.me.add(1, fails), fails.x.y.say("x").say("y"), pair.me.back([{"k": fails}])]
    deeper = [breaks.say("x"), breaks.say("y").say("z")]
    door.gate.set()
    for call in needs:
        with pytest.raises(Misuse, match="that went wrong") as caught:
            await pair.got(call)
        assert caught.value.hint == "do it otherwise"
    for call in deeper:
        with pytest.raises(rope.Failed):
            await pair.got(call)
    assert caplog.text.count("a bug") == caplog.text.count("Traceback") + 1 or caplog.text.count("Traceback") == 1
    await pair.stop()


async def test_a_promise_as_an_argument_holds_a_call_back_until_it_is_there() -> None:
    pair, door = await _with()
    one, other = pair.me.back(1), pair.me.back([2, 3])
    total = pair.me.add(one, other[1])
    nested = pair.me.back({"x": [one, (other, {"y": one})]})
    named = pair.me.add(one=one, other=one)
    await pair.run()
    assert not total.done()
    door.gate.set()
    assert await pair.got(total) == 4
    assert await pair.got(nested) == {"x": [1, ([2, 3], {"y": 1})]}
    assert await pair.got(named) == 2
    await pair.stop()


async def test_a_promise_that_is_there_is_sent_as_what_it_is() -> None:
    pair, door = await _with()
    door.gate.set()
    desk = pair.me.desk("a")
    await pair.got(desk)
    again = await pair.got(pair.me.back(desk))
    assert again == desk.value()
    assert await pair.got(desk.say("x")) == "a:x"
    assert await pair.got(pair.me.back(pair.me.parts())) is not None
    await pair.stop()


async def test_a_promise_of_another_session_or_a_cancelled_one_cannot_be_named() -> None:
    pair, door = await _with()
    other, _ = await _with()
    with pytest.raises(CannotSend, match="another session"):
        pair.me.back(other.me.desk("a"))
    desk = pair.me.desk("a")
    through = desk.say("x")
    waiting = asyncio.ensure_future(_wait(desk))
    await pair.run()
    waiting.cancel()
    await pair.run()
    makes: list[Callable[[], Any]] = [
        lambda: desk.say("y"),
        lambda: pair.me.back(desk),
        lambda: pair.me.back(desk.x),
    ]
    for make in makes:
        with pytest.raises(Unavailable, match="cancelled"):
            await pair.got(make())
    with pytest.raises(RopewalkError) as caught:
        await pair.got(through)
    assert caught.value.code == "broker.cancelled"
    await pair.run()
    # Nobody else's answer was meant, whoever has the number by now.
    door.gate.set()
    assert await pair.got(pair.me.count()) == 1
    with pytest.raises(Unavailable, match="cancelled"):
        await pair.got(desk.say("z"))
    await pair.stop()
    await other.stop()


async def test_an_answer_is_kept_at_the_other_end_as_long_as_calls_go_through_it() -> None:
    pair, door = await _with()
    desk = pair.me.desk("a")
    slow = desk.later("x")
    door.gate.set()
    await pair.run()
    assert desk.done()
    answers = pair.server.broker.answering.answers
    assert len(answers) == 2
    early = desk.say("y")  # it goes the same way, though the desk is known by now
    assert early._via is desk
    assert await pair.got(early) == "a:y"
    desk.value()
    Desk.gate.set()
    assert await pair.got(slow) == "a later:x"
    await pair.run()
    assert answers == {}  # though the promise is held
    late = desk.say("z")
    assert late._via is None
    assert await pair.got(late) == "a:z"
    await pair.stop()


async def test_promises_that_are_held_take_no_questions() -> None:
    pair, door = await _with(limits=Limits(questions=8))
    door.gate.set()
    desks = [pair.me.desk(str(number)) for number in range(50)]
    said = [desk.say("x") for desk in desks]
    named = [pair.me.back(desk) for desk in desks]
    await pair.run()
    assert [promise.value() for promise in said] == [f"{number}:x" for number in range(50)]
    assert all(isinstance(promise.value(), rope.Remote) for promise in named)
    assert pair.client.broker.asking.open == 0
    await pair.stop()


async def test_what_a_held_call_names_is_not_given_up_before_it_is_sent() -> None:
    pair, door = await _with(limits=Limits(questions=8))
    door.gate.set()
    desk = await pair.got(pair.me.desk("a"))
    door.gate.clear()
    full = [pair.me.back(number) for number in range(7)]
    promise = pair.me.back("named")
    held = [pair.me.back([promise]), pair.me.back(desk), desk.say("x"), promise.x.say("y")]
    assert pair.client.broker.asking.held
    del desk, promise
    gc.collect()
    await pair.run()
    door.gate.set()
    assert await pair.got(held[0]) == ["named"]
    assert isinstance(await pair.got(held[1]), rope.Remote)
    assert await pair.got(held[2]) == "a:x"
    with pytest.raises(Missing, match="has no part"):
        await pair.got(held[3])
    assert [promise.value() for promise in full] == list(range(7))
    await pair.stop()


async def test_a_reference_in_a_held_call_is_not_released_before_it_is_sent() -> None:
    pair, door = await _with(limits=Limits(questions=8))
    door.gate.set()
    desk = await pair.got(pair.me.desk("a"))
    door.gate.clear()
    full = [pair.me.back(number) for number in range(8)]
    held = pair.me.back([{"desk": desk}])
    del desk
    gc.collect()
    await pair.run()
    door.gate.set()
    assert await pair.got((await pair.got(held))[0]["desk"].say("x")) == "a:x"
    assert [promise.value() for promise in full] == list(range(8))
    await pair.stop()


async def test_a_held_call_on_an_object_of_the_callers_own_goes_through_the_other_end() -> None:
    class Mine(rope.Object):
        @rope.remote
        def say(self, word: str) -> str:
            return f"mine:{word}"

    pair, door = await _with(limits=Limits(questions=8))
    back = pair.me.back([Mine()])
    full = [pair.me.back(number) for number in range(7)]
    held = [back[0].say("held"), pair.me.back(back), pair.me.back((1, [back[0]]))]
    assert pair.client.broker.asking.held
    door.gate.set()
    assert await pair.got(held[0]) == "mine:held"
    assert await pair.got(held[1]) == back.value()
    assert await pair.got(held[2]) == (1, back.value())
    assert [promise.value() for promise in full] == list(range(7))
    del back, held
    gc.collect()
    await pair.run()
    assert pair.client.broker.asking.open == 0
    await pair.stop()


async def test_an_answer_that_is_an_object_of_the_callers_own() -> None:
    class Mine(rope.Object):
        calls = 0

        @rope.remote
        def say(self, word: str) -> str:
            self.calls += 1
            return f"mine:{word}"

    pair, door = await _with()
    mine = Mine()
    back = pair.me.back(mine)
    early = back.say("early")
    door.gate.set()
    assert await pair.got(back) is mine
    assert await pair.got(early) == "mine:early"
    assert await pair.got(back.say("late")) == "mine:late"
    # One that nobody had called through before its answer came goes the same way.
    other = pair.me.back([mine])
    await pair.got(other)
    assert await pair.got(other[0].say("through")) == "mine:through"
    assert mine.calls == 3
    del back, other, early
    gc.collect()
    await pair.run()
    gc.collect()
    await pair.run()
    assert len(pair.client.broker.objects.shown) == 1
    assert pair.server.broker.answering.answers == {}
    await pair.stop()


async def test_an_object_of_a_third_session_is_called_through_the_one_between() -> None:
    far, far_door = await _with()
    far_door.gate.set()
    desk = await far.got(far.me.desk("far"))

    class Between(rope.Object):
        @rope.remote
        async def desk(self) -> Any:
            return desk

        @rope.remote
        def same(self, value: Any) -> bool:
            return bool(value == desk)

    near = Pair(Between())

    async def got(promise: Any) -> Any:
        waiting = asyncio.ensure_future(_wait(promise))
        async with asyncio.timeout(10):
            while not waiting.done():
                near.move()
                far.move()
                await asyncio.sleep(0)
        return waiting.result()

    promise = near.me.desk()
    assert await got(promise.say("early")) == "far:early"
    known = await got(promise)
    assert await got(known.say("late")) == "far:late"
    assert await got(near.me.same(known)) is True
    assert await got(known.desk("b").say("deep")) == "far/b:deep"
    with pytest.raises(Missing, match="no remote method"):
        await got(known.__getattr__("missing")())
    described = await got(near.client.broker.asking.ask(known._handle.number, known, 1, "@describe", [], {}))
    assert described["name"] == "Desk"
    with pytest.raises(Misuse):
        await got(known.say(1, 2, 3))
    await near.stop()
    await far.stop()


async def test_a_call_that_names_answers_that_are_not_there() -> None:
    raw = Raw(Door())
    for message in (
        [0, 1, [7], "say", ["x"]],
        [0, 1, 0, "add", [1, ext(4, [7])]],
        [0, 1, 0, "add", [1, ext(4, [1])]],  # its own
        [0, 1, [1], "say", ["x"]],
    ):
        (answer,) = raw.say(message)
        assert answer[:4] == [2, 1, "missing", "broker.no-answer"]
        raw.say([4, [1]])
    raw.say([0, 2, 0, "desk", ["a"]])
    raw.say([4, [2]])
    (answer,) = raw.say([0, 1, [2], "say", ["x"]])
    assert answer[:4] == [2, 1, "missing", "broker.no-answer"]
    await raw.stop()


async def test_what_is_no_path_ends_the_session() -> None:
    for target in ([1, 2.5], [1, None], [1, True], [1, [2]], ["1"], [], [0], [-1], [1, *range(65)], "x", None, 1.5, -1):
        raw = Raw(Door())
        raw.say([0, 1, 0, "count", []])
        raw.say([0, 2, target, "say", ["x"]])
        assert raw.code == "broker.message", target


async def test_an_argument_that_cannot_be_made_harms_its_call_alone() -> None:
    raw = Raw(Door())
    heard = raw.say(
        [0, 1, 0, "back", [ext(5, ["nobody.registered", {}])]],
        [0, 2, 0, "add", [1, ext(3, 77)]],
        [0, 3, 0, "add", [1, 2]],
        [0, 4, 0, "add", [ext(4, [9]), ext(3, 77)]],
    )
    assert [message[:4] for message in heard] == [
        [2, 1, "misuse", "broker.unknown-type"],
        [2, 2, "missing", "broker.no-object"],
        [1, 3, 3],
        [2, 4, "missing", "broker.no-answer"],
    ]
    assert raw.code == ""


async def test_a_method_may_return_a_promise_or_a_part_of_one() -> None:
    class Passes(rope.Object):
        def __init__(self) -> None:
            self.far: Any = None

        @rope.remote
        def keep(self, far: Any) -> None:
            self.far = far

        @rope.remote
        def say(self, word: str) -> Any:
            return self.far.say(word)

        @rope.remote
        def part(self) -> Any:
            return self.far.both().x

    class Near(rope.Object):
        @rope.remote
        def say(self, word: str) -> str:
            return f"near:{word}"

        @rope.remote
        def both(self) -> Any:
            return {"x": 7}

    pair = Pair(Passes())
    await pair.got(pair.me.keep(Near()))
    assert await pair.got(pair.me.say("x")) == "near:x"
    assert await pair.got(pair.me.part()) == 7
    await pair.stop()


def test_no_reference_is_a_misuse() -> None:
    assert issubclass(NoReference, Misuse)


async def _wait(promise: Any) -> Any:
    return await promise
