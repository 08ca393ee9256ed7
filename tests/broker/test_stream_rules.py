"""Rules of streams, and who breaks them."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.broker.errors import error_of
from ropewalk.errors import RopewalkError
from tests.broker.pair import Pair
from tests.broker.pairs import stream_desk, stream_pair  # noqa: F401 - fixtures
from tests.broker.streaming import opened, within

RULES = {
    "item of no stream": (6, 9, b""),
    "end of no stream": (7, 9),
    "close of no stream": (8, 9),
    "credit for no stream": (5, 9, 1),
    "item that is text": (6, 1, "x"),
    "item of two": (6, 1, [b"\x01", b"\x01"]),
    "end with half an error": (7, 1, "failed"),
}


@pytest.mark.parametrize("message", RULES.values(), ids=RULES.keys())
async def test_who_breaks_a_rule_of_streams_ends_the_session(pair: Pair, message: tuple[Any, ...]) -> None:
    stream = await opened(pair, pair.me.forever())
    pair.server.broker.outbox.say(message)
    await pair.run()
    assert pair.client.error is not None
    assert pair.client.error.code == "broker.message"
    del stream


SAID_AGAIN: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "end": ("server", [(7, 1), (7, 1)]),
    "item after the end": ("server", [(7, 1), (6, 1, b"")]),
    "close": ("client", [(8, 1), (8, 1)]),
    "credit of more than was sent": ("client", [(5, 1, 1 << 20)]),
    "credit of nothing": ("client", [(5, 1, 0)]),
    "credit of less than nothing": ("client", [(5, 1, -1)]),
    "credit of true": ("client", [(5, 1, True)]),
}


@pytest.mark.parametrize(("who", "messages"), SAID_AGAIN.values(), ids=SAID_AGAIN.keys())
async def test_what_was_said_once_or_was_not_owed_ends_the_session(
    pair: Pair, who: str, messages: list[tuple[Any, ...]]
) -> None:
    one, other = (pair.server, pair.client) if who == "server" else (pair.client, pair.server)
    stream = await opened(pair, pair.me.forever())
    for message in messages:
        one.broker.outbox.say(message)
    await pair.run()
    assert other.error is not None
    assert other.error.code == "broker.message"
    del stream


async def test_more_than_was_granted_ends_the_session(pair: Pair) -> None:
    stream = await opened(pair, pair.me.forever())
    for _ in range(3):
        pair.server.broker.outbox.say((6, 1, bytes(10_000)))
    await pair.run()
    assert pair.client.error is not None
    assert pair.client.error.code == "broker.limit"
    del stream


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x01\x01", b"\xd4\x01\x00", b"\xd4\x0a\x01", b"\xd4\x63\x00"])
async def test_an_item_that_is_none_ends_the_session_when_it_is_read(pair: Pair, content: bytes) -> None:
    stream = await opened(pair, pair.me.forever())
    pair.server.broker.outbox.say((6, 1, [content]))
    await pair.run()
    await within(pair, anext(stream))
    with pytest.raises(RopewalkError):
        await within(pair, anext(stream))
    assert pair.client.error is not None
    assert pair.client.error.code in ("broker.frame", "broker.value")


def test_an_error_of_half_is_none() -> None:
    with pytest.raises(RopewalkError):
        error_of("failed", 1, "")
