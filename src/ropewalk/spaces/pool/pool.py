"""Pool: the stores of a space used together: who answers, who gets which share, who is asked for it.

Flow: Pack -> put_shares -> share by share, a store; head or record -> put_copies -> every store; (store, object) -> get
Never: looks into an object, or calls a write durable that fewer stores than the floor have confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pool.calls import SLOWEST_RATE, Call, Later
from ropewalk.spaces.pool.dealing import Dealing
from ropewalk.spaces.pool.health import LARGE, REST, hedge_of
from ropewalk.spaces.pool.patience import DEADLINE, LINGER
from ropewalk.spaces.pool.rooms import FULL, READ_ONLY
from ropewalk.spaces.pool.roster import PoolStore
from ropewalk.spaces.pool.together import StoreLate, Together
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    Listed,
    NameTaken,
    ObjectName,
    Parts,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    size_of,
)

__all__ = ["LINGER", "REST", "BelowFloor", "Copies", "Pool", "PoolStore", "StoreLate"]

SLOWEST_NAMES = 100  # names a second; a listing has so much more time
MOST_AHEAD = 256  # names that are taken from a listing at once, under one deadline; never more than came before


class BelowFloor(Unavailable):
    """Fewer stores than the write floor kept it: it is refused, and nothing of it will be seen."""

    code = "pool.below-floor"


@dataclass(frozen=True, slots=True)
class Copies:
    """What became of an object that every store should have."""

    kept: frozenset[str]
    failed: Mapping[str, RopewalkError]


class Pool(Together):
    """The stores of one space, to read from and to write to."""

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(
        self,
        name: str,
        object_name: ObjectName,
        offset: int = 0,
        length: int | None = None,
        within: float | None = None,
    ) -> bytes:
        """Read from one store.

        Args:
            name: The store.
            object_name: What to read.
            offset: From where.
            length: How many bytes at most.
            within: Seconds after which another store can do as well; this one is not left alone for that.

        Raises:
            NoSuchObject, StoreGone, StoreDamaged.
            StoreLate: It was not done ``within`` this time.
        """
        store = self._ask(name)
        started = self._clock()
        patience = _patience(LARGEST_OBJECT if length is None else length)
        try:
            async with asyncio.timeout(patience if within is None else min(within, patience)):
                data = await store.get(object_name, offset, length)
        except TimeoutError:
            if within is not None and within < patience:
                raise StoreLate(f"it did not answer within {within:g} s") from None
            raise self._silent(name, patience) from None
        except Unavailable as error:
            self._rest(name, error)
            raise
        now = self._clock()
        self._health[name].read(now, now - started, len(data), self.hedge(len(data)))
        return data

    def hedge(self, size: int = 0) -> float:
        """Seconds after which a read is also tried elsewhere, by how quick the stores are; see `hedge_of`."""
        now = self._clock()
        return hedge_of((one for one in self._health.values() if not one.is_late(now)), size)

    def was_late(self, name: str) -> None:
        """A read from this store takes so long that others are asked instead."""
        self._health[name].was_late(self._clock())

    def is_late(self, name: str) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return self._health[name].behind or self._health[name].is_late(self._clock())

    def try_late(self, name: str, object_name: ObjectName, offset: int, length: int) -> None:
        """Where it is time for that, read from a store that is late though others were asked: it may be quick again.

        Nobody waits for it, and it is one small read at a time.
        """
        if self.up(name) and self._health[name].is_on_trial(self._clock()):
            trial = asyncio.create_task(self._try_late(name, object_name, offset, min(length, LARGE - 1)))
            self._trials.add(trial)
            trial.add_done_callback(self._trials.discard)

    async def _try_late(self, name: str, object_name: ObjectName, offset: int, length: int) -> None:
        try:
            await self.get(name, object_name, offset, length, within=REST)
        except StoreLate:
            self.was_late(name)
        except RopewalkError:
            return  # whoever needs it will find that, too

    async def get_any(
        self,
        object_name: ObjectName,
        check: Callable[[bytes], bool],
        length: int | None = None,
        among: Collection[str] | None = None,
    ) -> bytes:
        """An object that every store should have, from the first that gives bytes which pass the check.

        Args:
            object_name: Its name.
            check: Whether bytes are good.
            length: As many bytes are asked for at most; one more than a good object has.
            among: The stores that are asked, those too that come to it meanwhile; all, by default.

        Raises:
            Missing: No store that answers has it.
            Damaged: Some have it, and none passes the check.
        """
        damaged = False
        asked: set[str] = set()
        running: dict[asyncio.Task[bytes], str] = {}

        def others() -> list[str]:
            names = self._stores if among is None else among
            return [name for name in names if name not in asked and self.up(name)]

        try:
            while running or others() or (among is None and await self._opens_for(asked)):
                for task in await self._first(running):
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
                if names := others():
                    name = min(names, key=self.is_late)
                    asked.add(name)
                    running[asyncio.create_task(self.get(name, object_name, 0, length))] = name
        finally:
            for task in running:
                task.cancel()
        if damaged:
            raise Damaged(f"no good copy of {object_name} is left", hint="bring back more stores of this space")
        raise Missing(f"no store that answers has {object_name}", hint="bring back more stores of this space")

    async def _opens_for(self, asked: Collection[str]) -> bool:
        """Wait for stores that are just being opened; whether one is there now that was not asked."""
        await self.opened()
        return any(name not in asked and self.up(name) for name in self._stores)

    async def _first(self, running: Mapping[asyncio.Task[bytes], str]) -> set[asyncio.Task[bytes]]:
        """What is done first, or nothing when it is time to ask one more; one that hangs ends by itself."""
        if not running:
            return set()
        done, _ = await asyncio.wait(running, timeout=self.hedge(), return_when=asyncio.FIRST_COMPLETED)
        if not done:
            for name in running.values():
                self.was_late(name)
        return done

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
        count, ended = 0, False
        while not ended:
            wanted = min(max(count, 1), MOST_AHEAD)
            some: list[Listed] = []
            failed: RopewalkError | None = None
            started = now()
            try:
                async with asyncio.timeout(patience):
                    await _take(listing, wanted, some)
            except TimeoutError:
                failed = self._silent(name, DEADLINE)
            except Unavailable as error:
                self._rest(name, error)
                failed = error
            patience = max(patience - (now() - started) + len(some) / SLOWEST_NAMES, 0)
            for listed in some:
                yield listed
            if failed is not None:
                raise failed
            count += len(some)
            ended = len(some) < wanted

    # -- writing -------------------------------------------------------------------------------------------------

    async def put(self, name: str, object_name: ObjectName, parts: Parts) -> None:
        """Put into one store.

        Raises:
            NameTaken, StoreFull, StoreReadOnly, StoreGone.
        """
        store = self._ask(name)
        size = size_of(parts)
        self._check_terms(name, size)
        if self._health[name].crowded(size):
            raise StoreGone(f"store {name} is busy with what it was given before")
        patience = _patience(size)
        try:
            async with asyncio.timeout(patience):
                await store.put(object_name, parts)
            self._health[name].hear(self._clock())
        except TimeoutError:
            raise self._silent(name, patience) from None
        except (StoreFull, StoreReadOnly) as error:
            self._health[name].refusal = FULL if isinstance(error, StoreFull) else READ_ONLY
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
        self._check_deletes(name)
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
            among: The stores; by default all but those that are being drained.
            enough: Once so many have it durably, the others are waited for only if they are about as quick; all are,
                by default.
            later: Told of a store that failed here for want of an answer, and that has it after all.
        """
        names = [name for name in self.names if name in (self.takers if among is None else among)]
        puts = {name: self._put_one(name, object_name, (data,)) for name in names}
        sizes = dict.fromkeys(names, len(data))
        outcomes = await self._each(puts, len(names) if enough is None else enough, later, sizes=sizes)
        failed = {name: error for name, error in outcomes.items() if error is not None}
        return Copies(frozenset(name for name in names if name not in failed), failed)

    async def put_shares(
        self,
        pack: Pack,
        policy_survive: Mapping[str, int],
        have: Mapping[int, str] | None = None,
        enough: int | None = None,
        later: Callable[[int, str], Awaitable[None]] | None = None,
        without: Collection[str] = (),
    ) -> tuple[dict[int, str], dict[str, RopewalkError]]:
        """Put the shares of a pack where they should lie, and elsewhere where a store does not take one.

        Args:
            pack: With all its shares, or with those that are still to be placed, the most needed first.
            policy_survive: Domain kind to how many may be lost.
            have: Shares that lie in some store already.
            enough: Once so many shares are durable, the others are waited for only if their stores are about as quick,
                and go nowhere else; all are waited for, by default.  Where stores are late that are needed for as many,
                and others are free, these are given such shares, too.
            later: Told of a share that is in a store after all, though it was not waited for.
            without: Stores that are left out, with all that they have.

        Returns:
            The store of each share that is durable now (without ``have``), and why stores failed.
        """
        dealt = Dealing(pack.shares, have or {}, enough)
        while todo := dealt.todo:
            largest = max(share.size for share in todo.values())
            placed, out = dealt.placed, {*dealt.failed, *without}
            plan = self.plan(pack.name, pack.manifest.n, pack.manifest.k, policy_survive, placed, largest, out)
            # One share is as good as another, and those that lack everywhere come first in the pack.
            wanted = dict(zip(todo, [s for s in plan.where.values() if s not in placed.values()], strict=False))
            if not wanted:
                break
            puts = {store: self._put_one(store, todo[at].name, todo[at].parts) for at, store in wanted.items()}
            numbers = {store: number for number, store in wanted.items()}
            some = len(wanted) if enough is None else min(dealt.lacking, len(wanted))
            sizes = {store: todo[number].size for store, number in numbers.items()}
            tell = partial(_tell, numbers, later) if later is not None else None
            others = dealt.late or self._has_spare(largest, {*puts, *placed.values(), *out})
            left: dict[Call, str] | None = {} if others and dealt.lacking else None
            outcomes = await self._each(puts, some, tell, sizes=sizes, left=left)
            dealt.note(numbers, outcomes, left or {}, self.behind)
        await dealt.wait_late()
        return dealt.kept, dealt.failed

    def _has_spare(self, size: int, besides: Collection[str]) -> bool:
        """Whether a store that is not slow could take what another one does not do in time."""
        return any(
            name not in besides and self._takes(name, size) and not self._health[name].slow for name in self._stores
        )

    async def _put_one(self, name: str, object_name: ObjectName, parts: Parts) -> RopewalkError | None:
        try:
            await self.put(name, object_name, parts)
        except (NameTaken, StoreFull, StoreReadOnly, Unavailable, Damaged) as error:
            return error
        return None


async def _take(listing: AsyncIterator[Listed], wanted: int, some: list[Listed]) -> None:
    """The next so many names of a listing, or all that are left."""
    while len(some) < wanted:
        listed = await anext(listing, None)
        if listed is None:
            return
        some.append(listed)


async def _tell(numbers: Mapping[str, int], later: Callable[[int, str], Awaitable[None]], store: str) -> None:
    await later(numbers[store], store)


def _patience(size: int) -> float:
    """Seconds after which a call that carries so many bytes is given up."""
    return DEADLINE + size / SLOWEST_RATE
