"""Order: calls with one target are begun in the order in which they were made, and hold up no others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.limits import Limits
from ropewalk.errors import Misuse
from tests.broker.pair import Nothing, Pair
from tests.broker.raw import Raw, ext


class Scribe(rope.Object):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.other: Scribe | None = None

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    @rope.remote
    def note(self, value: Any) -> Any:
        self.log.append(value if not isinstance(value, bytes) else len(value))
        return value

    @rope.remote
    async def later(self, name: str) -> Any:
        self.log.append(f"begins {name}")
        await self.gate(name).wait()
        return name

    @rope.remote
    async def scribe(self, name: str) -> Any:
        await self.gate(name).wait()
        return self.second()

    @rope.remote
    def second(self) -> Scribe:
        if self.other is None:
            self.other = Scribe()
        return self.other


async def test_a_call_that_waits_for_an_answer_holds_back_later_ones_of_its_target_and_no_others() -> None:
    door = Scribe()
    pair = Pair(door)
    second = await pair.got(pair.me.second())
    waits = pair.me.later("a")
    pair.me.note(waits)
    pair.me.note("behind")
    second.note("free")
    await pair.run()
    assert door.log == ["begins a"]
    assert door.second().log == ["free"]
    door.gate("a").set()
    await pair.run()
    assert door.log == ["begins a", "a", "behind"]
    await pair.stop()


async def test_calls_through_one_answer_keep_their_order_whatever_their_paths() -> None:
    class Box(rope.Object):
        @rope.remote
        async def both(self) -> Any:
            await gate.wait()
            return [one, two]

    log: list[str] = []

    class Tells(rope.Object):
        def __init__(self, name: str) -> None:
            self.name = name

        @rope.remote
        def say(self, word: str) -> None:
            log.append(f"{self.name} {word}")

    one, two, gate = Tells("one"), Tells("two"), asyncio.Event()
    pair = Pair(Box())
    both = pair.me.both()
    for number in range(3):
        both[number % 2].say(str(number))
    await pair.run()
    assert log == []
    gate.set()
    await pair.run()
    both[1].say("3")  # though it is known by now
    both[0].say("4")
    await pair.run()
    assert log == ["one 0", "two 1", "one 2", "two 3", "one 4"]
    await pair.stop()


async def test_calls_of_any_size_to_one_target_keep_their_order() -> None:
    door = Scribe()
    pair = Pair(door)
    second = await pair.got(pair.me.second())
    sizes = [10, 600_000, 20, 100_000, 300_001, 30]
    for size in sizes:
        pair.me.note(bytes(size))
    second.note("passes them all")
    second.note(bytes(400_000))
    pair.client.say(lanes=4)
    pair.move()
    assert door.second().log == ["passes them all", 400_000]
    await pair.run()
    assert door.log == sizes
    await pair.stop()


async def test_two_uploads_to_two_targets_take_turns() -> None:
    door = Scribe()
    pair = Pair(door)
    second = await pair.got(pair.me.second())
    pair.me.note(bytes(50_000_000))
    second.note(bytes(300_000))
    pair.client.say(lanes=6)
    said, pair.client.said = bytes(pair.client.said), bytearray()
    pair.server.hear(said)
    assert door.second().log == [300_000]
    assert door.log == []
    await pair.stop()


async def test_what_names_the_answer_of_an_upload_comes_after_it() -> None:
    door = Scribe()
    pair = Pair(door)
    second = await pair.got(pair.me.second())
    upload = pair.me.note(bytes(600_000))
    second.note(upload)
    second.note("behind")
    pair.me.second().note("of the same target")
    await pair.run()
    assert door.second().log == [600_000, "behind", "of the same target"]
    await pair.stop()


async def test_a_number_used_again_waits_for_nobody_that_waits_for_who_had_it_before() -> None:
    door = Scribe()
    raw = Raw(door)
    ((_, _, shown),) = raw.say([0, 1, 0, "later", ["never"]], [0, 2, 0, "second", []])
    assert shown.code == 2
    raw.say([0, 3, [2], "note", [ext(4, [1])]])  # waits for answer 1
    raw.say([4, [2]])
    raw.say([0, 2, 0, "second", []])
    answers = raw.say([0, 4, [2], "note", ["through the new answer 2"]])
    assert answers == [[1, 4, "through the new answer 2"]]
    # And the same of a reference.
    number = 1
    raw.say([0, 5, number, "note", [ext(4, [1])]])
    raw.say([4, [2, 4]], [3, [number], [2]])
    (answer,) = raw.say([0, 6, 0, "second", []])
    assert answer[2].data == b"\x92\x01\xa6Scribe"
    assert raw.say([0, 7, number, "note", ["to the new reference"]]) == [[1, 7, "to the new reference"]]
    door.gate("never").set()
    await raw.rest()
    assert door.second().log == ["through the new answer 2", "to the new reference", "never", "never"]
    await raw.stop()


async def test_held_calls_mean_what_they_meant_when_they_were_sent() -> None:
    door = Scribe()
    raw = Raw(door)
    raw.say([0, 1, 0, "later", ["a"]], [0, 2, 0, "note", ["kept"]], [0, 3, 0, "second", []])
    # The answers and the reference that it names are given up while it waits.
    raw.say([0, 4, 1, "note", [[ext(4, [2]), ext(4, [1])]]], [0, 5, [3], "note", [ext(4, [1])]])
    raw.say([4, [2, 3]], [3, [1], [1]])
    door.gate("a").set()
    await raw.rest()
    assert [message for message in raw.all if message[1] in (4, 5)] == [[1, 4, ["kept", "a"]], [1, 5, "a"]]
    assert door.second().log == [["kept", "a"], "a"]
    await raw.stop()


async def test_a_call_that_is_cancelled_while_it_waits_is_answered_at_once_and_holds_up_nobody() -> None:
    door = Scribe()
    raw = Raw(door)
    raw.say([0, 1, 0, "later", ["a"]])
    raw.say([0, 2, 0, "note", [ext(4, [1])]], [0, 3, 0, "note", ["behind"]])
    heard = raw.say([4, [2]])
    assert heard == [[2, 2, "unavailable", "broker.cancelled", heard[0][4]], [1, 3, "behind"]]
    assert raw.broker.answering.careful is False
    await raw.stop()


async def test_a_deadline_that_is_over_while_a_call_waits_holds_up_nobody() -> None:
    door = Scribe()
    raw = Raw(door)
    raw.say([0, 1, 0, "later", ["a"]])
    assert raw.say([0, 2, 0, "note", [ext(4, [1])], None, {"deadline": 1}], [0, 3, 0, "note", ["behind"]]) == []
    heard: list[list[Any]] = []
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0.001)
            heard = raw.heard()
    assert [message[:4] for message in heard] == [[2, 2, "unavailable", "broker.deadline"], [1, 3, "behind"]]
    await raw.stop()


async def test_a_deadline_that_is_over_stops_the_work() -> None:
    stopped = asyncio.Event()

    class Works(rope.Object):
        @rope.remote
        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

    raw = Raw(Works())
    raw.say([0, 1, 0, "work", [], None, {"deadline": 5}])
    async with asyncio.timeout(5):
        await stopped.wait()
    (answer,) = raw.all[-1:] or await raw.rest()
    assert (raw.heard() or [answer])[-1][:4] == [2, 1, "unavailable", "broker.deadline"]
    await raw.stop()


async def test_so_many_calls_may_wait_and_no_more() -> None:
    door = Scribe()
    raw = Raw(door, limits=Limits(queued=10))
    raw.say([0, 1, 0, "later", ["a"]])
    heard = raw.say(*[[0, number, 0, "note", [ext(4, [1])]] for number in range(2, 14)])
    assert [message[:4] for message in heard] == [
        [2, 12, "unavailable", "broker.busy"],
        [2, 13, "unavailable", "broker.busy"],
    ]
    door.gate("a").set()
    await raw.rest()
    assert door.log == ["begins a"] + ["a"] * 10
    await raw.stop()


async def test_a_chain_of_answers_is_so_long_and_no_longer() -> None:
    door = Scribe()
    raw = Raw(door, limits=Limits(chain=5))
    raw.say([0, 1, 0, "scribe", ["a"]])
    heard = raw.say(*[[0, number, [number - 1], "second", []] for number in range(2, 8)])
    assert [message[:4] for message in heard] == [  # the last one needs the one before it
        [2, 6, "unavailable", "broker.busy"],
        [2, 7, "unavailable", "broker.busy"],
    ]
    await raw.stop()


async def test_a_stream_whose_number_is_used_again_in_the_frame_that_ends_it() -> None:
    raw = Raw(Nothing(), server=False)
    promise = raw.me.x()
    raw.heard()
    raw.say([1, 1, ext(9, 5)])
    await promise.value().aclose()
    assert raw.heard()[-1] == [8, 5]
    again = raw.me.x()
    question = raw.heard()[-1][1]
    raw.say([6, 5, b"crossed the close"], [7, 5], [1, question, ext(9, 5)], [6, 5, b"new"], [7, 5])
    assert [item async for item in again.value()] == [b"new"]
    assert raw.code == ""
    raw.say([7, 5])
    assert raw.code == "broker.message"


async def test_a_long_chain_needs_no_stack() -> None:
    door = Scribe()
    pair = Pair(door, limits=Limits(chain=4000, queued=4000))
    promise = pair.me.scribe("a")
    for _ in range(2_000):
        promise = promise.second()
    await pair.run()
    door.gate("a").set()
    assert isinstance(await pair.got(promise), rope.Remote)
    await pair.stop()


async def test_a_long_chain_of_failures_needs_no_stack() -> None:
    door = Scribe()
    pair = Pair(door, limits=Limits(chain=4000, queued=4000))
    promise = pair.me.later("a")
    for _ in range(2_000):
        promise = promise.second()
    await pair.run()
    door.gate("a").set()
    with pytest.raises(Misuse, match="expected a reference") as caught:
        await pair.got(promise)
    assert caught.value.code == "broker.no-reference"
    await pair.stop()


async def test_arguments_of_running_calls_take_so_much_memory_and_no_more() -> None:
    door = Scribe()
    raw = Raw(door, limits=Limits(window=1 << 20, memory=1 << 18))
    heard: list[list[Any]] = []
    for number in range(1, 20):
        heard += raw.say([0, number, 0, "later", [f"{number} {'x' * 50_000}"]])
    assert {message[3] for message in heard} == {"broker.busy"}
    assert len(heard) > 10
    for gate in range(1, 20):
        door.gate(f"{gate} {'x' * 50_000}").set()
    await raw.rest()
    assert raw.broker.answering.burden.size == 0
    assert raw.say([0, 99, 0, "note", ["again"]]) == [[1, 99, "again"]]
    await raw.stop()
