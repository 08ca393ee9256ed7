"""Hints: the one kind of object that is replaced, in each store by itself.

Flow: bulletin -> every store that answers; name -> what one store has under it, or word that it changed
Never: lets a hint decide how a store is treated: what one refuses of them, it may take of other things.
"""

from __future__ import annotations

import asyncio

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.pool.patience import DEADLINE, LINGER
from ropewalk.spaces.pool.roster import Roster
from ropewalk.spaces.store import LARGEST_HINT, NoSuchObject, ObjectName, StoreFull, wait_changed

__all__ = ["Hints"]


class Hints(Roster):
    """The part of the pool that reads, replaces and follows hints."""

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
        """Replace a hint in every store that is there and gets what is new; those that did it within `LINGER`.

        Nothing depends on a hint: a store that refuses it takes other things all the same.
        """
        names = [name for name in self._stores if self.up(name) and self._takes_hints(name)]
        calls = {name: self._replace_one(name, object_name, data) for name in names}
        outcomes = await self._each(calls, 0, linger=LINGER)
        return frozenset(name for name, error in outcomes.items() if error is None)

    def _takes_hints(self, name: str) -> bool:
        terms = self.terms(name)
        return terms.hints and not terms.refused and name not in self.draining

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
