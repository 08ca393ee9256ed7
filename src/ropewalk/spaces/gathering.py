"""Gathering: the membership records that stores have of a space of which nothing else is known yet.

What counts cannot be told from junk by its name.  So each store is read to its end beside the others, and what one of
them shows, or how long it takes, keeps nothing back that another one has.

Flow: listings, a page at a time -> bytes, from whichever is quick of the stores that show a name -> records by name
Never: waits for a store once most have shown all that they have, or holds what has not the form of a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from functools import partial

from ropewalk.errors import Damaged, Missing, RopewalkError
from ropewalk.spaces.members import LARGEST_RECORD, MOST_RECORDS, is_record, records_prefix
from ropewalk.spaces.members.records import parse
from ropewalk.spaces.pool.patience import most_of
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.store import ObjectName

__all__ = ["gather_records"]

PAGE = 1000  # names that are listed before what they name is read
MOST_NAMES = 200_000  # of one store: twenty times what a space has room for; who put so much junk there had room for it
MOST_BROUGHT = 2 * MOST_RECORDS  # objects in the form of records that are held for having been shown by one store
AT_ONCE = 16  # reads for one store
PATIENCE = 0.5  # seconds that stores are waited for beyond those that will do


async def gather_records(space_id: bytes, pool: Pool) -> AsyncGenerator[dict[str, bytes], None]:
    """What has the form of a record, by name: once more than half of the stores that answer were read to their ends.

    Whoever goes on gets what there is after one more of the others, until all were read.
    """
    gathering = _Gathering(space_id, pool)
    tasks = [asyncio.create_task(gathering.read(store)) for store in pool.names if pool.up(store)]

    def whole() -> int:
        return sum(task.done() and task.result() for task in tasks)

    wanted = len(tasks) // 2 + 1

    def will_do(pending: int) -> bool:
        return not whole() < wanted <= whole() + pending

    try:
        while True:
            late = await most_of(tasks, will_do, linger=PATIENCE)
            wanted = whole() + 1  # and no task has failed by a fault of ours
            yield dict(gathering.found)
            if not late:
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Gathering:
    def __init__(self, space_id: bytes, pool: Pool) -> None:
        self._prefix, self._pool = records_prefix(space_id), pool
        self.found: dict[str, bytes] = {}
        self._none: set[str] = set()  # names of what is as its name says, and no record
        self._shown: dict[str, list[str]] = {}  # while a name is asked for: the stores that show it
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._brought: dict[str, int] = {}

    async def read(self, store: str) -> bool:
        """Read what a store shows; whether that was all."""
        after = ""
        for _ in range(-(-MOST_NAMES // PAGE)):
            names, last, whole = await self._page(store, after)
            waiting = iter(names)
            await asyncio.gather(*(self._settle(store, waiting) for _ in range(AT_ONCE)))
            if not last or self._brought.get(store, 0) > MOST_BROUGHT:
                return whole
            after = last
        return False

    async def _page(self, store: str, after: str) -> tuple[list[str], str, bool]:
        """Names of a listing, the last of them if there may be more, and whether it came to its end otherwise."""
        names: list[str] = []
        last, count = after, 0
        try:
            async for listed in self._pool.list(store, self._prefix, after):
                if listed.name <= last:  # it would never end
                    return names, "", False
                last, count = listed.name, count + 1
                if listed.size <= LARGEST_RECORD and listed.name.startswith(self._prefix):
                    names.append(listed.name)
                if count >= PAGE:
                    return names, last, False
        except RopewalkError:
            return names, "", False  # what it listed until then may be there
        return names, "", True

    async def _settle(self, store: str, names: Iterator[str]) -> None:
        for name in names:
            if name in self.found or name in self._none:
                continue
            self._shown.setdefault(name, []).append(store)
            if name not in self._asking:
                self._asking[name] = asyncio.create_task(self._ask(name, store))
            await self._asking[name]

    async def _ask(self, name: str, first: str) -> None:
        fits = partial(is_record, name)
        try:
            data = await self._pool.get_any(ObjectName(name), fits, LARGEST_RECORD + 1, among=self._shown[name])
        except (Missing, Damaged):
            return  # whichever store shows it next may have it
        finally:
            del self._shown[name], self._asking[name]
        if parse(data) is None:
            self._none.add(name)
        else:
            self.found[name] = data
            self._brought[first] = self._brought.get(first, 0) + 1
