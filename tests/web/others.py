"""Others: two peers in the middle of what they do, while somebody else does what is wrong; none of it may harm them.

Flow: others(web, ...) -> one has sent half of a body, one takes a long answer slowly -> the test's hostile peer ->
      tasks and connections are what they were -> a third is served -> the two go on to their ends: Others
Never: waits without a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.web.talking import Answers, Got, Hosted, Peer, answers

WITHIN = 60.0  # seconds for what takes milliseconds
_HELD_BACK = 5  # bytes of the half-sent body


@dataclass
class Others:
    """What they were answered, once they are through."""

    sent: Got = field(default_factory=Got)
    taken: Got = field(default_factory=Got)
    third: Got = field(default_factory=Got)


@asynccontextmanager
async def others(web: Hosted, sends: bytes, takes: bytes, asks: bytes) -> AsyncIterator[Others]:
    """Within, the two wait; nothing but them is there before it, nor may be after it.

    Args:
        sends: A request with a body of more than five bytes, of which the last five are kept back; the last one of
            its connection.
        takes: A request for more than the way to a peer holds; the last one of its connection.
        asks: A request that leaves its connection open: the first one of who sends, and the third one's own.
    """
    got = Others()
    sending = await web.peer(asks)
    await _whole(sending)
    sending.data = b""
    sending.transport.write(sends[:-_HELD_BACK])
    taking = await web.peer(takes)
    await taking.until(size=1)
    taking.transport.pause_reading()
    await _until(web, set(web.site.connections), None)
    connections, tasks = set(web.site.connections), asyncio.all_tasks()
    yield got
    await _until(web, connections, tasks)
    third = await web.peer(asks)
    got.third = await _whole(third)
    third.transport.close()
    await third.lost.wait()
    await _until(web, connections, tasks)
    sending.transport.write(sends[-_HELD_BACK:])
    taking.transport.resume_reading()
    async with asyncio.timeout(WITHIN):
        (got.sent,), (got.taken,) = answers(await sending.all()), answers(await taking.all())
        for peer in (sending, taking):
            peer.transport.close()
            await peer.lost.wait()


async def _whole(peer: Peer) -> Got:
    """The first answer, on a connection that goes on."""
    reads, seen = Answers(), 0
    async with asyncio.timeout(WITHIN):
        while not (reads.got and reads.got[0].whole):
            data = await peer.until(size=seen + 1)
            reads.feed(data[seen:])
            seen = len(data)
    return reads.got[0]


async def _until(web: Hosted, connections: AbstractSet[object], tasks: AbstractSet[object] | None) -> None:
    """Wait until two apps are at work, for these connections alone, and no task is there that was not there before."""
    async with asyncio.timeout(WITHIN):
        while (  # noqa: ASYNC110 - nobody tells
            web.site.running != 2
            or set(web.site.connections) != connections
            or web.listener.connections != len(connections)
            or (tasks is not None and not asyncio.all_tasks() <= tasks)
        ):
            await asyncio.sleep(0.001)
