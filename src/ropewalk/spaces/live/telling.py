"""Telling: the bulletins that this process puts into the stores (docs/spec/hints.md 2).

Flow: Known -> Bulletin -> Pool.replace_hint
Never: is waited for beyond what the pool waits for a hint, or said more often than three times for one head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.freshness import PERIOD, Rota
from ropewalk.spaces.hint import Bulletin, Named, bulletin_name, seal_bulletin
from ropewalk.spaces.live.known import Known

__all__ = ["Telling"]

PAUSE = 0.25  # seconds between two tellings of changes: one tells of all that came meanwhile, well within a second
TRIES = 3  # times that a head is told of again, where another's bulletin came over it


class Telling:
    """Bulletins of one run.

    Args:
        core: The space.
        run: 16 random bytes.
        known: What to tell.
        rota: Told of each bulletin, since each is a beat.
        clock: Seconds, monotonic.
    """

    def __init__(self, core: Core, run: bytes, known: Known, rota: Rota, clock: Callable[[], float]) -> None:
        self._core, self._run, self._known, self._rota, self._clock = core, run, known, rota, clock
        self._count = 0
        self._putting = asyncio.Lock()
        self._ours: tuple[Named, int] | None = None  # a head that others may not have heard of; tries
        self._task: asyncio.Task[None] | None = None
        self._untold = False
        self._closing = asyncio.Event()

    async def beat(self) -> frozenset[str]:
        """Put a bulletin, if that can be done; the stores that took it within a short while."""
        core = self._core
        async with self._putting:
            self._count += 1
            self._rota.beaten(self._clock())
            bulletin = Bulletin(
                *(1, core.device.public().id, self._run, self._count, max(core.now(), 0), PERIOD),
                *(self._known.heads, self._known.records, self._known.newest),
            )
            try:
                data = seal_bulletin(bulletin, core.keys, core.device.sign_quick)
                return await core.pool.replace_hint(bulletin_name(core.space_id), data)
            except RopewalkError:
                return frozenset()  # it is a hint

    async def published(self) -> frozenset[str]:
        """Tell of a head of ours that was just acknowledged; the stores that took it within a short while."""
        await self._known.refresh()
        self._ours = next(((head, 0) for head in self._known.newest if head.writer == self._core.writer_id), None)
        return await self.beat()

    def tell(self) -> None:
        """As `published`, without waiting for it; several at once become one."""
        self._untold = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._untold:
            self._untold = False
            with suppress(RopewalkError):
                await self.published()
            # A change that is alone is told at once, and many in a row do not each cost a bulletin in every store.
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self._closing.wait()

    async def aclose(self, patience: float) -> None:
        """Let what is being told be told, for so many seconds."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and isinstance(broken := self._task.exception(), Exception):
                self._core.warnings.append(f"others were not told of what was new: {broken}")

    async def insist(self, bulletin: Bulletin) -> None:
        """Tell of our head once more, if this bulletin came over ours, by somebody who did not know it."""
        if self._ours is None:
            return
        head, tries = self._ours
        named = any(one.writer == head.writer and one.sequence >= head.sequence for one in bulletin.newest)
        if named or bulletin.heads == self._known.heads or tries >= TRIES:
            self._ours = None
        else:
            self._ours = head, tries + 1
            await self.beat()
