"""What an implementation of the broker must do with a peer that is slow, silent or insatiable.

Flow: Peer, after a login, or two that have none -> a case of BOUNDS -> nothing, or NotAsSpecified
Never: asks for a bound of another size than docs/spec/broker.md and its annex A have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.testing.broker_peer import (
    CALL,
    ERROR,
    FINISH,
    PING,
    RETURN,
    NotAsSpecified,
    Peer,
    failed,
    hello,
    same,
)

__all__ = ["BOUNDS"]

_QUEUED, _CHAIN = 1_024, 64  # section 7: calls held back; answers that wait for each other
_UNREAD, _SIZE = 120, 200_000  # answers of so many bytes, more than sockets hold
_FRAME = 400  # calls in one


def _busy(peer: Peer) -> list[int]:
    return [one[1] for one in peer.heard if one[0] == ERROR and one[2:4] == ["unavailable", "broker.busy"]]


async def chain(peer: Peer) -> None:
    """A chain of answers that wait for each other has an end, which is told."""
    peer.say([CALL, 1, peer.me, "never", []])
    peer.say(*([CALL, number, [number - 1], "thing", []] for number in range(2, _CHAIN + 40)))
    await peer.still_there()
    busy = _busy(peer)
    if not busy or min(busy) < 16:
        raise NotAsSpecified(f"of a chain of {_CHAIN + 39} answers these are refused as busy: {busy!r:.200}")
    peer.say([FINISH, [1]])
    for number in range(1, _CHAIN + 40):
        answer = await peer.answer(number)
        if answer[3] not in ("broker.cancelled", "broker.busy"):
            raise NotAsSpecified(f"answer {number} of a chain whose first is cancelled is {answer!r:.200}")


async def queue(peer: Peer) -> None:
    """So many calls may wait for others; the next are refused as busy, and those of other targets go on."""
    first = peer.question()
    numbers = [peer.question() for _ in range(min(peer.limits["questions"], _QUEUED + 200) - 5)]
    peer.say([CALL, first, peer.me, "never", []])
    for at in range(0, len(numbers), _FRAME):
        peer.say(*([CALL, number, [first], "thing", []] for number in numbers[at : at + _FRAME]))
    await peer.still_there()
    busy = set(_busy(peer))
    if (len(numbers) > _QUEUED) != bool(busy) or busy & set(numbers[:64]):
        raise NotAsSpecified(f"of {len(numbers)} calls that wait {len(busy)} are refused as busy")
    same(await peer.value(peer.me, "echo", [1]), 1, "an echo beside a full queue")
    peer.say([FINISH, [first]])
    for number in numbers:
        failed(await peer.answer(number), "unavailable", "broker.busy" if number in busy else "broker.cancelled")


async def silent(peer: Peer) -> None:
    """Who says no hello, and who does not log in, is not kept; who has logged in is."""
    async with peer.another(login=False) as nobody, peer.another(login=False) as mute:
        nobody.give(hello())
        same((await mute.aborted())[0], "broker.late", "what no hello ends with")
        await nobody.still_there()  # the time for a hello is the shorter one
        same((await nobody.aborted())[0], "broker.late", "what no login ends with")
    await peer.still_there()


async def never_reads(peer: Peer) -> None:
    """Who asks and does not read harms nobody else, and is given up."""
    peer.transport.pause_reading()
    for number in range(1, _UNREAD + 1):
        peer.say([CALL, number, peer.me, "zeros", [_SIZE]])
    async with peer.another() as friend:
        same(await friend.value(friend.me, "echo", [1]), 1, "an echo beside one who does not read")
    try:
        async with asyncio.timeout(peer.deadline):
            while not peer.lost:
                peer.say([PING, 1])  # where the other end is gone, writing tells
                await asyncio.sleep(peer.deadline / 100)
    except TimeoutError:
        peer.transport.resume_reading()
    await peer.closed()
    got = sum(one[0] == RETURN for one in peer.heard)
    if got == _UNREAD:
        raise NotAsSpecified("the session of who has read nothing for so long went on")


BOUNDS: dict[str, Callable[[Peer], Awaitable[Any]]] = {
    "chain": chain,
    "queue": queue,
    "silent": silent,
    "never reads": never_reads,
}
