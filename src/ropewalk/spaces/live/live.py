"""Live: changes of a space as they come, and beats when they are due (docs/spec/hints.md 2 and 4).

Flow: each store's bulletin, told or polled -> Hearing -> Known -> Change; Rota -> Telling
Never: piles up what nobody takes, or lets one store hold up what is heard from another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.freshness import PERIOD, Freshness, Rota, Word
from ropewalk.spaces.hint import Author, bulletin_name
from ropewalk.spaces.learning import Standing
from ropewalk.spaces.live.hearing import Hearing, Learn, LearnNamed
from ropewalk.spaces.live.known import Known
from ropewalk.spaces.live.telling import Telling
from ropewalk.spaces.state import KnownHead
from ropewalk.spaces.store import TellsNothing

__all__ = ["Change", "Live"]

QUICK, SLOW = 2.0, 30.0  # seconds between two reads of a store's bulletin, while there are changes and while not
IDLE = 600.0  # seconds without a change, after which reads are seldom
OFTEN = 0.25  # seconds; a store that tells is not read more often
LIST_EVERY = 10  # polls; or so seldom that one in so many polls is a listing call, while beats say that all is known


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """That a space has moved: where it stood when this was last said, and where it stands."""

    before: Standing
    after: Standing

    @property
    def heads(self) -> list[KnownHead]:
        """The newest heads that were not among the newest before."""
        there = {head.name for head in self.before.heads}
        return [head for head in self.after.heads if head.name not in there]

    def __repr__(self) -> str:
        """The new heads, by the digits that the log shows; all that is known of them would fill a screen."""
        heads = ", ".join(f"{head.hash.hex()[:12]} {head.note[:40]!r}" for head in self.heads[:4])
        more = f", and {len(self.heads) - 4} more" if len(self.heads) > 4 else ""
        return f"<Change: {heads or 'no new head'}{more}>"


class Live:
    """What an open space hears of others, and tells them.  Only `start` lets it do something by itself.

    Args:
        core: The space.
        run: 16 random bytes.
        learn: Lists heads and records in enough stores, and takes in what is new.
        learn_named: Takes in these heads; for those of our own writer ``learn`` is asked.
        clock: Seconds, monotonic.
        random: A number from 0 up to 1, evenly spread.
        author: The keys of a device that is active in the space; of any that the records name, by default.
        beats: Whether to beat when it is our turn.
    """

    def __init__(
        self,
        core: Core,
        run: bytes,
        learn: Learn,
        learn_named: LearnNamed,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        author: Callable[[bytes], Author | None] | None = None,
        beats: bool = True,
    ) -> None:
        self._core, self._clock, self._random, self._beating = core, clock, random, beats
        self._hint = bulletin_name(core.space_id)
        self._rota = Rota(clock(), random)
        self._known = Known(core, self._moved, clock)
        self._telling = Telling(core, run, self._known, self._rota, clock)
        who = author if author is not None else self._named
        self._hearing = Hearing(core, run, self._known, learn, learn_named, who, self._rota, clock)
        self._active = clock()
        self._read_at: dict[str, float] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def _named(self, device: bytes) -> Author | None:
        return self._core.membership.devices.get(device)

    # -- what the space asks -------------------------------------------------------------------------------------

    def tell(self) -> None:
        """A head of ours was acknowledged: tell others, without waiting for it."""
        self._telling.tell()

    async def hear(self, patience: float = QUICK) -> None:
        """Read the bulletin of every store once, as far as they answer in time."""
        tasks = [asyncio.create_task(self._hearing.read(name)) for name in self._core.pool.names]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=patience)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def view(self) -> Freshness:
        """How old the view may be, by what was heard so far."""
        return self._hearing.view()

    @property
    def ignored(self) -> Counter[str]:
        """Bulletins that did not count, by the code of the error, or "hint.old"."""
        return self._hearing.ignored

    async def start(self) -> None:
        """Watch, and beat when it is our turn, until `aclose`.  Starting twice is harmless."""
        if self._task is None:
            await self._known.refresh()
            self._active = self._clock()
            self._task = asyncio.create_task(self._watch())
            self._task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Watch no more; `changes` end.  What is being told is waited for a short while.  Closing twice is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._telling.aclose(QUICK)

    def changes(self) -> AsyncIterator[Change]:
        """Changes from now on; whoever is late gets all that came meanwhile as one.

        Raises:
            Misuse: Nobody watches: it was not started.
        """
        if self._task is None:
            raise Misuse("changes of a space come only while it is watched", hint="call start first")
        return self._changes(self._task, self._known.standing)

    async def _changes(self, task: asyncio.Task[None], seen: Standing) -> AsyncIterator[Change]:
        while True:
            now = self._known.standing
            if {head.name for head in now.heads} != {head.name for head in seen.heads}:
                yield Change(seen, now)
                seen = now
            elif task.done():
                break
            else:
                waiting = asyncio.get_running_loop().create_future()
                self._waiting.add(waiting)
                try:
                    await waiting
                finally:
                    self._waiting.discard(waiting)
        if not task.cancelled() and (broken := task.exception()) is not None:
            raise broken

    def _moved(self) -> None:
        self._active = self._clock()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (broken := task.exception()) is not None:
            self._core.warnings.append(f"the space is not watched any more: {broken}")
        self._moved()

    # -- watching ------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name in self._core.pool.names:
                group.create_task(self._follow(name))
            group.create_task(self._list_regularly())
            if self._beating:
                group.create_task(self._beat())

    @property
    def _interval(self) -> float:
        return QUICK if self._clock() - self._active < IDLE else SLOW

    async def _follow(self, name: str) -> None:
        """Read one store's bulletin again and again; at once where it tells of a new one."""
        mark: bytes | None = b""  # None of a store that tells nothing
        await asyncio.sleep(self._random() * QUICK)  # lest all devices ask at the same moment
        while True:
            if mark is not None:
                mark = await self._told(name, mark)
            await self._read(name)
            # What was read before a beat counts, too: a store is asked no more often for it.
            while (wait := self._due(name, tells=mark is not None) - self._clock()) > 0:  # noqa: ASYNC110 - a clock's
                await asyncio.sleep(wait)

    def _due(self, name: str, *, tells: bool) -> float:
        return self._read_at[name] + (OFTEN if tells else self._interval)

    async def _read(self, name: str) -> None:
        self._read_at[name] = self._clock()
        if (bulletin := await self._hearing.read(name)) is not None:
            await self._telling.insist(bulletin)

    async def _told(self, name: str, mark: bytes) -> bytes | None:
        try:
            async with asyncio.timeout(SLOW):
                return await self._core.pool.wait_changed(name, self._hint, mark)
        except TimeoutError:
            return mark
        except TellsNothing:
            return None
        except RopewalkError:
            await asyncio.sleep(self._interval)  # it is away
            return b""

    async def _list_regularly(self) -> None:
        polls = 0
        while True:
            await asyncio.sleep(self._interval)
            polls += 1
            # While fresh, as many times more seldom as a listing takes calls: one a writer, the end, the records.
            calls = self._known.writers + 2 if self.view().word is Word.FRESH else 1
            if polls >= LIST_EVERY * calls:
                polls = 0
                await self._hearing.list_all()

    async def _beat(self) -> None:
        while True:
            if (wait := self._rota.due - self._clock()) > 0:
                await asyncio.sleep(min(wait, PERIOD))
                continue
            up = [name for name in self._core.pool.names if self._core.pool.up(name)]
            if up:  # somebody may have beaten since the last poll; the store that was read longest ago has its turn
                await self._read(min(up, key=lambda name: self._read_at.get(name, 0.0)))
            if self._rota.due <= self._clock():
                await self._telling.beat()
