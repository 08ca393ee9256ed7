"""Iterators: asynchronous ones cross as streams, plain ones are refused with what to do instead."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ropewalk import broker as rope
from tests.broker.pair import Pair


class Door(rope.Object):
    """Takes anything, and gives streams of both kinds."""

    @rope.remote
    def take(self, value: Any) -> None: ...

    @rope.remote
    async def good(self) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    @rope.remote
    def wrong(self) -> Iterator[int]:
        yield 1


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair(Door())
    yield made
    await made.stop()


@pytest.mark.parametrize("value", [(x for x in "ab"), iter([1]), map(str, [1]), io.StringIO("lines")])
async def test_a_plain_iterator_is_refused_and_the_hint_says_how_it_crosses(pair: Pair, value: Iterator[Any]) -> None:
    for given in (value, [value]):
        with pytest.raises(rope.CannotSend, match=r"a plain iterator \(\w+\) cannot cross") as caught:
            pair.me.take(given)
        assert "asynchronous generator" in caught.value.hint
        assert "copyable" not in caught.value.hint


async def test_a_method_that_is_a_plain_generator_fails_so_for_its_caller(pair: Pair) -> None:
    with pytest.raises(rope.CannotSend, match=r"a plain iterator \(generator\) cannot cross"):
        await pair.got(pair.me.wrong())


async def test_a_stream_shows_how_it_stands(pair: Pair) -> None:
    stream = await pair.got(pair.me.good())
    assert repr(stream) == "<stream 1, ended, 3 items to read>"
    assert [item async for item in stream] == [0, 1, 2]
    await stream.aclose()
    assert repr(stream) == "<stream 1, closed, 0 items to read>"
