"""Rooms: how much room each store has, which of them take anything new, and what follows for the shares of a pack.

Flow: room of each store, promise, shares that lie somewhere -> plan -> Pool.put_shares, whoever asks why
Never: puts anything, or counts on a store that is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.pool.hints import Hints
from ropewalk.spaces.pool.lately import Lately
from ropewalk.spaces.pool.patience import DEADLINE
from ropewalk.spaces.pool.placement import Placement, place
from ropewalk.spaces.pool.roster import PoolStore
from ropewalk.spaces.store import LARGEST_OBJECT, Room

__all__ = ["AWAY", "DRAINING", "FULL", "READ_ONLY", "ROOM_HOLDS", "UP", "Rooms"]

ROOM_HOLDS = 30.0  # seconds for which what a store said of its room is not asked anew
UP, AWAY, DRAINING, FULL, READ_ONLY = "up", "away", "draining", "full", "read-only"  # how a store stands


class Rooms(Hints):
    """The part of the pool that knows where there is room."""

    def __init__(self, stores: Sequence[PoolStore], clock: Callable[[], float], lately: Lately | None = None) -> None:
        super().__init__(stores, clock, lately)
        self._room: dict[str, Room | None] = {}
        self._weighed: dict[str, float] = {}  # when

    def room(self, name: str) -> Room | None:
        """What a store said last of its room, or None."""
        return self._room.get(name)

    def standing(self, name: str) -> str:
        """How a store stands: up, or what keeps it from taking anything new."""
        if not self.up(name):
            return AWAY
        if self.terms(name).refused:
            return READ_ONLY
        if self._health[name].refusal:
            return self._health[name].refusal
        return DRAINING if name in self.draining else UP

    def plan(
        self,
        pack: bytes,
        n: int,
        k: int,
        survive: Mapping[str, int],
        have: Mapping[int, str] | None = None,
        size: int = 0,
        without: Collection[str] = (),
    ) -> Placement:
        """Where the shares of a pack should lie, by what is known of the stores now.

        Args:
            pack: Its name.
            n: Shares in all.
            k: Shares that rebuild it.
            survive: Domain kind to how many may be lost.
            have: Shares that lie in some store already; those on stores that are away do not count.
            size: Bytes of the largest share that is to be put.
            without: Stores that are left out, with all that they have.
        """
        have = have or {}
        holding = set(have.values())
        takes = {name for name in self.names if self._takes(name, size)}
        there = [
            store.domains
            for name, store in self._stores.items()
            if name not in without and (name in takes or (name in holding and self.up(name)))
        ]
        # One that cannot say how much it has is asked as often as the roomiest: it may have no end.
        most = max((float(room.free) for room in self._room.values() if room is not None), default=1.0)
        room = {
            domains.name: max(float(known.free), 1.0) if (known := self._room.get(domains.name)) else max(most, 1.0)
            for domains in there
            if domains.name in takes
        }
        return place(pack, there, room, n, k, survive, have)

    def share_limit(self, n: int, k: int, survive: Mapping[str, int], least: int) -> int:
        """Bytes that a share may have: the most with which packs lie as well as with any smaller one.

        Arguments as for `plan`; stores that are away count, since what they should have is owed to them.

        Args:
            n, k, survive: As there.
            least: Bytes that it has in any case: a store that does not take these decides nothing.
        """
        limits = {name: limit for name in self.fit if (limit := self.terms(name).largest) >= least}
        sizes = sorted(set(limits.values()), reverse=True)
        if len(sizes) < 2:
            return sizes[0] if sizes else LARGEST_OBJECT

        def lie(size: int) -> tuple[int, Collection[str]]:
            room = {name: 1.0 for name, limit in limits.items() if limit >= size}
            found = place(b"", [self._stores[name].domains for name in room], room, n, k, survive)
            return len(found.owed), found.violated

        best = lie(sizes[-1])
        return next(size for size in sizes if lie(size) == best)

    def why_not(self, name: str, size: int = 0) -> str:
        """Why a store is given no new object of so many bytes, for people, or nothing where it is."""
        terms, draining = self.terms(name), name in self.draining
        if (away := self.why_down(name)) is not None:
            return f"{name}: {away}"
        if terms.refused:
            return f"{name} is not written to: {terms.refused}"
        if size > terms.largest:
            return f"{name} takes objects of at most {terms.largest:,} bytes, {size:,} are to be put"
        return f"{name} is being drained" if draining else ""

    def _takes(self, name: str, size: int) -> bool:
        return self.standing(name) == UP and size <= self.terms(name).largest

    async def weigh(self, enough: int | None = None, within: float = 0.0) -> None:
        """Ask every store how much room it has, so that placement fills them evenly; so it is known who answers.

        Args:
            enough: Once so many answer, the rest is hardly waited for; all are, by default.
            within: Seconds; those that did something so shortly before are not asked.
        """
        up = [name for name in self._stores if self.up(name) and not self.behind(name)]
        now = self._clock()
        names = [
            name
            for name in up
            if now >= self._weighed.get(name, float("-inf")) + ROOM_HOLDS or not self._health[name].heard(now, within)
        ]
        if names:
            some = len(names) if enough is None else max(enough - len(up) + len(names), 0)
            await self._each({name: self._weigh(name) for name in names}, some)

    async def ask_all(self, seconds: float) -> None:
        """Ask every store once, those too that are left alone; one that is not back by then is not waited for.

        Args:
            seconds: How long: once for those that are not open or did not answer, once for the rest.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.revive(len(self._stores))
                await self.rouse()
        except TimeoutError:
            pass  # what they are is known as far as it can be
        names = [name for name in self._stores if self.up(name) and not self.behind(name)]
        await self._each({name: self._weigh(name) for name in names}, 0, linger=seconds)

    async def try_again(self) -> None:
        """Ask those stores that took nothing when they were last asked; one that was full may have room by now."""
        names = [name for name, health in self._health.items() if health.refusal and self.up(name)]
        if names:
            await self._each({name: self._weigh(name) for name in names}, 0)

    async def _weigh(self, name: str) -> RopewalkError | None:
        try:
            async with asyncio.timeout(DEADLINE):
                room = await self._ask(name).room()
        except TimeoutError:
            return self._silent(name, DEADLINE)
        except Unavailable as error:
            self._rest(name, error)
            return error
        except RopewalkError:
            return None  # it answers, and what it cannot do a put will tell
        self._room[name] = room
        self._weighed[name] = self._clock()
        self._health[name].refusal = ""
        self._health[name].hear(self._weighed[name])
        return None
