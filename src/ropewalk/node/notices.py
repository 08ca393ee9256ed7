"""Notices: that a hint was replaced, told to all who wait for it.

Flow: many waiters -> one watch of the store for each hint that somebody waits for -> all of them
Never: watches a hint that nobody waits for, or holds more waiters than it may.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.store import DiskStore, ObjectName, StoreGone

__all__ = ["LONGEST", "MOST_WAITERS", "NodeBusy", "Notices"]

MOST_WAITERS = 1024
LONGEST = 600.0  # seconds after which a waiter is answered without news


class NodeBusy(Unavailable):
    """Too much is under way at this node."""

    code = "node.busy"


@dataclass(slots=True)
class _Bell:
    mark: bytes
    waiting: set[asyncio.Future[bytes]] = field(default_factory=set)
    watch: asyncio.Task[None] | None = None


class Notices:
    """The hints of one store that somebody waits for."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store
        self._bells: dict[ObjectName, _Bell] = {}
        self._waiters = 0
        self._closed = False

    async def wait(self, name: ObjectName, mark: bytes, most: float = LONGEST) -> bytes:
        """Wait until a hint may be another than at ``mark``, or for ``most`` seconds; the mark that it is at.

        Raises:
            NodeBusy: Too many wait.
            StoreGone: Also once it was stopped.
            Misuse: The name is no hint's.
        """
        if self._closed:
            raise StoreGone("this node stops")
        if self._waiters >= MOST_WAITERS:
            raise NodeBusy(f"{MOST_WAITERS} wait for changes here already", hint="read the hint every now and then")
        self._waiters += 1
        try:
            if (bell := self._bells.get(name)) is None:
                now = await self._store.wait_changed(name, b"")
                bell = self._bells.setdefault(name, _Bell(now))
            if mark != bell.mark or self._closed:
                return bell.mark
            told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            bell.waiting.add(told)
            if bell.watch is None:
                bell.watch = asyncio.create_task(self._watch(name, bell))
            try:
                async with asyncio.timeout(most):
                    return await told
            except TimeoutError:
                return bell.mark
            finally:
                bell.waiting.discard(told)
        finally:
            self._waiters -= 1
            self._rest(name)

    def stop(self) -> list[asyncio.Task[None]]:
        """Tell nobody any more; who waits is answered with the mark that was.  What ends by that."""
        self._closed = True
        bells = list(self._bells.values())
        for bell in bells:
            if bell.watch is not None:
                bell.watch.cancel()
            for told in bell.waiting:
                if not told.done():
                    told.set_result(bell.mark)
        return [bell.watch for bell in bells if bell.watch is not None]

    async def aclose(self) -> None:
        """`stop`, and wait for what ends by it."""
        await asyncio.gather(*self.stop(), return_exceptions=True)

    async def _watch(self, name: ObjectName, bell: _Bell) -> None:
        while True:
            try:
                mark = await self._store.wait_changed(name, bell.mark)
            except RopewalkError as error:
                bell.watch = None
                for told in bell.waiting:
                    if not told.done():
                        told.set_exception(error)
                return
            bell.mark = mark
            for told in bell.waiting:
                if not told.done():
                    told.set_result(mark)

    def _rest(self, name: ObjectName) -> None:
        bell = self._bells.get(name)
        if bell is not None and not bell.waiting:
            del self._bells[name]
            if bell.watch is not None:
                bell.watch.cancel()
