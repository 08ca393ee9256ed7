"""Pool: the stores of a space used together: who answers, who gets which share, who is asked for it.

Flow: Pack -> put_shares -> share by share, a store; head or record -> put_copies -> every store; (store, object) -> get
Never: looks into an object, or calls a write durable that fewer stores than the floor have confirmed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pool.placement import StoreDomains, place
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    Listed,
    NameTaken,
    ObjectName,
    Store,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    size_of,
)

__all__ = ["BelowFloor", "Copies", "Pool", "PoolStore"]

REST = 5.0  # seconds that a store which did not answer is left alone; a disk that comes back is used within this time
LATE = 2  # late reads in a row after which a store is left alone for as long, where others can do
DEADLINE = 60.0  # seconds for a call of a few bytes: what has not answered then does not answer
SLOWEST_RATE = 1024 * 1024  # bytes a second; a put of many bytes has so much more time
SLOWEST_HEDGE = 0.5  # seconds; a hung store adds no more than this to a read
QUICKEST_HEDGE = 0.15  # seconds; below this a busy machine would make us read twice what is merely queued
_SAMPLES = 32


class BelowFloor(Unavailable):
    """Fewer stores than the write floor kept it: it is refused, and nothing of it will be seen."""

    code = "pool.below-floor"


@dataclass(frozen=True, slots=True)
class PoolStore:
    """One store of a pool, as the settings name it; ``store`` is None where it could not be opened."""

    domains: StoreDomains
    store: Store | None
    why: str = ""
    reopen: Callable[[], Awaitable[Store]] | None = None

    @property
    def name(self) -> str:
        """The user's name for it."""
        return self.domains.name


@dataclass(frozen=True, slots=True)
class Copies:
    """What became of an object that every store should have."""

    kept: frozenset[str]
    failed: Mapping[str, RopewalkError]


@dataclass(slots=True)
class _Health:
    down_until: float = 0.0
    why: str = ""
    writable: bool = True
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    late: int = 0  # times in a row that others were asked instead
    late_until: float = 0.0


class Pool:
    """The stores of one space.

    Args:
        stores: All that the settings name, those that are gone too.
        clock: Seconds, monotonic.
    """

    def __init__(self, stores: Sequence[PoolStore], clock: Callable[[], float]) -> None:
        self._stores = {store.name: store for store in stores}
        self._clock = clock
        self._health = {store.name: _Health() for store in stores}
        self._room: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """All stores, in the order of the settings."""
        return list(self._stores)

    @property
    def domains(self) -> list[StoreDomains]:
        """What each can fail together with."""
        return [store.domains for store in self._stores.values()]

    def up(self, name: str) -> bool:
        """Whether a store is worth asking now."""
        return self.why_down(name) is None

    def why_down(self, name: str) -> str | None:
        """Why a store is not asked now, or None where it is."""
        if (member := self._stores.get(name)) is None:
            return "it is not among the stores of this space"
        if member.store is None:
            return member.why
        health = self._health[name]
        return health.why if self._clock() < health.down_until else None

    async def aclose(self) -> None:
        """Close every store."""
        for member in self._stores.values():
            if member.store is not None:
                await member.store.aclose()

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
        health = self._health[name]
        health.times.append(self._clock() - started)
        health.late, health.late_until = 0, 0.0
        return data

    def hedge(self, name: str) -> float:
        """Seconds after which a read from this store is also tried elsewhere."""
        times = sorted(self._health[name].times)
        usual = times[int(len(times) * 0.95)] if times else 0.0
        return min(max(4 * usual, QUICKEST_HEDGE), SLOWEST_HEDGE)

    def was_late(self, name: str) -> None:
        """A read from this store takes so long that others are asked instead."""
        health = self._health[name]
        health.late += 1
        if health.late >= LATE:
            health.late_until = self._clock() + REST

    def is_late(self, name: str) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return self._clock() < self._health[name].late_until

    async def get_any(self, object_name: ObjectName, check: Callable[[bytes], bool]) -> bytes:
        """An object that every store should have, from the first that gives bytes which pass the check.

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
                    running[asyncio.create_task(self.get(name, object_name))] = name
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
        try:
            while True:
                async with asyncio.timeout(DEADLINE):
                    listed = await anext(listing, None)
                if listed is None:
                    return
                yield listed
        except TimeoutError:
            raise self._silent(name, DEADLINE) from None
        except Unavailable as error:
            self._rest(name, error)
            raise

    # -- writing -------------------------------------------------------------------------------------------------

    async def put(self, name: str, object_name: ObjectName, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """Put into one store.

        Raises:
            NameTaken, StoreFull, StoreReadOnly, StoreGone.
        """
        store = self._ask(name)
        patience = _patience(size_of(parts))
        try:
            async with asyncio.timeout(patience):
                await store.put(object_name, parts)
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
            async with asyncio.timeout(DEADLINE):
                await store.delete(object_name)
        except TimeoutError:
            raise self._silent(name, DEADLINE) from None

    async def put_copies(self, object_name: ObjectName, data: bytes, among: Collection[str] | None = None) -> Copies:
        """Put an object into every store, or into some; returns when each has answered."""
        names = [name for name in self._stores if among is None or name in among]
        outcomes = await asyncio.gather(*(self._put_one(name, object_name, (data,)) for name in names))
        failed = {name: error for name, error in zip(names, outcomes, strict=True) if error is not None}
        return Copies(frozenset(name for name in names if name not in failed), failed)

    async def put_shares(
        self, pack: Pack, policy_survive: Mapping[str, int], have: Mapping[int, str] | None = None
    ) -> tuple[dict[int, str], dict[str, RopewalkError]]:
        """Put the shares of a pack where they should lie, and elsewhere where a store does not take one.

        Args:
            pack: With all its shares, or with those that are still to be placed.
            policy_survive: Domain kind to how many may be lost.
            have: Shares that lie in some store already.

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
            wanted = {
                number: store for number, store in plan.where.items() if number in todo and store not in placed.values()
            }
            if not wanted:
                break
            outcomes = await asyncio.gather(
                *(self._put_one(store, todo[number].name, todo[number].parts) for number, store in wanted.items())
            )
            for (number, store), error in zip(wanted.items(), outcomes, strict=True):
                if error is None:
                    kept[number] = store
                    del todo[number]
                else:
                    failed[store] = error
        return kept, failed

    async def _put_one(
        self, name: str, object_name: ObjectName, parts: Sequence[bytes | bytearray | memoryview]
    ) -> RopewalkError | None:
        try:
            await self.put(name, object_name, parts)
        except (NameTaken, StoreFull, StoreReadOnly, Unavailable, Damaged) as error:
            return error
        return None

    async def revive(self) -> None:
        """Try again to open the stores that were gone when the pool was made."""
        for name, member in list(self._stores.items()):
            if member.store is None and member.reopen is not None:
                try:
                    self._stores[name] = replace(member, store=await member.reopen(), why="")
                except RopewalkError as error:
                    self._stores[name] = replace(member, why=str(error))

    async def weigh(self) -> None:
        """Ask every store how much room it has, so that placement fills them evenly."""
        await asyncio.gather(*(self._weigh(name) for name in self._stores if self.up(name)))

    async def try_again(self) -> None:
        """Ask those stores that took nothing when they were last asked; one that was full may have room by now."""
        names = [name for name, health in self._health.items() if not health.writable and self.up(name)]
        await asyncio.gather(*(self._weigh(name) for name in names))

    async def _weigh(self, name: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                room = await self._ask(name).room()
        except TimeoutError:
            self._silent(name, DEADLINE)
        except Unavailable as error:
            self._rest(name, error)
        except RopewalkError:
            return  # it answers, and what it cannot do a put will tell
        else:
            self._room[name] = float(max(room.free, 1)) if room else 1.0
            self._health[name].writable = True

    # -- health --------------------------------------------------------------------------------------------------

    def _ask(self, name: str) -> Store:
        if (why := self.why_down(name)) is not None:
            raise StoreGone(f"store {name} is not there: {why}")
        store = self._stores[name].store
        assert store is not None
        return store

    def _writable(self, name: str) -> bool:
        return self.up(name) and self._health[name].writable

    def _rest(self, name: str, error: Unavailable) -> None:
        health = self._health[name]
        health.down_until, health.why = self._clock() + REST, str(error)

    def _silent(self, name: str, seconds: float) -> StoreGone:
        error = StoreGone(f"store {name} did not answer for {seconds:.0f} s")
        self._rest(name, error)
        return error


def _patience(size: int) -> float:
    """Seconds after which a call that carries so many bytes is given up."""
    return DEADLINE + size / SLOWEST_RATE
