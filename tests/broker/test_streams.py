"""Streams in both directions: credits, how they end from either side, and that nothing stays."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk import broker as rope
from ropewalk.broker.packing import lasting
from ropewalk.errors import Misuse, RopewalkError, Unavailable
from tests.broker.pair import Pair
from tests.broker.pairs import stream_desk, stream_pair  # noqa: F401 - fixtures
from tests.broker.streaming import TENTH, Desk, Source, awaited, listed, nothing_left, opened, within


async def test_what_a_method_yields_comes_in_order(pair: Pair, desk: Desk) -> None:
    items = [1, "two", b"three", [4, {"five": 6}], None, b"x" * 20_000, {"a": b"y" * 20_000}, (1, 2)]
    stream = await opened(pair, pair.me.items(*items))
    assert await listed(pair, stream) == items
    assert desk.ends == ["done"]
    del stream
    await pair.run()
    nothing_left(pair)


@pytest.mark.parametrize("size", [10, 20_000, 600_000])
async def test_binary_of_any_kind_comes_as_it_was_when_it_was_given(pair: Pair, size: int) -> None:
    """What its giver can still write to is copied; a read-only view is not, which its giver promises."""
    other = bytearray(b"b" * size)
    kinds = [bytes(size), other, memoryview(other), memoryview(b"c" * size), memoryview(b"dx" * size)[::2]]

    async def given() -> AsyncIterator[object]:
        for letter, one in zip(b"bcdef", kinds, strict=True):
            other[:] = bytes((letter,)) * size
            yield one

    expected = [bytes(size), b"c" * size, b"d" * size, b"c" * size, b"d" * size]
    assert await pair.got(pair.me.take(given())) == expected


def test_a_read_only_view_is_not_copied() -> None:
    data = memoryview(b"x" * 100_000)
    assert lasting(data).obj is data.obj  # type: ignore[union-attr]
    assert lasting(data[::2]) == bytes(data[::2])
    changing = bytearray(3)
    assert [lasting(one).__class__ for one in (b"", changing, memoryview(changing))] == [bytes, bytes, bytes]


async def test_an_argument_that_yields_is_a_stream(pair: Pair) -> None:
    source = Source([1, b"2", [3]])
    assert await pair.got(pair.me.take(source)) == [1, b"2", [3]]
    assert source.closed == 1
    nothing_left(pair)


async def test_a_consumer_that_never_reads_stops_the_producer_within_the_window(pair: Pair, desk: Desk) -> None:
    stream = await opened(pair, pair.me.count(1000, TENTH))
    await pair.run()
    assert len(desk.made) == 11  # ten that were sent, and the one that waits
    assert await within(pair, anext(stream)) == bytes(TENTH)
    await pair.run()
    assert len(desk.made) == 11  # little is not granted at once
    for _ in range(4):
        await within(pair, anext(stream))
    await pair.run()
    assert len(desk.made) == 16
    assert len(await listed(pair, stream)) == 995
    await pair.run()
    nothing_left(pair)


async def test_a_server_that_never_reads_stops_the_client(pair: Pair) -> None:
    source = Source([bytes(TENTH)] * 1000)
    promise = pair.me.hold(source)
    await pair.run()
    assert source.given == 11
    waiting = asyncio.ensure_future(awaited(promise))
    await pair.run()
    waiting.cancel()
    await pair.run()
    assert source.closed == 1
    assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    gc.collect()
    await pair.run()
    nothing_left(pair)


@pytest.mark.parametrize(
    "sizes", [[90_000], [10, 90_000, 10], [90_000] * 2, [6000, 12_000, 18_000, 18_000], [19_936, 19_936, 19_937]]
)
async def test_an_item_larger_than_the_window_passes_when_all_is_granted(pair: Pair, sizes: list[int]) -> None:
    stream = await opened(pair, pair.me.items(*map(bytes, sizes)))
    assert [len(item) for item in await listed(pair, stream)] == sizes
    stream = await opened(pair, pair.me.items(*("x" * size for size in sizes)))
    assert [len(item) for item in await listed(pair, stream)] == sizes
    await pair.run()
    nothing_left(pair)


async def test_a_reader_that_waits_again_and_again_gets_items_of_any_size(pair: Pair) -> None:
    """Less than half of the window was never granted, so an item of more than half was never sent."""
    stream = await opened(pair, pair.me.items(*map(bytes, (6000, 18_000, 6000, 18_000))))
    for size in (6000, 18_000, 6000, 18_000):
        assert len(await within(pair, anext(stream))) == size
    assert await listed(pair, stream) == []


async def test_an_error_in_the_middle_reaches_the_consumer_after_the_items(pair: Pair) -> None:
    stream = await opened(pair, pair.me.broken())
    assert await within(pair, anext(stream)) == 1
    with pytest.raises(RopewalkError) as caught:
        await within(pair, anext(stream))
    assert (caught.value.code, str(caught.value)) == ("broker.no-path", "there is no more")
    assert await listed(pair, stream) == []  # as a generator does
    nothing_left(pair)


async def test_a_bug_of_a_generator_stays_at_home_and_is_in_its_log(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await opened(pair, pair.me.buggy())
    with pytest.raises(RopewalkError, match="the method failed") as caught:
        await listed(pair, stream)
    assert "secret" not in str(caught.value)
    assert "a secret" in caplog.text


async def test_an_argument_that_fails_fails_for_who_reads_it(pair: Pair) -> None:
    with pytest.raises(RopewalkError) as caught:
        await pair.got(pair.me.take(Source([1, 2], then=Misuse("no such page"))))
    assert (caught.value.code, str(caught.value)) == ("misuse", "no such page")
    nothing_left(pair)


async def test_a_generator_that_is_cancelled_from_inside_ends_its_stream(pair: Pair) -> None:
    """It was never ended, and its reader waited for ever."""
    with pytest.raises(Unavailable) as caught:
        await pair.got(pair.me.take(Source([1], then=asyncio.CancelledError())))
    assert caught.value.code == "broker.cancelled"
    nothing_left(pair)


@pytest.mark.parametrize("how", ["close", "drop", "break"])
async def test_who_wants_no_more_ends_the_generator_of_the_other_end_once(pair: Pair, desk: Desk, how: str) -> None:
    stream = await opened(pair, pair.me.forever())
    assert await within(pair, anext(stream)) == 1
    await pair.run()
    if how == "close":
        await stream.aclose()
        await stream.aclose()
        assert await listed(pair, stream) == []
    del stream
    gc.collect()
    await pair.run()
    assert desk.ends == ["CancelledError"]
    nothing_left(pair)


async def test_a_generator_that_waits_for_credit_is_closed(pair: Pair, desk: Desk) -> None:
    stream = await opened(pair, pair.me.count(100, 10_000))
    await pair.run()
    await stream.aclose()
    await pair.run()
    assert desk.ends == ["GeneratorExit"]
    nothing_left(pair)


async def test_a_reader_that_breaks_ends_an_argument_once(pair: Pair) -> None:
    source = Source([1, 2, 3], waits=True)
    assert await pair.got(pair.me.take(source, 2)) == [1, 2]
    gc.collect()
    await pair.run()
    assert source.closed == 1
    nothing_left(pair)


async def test_a_stream_whose_call_fails_is_closed(pair: Pair) -> None:
    source = Source([1, 2, 3], waits=True)
    with pytest.raises(Misuse, match="argument most"):
        await pair.got(pair.me.take(source, "many"))
    gc.collect()
    await pair.run()
    assert source.closed == 1
    nothing_left(pair)


async def test_a_stream_that_could_not_be_sent_is_closed(pair: Pair) -> None:
    source = Source([1])
    with pytest.raises(rope.CannotSend):
        pair.me.take(source, object())
    await pair.run()
    assert source.closed == 1
    nothing_left(pair)


async def test_a_call_that_is_cancelled_before_its_stream_is_there_closes_it(pair: Pair, desk: Desk) -> None:
    promise = pair.me.forever()
    waiting = asyncio.ensure_future(awaited(promise))
    await asyncio.sleep(0)
    waiting.cancel()
    await pair.run()
    del promise, waiting
    gc.collect()
    await pair.run()
    assert len(desk.ends) == 1
    nothing_left(pair)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 40_000), max_size=12),
    binary=st.booleans(),
    stops=st.none() | st.integers(1, 12),
    window=st.integers(16_384, 50_000),
    both=st.booleans(),
)
async def test_any_items_pass_any_window(
    sizes: list[int], binary: bool, stops: int | None, window: int, both: bool
) -> None:
    desk = Desk()
    limits = rope.Limits(stream_window=window)
    pair = Pair(desk, limits=limits, client_limits=limits)
    items = [bytes(size) if binary else "x" * size for size in sizes]
    async with asyncio.timeout(30):
        source = Source(items)
        expected = items[:stops]
        if both:
            assert await pair.got(pair.me.take(source, stops or 1 << 30)) == expected
        stream = await opened(pair, pair.me.items(*items))

        assert await within(pair, _read(stream, stops)) == expected
        await stream.aclose()
        del stream
        gc.collect()
        await pair.run()
        assert not both or source.closed == 1
        assert len(desk.ends) == 1
        nothing_left(pair)
        await pair.stop()


async def _read(stream: AsyncIterator[Any], stops: int | None) -> list[Any]:
    got: list[Any] = []
    async for item in stream:
        got.append(item)
        if len(got) == stops:
            break
    return got
