"""Own: one's own object that came back is called in the order in which it was called, as any other object is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.errors import Missing
from tests.broker.hosts import simulated
from tests.broker.pair import Pair


class Door(rope.Object):
    """Gives back what it is given, and an answer that can be kept waiting."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    @rope.remote
    def back(self, value: Any) -> Any:
        return value

    @rope.remote
    async def late(self, name: str) -> str:
        await self.gate(name).wait()
        return name

    @rope.remote
    async def bad(self, name: str) -> str:
        await self.gate(name).wait()
        raise rope.NoPath("there is none")


class Mine(rope.Object):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.hold = asyncio.Event()

    @rope.remote
    def note(self, value: Any) -> int:
        self.log.append(value)
        return len(self.log)

    @rope.remote
    async def begin(self, value: Any) -> Any:
        self.log.append(value)
        await self.hold.wait()
        self.log.append(f"{value} is done")
        return value


@pytest.fixture
async def door() -> Door:
    return Door()


@pytest.fixture
async def pair(door: Door) -> AsyncIterator[Pair]:
    async with asyncio.timeout(30):
        made = Pair(door)
        yield made
        await made.stop()


async def came_back(pair: Pair, mine: Mine) -> Any:
    """An answer that is an object of ours: its methods are called here."""
    back = pair.me.back(mine)
    assert await pair.got(back) is mine
    return back


def nothing_left(pair: Pair) -> None:
    assert not pair.client.broker.asking._own._last


async def test_a_call_that_waits_for_an_answer_holds_back_later_ones(pair: Pair, door: Door) -> None:
    mine = Mine()
    back = await came_back(pair, mine)
    calls = [back.note(pair.me.late("a")), back.note("second"), back.note([pair.me.late("b")]), back.note("fourth")]
    await pair.run()
    assert mine.log == []
    door.gate("b").set()
    await pair.run()
    assert mine.log == []
    door.gate("a").set()
    assert await pair.got(calls[3]) == 4
    assert mine.log == ["a", "second", ["b"], "fourth"]
    assert [call.value() for call in calls] == [1, 2, 3, 4]
    nothing_left(pair)


async def test_another_object_is_not_held_back(pair: Pair, door: Door) -> None:
    one, two = Mine(), Mine()
    first, second = await came_back(pair, one), await came_back(pair, two)
    waits = first.note(pair.me.late("a"))
    assert await pair.got(second.note("at once")) == 1
    assert (one.log, two.log) == ([], ["at once"])
    door.gate("a").set()
    assert await pair.got(waits) == 1
    nothing_left(pair)


async def test_two_answers_that_are_the_same_object_keep_one_order(pair: Pair, door: Door) -> None:
    mine = Mine()
    one, two = await came_back(pair, mine), await came_back(pair, mine)
    one.note(pair.me.late("a"))
    last = two.note("b")
    await pair.run()
    assert mine.log == []
    door.gate("a").set()
    await pair.got(last)
    assert mine.log == ["a", "b"]


async def test_calls_that_have_begun_run_side_by_side(pair: Pair) -> None:
    mine = Mine()
    back = await came_back(pair, mine)
    slow = back.begin("slow")
    assert await pair.got(back.note("quick")) == 2
    assert not slow.done()
    mine.hold.set()
    assert await pair.got(slow) == "slow"
    assert mine.log == ["slow", "quick", "slow is done"]
    nothing_left(pair)


async def test_what_fails_or_is_cancelled_holds_back_nothing_and_jumps_no_queue(pair: Pair, door: Door) -> None:
    mine = Mine()
    back = await came_back(pair, mine)
    first = back.note(pair.me.late("a"))
    failed = back.note(pair.me.bad("b"))
    none = back.nothing()
    cancelled = back.note(pair.me.late("never"))
    at_once = back.note("not even begun")
    pair.client.broker.asking.cancel(at_once)  # before its task has had a turn
    last = back.note("last")
    await pair.run()
    pair.client.broker.asking.cancel(cancelled)
    door.gate("b").set()
    await pair.run()
    assert mine.log == []  # those in the middle are gone, and the first one has not begun
    for call, kind in ((failed, rope.NoPath), (cancelled, rope.Cancelled), (at_once, rope.Cancelled)):
        with pytest.raises(kind):
            call.value()
    assert not none.done()
    door.gate("a").set()
    assert await pair.got(last) == 2
    assert mine.log == ["a", "last"]
    assert first.value() == 1
    with pytest.raises(Missing, match="has no remote method 'nothing'"):
        none.value()
    nothing_left(pair)


def test_a_deadline_ends_a_call_that_is_held_back_and_one_that_runs() -> None:
    async def main() -> None:
        door, mine = Door(), Mine()
        pair = Pair(door)
        back = await came_back(pair, mine)
        late = pair.me.late("a")
        async with rope.deadline(5):
            held, runs = back.note(late), back.begin("runs")
        last = back.note("last")
        await asyncio.sleep(4)
        assert (held.done(), last.done(), mine.log) == (False, False, [])
        for call in (held, runs):
            with pytest.raises(rope.Late):
                await pair.got(call)
        assert await pair.got(last) == 1
        assert asyncio.get_running_loop().time() < 6
        assert mine.log == ["last"]
        nothing_left(pair)
        await pair.stop()

    simulated(main)


async def test_calls_that_wait_end_with_the_session(pair: Pair) -> None:
    mine = Mine()
    back = await came_back(pair, mine)
    calls = [back.note(pair.me.late("never")), back.note("second")]
    await pair.run()
    await pair.client.stop()
    await asyncio.sleep(0)
    assert mine.log == []
    assert [isinstance(call._error, Exception) for call in calls] == [True, True]
    nothing_left(pair)
