"""Working: who answers the requests of a connection that are in line, one after the other.

Flow: line -> the app's first step, within the read -> most answers; what is left of it -> the connection's one task
Never: has two apps answer at once, or an app wait for one that goes on after its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ropewalk.web.errors import BadRequest
from ropewalk.web.exchange import Exchange
from ropewalk.web.own_context import OwnContext
from ropewalk.web.reading import Reader

if TYPE_CHECKING:
    from ropewalk.web.site import Site

__all__ = ["Working"]


class Working(Reader):
    """The middle of a connection: between what was read and what is written.

    Attributes:
        current: The request that is being answered.
        gone: The transport is lost, or another protocol's.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.current: Exchange | None = None
        self.gone = False
        self._worker: asyncio.Task[None] | None = None
        self._rest: asyncio.Future[None] | None = None  # while the worker has nothing to do
        self._unfinished: OwnContext | None = None  # what it is to go on with

    def answer(self, exchange: Exchange, task: asyncio.Task[None]) -> Coroutine[Any, Any, None]:
        """Have the app answer, in this task."""
        raise NotImplementedError

    def send_refusal(self, error: BadRequest) -> None:
        """Answer with why nothing more is taken."""
        raise NotImplementedError

    def begin_next(self) -> None:
        """Begin the request that is first in line."""
        if self.gone or self.current is not None or not self.line:
            return
        first = self.line[0]
        if isinstance(first, BadRequest):
            self.line.clear()
            self.send_refusal(first)
        elif self._rest is not None and self._unfinished is None:
            if first.upgrade or self._rest.done() or asyncio.current_task(self.site.loop) is not None:
                self.wake()
            else:
                self._begin(first)
        else:
            # There is no task, or the one there is has an app that goes on after its answer.
            self._rest = self.site.loop.create_future()
            self._rest.set_result(None)
            self._worker = self.site.start(self._work())

    def _begin(self, first: Exchange) -> None:
        """Take the first step for a request here, in the name of the task that waits; most need no second one."""
        assert self._worker is not None
        work = self._take(first, self._worker)
        if work.begin(self._worker, self.site.loop):
            self._unfinished = work
            self.wake()

    def _take(self, first: Exchange, task: asyncio.Task[None]) -> OwnContext:
        self.line.popleft()
        self.current = first
        return OwnContext(self.answer(first, task), self.site.context.copy())

    def wake(self) -> None:
        """Have the task look again, if it rests."""
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    async def _work(self) -> None:
        """Answer what is in line, until the connection is lost or another task has taken over."""
        me = self._worker
        assert me is not None
        self._rest = None
        while not self.gone and self._worker is me:
            if self.current is None and self.line:
                first = self.line[0]
                if isinstance(first, Exchange):
                    await self._take(first, me)
                    continue
                self.begin_next()
            self._rest = self.site.loop.create_future()
            try:
                await self._rest
            except asyncio.CancelledError:
                if self._unfinished is None:
                    if self._worker is me:  # an app asked for it at its end: the next request has another task
                        self._worker = self._rest = None
                        self.site.loop.call_soon(self.go_on)
                    raise
                me.cancel()  # again, so that it meets the app, where that waits
                me.uncancel()
            if self._worker is me:
                self._rest = None
            if self._unfinished is not None:  # it is this task's: another one that begins has its turn after this one
                unfinished, self._unfinished = self._unfinished, None
                await unfinished

    def go_on(self) -> None:
        """Take what was read meanwhile, and begin what is next."""
        if not self.gone:
            self.parse()
            self.begin_next()
        if not self.gone:
            self.read_on()

    def dismiss(self) -> None:
        """Let a task that rests end: it is a third of what an idle connection costs in memory."""
        rest, self._rest, self._worker = self._rest, None, None
        if rest is not None and not rest.done():
            rest.set_result(None)
