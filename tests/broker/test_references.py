"""References: what each end has shown the other, counted, released, and used again."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import CannotSend, OverLimit
from ropewalk.broker.limits import Limits
from ropewalk.broker.objects import Objects
from ropewalk.errors import Misuse, RopewalkError
from tests.broker.pair import End, Nothing, Pair
from tests.broker.raw import Raw, ext, frame


class Thing(rope.Object):
    def __init__(self, number: int = 0) -> None:
        self.number = number

    @rope.remote
    def is_it(self, other: Any) -> bool:
        return other is self

    @rope.remote
    def count(self) -> int:
        return self.number


class Door(rope.Object):
    def __init__(self) -> None:
        self.thing = Thing()
        self.got: list[Any] = []

    @rope.remote
    def give(self) -> Thing:
        return self.thing

    @rope.remote
    def new(self, number: int) -> Thing:
        return Thing(number)

    @rope.remote
    def many(self, most: int) -> list[Thing]:
        return [Thing(number) for number in range(most)]

    @rope.remote
    def take(self, value: Any) -> Any:
        self.got.append(value)
        return value

    @rope.remote
    def drop(self) -> None:
        self.got.clear()

    @rope.remote
    def bad(self) -> Any:
        return [self.thing, Thing(), object()]

    @rope.remote
    def myself(self) -> Any:
        return self


async def test_an_object_has_one_number_and_comes_back_as_itself() -> None:
    pair = Pair(Door())
    one, other = await pair.got(pair.me.give()), await pair.got(pair.me.give())
    assert one == other
    assert hash(one) == hash(other)
    assert one is not other
    assert one != await pair.got(pair.me.new(1))
    assert await pair.got(one.is_it(other)) is True
    mine = Thing()
    assert await pair.got(pair.me.take(mine)) is mine
    assert await pair.got(pair.me.take([{"k": (mine,)}])) == [{"k": (mine,)}]
    myself = await pair.got(pair.me.myself())
    assert await pair.got(myself.give()) == one
    await pair.stop()


async def test_what_is_dropped_is_released_and_its_number_used_again() -> None:
    pair = Pair(Door())
    shown = pair.server.broker.objects.shown
    thing = await pair.got(pair.me.give())
    again = await pair.got(pair.me.give())
    assert {number: one.count for number, one in shown.items()} == {0: 0, 1: 2}
    del thing
    gc.collect()
    await pair.run()
    assert shown[1].count == 2  # one of the two is held, so both are
    del again
    gc.collect()
    await pair.run()
    assert list(shown) == [0]
    new = await pair.got(pair.me.new(5))
    assert list(shown) == [0, 1]
    assert await pair.got(new.count()) == 5
    await pair.stop()


async def test_a_release_that_crosses_another_sending_frees_nothing_that_is_in_use() -> None:
    pair = Pair(Door())
    thing = await pair.got(pair.me.give())
    again = pair.me.give()
    pair.client.say()
    pair.server.hear(bytes(pair.client.said))
    pair.client.said = bytearray()
    pair.server.say()  # the second sending is underway
    del thing
    gc.collect()
    pair.client.say()
    said = bytes(pair.client.said)
    pair.client.said = bytearray()
    pair.server.hear(said)  # the release of the first
    assert pair.server.broker.objects.shown[1].count == 1
    held = await pair.got(again)
    assert await pair.got(held.is_it(held)) is True
    await pair.stop()


async def test_released_and_shown_again_before_that_is_told() -> None:
    raw = Raw(Nothing(), server=False)
    first, second = raw.me.x(), raw.me.x()
    raw.heard()
    raw.end.hear(frame([[1, 1, ext(2, [9, "Thing"])]]))
    del first
    gc.collect()
    raw.end.hear(frame([[1, 2, ext(2, [9, "Thing"])]]))
    assert [message for message in raw.heard() if message[0] == 3] == [[3, [9], [1]]]
    assert len(raw.broker.objects) == 1
    assert isinstance(second.value(), rope.Remote)
    del second
    gc.collect()
    assert [message for message in raw.heard() if message[0] == 3] == [[3, [9], [1]]]
    assert len(raw.broker.objects) == 0


async def test_a_value_that_cannot_be_sent_shows_nothing() -> None:
    pair = Pair(Door())
    with pytest.raises(Misuse) as caught:
        await pair.got(pair.me.bad())
    assert caught.value.code == "broker.cannot-send"
    assert list(pair.server.broker.objects.shown) == [0]
    with pytest.raises(CannotSend):
        pair.me.take([Thing(), object()])
    with pytest.raises(CannotSend):
        pair.me.take(Thing(), more=[Thing(), object()])
    assert list(pair.client.broker.objects.shown) == [0]
    await pair.stop()


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        ([2], [1]),
        ([1], [2]),
        ([1], [0]),
        ([1], [-1]),
        ([1], [True]),
        ([True], [1]),
        ([1, 1], [1, 1]),
        ([0], [1]),
        ([1], []),
        ([1], [1.0]),
        (["1"], [1]),
        (1, 1),
        ({}, {}),
    ],
)
async def test_what_is_no_release_ends_the_session(numbers: Any, counts: Any) -> None:
    raw = Raw(Door())
    raw.say([0, 1, 0, "give", []])
    raw.say([3, numbers, counts])
    assert raw.code == "broker.message"


async def test_no_more_is_shown_than_the_other_end_takes() -> None:
    pair = Pair(Door(), limits=Limits(references=100))
    held = await pair.got(pair.me.many(100))
    assert len(held) == 100
    with pytest.raises(RopewalkError, match="100 objects"):
        await pair.got(pair.me.give())
    held.clear()
    gc.collect()
    await pair.run()
    assert await pair.got(pair.me.give()) is not None
    await pair.stop()


async def test_more_objects_than_are_taken_end_the_session() -> None:
    raw = Raw(Door(), server=False, limits=Limits(references=100))
    promise = raw.me.x()
    raw.heard()
    raw.say([1, 1, [ext(2, [number, ""]) for number in range(1, 101)]])
    assert raw.code == ""
    promise2 = raw.me.x()
    raw.heard()
    raw.say([1, 2, ext(2, [101, ""])])
    assert raw.code == "broker.limit"
    assert promise.done()
    assert promise2.done()


async def test_dropping_in_another_thread_and_inside_of_the_collector_loses_nothing() -> None:
    pair = Pair(Door())
    held = await pair.got(pair.me.many(2_000))
    cycles: list[Any] = [[one] for one in held[1_000:]]
    for one in cycles:
        one.append(one)
    del held[1_000:], one

    def collects() -> None:
        cycles.clear()
        gc.collect()

    threads = [threading.Thread(target=held.clear), threading.Thread(target=collects)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await pair.run()
    assert list(pair.server.broker.objects.shown) == [0]
    await pair.stop()


async def test_nothing_is_said_of_what_is_dropped_after_the_end() -> None:
    pair = Pair(Door())
    thing = await pair.got(pair.me.give())
    call = thing.count
    await pair.stop()
    del thing
    gc.collect()
    assert pair.client.broker.objects.released == []
    with pytest.raises(rope.Ended):
        call()


async def test_a_method_that_was_looked_up_keeps_its_object() -> None:
    pair = Pair(Door())
    count = (await pair.got(pair.me.new(7))).count
    gc.collect()
    await pair.run()
    assert await pair.got(count()) == 7
    await pair.stop()


@pytest.mark.slow
async def test_a_hundred_thousand_references_cost_at_most_500_bytes_each() -> None:
    end = End(Nothing(), server=False)
    objects: Objects = end.broker.objects
    name = "Account"
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = [objects.found(number, name.encode().decode()) for number in range(1, 100_001)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(held) <= 500
    held += [objects.found(number, name) for number in range(100_001, 250_001)]
    with pytest.raises(OverLimit):
        objects.found(250_001, name)
    held.clear()
    await end.stop()
