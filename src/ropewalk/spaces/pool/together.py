"""Together: many small objects of one store, read in one call where the store can give them so.

Flow: names -> a store that gives many -> bytes; whatever it does not give -> whoever asked, who asks for it alone
Never: looks into an object, or says why one was not given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ropewalk.errors import Unavailable
from ropewalk.spaces.pool.rooms import Rooms
from ropewalk.spaces.store import GivesMany, ObjectName

__all__ = ["StoreLate", "Together"]


class StoreLate(Unavailable):
    """A store took longer than was worth waiting for, since others may be quicker."""

    code = "pool.store-late"


class Together(Rooms):
    """The part of the pool that reads many objects at once."""

    async def get_many(self, name: str, objects: Sequence[ObjectName], most: int, within: float) -> list[bytes | None]:
        """The first bytes of small objects in one store; None for each that is to be asked for alone, with `get`.

        Args:
            name: The store.
            objects: What to read.
            most: Bytes of each.
            within: Seconds for all of them; the store is not left alone for that.

        Raises:
            StoreGone.
            StoreLate: It was not done ``within`` this time.
        """
        store = self._ask(name)
        if not isinstance(store, GivesMany):
            return [None] * len(objects)
        try:
            async with asyncio.timeout(within):
                found = await store.get_many(objects, most)
        except TimeoutError:
            raise StoreLate(f"it did not answer within {within:g} s") from None
        except Unavailable as error:
            self._rest(name, error)
            raise
        self._health[name].hear(self._clock())
        return found
