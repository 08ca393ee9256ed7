"""Roster: the stores of a space that are there, and what becomes of one that is not, or does not answer.

All are opened at once; who needs some of them waits for as many, and the others are taken in whenever they are open.

Flow: settings -> Roster -> Pool
Never: waits for one store longer than what the others did is worth, or takes one that is missing for an empty one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.pool.calls import Calls
from ropewalk.spaces.pool.health import Health
from ropewalk.spaces.pool.lately import Lately
from ropewalk.spaces.pool.patience import DEADLINE, LINGER, most_of
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.store import Store, StoreGone, StoreReadOnly, Terms

__all__ = ["BRIEFLY", "PoolStore", "Roster"]

WAKING = 15.0  # seconds that a store may take to open where it is needed: a disk that sleeps takes up to ten
BRIEFLY = 0.05  # seconds that stores beyond those that are needed may take longer to open, as most do at about one time
SUSPECT = 1.0  # seconds after which one that is not open counts as slow where the pool ends before it is known
CLOSING = 2.0  # seconds; the calls that a hung store has under way do not end
PARTING = 1.0  # seconds that what slow stores still have to do is waited for at the end; it would be owed for nothing

_ALL = Terms()
_Opening = tuple[asyncio.Task[Store | RopewalkError], float]  # and when that began
_AGAIN = "`ropewalk store passport {}` looks at it again"


@dataclass(frozen=True, slots=True)
class PoolStore:
    """One store of a pool, as the settings name it; ``store`` is None where it could not be opened."""

    domains: StoreDomains
    store: Store | None
    why: str = ""
    reopen: Callable[[], Awaitable[Store]] | None = None
    terms: Terms = _ALL

    @property
    def name(self) -> str:
        """The user's name for it."""
        return self.domains.name


class Roster(Calls):
    """The stores of one space.

    Args:
        stores: All that the settings name, those that are gone too.
        clock: Seconds, monotonic.
        lately: What is remembered of stores that were slow when they were last used.
    """

    def __init__(self, stores: Sequence[PoolStore], clock: Callable[[], float], lately: Lately | None = None) -> None:
        super().__init__([store.name for store in stores], clock)
        self._stores = {store.name: store for store in stores}
        self._opening: dict[str, _Opening] = {}
        self._dropped: set[asyncio.Task[Store | RopewalkError]] = set()  # openings that nobody wants any more
        self._asked: set[str] = set()  # stores that were silent, and asked for a sign of life
        self._parted: list[Store] = []
        self._lately = lately
        for name in lately.slow() if lately is not None else ():
            self._health[name].slow_before(clock())
        self.draining: frozenset[str] = frozenset()  # stores that keep what they have, and get nothing new

    @property
    def names(self) -> list[str]:
        """All stores, in the order of the settings."""
        return list(self._stores)

    @property
    def takers(self) -> list[str]:
        """Those that get what is new: all that are not being drained."""
        return [name for name in self._stores if name not in self.draining]

    @property
    def fit(self) -> list[str]:
        """Those of them that were not seen to be unfit: what is new can be counted on there, once they answer."""
        return [name for name in self.takers if not self.terms(name).refused]

    def join(self, member: PoolStore) -> None:
        """Use one more store; it is opened with the next look at those that are not there."""
        self._stores[member.name] = member
        self._health.setdefault(member.name, Health())

    def part(self, name: str) -> None:
        """Use a store no longer; calls that are under way end, and it is closed with the others."""
        if (under_way := self._opening.get(name)) is not None:
            task, _ = under_way
            if task.done():
                self._take_in(name, task)
            else:  # another may come under this name, and is opened anew
                del self._opening[name]
                task.cancel()
                self._dropped.add(task)
                task.add_done_callback(self._dropped.discard)
        if (member := self._stores.pop(name, None)) is not None and member.store is not None:
            self._parted.append(member.store)

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
        return self._health[name].why_down(self._clock())

    def terms(self, name: str) -> Terms:
        """On what terms a store is used."""
        return self._stores[name].terms

    def use_on(self, name: str, terms: Terms) -> None:
        """Use a store on other terms from now on."""
        if terms != self._stores[name].terms:
            self._stores[name] = replace(self._stores[name], terms=terms)

    def check_fit(self, name: str) -> None:
        """See that a store was not seen to be unfit.

        Raises:
            StoreReadOnly: It was; nothing is put into it.
        """
        if refused := self.terms(name).refused:
            raise StoreReadOnly(f"store {name} is not written to: {refused}", hint=_AGAIN.format(name))

    def _check_terms(self, name: str, size: int) -> None:
        """Refuse to put what a store was seen to be unfit for."""
        self.check_fit(name)
        terms = self.terms(name)
        if size > terms.largest:
            raise StoreReadOnly(
                f"store {name} was seen to take objects of at most {terms.largest} bytes, got {size}",
                hint=_AGAIN.format(name),
            )

    def _check_deletes(self, name: str) -> None:
        if not self.terms(name).deletes:
            raise StoreReadOnly(f"store {name} was seen to delete nothing for us", hint=_AGAIN.format(name))

    async def aclose(self) -> None:
        """Close every store; what hangs is given up."""
        await self.caught_up(PARTING)
        self._remember()
        tasks = [*self._left, *self._trials, *(task for task, _ in self._opening.values()), *self._dropped]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._telling, return_exceptions=True)
        stores = [*self._parted, *(member.store for member in self._stores.values() if member.store)]
        await asyncio.gather(*map(self._close, stores))

    async def _close(self, store: Store) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await store.aclose()

    def begin(self) -> None:
        """Begin to open the stores that are not open; each is taken in once it is, until the pool is closed."""
        now = asyncio.get_running_loop().time()
        for name, member in self._stores.items():
            if member.store is None and member.reopen is not None and name not in self._opening:
                task = asyncio.create_task(_opened(member.reopen))
                self._opening[name] = task, now
                task.add_done_callback(partial(self._take_in, name))

    async def revive(self, enough: int = 0, within: float = WAKING, *, quick: bool = False) -> None:
        """Open the stores that are not open; one that takes long is taken in whenever it is open.

        Args:
            enough: Once so many are open, the rest is waited for as long again as that took, or `LINGER`: those that
                were slow lately, or have had as long before, hardly at all.
            within: Seconds, since it was begun to open them, for which fewer are waited for.
            quick: Do not wait for the rest.
        """
        now = asyncio.get_running_loop().time
        self.begin()
        under_way = dict(self._opening)
        if not under_way:
            return

        def will_do(pending: int) -> bool:
            for name, (task, _) in under_way.items():
                if task.done():
                    self._take_in(name, task)
            there = sum(member.store is not None for member in self._stores.values())
            return there >= enough or there + pending < enough

        begun = _last(under_way)
        slow = {task for name, (task, _) in under_way.items() if quick or not self._may_open(name)}
        await most_of(
            [task for task, _ in under_way.values()],
            will_do,
            linger=max(begun + LINGER - now(), 0.0),
            deadline=max(begun + within - now(), 0.0),
            slow=slow,
            briefly=0.0 if quick else BRIEFLY,
        )
        self._look_at(under_way, patient=not quick)

    async def opened(self, within: float = math.inf, most: float = math.inf) -> None:
        """Wait for the stores that are being opened, as long as they may be well: `LINGER` in all.

        Args:
            within: Seconds since it was begun to open them, if less.
            most: Seconds from now, if less.
        """
        now = asyncio.get_running_loop().time()
        under_way = {name: one for name, one in self._opening.items() if self._may_open(name)}
        if not under_way:
            return
        left = _last(under_way) + LINGER - now
        wait = min(_last(under_way) + within - now, most, left)
        if wait > 0:
            await asyncio.wait([task for task, _ in under_way.values()], timeout=wait)
        self._look_at(under_way, patient=wait == left)

    def _look_at(self, under_way: Mapping[str, _Opening], *, patient: bool) -> None:
        """Take in what is open; where they were waited for as long as is worth it, the others do not answer."""
        for name, (task, _) in under_way.items():
            if task.done():
                self._take_in(name, task)  # its callback comes with the next turn of the loop
            elif patient or not self._may_open(name):
                self._give_up(name)

    def _may_open(self, name: str) -> bool:
        """Whether a store is being opened, and no slower yet than one may be that is well."""
        if (under_way := self._opening.get(name)) is None or self._health[name].slow:
            return False
        return asyncio.get_running_loop().time() < under_way[1] + LINGER

    def _give_up(self, name: str) -> None:
        """Say of a store that does not open what it is; it is taken in all the same if it does."""
        if name in self._stores:
            self._stores[name] = replace(self._stores[name], why="it does not answer")
            self._health[name].slow_before(self._clock())

    def missing(self) -> dict[str, str]:
        """The stores that are not there, and why: not those that are just being opened."""
        away = {name: one for name, one in self._stores.items() if one.store is None and not self._may_open(name)}
        for name in self._opening.keys() & away.keys():
            self._give_up(name)
        return {name: self._stores[name].why for name in away}

    def _take_in(self, name: str, task: asyncio.Task[Store | RopewalkError]) -> None:
        """Use a store that is open now; or say why it is not."""
        if (under_way := self._opening.get(name)) is None or under_way[0] is not task:
            return
        del self._opening[name]
        if task.cancelled():
            return
        found = task.result()
        if isinstance(found, RopewalkError):
            self._stores[name] = replace(self._stores[name], why=str(found))
        else:
            self._stores[name] = replace(self._stores[name], store=found, why="")
            self._health[name].hear(self._clock())
            if asyncio.get_running_loop().time() < under_way[1] + LINGER:
                self._health[name].welcome()

    def _remember(self) -> None:
        """Note which stores were slow, for whoever opens them next."""
        if self._lately is None:
            return
        now = asyncio.get_running_loop().time()
        slow = {name for name, (_, since) in self._opening.items() if now >= since + SUSPECT}
        there = {name for name, member in self._stores.items() if member.store is not None}
        slow |= {name for name in there.union(self._opening) if self._health[name].slow}
        self._lately.note(there | slow, slow)

    async def want(self, count: int, within: float = WAKING, *, quick: bool = False) -> None:
        """Try to have so many stores, before going on without; arguments as for `revive`."""
        if self._count_up() < count:
            await self.revive(count, within, quick=quick)
        if self._count_up() < count:
            await self.rouse()

    def _count_up(self) -> int:
        return sum(self.up(name) for name in self._stores)

    async def rouse(self) -> bool:
        """Ask those that are left alone for a while whether they are back by now, and wait for those that just open.

        Returns:
            Whether any is there that was not.
        """
        before = self._count_up()
        await self.opened()
        came = self._count_up() > before
        names = [
            name
            for name, member in self._stores.items()
            if member.store is not None and not self._health[name].behind and not self.up(name)
        ]
        if not names:
            return came
        outcomes = await self._each({name: self._sign_of_life(name) for name in names}, 0, linger=LINGER)
        return came or any(error is None for error in outcomes.values())

    async def _sign_of_life(self, name: str) -> RopewalkError | None:
        store = self._stores[name].store
        assert store is not None
        try:
            async with asyncio.timeout(DEADLINE):
                await store.room()
        except TimeoutError:
            return self._silent(name, DEADLINE)
        except Unavailable as error:
            self._rest(name, error)
            return error
        except RopewalkError:
            pass  # it answers
        self._health[name].wake(self._clock())
        return None

    def _ask(self, name: str) -> Store:
        if (why := self.why_down(name)) is not None:
            raise StoreGone(f"store {name} is not there: {why}")
        store = self._stores[name].store
        assert store is not None
        return store

    def _rest(self, name: str, error: Unavailable) -> None:
        self._health[name].rest(self._clock(), str(error))

    def _silent(self, name: str, seconds: float) -> StoreGone:
        """It did not answer in time: it is left alone until it answers a question that costs it nothing."""
        error = StoreGone(f"store {name} did not answer for {seconds:.0f} s")
        self._rest(name, error)
        member = self._stores.get(name)
        if name not in self._asked and member is not None and (store := member.store) is not None:
            self._asked.add(name)
            self._leave(name, asyncio.create_task(self._answer(name, store)), error, self._clock())
        return error

    async def _answer(self, name: str, store: Store) -> RopewalkError | None:
        try:
            await store.room()
        except RopewalkError as error:
            return error
        finally:
            self._asked.discard(name)
        return None


def _last(under_way: Mapping[str, _Opening]) -> float:
    """When it was begun to open the one that was begun last."""
    return max(since for _, since in under_way.values())


async def _opened(reopen: Callable[[], Awaitable[Store]]) -> Store | RopewalkError:
    try:
        return await reopen()
    except RopewalkError as error:
        return error
