"""Pool: the stores of a space used together: who answers, who gets which share, who is asked for it.

Flow: Pack -> put_shares -> share by share, a store; head or record -> put_copies -> every store; (store, object) -> get
Never: looks into an object, or calls a write durable that fewer stores than the floor have confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pool.health import REST
from ropewalk.spaces.pool.patience import LINGER
from ropewalk.spaces.pool.placement import place
from ropewalk.spaces.pool.roster import Later, PoolStore, Roster
from ropewalk.spaces.store import (
    LARGEST_HINT,
    LARGEST_OBJECT,
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    StoreFull,
    StoreReadOnly,
    size_of,
    wait_changed,
)

__all__ = ["REST", "BelowFloor", "Copies", "Pool", "PoolStore"]

DEADLINE = 60.0  # seconds for a call of a few bytes: what has not answered then does not answer
ROOM_HOLDS = 30.0  # seconds for which what a store said of its room is not asked anew
SLOWEST_NAMES = 100  # names a second; a listing has so much more time
SLOWEST_RATE = 1024 * 1024  # bytes a second; a put of many bytes has so much more time


class BelowFloor(Unavailable):
    """Fewer stores than the write floor kept it: it is refused, and nothing of it will be seen."""

    code = "pool.below-floor"


@dataclass(frozen=True, slots=True)
class Copies:
    """What became of an object that every store should have."""

    kept: frozenset[str]
    failed: Mapping[str, RopewalkError]


class Pool(Roster):
    """The stores of one space, to read from and to write to."""

    def __init__(self, stores: Sequence[PoolStore], clock: Callable[[], float]) -> None:
        super().__init__(stores, clock)
        self._room: dict[str, float] = {}
        self._weighed: dict[str, float] = {}  # when

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, name: str, object_name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        """Read from one store.

        Raises:
            NoSuchObject, StoreGone, StoreDamaged.
        """
        store = self._ask(name)
        started = self._clock()
        patience = _patience(LARGEST_OBJECT if length is None else length)
        try:
            async with asyncio.timeout(patience):
                data = await store.get(object_name, offset, length)
        except TimeoutError:
            raise self._silent(name, patience) from None
        except Unavailable as error:
            self._rest(name, error)
            raise
        now = self._clock()
        self._health[name].read(now, now - started)
        return data

    def hedge(self, name: str) -> float:
        """Seconds after which a read from this store is also tried elsewhere."""
        return self._health[name].hedge()

    def was_late(self, name: str) -> None:
        """A read from this store takes so long that others are asked instead."""
        self._health[name].was_late(self._clock())

    def is_late(self, name: str) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return self._health[name].is_late(self._clock())

    async def get_any(
        self, object_name: ObjectName, check: Callable[[bytes], bool], length: int | None = None
    ) -> bytes:
        """An object that every store should have, from the first that gives bytes which pass the check.

        Args:
            object_name: Its name.
            check: Whether bytes are good.
            length: As many bytes are asked for at most; one more than a good object has.

        Raises:
            Missing: No store that answers has it.
            Damaged: Some have it, and none passes the check.
        """
        damaged = False
        names = sorted((name for name in self._stores if self.up(name)), key=self.is_late)
        running: dict[asyncio.Task[bytes], str] = {}
        deadline = asyncio.get_running_loop().time() + DEADLINE
        try:
            while names or running:
                done, late = await self._first(running)
                for task in done:
                    del running[task]
                    try:
                        data = task.result()
                    except (Missing, Unavailable):
                        continue
                    except Damaged:
                        damaged = True
                        continue
                    if check(data):
                        return data
                    damaged = True
                if names:
                    name = names.pop(0)
                    running[asyncio.create_task(self.get(name, object_name, 0, length))] = name
                elif late and asyncio.get_running_loop().time() > deadline:
                    break
        finally:
            for task in running:
                task.cancel()
        if damaged:
            raise Damaged(f"no good copy of {object_name} is left", hint="bring back more stores of this space")
        raise Missing(f"no store that answers has {object_name}", hint="bring back more stores of this space")

    async def _first(
        self, running: Mapping[asyncio.Task[bytes], str]
    ) -> tuple[set[asyncio.Task[bytes]], set[asyncio.Task[bytes]]]:
        """What is done first, or when it is time to ask one more; and what is not done."""
        if not running:
            return set(), set()
        hedge = max(self.hedge(name) for name in running.values())
        done, late = await asyncio.wait(running, timeout=hedge, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            for name in running.values():
                self.was_late(name)
        return done, late

    def list(self, name: str, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        """What one store lists.

        Raises:
            StoreGone: It does not answer.
        """
        return self._list(name, prefix, after)

    async def _list(self, name: str, prefix: str, after: str) -> AsyncIterator[Listed]:
        listing = aiter(self._ask(name).list(prefix, after))
        now = asyncio.get_running_loop().time
        patience = DEADLINE  # for all of it together: a name a minute would be no better than none
        try:
            while True:
                started = now()
                async with asyncio.timeout(patience):
                    listed = await anext(listing, None)
                if listed is None:
                    return
                patience = max(patience - (now() - started) + 1 / SLOWEST_NAMES, 0)
                yield listed
        except TimeoutError:
            raise self._silent(name, DEADLINE) from None
        except Unavailable as error:
            self._rest(name, error)
            raise

    # -- hints ---------------------------------------------------------------------------------------------------

    async def hint(self, name: str, object_name: ObjectName) -> bytes | None:
        """What one store has under the name of a hint, or None; never more than a byte beyond the largest.

        Raises:
            StoreGone, StoreDamaged.
        """
        store = self._ask(name)
        try:
            async with asyncio.timeout(DEADLINE):
                data = await store.get(object_name, 0, LARGEST_HINT + 1)
        except TimeoutError:
            raise self._silent(name, DEADLINE) from None
        except Unavailable as error:
            self._rest(name, error)
            raise
        except NoSuchObject:
            data = None
        # How long it took is not looked at: so small a read would make those of shares seem late.
        self._health[name].hear(self._clock())
        return data

    async def wait_changed(self, name: str, object_name: ObjectName, mark: bytes) -> bytes:
        """Wait, for however long, until one store tells that a hint has changed since ``mark``; the new mark.

        Raises:
            TellsNothing: It cannot.
            StoreGone.
        """
        store = self._ask(name)
        try:
            return await wait_changed(store, object_name, mark)
        except Unavailable as error:
            self._rest(name, error)
            raise

    async def replace_hint(self, object_name: ObjectName, data: bytes) -> frozenset[str]:
        """Replace a hint in every store that is there; those that did it within `LINGER`.

        Nothing depends on a hint: a store that refuses it takes other things all the same.
        """
        names = [name for name in self._stores if self.up(name)]
        outcomes = await self._each({name: self._replace_one(name, object_name, data) for name in names}, 0, LINGER)
        return frozenset(name for name, error in outcomes.items() if error is None)

    async def _replace_one(self, name: str, object_name: ObjectName, data: bytes) -> RopewalkError | None:
        try:
            async with asyncio.timeout(DEADLINE):
                await self._ask(name).replace(object_name, (data,))
        except TimeoutError:
            return self._silent(name, DEADLINE)
        except RopewalkError as error:
            if isinstance(error, Unavailable) and not isinstance(error, StoreFull):
                self._rest(name, error)
            return error
        self._health[name].hear(self._clock())
        return None

    # -- writing -------------------------------------------------------------------------------------------------

    async def put(self, name: str, object_name: ObjectName, parts: Parts) -> None:
        """Put into one store.

        Raises:
            NameTaken, StoreFull, StoreReadOnly, StoreGone.
        """
        store = self._ask(name)
        patience = _patience(size_of(parts))
        try:
            async with asyncio.timeout(patience):
                await store.put(object_name, parts)
            self._health[name].hear(self._clock())
        except TimeoutError:
            raise self._silent(name, patience) from None
        except (StoreFull, StoreReadOnly):
            self._health[name].writable = False
            raise
        except Unavailable as error:
            self._rest(name, error)
            raise

    async def delete(self, name: str, object_name: ObjectName) -> None:
        """Delete from one store.

        Raises:
            StoreGone, StoreReadOnly.
        """
        store = self._ask(name)
        try:
            async with asyncio.timeout(LINGER):
                await store.delete(object_name)
        except TimeoutError:
            raise self._silent(name, LINGER) from None

    async def put_copies(
        self,
        object_name: ObjectName,
        data: bytes,
        among: Collection[str] | None = None,
        enough: int | None = None,
        later: Later | None = None,
    ) -> Copies:
        """Put an object into every store, or into some.

        Args:
            object_name: Its name.
            data: Its bytes.
            among: The stores; all by default.
            enough: Once so many have it durably, the rest is hardly waited for; all are, by default.
            later: Told of a store that failed here for want of an answer, and that has it after all.
        """
        names = [name for name in self._stores if among is None or name in among]
        puts = {name: self._put_one(name, object_name, (data,)) for name in names}
        outcomes = await self._each(puts, len(names) if enough is None else enough, LINGER, later)
        failed = {name: error for name, error in outcomes.items() if error is not None}
        return Copies(frozenset(name for name in names if name not in failed), failed)

    async def put_shares(
        self,
        pack: Pack,
        policy_survive: Mapping[str, int],
        have: Mapping[int, str] | None = None,
        enough: int | None = None,
        later: Callable[[int, str], Awaitable[None]] | None = None,
    ) -> tuple[dict[int, str], dict[str, RopewalkError]]:
        """Put the shares of a pack where they should lie, and elsewhere where a store does not take one.

        Args:
            pack: With all its shares, or with those that are still to be placed, the most needed first.
            policy_survive: Domain kind to how many may be lost.
            have: Shares that lie in some store already.
            enough: Once so many shares are durable, the rest is hardly waited for; all are, by default.
            later: Told of a share that is in a store after all, though it was not waited for.

        Returns:
            The store of each share that is durable now (without ``have``), and why stores failed.
        """
        kept: dict[int, str] = {}
        failed: dict[str, RopewalkError] = {}
        todo = {share.number: share for share in pack.shares}
        while todo:
            usable = [s.domains for s in self._stores.values() if s.name not in failed and self._writable(s.name)]
            placed = {**(have or {}), **kept}
            room = {domains.name: self._room.get(domains.name, 1.0) for domains in usable}
            plan = place(pack.name, usable, room, pack.manifest.n, pack.manifest.k, policy_survive, placed)
            # One share is as good as another, and those that lack everywhere come first in the pack.
            wanted = dict(zip(todo, [s for s in plan.where.values() if s not in placed.values()], strict=False))
            if not wanted:
                break
            puts = {store: self._put_one(store, todo[at].name, todo[at].parts) for at, store in wanted.items()}
            numbers = {store: number for number, store in wanted.items()}
            some = len(wanted) if enough is None else min(max(enough - len(placed), 0), len(wanted))
            linger = LINGER + max(todo[number].size for number in wanted) / SLOWEST_RATE
            tell = partial(_tell, numbers, later) if later is not None else None
            for store, error in (await self._each(puts, some, linger, tell)).items():
                if error is None:
                    kept[numbers[store]] = store
                    del todo[numbers[store]]
                else:
                    failed[store] = error
        return kept, failed

    async def _put_one(self, name: str, object_name: ObjectName, parts: Parts) -> RopewalkError | None:
        try:
            await self.put(name, object_name, parts)
        except (NameTaken, StoreFull, StoreReadOnly, Unavailable, Damaged) as error:
            return error
        return None

    def _writable(self, name: str) -> bool:
        return self.up(name) and self._health[name].writable

    async def weigh(self, enough: int | None = None, within: float = 0.0) -> None:
        """Ask every store how much room it has, so that placement fills them evenly; so it is known who answers.

        Args:
            enough: Once so many answer, the rest is hardly waited for; all are, by default.
            within: Seconds; those that did something so shortly before are not asked.
        """
        up = [name for name in self._stores if self.up(name)]
        now = self._clock()
        names = [
            name
            for name in up
            if now >= self._weighed.get(name, float("-inf")) + ROOM_HOLDS or not self._health[name].heard(now, within)
        ]
        if names:
            some = len(names) if enough is None else max(enough - len(up) + len(names), 0)
            await self._each({name: self._weigh(name) for name in names}, some, LINGER)

    async def try_again(self) -> None:
        """Ask those stores that took nothing when they were last asked; one that was full may have room by now."""
        names = [name for name, health in self._health.items() if not health.writable and self.up(name)]
        if names:
            await self._each({name: self._weigh(name) for name in names}, 0, LINGER)

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
        self._room[name] = float(max(room.free, 1)) if room else 1.0
        self._weighed[name] = self._clock()
        self._health[name].writable = True
        self._health[name].hear(self._weighed[name])
        return None


async def _tell(numbers: Mapping[str, int], later: Callable[[int, str], Awaitable[None]], store: str) -> None:
    await later(numbers[store], store)


def _patience(size: int) -> float:
    """Seconds after which a call that carries so many bytes is given up."""
    return DEADLINE + size / SLOWEST_RATE
