"""What lies inside of the items of streams, and what they are read as; sessions that are lost; many at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ropewalk import broker as rope
from ropewalk.broker import copyables
from ropewalk.errors import Unavailable
from tests.broker.pair import Pair
from tests.broker.pairs import stream_desk, stream_pair  # noqa: F401 - fixtures
from tests.broker.streaming import TENTH, Desk, Source, listed, nothing_left, opened, within


async def test_references_in_items_are_held_and_released(pair: Pair) -> None:
    stream = await opened(pair, pair.me.desks(3))
    got = await listed(pair, stream)
    assert await pair.got(got[1]["desk"].name()) == "a desk"
    assert len(pair.server.broker.objects.shown) == 4
    del got
    gc.collect()
    await pair.run()
    nothing_left(pair)


async def test_references_in_items_that_nobody_read_are_released(pair: Pair) -> None:
    stream = await opened(pair, pair.me.desks(3))
    await pair.run()
    assert len(pair.server.broker.objects.shown) == 4
    await stream.aclose()
    gc.collect()
    await pair.run()
    nothing_left(pair)


async def test_an_object_that_comes_back_in_an_item_is_that_object_however_late_it_is_read(
    pair: Pair, desk: Desk
) -> None:
    """What is in an item counts from when it came: the reference that was sent may be gone when it is read."""
    theirs = await pair.got(pair.me.desks(1))
    mine = (await within(pair, anext(theirs)))["desk"]
    source = Source([[mine]])
    await pair.got(pair.me.keep(source))
    await pair.run()
    del mine
    source.items.clear()
    gc.collect()
    await pair.run()
    assert len(pair.server.broker.objects.shown) == 1
    ((there,),) = await listed(pair, desk.taken[0])
    assert isinstance(there, Desk)


async def test_streams_in_items_are_read_when_it_suits(pair: Pair) -> None:
    """Their items came before the item that shows them was looked at, and ended the session."""
    stream = await opened(pair, pair.me.nested())
    await pair.run()
    inner = await listed(pair, stream)
    await pair.run()
    assert [await listed(pair, one) for one in inner] == [[], [0], [0, 1]]
    del inner
    await pair.run()
    nothing_left(pair)


async def test_shared_objects_in_items_are_kept_up_to_date_before_they_are_read(pair: Pair) -> None:
    shared = rope.Shared({"a": 1})
    desk = pair.client
    stream = await opened(pair, pair.me.items())
    assert await listed(pair, stream) == []
    source = Source([shared])
    await pair.got(pair.me.keep(source))
    await pair.run()
    shared.put("a", value=2)
    shared.put("a", value=3)
    await pair.run()
    assert desk.error is None
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Desk)
    (view,) = await listed(pair, door.taken[0])
    assert (view.state, view.version) == ({"a": 3}, 2)


async def test_an_item_that_cannot_be_made_here_is_an_error_in_its_place(pair: Pair) -> None:
    """What it cost was never granted again; where nobody wanted it, it ended the session."""

    class Note(msgspec.Struct):
        text: str

    rope.copyable("streams.note")(Note)
    notes = [Note("x" * 6000), 1, Note("y" * 6000), 2, Note("z" * 6000), 3]
    stream = await opened(pair, pair.me.items())
    source = Source(notes)
    promise = pair.me.keep(source)
    await pair.got(promise)
    copyables._by_name.pop("streams.note")
    await pair.run()
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Desk)
    there = door.taken[0]
    got: list[Any] = []
    for _ in notes:
        try:
            got.append(await within(pair, anext(there)))
        except rope.UnknownType as error:
            got.append(error.code)
    assert got == ["broker.unknown-type", 1, "broker.unknown-type", 2, "broker.unknown-type", 3]
    assert await listed(pair, there) == []
    await stream.aclose()
    gc.collect()
    await pair.run()
    nothing_left(pair)


@pytest.mark.parametrize("ended", ["client", "server"])
async def test_when_the_session_ends_both_sides_of_every_stream_end(pair: Pair, desk: Desk, ended: str) -> None:
    mine = Source([1], waits=True)
    await pair.got(pair.me.keep(mine))
    stream = await opened(pair, pair.me.forever())
    idle = await opened(pair, pair.me.count(100, 6000))
    await pair.run()
    assert await within(pair, anext(stream)) == 1
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    for end in (pair.client, pair.server):
        end.end(rope.Lost("the connection was lost"))
    with pytest.raises(rope.Lost):
        await reading
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(desk.ends) == ["CancelledError", "GeneratorExit"]
    assert mine.closed == 1
    got: list[Any] = []
    with pytest.raises(rope.Lost):
        await _into(got, idle)
    assert len(got) > 1  # what came is still read
    with pytest.raises(rope.Lost):
        await _into([], desk.taken[0])
    assert not pair.client.tasks
    assert not pair.server.tasks


async def test_a_stream_that_is_ended_is_not_ended_again_by_the_session(pair: Pair) -> None:
    stream = await opened(pair, pair.me.items(1, 2))
    await pair.run()
    pair.client.end(rope.Lost("the connection was lost"))
    assert [item async for item in stream] == [1, 2]


async def test_a_cleanup_that_was_begun_is_not_cut_by_the_end_of_the_session(pair: Pair) -> None:
    done = []

    async def careful() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            done.append("all")

    await pair.got(pair.me.take(careful(), 1))
    gc.collect()
    pair.move()
    pair.move()
    await asyncio.sleep(0)
    pair.client.end(rope.Lost("the connection was lost"))
    for _ in range(30):
        await asyncio.sleep(0)
    assert done == ["all"]


async def test_many_at_once_and_their_numbers_are_used_again(pair: Pair) -> None:
    for _ in range(3):
        streams = [await opened(pair, pair.me.count(20)) for _ in range(50)]
        got = await asyncio.gather(*(listed(pair, stream) for stream in streams))
        assert got == [list(range(20))] * 50
        del streams, got
        gc.collect()
        await pair.run()
    assert pair.server.broker.streams._next == 51
    nothing_left(pair)


async def test_more_streams_than_the_other_end_takes_are_refused_until_some_end() -> None:
    desk = Desk()
    pair = Pair(desk, client_limits=rope.Limits(streams=5))
    streams = [await opened(pair, pair.me.forever()) for _ in range(5)]
    with pytest.raises(Unavailable) as caught:
        await pair.got(pair.me.forever())
    assert caught.value.code == "broker.busy"
    for stream in streams:
        await stream.aclose()
    await pair.run()
    assert await listed(pair, await opened(pair, pair.me.items(1))) == [1]
    await pair.stop()


async def test_what_was_not_read_counts_against_the_streams_that_are_taken() -> None:
    """An ended stream gave its number back at once, so its unread items were bounded by nothing."""
    desk = Desk()
    pair = Pair(desk, limits=rope.Limits(streams=4))
    for _ in range(4):
        await pair.got(pair.me.keep(Source([b"x" * 1000])))
    await pair.run()
    with pytest.raises(rope.Busy):
        pair.me.keep(Source([1]))
    assert await listed(pair, desk.taken.pop()) == [b"x" * 1000]
    desk.taken.pop()  # and one is dropped
    await pair.run()
    for _ in range(2):
        await pair.got(pair.me.keep(Source([1])))
    await pair.stop()


async def test_big_items_go_in_pieces_and_calls_pass_them(pair: Pair, desk: Desk) -> None:
    stream = await opened(pair, pair.me.count(3, 3_000_000))
    name = pair.me.name()
    reading = [len(await anext(stream))]
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    pair.client.say(0)
    data, pair.client.said = bytes(pair.client.said), bytearray()
    pair.server.hear(data)
    for _ in range(3):
        await asyncio.sleep(0)
    assert pair.server.broker.lanes
    pair.server.say(1)  # one piece of the blob
    data, pair.server.said = bytes(pair.server.said), bytearray()
    pair.client.hear(data)
    assert name.value() == "a desk"
    reading.append(len(await within(pair, following)))
    assert reading + [len(item) for item in await listed(pair, stream)] == [3_000_000] * 3
    await pair.run()
    nothing_left(pair)


async def test_a_big_item_that_nobody_wants_any_more_is_given_up(pair: Pair, desk: Desk) -> None:
    """The number of its blob was free twice."""
    stream = await opened(pair, pair.me.count(5, 3_000_000))
    for _ in range(3):
        await asyncio.sleep(0)
    pair.server.say(2)
    data, pair.server.said = bytes(pair.server.said), bytearray()
    pair.client.hear(data)
    await stream.aclose()
    await pair.run()
    assert desk.ends == ["GeneratorExit"]
    assert pair.client.broker.blobs._blobs == {}
    nothing_left(pair)
    assert [len(one) for one in await listed(pair, await opened(pair, pair.me.items(bytes(300_000))))] == [300_000]


async def test_two_who_read_one_stream_at_once_are_told(pair: Pair) -> None:
    stream = await opened(pair, pair.me.forever())
    await within(pair, anext(stream))
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="twice at once"):
        await anext(stream)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await second


async def test_a_stream_can_be_sent_on(pair: Pair, desk: Desk) -> None:
    source = Source([1, b"2", [3]])
    stream = await opened(pair, pair.me.back(source))
    assert await listed(pair, stream) == [1, b"2", [3]]
    await pair.run()
    assert source.closed == 1
    nothing_left(pair)


async def test_a_raised_window_holds_for_streams_that_are_open(pair: Pair, desk: Desk) -> None:
    """The sender used the new window for a stream whose reader counted with the former one."""
    await pair.got(pair.me.keep(Source([bytes(TENTH)] * 100)))
    await pair.run()
    pair.server.broker.accept(rope.Limits(stream_window=100_000))
    await pair.run()
    assert pair.server.error is None
    assert pair.client.error is None
    assert len(await listed(pair, desk.taken[0])) == 100
    await pair.got(pair.me.keep(source := Source([bytes(TENTH)] * 100)))
    await pair.run()
    assert source.given == 51


async def test_a_generator_runs_in_the_context_of_its_call(pair: Pair) -> None:
    parent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    with rope.tracing(parent):
        promise = pair.me.traced()
    assert await listed(pair, await opened(pair, promise)) == [parent, None]
    async with rope.deadline(50):  # of use is the answer so long; the stream is not cut by it
        promise = pair.me.traced()
        stream = await opened(pair, promise)
    assert await listed(pair, stream) == [None, None]


async def _into(got: list[Any], stream: AsyncIterator[Any]) -> None:
    async for item in stream:
        got.append(item)  # noqa: PERF401 - what came before an error counts
