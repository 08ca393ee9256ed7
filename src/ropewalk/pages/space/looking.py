"""Looking: how a space stands, by what is known already; and a look at all of its stores, where a person wants one.

Flow: open space -> at hand, kept until something changes -> Status, stores -> pages; button -> each store once -> Look
Never: asks a store for a page, looks at one space twice at once, or lets a look go on past its time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from ropewalk.errors import Unavailable
from ropewalk.spaces.at_hand import AtHand, StoreAtHand, at_hand, stores_at_hand
from ropewalk.spaces.holders import written_here
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.status import Status, several_devices, status_at_hand
from ropewalk.spaces.survey import survey

__all__ = ["Known", "Look", "Looking", "LooksAlready"]

ANSWERS = 10.0  # seconds for a sign of life of each store, all at the same time
LISTS = 30.0  # seconds in which all must have listed what they have
RESTS = 20.0  # so that it takes no more than a twentieth of the ledger's time, however large a space is


class LooksAlready(Unavailable):
    """The stores of this space are being looked at now."""

    code = "pages.looks-already"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at all stores found.

    Attributes:
        time: When it began, in nanoseconds since 1970.
        answered: Stores that listed what they have.
        stores: All of them.
        missing: Shares that were known and are gone.
        short: Shares that are too small to be whole.
        cut: Whether it took too long, and what stores hold was not compared.
    """

    time: int
    answered: int
    stores: int
    missing: int = 0
    short: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """How a space stands, by what is known."""

    status: Status
    stores: Sequence[StoreAtHand]


@dataclass(slots=True)
class _Kept:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    mark: object = None  # of the ledger, when it was added up
    held: AtHand | None = None
    until: float = 0.0  # until when it is good, whatever the ledger says
    state: object = None  # by what the promise was computed
    status: Status | None = None
    last: Look | None = None
    looks: bool = False


class Looking:
    """What pages know of stores.

    Args:
        answers, lists: Seconds of a look; see above.
        rests: Times as long as it took to add up what the ledger knows, before it is done again.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
    """

    def __init__(
        self,
        answers: float = ANSWERS,
        lists: float = LISTS,
        *,
        rests: float = RESTS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._answers, self._lists, self._rests, self._clock, self._now = answers, lists, rests, clock, now
        self._kept: WeakKeyDictionary[Space, _Kept] = WeakKeyDictionary()

    def last(self, space: Space) -> Look | None:
        """What the last look found, since this space was opened."""
        return self._of(space).last

    def looks(self, space: Space) -> bool:
        """Whether one is under way."""
        return self._of(space).looks

    async def known(self, space: Space) -> Known:
        """How a space stands; added up again only once something has changed, and seldom where that takes long."""
        kept = self._of(space)
        async with kept.turn:
            held = await self._held(space, kept)
            core, pool = space.core, space.core.pool
            ways = tuple((name, pool.why_down(name), pool.terms(name), name in pool.draining) for name in pool.names)
            state = held, ways, tuple(pool.domains), core.membership, core.stuck, space.home.mark()
            if kept.status is None or kept.state != state:
                written = await asyncio.to_thread(written_here, space.home)
                kept.status, kept.state = await status_at_hand(core, held, written), state
            fresh = space.live.view() if several_devices(core.membership) else None
            return Known(kept.status.with_freshness(core, fresh), stores_at_hand(core, held))

    async def _held(self, space: Space, kept: _Kept) -> AtHand:
        mark = await space.core.ledger.do(State.written), tuple(space.core.pool.names)
        if kept.held is None or (mark != kept.mark and self._clock() >= kept.until):
            began = self._clock()
            kept.held, kept.mark = await at_hand(space.core), mark
            kept.until = self._clock() + self._rests * (self._clock() - began)
        return kept.held

    async def look(self, space: Space) -> Look:
        """Ask each store once: whether it answers, how much room it has, what it has of this space.

        Raises:
            LooksAlready.
        """
        kept, pool = self._of(space), space.core.pool
        if kept.looks:
            raise LooksAlready(
                "the stores of this space are being looked at already", hint="load the page again in a moment"
            )
        kept.looks = True
        try:
            began = self._now()
            await pool.ask_all(self._answers)
            try:
                async with asyncio.timeout(self._lists):
                    found = await survey(space.core)
                answered = len(pool.names) - len(found.away)
                kept.last = Look(began, answered, len(pool.names), found.missing, len(found.short))
            except TimeoutError:
                answered = sum(pool.up(name) for name in pool.names)
                kept.last = Look(began, answered, len(pool.names), cut=True)
            kept.until = 0.0
            return kept.last
        finally:
            kept.looks = False

    def _of(self, space: Space) -> _Kept:
        return self._kept.setdefault(space, _Kept())
