"""What an implementation of the broker must do with streams, long binary, shared objects and frames, and a good peer.

Flow: Peer, after a login -> a case of FLOWS -> nothing, or NotAsSpecified
Never: asks for anything but what docs/spec/broker.md and its annex A promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.testing.broker_peer import (
    CALL,
    CLOSE,
    CREDIT,
    END,
    ITEM,
    RELEASE,
    UPDATE,
    NotAsSpecified,
    Peer,
    decode,
    ext,
    frame,
    same,
    unpacked,
)

__all__ = ["FLOWS", "unpacked_item"]

_RUN = bytes(8)


async def streams(peer: Peer) -> None:
    """It fills a stream with what it has been granted, and takes one of ours."""
    shown = await peer.value(peer.me, "count", [5])
    same(getattr(shown, "code", None), 9, "the kind of a stream")
    number = unpacked(shown)
    items = []
    while True:
        one = await peer.message(lambda one: one[0] in (ITEM, END) and one[1] == number, "ITEM or END")
        if one[0] == END:
            same(len(one), 2, "the length of an END")
            break
        items.append(unpacked_item(one[2]))
    peer.say([CLOSE, number])
    same(items, [0, 1, 2, 3, 4], "the items")
    question = peer.ask(peer.me, "total", [ext(9, 3)])
    peer.say(*[[ITEM, 3, [bytes([number])]] for number in range(10)], [END, 3])
    same((await peer.answer(question))[2], 45, "the sum of a stream")
    await peer.message(lambda one: one == [CLOSE, 3], "CLOSE")


async def stream_credits(peer: Peer) -> None:
    """It sends no more than it was granted, and stops when it is told to."""
    number = unpacked(await peer.value(peer.me, "count", [1_000_000]))
    await peer.still_there()
    items = await _items_so_far(peer, number)
    cost = sum(64 + len(one[2][0] if isinstance(one[2], list) else one[2]) for one in items)
    if not items or cost > 1_048_576:
        raise NotAsSpecified(f"{len(items)} items cost {cost:,} where 1,048,576 were granted")
    peer.say([CREDIT, number, cost])
    await peer.message(lambda one: one[0] == ITEM and one[1] == number, "more items after CREDIT")
    peer.say([CLOSE, number])
    await peer.message(lambda one: one[0] == END and one[1] == number, "END after CLOSE")


async def _items_so_far(peer: Peer, number: int) -> list[list[Any]]:
    before = -1
    while before != len(peer.heard):
        before = len(peer.heard)
        await asyncio.sleep(0.1)
    items = [one for one in peer.heard if one[0] == ITEM and one[1] == number]
    peer.heard = [one for one in peer.heard if not (one[0] == ITEM and one[1] == number)]
    return items


def unpacked_item(item: Any) -> Any:
    """An item in the form of its MessagePack."""
    if not isinstance(item, list) or len(item) != 1 or not isinstance(item[0], bytes):
        raise NotAsSpecified(f"an item is {item!r:.100}, expected an array of one binary")
    return decode(item[0])


async def binary(peer: Peer) -> None:
    """Binary inline, as a segment and as a blob, both ways."""
    peer.say([CALL, 1, peer.me, "size", [ext(1, 0)]], segments=(bytes(40_000),))
    same((await peer.answer(1))[2], 40_000, "the size of a segment")
    for at in range(0, 700_000, 250_000):
        peer.give(frame([5, 700_000], (bytes(min(250_000, 700_000 - at)),), 1))
        peer.say([CALL, 100 + at, peer.me, "echo", ["between"]])
        same((await peer.answer(100 + at))[2], "between", "a call between pieces")
    peer.say([CALL, 2, peer.me, "size", [ext(10, 5)]])
    same((await peer.answer(2))[2], 700_000, "the size of a blob")
    peer.give(frame([5, 1_000], (bytes(10),), 1))
    peer.give(frame([5, 0], (b"",), 1))
    for size in (100, 20_000, 262_144, 262_145, 1_000_000):
        value = await peer.value(peer.me, "zeros", [size])
        same(peer.binary(value), bytes(size), f"binary of {size:,} bytes")


async def shared(peer: Peer) -> None:
    """A shared object is told of as it changes."""
    shown = await peer.value(peer.me, "shared", [])
    same(getattr(shown, "code", None), 6, "the kind of a shared object")
    number, _, run, version, state = unpacked(shown)
    same([len(run), state], [8, {"n": 0}], "its run and state")
    for count in (1, 2, 3):
        await peer.value(peer.me, "poke", [])
        update = await peer.message(lambda one: one[0] == UPDATE and one[1] == number, "UPDATE")
        same(update[2], version + count, "the version")
        change = update[3][-1]
        if change not in ([["n"], count], [[], {"n": count}]):
            raise NotAsSpecified(f"a change is {change!r:.100}")
    peer.say([RELEASE, [number], [1]])
    await peer.value(peer.me, "poke", [])
    await peer.still_there()
    if any(one[0] == UPDATE for one in peer.heard):
        raise NotAsSpecified("an UPDATE came of a shared object that was released")


async def watched(peer: Peer) -> None:
    """It keeps a copy of a shared object of ours as that changes, and lets go of it."""

    async def seen(version: int, state: Any, what: str) -> None:
        same(await peer.value(peer.me, "watched", []), [version, state], what)

    await peer.value(peer.me, "watch", [ext(6, [7, "Mine", _RUN, 3, {"list": [1]}])])
    await seen(3, {"list": [1]}, "a shared object of ours")
    peer.say([UPDATE, 7, 5, [[["list", 1], 2], [["n"], None]]])
    await seen(5, {"list": [1, 2], "n": None}, "the copy after two changes")
    peer.say([UPDATE, 7, 6, [[["list", 1], 3], [["list", 0]]]])
    await seen(6, {"list": [2], "n": None}, "the copy after a change that it had and one that it had not")
    peer.say([UPDATE, 7, 6, [[["n"], 9]]], [UPDATE, 7, 9, [[[], {"n": 4}]]])
    await seen(9, {"n": 4}, "the copy after the whole state")
    await peer.value(peer.me, "watch", [None])
    await peer.message(lambda one: one[0] == RELEASE and 7 in one[1], "RELEASE of what is not watched any more")
    peer.say([UPDATE, 7, 10, [[["n"], 5]]])
    await peer.still_there()


async def one_frame_a_message(peer: Peer) -> None:
    """Two frames may come at once, but not in one message of a WebSocket."""
    peer.give(frame([[CALL, 1, peer.me, "echo", [1]]]) + frame([[CALL, 2, peer.me, "echo", [2]]]))
    if not peer.whole_frames:
        same([(await peer.answer(number))[2] for number in (1, 2)], [1, 2], "echoes")
        return
    code, _ = await peer.aborted()
    same(code, "broker.frame", "what a message of two frames ends with")
    peer.abort = None


FLOWS: dict[str, Callable[[Peer], Awaitable[None]]] = {
    "streams": streams,
    "stream credits": stream_credits,
    "binary": binary,
    "shared": shared,
    "watched": watched,
    "one frame a message": one_frame_a_message,
}
