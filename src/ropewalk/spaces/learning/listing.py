"""Listing: what stores say that there is of records and heads.

Flow: listings of as many stores as are needed -> Shown, one of each
Never: takes a name for more than a store's word, or waits for stores that are not needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.learning.aside import aside
from ropewalk.spaces.members import LARGEST_RECORD, MOST_RECORDS, records_prefix
from ropewalk.spaces.pool.patience import most_of
from ropewalk.spaces.state import State

__all__ = ["DEADLINE", "MOST_HEADS", "PATIENCE", "Shown", "heads_between", "shown_by_stores"]

PATIENCE = 0.5  # seconds that stores beyond the needed number are waited for
LIAR_PATIENCE = 5.0  # the same for those that are needed only if one of the others lies
DEADLINE = 30.0
MOST_HEADS = 100_000  # names taken from one store's listing; one that has more shows the rest once these are known
MOST_AT_ONCE = 10_000  # of them, of one writer, before those of the next
MOST_BETWEEN = 1024  # heads of one writer that were missed; of more, a look at everything finds the rest
_BEFORE = 2  # known heads of a writer after which older ones are passed over; tells a store that went back by one


@dataclass(slots=True)
class Shown:
    """What one store listed."""

    records: set[str] = field(default_factory=set)
    unfit: set[str] = field(default_factory=set)  # of records, with a size that none has
    heads: dict[str, HeadName] = field(default_factory=dict)  # that are not known
    known: dict[bytes, list[str]] = field(default_factory=dict)  # of each writer the newest few that are, newest first
    whole: bool = True  # whether it was listed to the end


async def shown_by_stores(core: Core, known: Collection[str]) -> dict[str, Shown]:
    """What stores list; those that do not answer in time are left out.

    Args:
        core: The space.
        known: Names of the heads that were checked.
    """
    held = await aside(core)
    names: dict[str, HeadName] = {}  # most are listed by all stores
    tasks = {
        asyncio.create_task(_shown(core, store, known, held, names)): store
        for store in core.pool.names
        if core.pool.up(store)
    }
    found: dict[str, Shown] = {}
    try:
        pending = set(tasks)
        while pending:
            more = core.fresh_read - len(found)
            waited = PATIENCE if more <= 0 else LIAR_PATIENCE if more <= core.membership.lying else DEADLINE
            done, pending = await asyncio.wait(pending, timeout=waited, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                if (shown := task.result()) is not None:
                    found[tasks[task]] = shown
    finally:
        for task in tasks:
            task.cancel()
    return found


async def heads_between(core: Core, names: Collection[HeadName]) -> dict[HeadName, list[str]]:
    """The heads that stores list below some, down to the newest of their writers that are known; with the stores.

    Args:
        core: The space.
        names: Heads that were heard of.
    """
    found: dict[HeadName, list[str]] = {}
    last = {name: await core.ledger.do(State.newest_below, name.writer, name.sequence) for name in names}
    tasks = [
        asyncio.create_task(_below(core, store, name, sequence, found))
        for store in core.pool.names
        if core.pool.up(store)
        for name, sequence in last.items()
    ]
    late = await most_of(tasks, lambda pending: pending < len(tasks), linger=PATIENCE, deadline=DEADLINE)
    for task in late:
        task.cancel()
    return found


async def _below(core: Core, store: str, name: HeadName, last: int, found: dict[HeadName, list[str]]) -> None:
    count = 0
    try:
        async for listed in core.pool.list(store, heads_prefix(core.space_id, name.writer), name.encode()):
            one = HeadName.decode(listed.name)
            count += 1
            if one is None or not last < one.sequence < name.sequence or count > MOST_BETWEEN:
                return
            found.setdefault(one, []).append(store)
    except RopewalkError:
        return  # what it listed until then may be there


async def _shown(
    core: Core, store: str, known: Collection[str], held: Collection[str], names: dict[str, HeadName]
) -> Shown | None:
    shown = Shown()
    try:
        await _records(core, store, shown, held)
        await _heads(core, store, shown, known, held, names)
    except RopewalkError:
        return None
    return shown


async def _records(core: Core, store: str, shown: Shown, held: Collection[str]) -> None:
    after, count, fresh = "", 0, 0
    prefix = records_prefix(core.space_id)
    async for listed in core.pool.list(store, prefix):
        count += 1
        if listed.name < after or fresh > 2 * MOST_RECORDS or count > 4 * MOST_RECORDS + len(held):
            shown.whole = False  # a listing that goes backwards would never end
            return
        after = listed.name
        if not listed.name.startswith(prefix):  # not asked for: another space's, whose records have names of their own
            continue
        if listed.size <= LARGEST_RECORD:
            shown.records.add(listed.name)
            fresh += listed.name not in held
        else:
            shown.unfit.add(listed.name)


async def _heads(
    core: Core,
    store: str,
    shown: Shown,
    known: Collection[str],
    held: Collection[str],
    names: dict[str, HeadName],
) -> None:
    top = heads_prefix(core.space_id)
    left = deque([(top, "")])  # folders to list, and after which name
    count = fresh = 0
    while left:
        prefix, after = left.popleft()
        folder, met, place, many = "", 0, 0, 0  # of one writer; known names, sequence of the last, new names
        async for listed in core.pool.list(store, prefix, after):
            count += 1  # one name over and over, or other names than of heads, never end either
            if listed.name < after or fresh > MOST_HEADS or count > 2 * MOST_HEADS + len(held):
                shown.whole = False
                return
            if listed.name == after or not listed.name.startswith(prefix):  # said twice, or not asked for
                continue
            if (here := listed.name[: listed.name.rindex("/") + 1]) != folder:
                folder, met, many = here, 0, 0
            name = names.get(listed.name) or HeadName.decode(listed.name)
            # Of a writer that has very many the rest comes after the others have come: it may be junk.
            if later := many >= MOST_AT_ONCE and folder != top:
                left.append((folder, after))
            # Not between two of one sequence, which are a fork.
            if later or (met >= _BEFORE and name is not None and name.sequence != place):
                if prefix == top:
                    left.appendleft((top, _past(folder)))
                break
            after = listed.name
            if name is None:
                many += 1
                continue
            place = name.sequence
            if listed.name in known:
                met += 1
                shown.known.setdefault(name.writer, []).append(listed.name)
            else:
                shown.heads[listed.name] = names[listed.name] = name
                if listed.name not in held:
                    many += 1
                    fresh += 1


def _past(folder: str) -> str:
    """What sorts after all names below a folder, and before all others that do: 0 follows the slash."""
    return folder.removesuffix("/") + "0"
