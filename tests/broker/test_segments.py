"""Where binary travels, by what is said on the wire: in the body, beside it, or ahead of it in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from docs.spec.vectors.reference_broker import frames
from ropewalk import broker as rope
from ropewalk.broker.limits import Limits, told
from tests.broker.doors import Door
from tests.broker.pair import End
from tests.broker.raw import Raw
from tests.broker.raw import frame as framed

Ext = msgspec.msgpack.Ext
INLINE, BESIDE, AHEAD = "in the body", "as a segment", "as a blob"
SIZES = {
    0: INLINE,
    16_383: INLINE,
    16_384: BESIDE,
    262_144: BESIDE,
    262_145: AHEAD,
}


class Shows(Door):
    """Shares what its test changes."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = rope.Shared({"data": b""})

    @rope.remote
    def share(self) -> rope.Shared:
        return self.shared

    @rope.remote
    async def binary_later(self, size: int) -> bytes:
        return bytes(size)

    @rope.remote
    async def items(self, size: int, nested: bool = False) -> AsyncIterator[Any]:
        yield [bytes(size)] if nested else bytes(size)
        await self.gate.wait()

    @rope.remote
    def in_a_list(self, size: int) -> list[Any]:
        return [bytes(size)]


class Heard:
    """What an end has said, by kind.

    Attributes:
        body: Of the one frame with messages.
        segments: Lengths of those of that frame.
        pieces: Lengths of what came before it.
    """

    def __init__(self, end: End) -> None:
        end.say()
        said = frames(bytes(end.said), 1 << 24)
        end.said = bytearray()
        self.pieces = [len(segments[0]) for flags, _, segments in said if flags]
        ((body, segments),) = [(body, segments) for flags, body, segments in said if not flags]
        self.body, self.segments = body, [len(segment) for segment in segments]

    def way(self, size: int) -> str:
        """How binary of so many zeros came, which is all that is in the message."""
        if bytes(size) in self.body and not self.segments and not self.pieces:
            return INLINE
        (message,) = msgspec.msgpack.decode(self.body)
        found = _ext(message)
        assert len(self.body) < 100
        if found == Ext(1, b"\x00") and self.segments == [size] and not self.pieces:
            return BESIDE
        assert found is not None
        assert (found.code, self.segments, sum(self.pieces)) == (10, [], size)
        return AHEAD


def _ext(value: Any) -> Ext | None:
    """The one extension in a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [value] if isinstance(value, Ext) else [one for part in inside if (one := _ext(part)) is not None]
    return found[0] if found else None


async def _call(kind: Callable[[int], Any], size: int) -> Heard:
    raw = Raw(server=False, theirs=told(Limits()))
    raw.me.echo(kind(size))
    return Heard(raw.end)


async def _answer(method: str, size: int) -> Heard:
    raw = Raw(Shows())
    raw.end.hear(framed([[0, 1, 0, method, [size]]]))
    for task in list(raw.end.tasks):
        await task
    heard = Heard(raw.end)
    await raw.stop()
    return heard


async def _update(size: int) -> Heard:
    door = Shows()
    raw = Raw(door)
    raw.say([0, 1, 0, "share", []])
    door.shared.put("data", value=bytes(size))
    return Heard(raw.end)


async def _item(size: int) -> Heard:
    raw = Raw(Shows())
    raw.say([0, 1, 0, "items", [size]])
    for _ in range(5):
        await asyncio.sleep(0)
    heard = Heard(raw.end)
    await raw.stop()
    return heard


WAYS: dict[str, Callable[[int], Awaitable[Heard]]] = {
    "CALL": lambda size: _call(bytes, size),
    "CALL with a list": lambda size: _call(lambda size: [bytes(size)], size),
    "CALL with a map": lambda size: _call(lambda size: {"data": bytes(size)}, size),
    "CALL with a bytearray": lambda size: _call(bytearray, size),
    "CALL with a view": lambda size: _call(lambda size: memoryview(bytes(size)), size),
    "RETURN": lambda size: _answer("binary", size),
    "RETURN with a list": lambda size: _answer("in_a_list", size),
    "RETURN of a task": lambda size: _answer("binary_later", size),
    "UPDATE": _update,
    "ITEM": _item,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS)
async def test_binary_of_16_kib_goes_beside_the_body_and_of_more_than_256_ahead_of_it(way: str, size: int) -> None:
    assert (await WAYS[way](size)).way(size) == SIZES[size]


async def test_an_item_that_is_not_binary_alone_has_all_in_the_body() -> None:
    raw = Raw(Shows())
    raw.say([0, 1, 0, "items", [300_000, True]])
    for _ in range(5):
        await asyncio.sleep(0)
    assert Heard(raw.end).way(300_000) == INLINE
    await raw.stop()


async def test_what_is_beside_the_body_is_at_most_half_of_a_frame() -> None:
    raw = Raw(server=False, theirs=told(Limits()))
    raw.me.echo(*[bytes(200_000)] * 4, bytes(16_384))
    heard = Heard(raw.end)
    assert heard.segments == [200_000, 200_000, 16_384]
    assert heard.pieces == [200_000, 200_000]
