"""Seeking: the shares of a pack that are in stores and that nobody has told us of.

A pack that was learnt while a store was away lacks the share in that store, until all stores are listed again.

Flow: a pack that cannot be read -> names below its own in stores that answer -> ledger -> whoever reads it
Never: lists all of a store, or one pack's shares at each read of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ropewalk.errors import RopewalkError
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.state import KnownPack, SharePlace, State

__all__ = ["EVERY", "MOST_SOUGHT", "Seeker"]

EVERY = 60.0  # seconds from one look for a pack's shares to the next
DEADLINE = 10.0  # seconds for one look
MOST_SOUGHT = 4096  # packs of which it is remembered that they were looked for
MOST_NAMES = 256  # of one pack in one store; more are not shares of it


class Seeker:
    """Looks for shares.

    Args:
        space_id: The space.
        pool: Its stores.
        ledger: Where its packs lie.
    """

    def __init__(self, space_id: bytes, pool: Pool, ledger: Ledger) -> None:
        self._space_id, self._pool, self._ledger = space_id, pool, ledger
        self._sought: dict[bytes, tuple[float, set[str]]] = {}  # when and where, by pack, the longest ago first
        self._turn = asyncio.Lock()

    async def more(self, pack: KnownPack) -> list[SharePlace]:
        """Shares of a pack that were not known when it was looked up; they stand in ``pack`` from now on."""
        async with self._turn:  # who comes while another one looks has what that one finds
            if self._is_time(pack.name):
                await self._look(pack)
        known = (await self._ledger.do(State.packs_by_id, [pack.id])).get(pack.id)
        new = [share for share in known.shares if share not in pack.shares] if known is not None else []
        pack.shares.extend(new)
        return new

    def _is_time(self, pack: bytes) -> bool:
        now, there = asyncio.get_running_loop().time(), set(filter(self._pool.up, self._pool.names))
        before, asked = self._sought.get(pack, (float("-inf"), set[str]()))
        if now < before + EVERY and there <= asked:
            return False
        self._sought.pop(pack, None)
        self._sought[pack] = now, there | (asked if now < before + EVERY else set())
        if len(self._sought) > MOST_SOUGHT:
            del self._sought[next(iter(self._sought))]
        return True

    async def _look(self, pack: KnownPack) -> None:
        stores = [store for store in self._pool.names if self._pool.up(store)]
        tasks = [asyncio.create_task(self._listed(store, pack)) for store in stores]
        if not tasks:
            return
        try:
            done, _ = await asyncio.wait(tasks, timeout=DEADLINE)
            found = [share for task in done for share in task.result()]
            self._sought[pack.name][1].intersection_update(
                [store for store in stores if self._pool.up(store)]
            )  # others once back
        finally:
            for task in tasks:
                task.cancel()
        there = {(share.number, share.store, share.object) for share in pack.shares}
        if new := [share for share in found if (share.number, share.store, share.object) not in there]:
            await self._ledger.do(_remember, pack.id, new)

    async def _listed(self, store: str, pack: KnownPack) -> list[SharePlace]:
        found: list[SharePlace] = []
        count = 0
        try:
            async for listed in self._pool.list(store, f"{self._space_id.hex()}/packs/{pack.name.hex()}-"):
                count += 1
                name = ShareName.decode(listed.name)
                if name is not None and name.pack == pack.name and name.number < pack.n:
                    found.append(SharePlace(name.number, store, name.check.hex()))
                if count >= MOST_NAMES:
                    break
        except RopewalkError:
            pass  # what it listed until then may be there
        return found


def _remember(state: State, pack: int, shares: Iterable[SharePlace]) -> None:
    with state.transaction():
        state.add_shares(pack, shares)
