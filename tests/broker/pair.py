"""Pair: two brokers that talk to each other without sockets.

Flow: `Pair` -> calls on either side -> `run` moves bytes both ways, and lets tasks go on, until nothing happens
Never: moves a byte but when told to; hides that a broker ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from ropewalk.broker.broker import Broker
from ropewalk.broker.errors import Ended
from ropewalk.broker.limits import Limits
from ropewalk.broker.objects import Handle, Remote
from ropewalk.broker.offers import Object, Offer
from ropewalk.errors import PeerFault, RopewalkError

__all__ = ["End", "Pair"]


class End:
    """One broker and what drives it.

    Attributes:
        door: What it holds of the other end's door.
        error: Why it ended.
        said: What it has said and the other end was not given yet.
    """

    def __init__(self, door: Object, *, server: bool, limits: Limits | None = None, node: bytes | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.error: RopewalkError | None = None
        self.woken = 0
        self.said = bytearray()
        self.limits = limits or Limits()
        self.broker = Broker(door, self, ours=self.limits, server=server, nonce=bytes([server]) * 32, node=node)
        self.door: Any = Remote(Handle(self.broker.objects, 0, "door"))

    # As `Drives`.

    def wake(self, alone: bool) -> None:
        self.woken += 1

    def soon(self) -> None:
        self.broker.go_on()

    def late(self) -> None:
        self.woken += 1

    def fault(self, error: RopewalkError) -> None:
        self.end(error)

    def spawn(self, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        task = self.loop.create_task(work, context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.spawn(work, Context())

    def at(self, when: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_at(when, call)

    def time(self) -> float:
        return self.loop.time()

    def create_future(self) -> asyncio.Future[Any]:
        return self.loop.create_future()

    def table(self, kind: type[Object]) -> dict[str, Offer]:
        return kind.__offers__

    # Bytes.

    def say(self, lanes: int = 1 << 30, *, late: bool = True) -> int:
        """Take what the broker wants to send, and so many pieces of blobs; bytes that wait now."""
        if self.error is None:
            self._take(late=late)
            while lanes and self.broker.lanes.pump():
                lanes -= 1
                self._take()
        return len(self.said)

    def _take(self, *, late: bool = False) -> None:
        for frame in self.broker.take(late=late):
            for piece in frame:
                self.said += piece

    def hear(self, data: bytes) -> None:
        """Bytes of the other end."""
        if self.error is not None:
            return
        try:
            self.broker.reader.feed(data)
        except PeerFault as error:
            self.broker.outbox.say((14, error.code, str(error)))
            self._take()
            self.end(error)
        except Ended as error:
            self.end(error)

    def end(self, error: RopewalkError) -> None:
        """As a session does when it is over."""
        if self.error is None:
            self.error = error
            self.broker.end(error)

    async def stop(self) -> None:
        """End, and wait for what runs."""
        self.end(Ended("the test is over"))
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Pair:
    """A client and a server, after their hellos and, unless told otherwise, after a login."""

    def __init__(
        self,
        door: Object,
        client_door: Object | None = None,
        *,
        limits: Limits | None = None,
        client_limits: Limits | None = None,
        logged_in: bool = True,
    ) -> None:
        self.server = End(door, server=True, limits=limits)
        self.client = End(client_door or Nothing(), server=False, limits=client_limits)
        self.move()
        if logged_in:
            self.server.broker.accept(self.server.limits)
            self.move()

    @property
    def me(self) -> Any:
        """What the client calls."""
        return self.client.door

    def move(self) -> bool:
        """Take all that either end has to say to the other; whether there was anything."""
        moved = False
        for one, other in ((self.client, self.server), (self.server, self.client)):
            if one.say():
                data, one.said = bytes(one.said), bytearray()
                other.hear(data)
                moved = True
        return moved

    async def run(self) -> None:
        """Move bytes and let tasks go on until nothing happens any more."""
        quiet = 0
        while quiet < 5:
            quiet = 0 if self.move() else quiet + 1
            await asyncio.sleep(0)

    async def got(self, promise: Any) -> Any:
        """What a promise gives, once all has come to rest."""
        waiting = asyncio.ensure_future(_awaited(promise))
        await asyncio.sleep(0)
        await self.run()
        async with asyncio.timeout(10):
            return await waiting

    async def stop(self) -> None:
        """End both."""
        await self.client.stop()
        await self.server.stop()


class Nothing(Object):
    """A door without methods."""

    __slots__ = ()


async def _awaited(promise: Any) -> Any:
    return await promise
