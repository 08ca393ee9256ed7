"""Roster: the stores of a space that are there, and what becomes of one that is not, or does not answer.

A call that nobody waits for any more goes on.  Its store is left alone until it comes back, and what it did by then
counts.  So a store that hangs holds up one call, once, and no more than a few threads of its own.

Flow: settings -> Roster -> Pool
Never: waits for one store longer than what the others did is worth, or takes one that is missing for an empty one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.pool.health import Health
from ropewalk.spaces.pool.patience import DEADLINE, LINGER, most_of
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.store import Store, StoreGone, StoreReadOnly, Terms

__all__ = ["Later", "PoolStore", "Roster"]

WAKING = 15.0  # seconds that a store may take to open where it is needed: a disk that sleeps takes up to ten
CLOSING = 2.0  # seconds; the calls that a hung store has under way do not end

_ALL = Terms()
_AGAIN = "`ropewalk store passport {}` looks at it again"

Later = Callable[[str], Awaitable[None]]  # told of a store that did what it was asked, after nobody waited for it


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


class Roster:
    """The stores of one space.

    Args:
        stores: All that the settings name, those that are gone too.
        clock: Seconds, monotonic.
    """

    def __init__(self, stores: Sequence[PoolStore], clock: Callable[[], float]) -> None:
        self._stores = {store.name: store for store in stores}
        self._clock = clock
        self._health = {store.name: Health() for store in stores}
        self._opening: dict[str, asyncio.Task[Store | RopewalkError]] = {}
        self._left: set[asyncio.Task[RopewalkError | None]] = set()  # calls that may come back yet
        self._asked: set[str] = set()  # stores that were silent, and asked for a sign of life
        self._telling: set[asyncio.Task[None]] = set()  # of those that did
        self._parted: list[Store] = []
        self.draining: frozenset[str] = frozenset()  # stores that keep what they have, and get nothing new

    @property
    def names(self) -> list[str]:
        """All stores, in the order of the settings."""
        return list(self._stores)

    @property
    def takers(self) -> list[str]:
        """Those that get what is new: all that are not being drained."""
        return [name for name in self._stores if name not in self.draining]

    def join(self, member: PoolStore) -> None:
        """Use one more store; it is opened with the next look at those that are not there."""
        self._stores[member.name] = member
        self._health.setdefault(member.name, Health())

    def part(self, name: str) -> None:
        """Use a store no longer; calls that are under way end, and it is closed with the others."""
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

    def _check_terms(self, name: str, size: int) -> None:
        """Refuse to put what a store was seen to be unfit for."""
        terms = self.terms(name)
        if terms.refused:
            raise StoreReadOnly(f"store {name} is not written to: {terms.refused}", hint=_AGAIN.format(name))
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
        tasks = [*self._left, *self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._telling, return_exceptions=True)
        stores = [*self._parted, *(member.store for member in self._stores.values() if member.store)]
        await asyncio.gather(*map(self._close, stores))

    async def _close(self, store: Store) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await store.aclose()

    async def revive(self, enough: int = 0) -> None:
        """Open the stores that are not open; one that hangs is opened whenever it answers, and looked at next time.

        Args:
            enough: Once so many are open, the rest is hardly waited for.
        """
        for name, member in self._stores.items():
            if member.store is None and member.reopen is not None and name not in self._opening:
                self._opening[name] = asyncio.create_task(_opened(member.reopen))

        def will_do(pending: int) -> bool:
            came = sum(task.done() and not isinstance(task.result(), RopewalkError) for task in self._opening.values())
            there = came + sum(member.store is not None for member in self._stores.values())
            return there >= enough or there + pending < enough

        await most_of(self._opening.values(), will_do, deadline=WAKING)
        for name, task in list(self._opening.items()):
            if not task.done():
                if name in self._stores:
                    self._stores[name] = replace(self._stores[name], why="it does not answer")
                continue
            del self._opening[name]
            if name not in self._stores:  # it parted meanwhile
                if not isinstance(found := task.result(), RopewalkError):
                    self._parted.append(found)
                continue
            if isinstance(found := task.result(), RopewalkError):
                self._stores[name] = replace(self._stores[name], why=str(found))
            else:
                self._stores[name] = replace(self._stores[name], store=found, why="")

    async def want(self, count: int) -> None:
        """Try to have so many stores, before going on without."""
        if self._count_up() < count:
            await self.revive(count)
        if self._count_up() < count:
            await self.rouse()

    def _count_up(self) -> int:
        return sum(self.up(name) for name in self._stores)

    async def rouse(self) -> bool:
        """Ask those that are left alone for a while whether they are back by now; whether any is."""
        names = [
            name
            for name, member in self._stores.items()
            if member.store is not None and not self._health[name].left and not self.up(name)
        ]
        if not names:
            return False
        outcomes = await self._each({name: self._sign_of_life(name) for name in names}, 0, LINGER)
        return any(error is None for error in outcomes.values())

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

    async def _each(
        self,
        calls: Mapping[str, Coroutine[None, None, RopewalkError | None]],
        enough: int,
        linger: float,
        later: Later | None = None,
    ) -> dict[str, RopewalkError | None]:
        """Call some stores at once; what each said, or that it does not answer, once ``enough`` did as they were told.

        A call that is not waited for goes on; until it comes back its store is left alone.
        """
        tasks = {name: asyncio.create_task(call) for name, call in calls.items()}

        def will_do(pending: int) -> bool:
            done = sum(task.done() and task.result() is None for task in tasks.values())
            return done >= enough or done + pending < enough

        try:
            await most_of(tasks.values(), will_do, linger=linger)
            return {
                name: task.result() if task.done() else self._leave(name, task, linger, later)
                for name, task in tasks.items()
            }
        except BaseException:
            for task in tasks.values():
                task.cancel()
                task.add_done_callback(_seen)
            raise

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
            self._leave(name, asyncio.create_task(self._answer(name, store)), seconds, None)
        return error

    async def _answer(self, name: str, store: Store) -> RopewalkError | None:
        try:
            await store.room()
        except RopewalkError as error:
            return error
        finally:
            self._asked.discard(name)
        return None

    def _leave(
        self, name: str, task: asyncio.Task[RopewalkError | None], seconds: float, later: Later | None
    ) -> StoreGone:
        error = StoreGone(f"store {name} did not answer for {seconds:.0f} s")
        self._health[name].leave(str(error))
        self._left.add(task)
        task.add_done_callback(partial(self._came_back, name, later))
        return error

    def _came_back(self, name: str, later: Later | None, task: asyncio.Task[RopewalkError | None]) -> None:
        self._left.discard(task)
        self._health[name].left -= 1
        if later is not None and not task.cancelled() and task.exception() is None and task.result() is None:
            telling = asyncio.create_task(_told(later, name))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)


async def _opened(reopen: Callable[[], Awaitable[Store]]) -> Store | RopewalkError:
    try:
        return await reopen()
    except RopewalkError as error:
        return error


def _seen(task: asyncio.Task[RopewalkError | None]) -> None:
    """Look at what became of a call that nobody cares about, lest asyncio complain that nobody did."""
    if not task.cancelled():
        task.exception()


async def _told(later: Later, name: str) -> None:
    with suppress(RopewalkError):  # then it counts as owed, and is put once more
        await later(name)
