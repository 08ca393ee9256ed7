"""What a client of the broker must do with streams, long binary and shared objects of a server that keeps the rules.

Flow: Guest -> a case of CALLER_FLOWS: what the program is told, what its client then says -> nothing, or NotAsSpecified
Never: asks for anything but what docs/spec/broker.md and its annex B promise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.testing.broker_guest import Guest
from ropewalk.testing.broker_peer import (
    CLOSE,
    CREDIT,
    END,
    ITEM,
    RETURN,
    UPDATE,
    NotAsSpecified,
    ext,
    frame,
    same,
    unpacked,
)

__all__ = ["CALLER_FLOWS"]


async def stream(guest: Guest) -> None:
    """It reads a stream, grants what it has consumed, and says CLOSE at the end."""
    await guest.entered()
    await guest.given("s", ext(9, 1))
    window = max(guest.limits.get("stream_window", 1 << 20), 16_384)
    size = window // 4
    sent = granted = 0
    for _ in range(20):
        while sent - granted + 64 + size > window:
            credit = await guest.message(lambda one: one[0] == CREDIT and one[1] == 1, "CREDIT")
            granted += credit[2]
            if granted > sent:
                raise NotAsSpecified(f"CREDIT of {granted} bytes, where {sent} were sent")
        guest.say([ITEM, 1, _blob(guest, size)])
        sent += 64 + size
        count, last, ended = await guest.does("read", "s", 1)
        same([count, len(guest.binary(last)), ended], [1, size, False], "an item")
    guest.say([ITEM, 1, [b"\x07"]], [END, 1])
    same(await guest.does("read", "s", 5), [1, 7, True], "the last item")
    await guest.message(lambda one: one == [CLOSE, 1], "CLOSE")


async def stopped_stream(guest: Guest) -> None:
    """A stream that is not wanted any more is closed; what crosses that is dropped."""
    await guest.entered()
    await guest.given("s", ext(9, 1))
    guest.say([ITEM, 1, [b"\x01"]])
    same(await guest.does("read", "s", 1), [1, 1, False], "an item")
    await guest.does("stop", "s")
    await guest.message(lambda one: one == [CLOSE, 1], "CLOSE")
    guest.say([ITEM, 1, [b"\x02"]], [END, 1])
    await guest.given("s", ext(9, 1))
    guest.say([END, 1, "refused", "suite.no", "no"])
    same(await guest.does("read", "s", 1), ["error", "refused", "suite.no"], "a stream that fails")


async def filled_stream(guest: Guest) -> None:
    """It fills a stream with what it was granted, and ends it once."""
    await guest.entered()
    await guest.does("keep", "s", "blocks", 20, 3000)
    call = await guest.asked("a", "$s")
    same(call[4][0].code, 9, "the kind of a stream")
    number = unpacked(call[4][0])
    owed = came = 0
    while True:
        one = await guest.message(lambda one: one[0] in (ITEM, END) and one[1] == number, "ITEM or END")
        if one[0] == END:
            same(len(one), 2, "the length of an END")
            break
        owed, came = owed + 64 + len(guest.binary(one[2])), came + 1
        if owed > 16_384:
            raise NotAsSpecified(f"items cost {owed}, where 16,384 were granted")
        if owed > 16_384 - 3064:
            await guest.still_there()
            if any(one[0] == ITEM for one in guest.heard):
                raise NotAsSpecified(f"an item came where {16_384 - owed} of 16,384 were left")
            guest.say([CREDIT, number, owed])
            owed = 0
    same(came, 20, "how many items came")
    guest.say([CLOSE, number], [RETURN, call[1], None])
    await guest.does("answer", "a")
    await guest.does("keep", "s", "blocks", 1000, 3000)
    call = await guest.asked("a", "$s")
    number = unpacked(call[4][0])
    guest.say([CLOSE, number])
    await guest.message(lambda one: one[:2] == [END, number], "END after CLOSE")


async def binary(guest: Guest) -> None:
    """Binary as a segment and as a blob, both ways."""
    await guest.entered()
    for size in (100, 20_000, 262_144, 262_145, 700_000):
        await guest.does("keep", "z", "zeros", size)
        call = await guest.asked("a", "$z")
        same(len(guest.binary(call[4][0])), size, "the size of binary")
        kind = getattr(call[4][0], "code", None)
        if size > 262_144 and kind != 10:
            raise NotAsSpecified(f"binary of {size:,} bytes is sent as {kind or 'inline'}, expected a blob")
        guest.give(frame([9, 50_000], (bytes(30_000),), 1))
        guest.give(frame([9, 50_000], (bytes(20_000),), 1))
        guest.say([RETURN, call[1], [ext(10, 9), ext(1, 0)]], segments=(b"x" * 20_000,))
        _, (blob, segment) = await guest.does("answer", "a")
        same([guest.binary(blob), guest.binary(segment)], [bytes(50_000), b"x" * 20_000], "binary that came back")


async def shared(guest: Guest) -> None:
    """A shared object is kept up to date until it is let go of."""
    await guest.entered()
    await guest.given("s", ext(6, [4, "Board", bytes(8), 3, {"list": [1]}]))
    same(await guest.does("state", "s", 3), {"list": [1]}, "the state as it was shown")
    guest.say([UPDATE, 4, 5, [[["list", 1], 2], [["n"], None]]])
    same(await guest.does("state", "s", 5), {"list": [1, 2], "n": None}, "the state after two changes")
    guest.say([UPDATE, 4, 6, [[["list", 1], 3], [["list", 0]]]], [UPDATE, 4, 6, [[["n"], 9]]])
    same(await guest.does("state", "s", 6), {"list": [2], "n": None}, "the state after changes that it has and has not")
    guest.say([UPDATE, 4, 9, [[[], [1]]]])
    same(await guest.does("state", "s", 9), [1], "the state after a whole one")
    await guest.does("drop", "s")
    await guest.until(lambda: guest.released[4] == 1, "RELEASE of a shared object")
    guest.say([UPDATE, 4, 10, [[[], 5]]])
    await guest.still_there()


def _blob(guest: Guest, size: int) -> Any:
    """Binary of zeros as an item: inline, or as a blob that was sent before."""
    if size < 16_384:
        return bytes(size)
    for at in range(0, size, 200_000):
        guest.give(frame([1, size], (bytes(min(200_000, size - at)),), 1))
    return ext(10, 1)


CALLER_FLOWS: dict[str, Callable[[Guest], Awaitable[None]]] = {
    "stream": stream,
    "stopped stream": stopped_stream,
    "filled stream": filled_stream,
    "binary": binary,
    "shared": shared,
}
