"""Hearing: what the stores' bulletins say, and the heads and records that they make us look for (hints.md 3).

Flow: Pool.hint -> Bulletin -> Beats; heads and records that are not known -> Learn, LearnNamed -> Known
Never: believes a bulletin: what it names counts once it was found and checked, and is looked for three times at most.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.freshness import Beats, Freshness, Heard, Rota
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.hint import Author, Bulletin, bulletin_name, open_bulletin
from ropewalk.spaces.keys import EPOCH_SIZE, EpochUnknown
from ropewalk.spaces.live.known import Known

__all__ = ["Hearing", "Learn", "LearnNamed"]

_K = TypeVar("_K")
_V = TypeVar("_V")

TRIES = 3  # looks for a head, or for records, that a bulletin names
AGAIN = 2.0  # seconds between two looks for one head
MOST_REMEMBERED = 1024  # heads, or digests, that were looked for
FEW = 16  # heads, up to which they are looked for one by one

Learn = Callable[[], Awaitable[object]]
LearnNamed = Callable[[Sequence[HeadName]], Awaitable[object]]


class Hearing:
    """Reads bulletins.

    Args:
        core: The space.
        run: Our own.
        known: What is known; refreshed after each look.
        learn: Lists heads and records in enough stores, and takes in what is new.
        learn_named: Takes in these heads, none of which is by our own writer.
        author: The keys of a device that is active in the space.
        rota: Told of the beats of others.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        core: Core,
        run: bytes,
        known: Known,
        learn: Learn,
        learn_named: LearnNamed,
        author: Callable[[bytes], Author | None],
        rota: Rota,
        clock: Callable[[], float],
    ) -> None:
        self.ignored: Counter[str] = Counter()  # by the code of the error, or "hint.old"
        self._core, self._run, self._known, self._author = core, run, known, author
        self._learn, self._learn_named = learn, learn_named
        self._rota, self._clock = rota, clock
        self._hint = bulletin_name(core.space_id)
        self._beats = Beats(run)
        self._turn = asyncio.Lock()  # five stores show the same, and it is looked for once
        self._lacking: dict[HeadName, tuple[int, float]] = {}  # named and not known: looks, and not to look before
        self._looked: dict[bytes, int] = {}  # for records, by what made us look
        self._nothing_new = b""  # the last object that said nothing we do not know: most polls get it once more

    def view(self) -> Freshness:
        """How old the view may be, by what was heard so far."""
        lacking = {(head.writer, head.sequence, head.check) for head in self._lacking}
        now, wall = self._clock(), self._core.now()
        return self._beats.view(
            now, wall, self._known.heads, lambda head: (head.writer, head.sequence, head.check) not in lacking
        )

    async def read(self, store: str) -> Bulletin | None:
        """Read one store's bulletin and take in what it says; None where it is ours, or none that counts."""
        try:
            return await self._read(store)
        except RopewalkError as error:
            self.ignored[error.code] += 1
            return None

    async def _read(self, store: str) -> Bulletin | None:
        await self._known.refresh(written=False)
        data = await self._core.pool.hint(store, self._hint)
        if data is None or (data == self._nothing_new and not self._lacking):
            return None
        try:
            bulletin = open_bulletin(data, self._core.keys, self._author)
        except EpochUnknown:
            with suppress(RopewalkError):
                await self._look_for_records(data[:EPOCH_SIZE])
            raise
        news = await self._take_in(bulletin)
        if (bulletin.heads, bulletin.records) == (self._known.heads, self._known.records):
            self._nothing_new = data
        return news

    async def _take_in(self, bulletin: Bulletin) -> Bulletin | None:
        if bulletin.run == self._run:
            return None
        if bulletin.heads != self._known.heads:
            for head in await self._known.lacking(bulletin.newest):  # before it is heard: it is no proof that we know
                _remember(self._lacking, head, self._lacking.get(head, (0, self._clock())))
        heard = self._beats.hear(bulletin, self._clock(), self._core.now())
        if heard in (Heard.FIRST, Heard.RISE):
            self._rota.heard(self._clock())
        await self._look_for_heads()
        if heard is Heard.OLD:
            self.ignored["hint.old"] += 1
            return None
        await self._look_for_records(bulletin.records)
        return bulletin if heard is not Heard.SAME else None

    async def _look_for_heads(self) -> None:
        if not self._wanted():
            return
        async with self._turn:
            if not (wanted := self._wanted()):
                return
            for head in wanted:
                self._lacking[head] = self._lacking[head][0] + 1, self._clock() + AGAIN
            try:
                if len(wanted) > FEW or any(head.writer == self._core.writer_id for head in wanted):
                    await self._list()
                else:
                    await self._learn_named(wanted)
                    await self.refresh()
            except asyncio.CancelledError:
                for head in self._lacking.keys() & set(wanted):  # nobody waited to its end: it was no look in vain
                    self._lacking[head] = self._lacking[head][0] - 1, self._clock()
                raise

    def _wanted(self) -> list[HeadName]:
        now = self._clock()
        return [head for head, (tries, after) in self._lacking.items() if tries < TRIES and now >= after]

    async def _look_for_records(self, why: bytes) -> None:
        if why == self._known.records or self._looked.get(why, 0) >= TRIES:
            return
        async with self._turn:
            if why != self._known.records and self._looked.get(why, 0) < TRIES:
                _remember(self._looked, why, self._looked.get(why, 0) + 1)
                try:
                    await self._list()
                except asyncio.CancelledError:
                    self._looked[why] -= 1
                    raise

    async def list_all(self) -> None:
        """List whatever bulletins say; a store that shows old ones, or takes none, hides nothing for long."""
        async with self._turn:
            try:
                await self._list()
            except RopewalkError as error:
                self.ignored[error.code] += 1

    async def _list(self) -> None:
        began = self._clock()
        try:
            await self._learn()
            if self._core.told >= self._core.fresh_read:
                self._beats.listed(began)
        finally:
            await self.refresh()

    async def refresh(self) -> None:
        """Look again at what is known, after something was learnt."""
        with suppress(RopewalkError):
            await self._known.refresh()
            if self._lacking:
                left = set(await self._known.lacking(self._lacking))
                self._lacking = {head: looks for head, looks in self._lacking.items() if head in left}


def _remember(looked: dict[_K, _V], key: _K, looks: _V) -> None:
    looked[key] = looks
    if len(looked) > MOST_REMEMBERED:
        del looked[next(iter(looked))]
