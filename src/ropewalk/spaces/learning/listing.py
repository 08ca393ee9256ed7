"""Listing: what stores say that there is of records and heads.

Flow: listings of as many stores as are needed -> Shown, one of each
Never: takes a name for more than a store's word, or waits for stores that are not needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.members import LARGEST_RECORD, MOST_RECORDS, records_prefix

__all__ = ["DEADLINE", "MOST_HEADS", "PATIENCE", "Shown", "shown_by_stores"]

PATIENCE = 0.5  # seconds that stores beyond the needed number are waited for
LIAR_PATIENCE = 5.0  # the same for those that are needed only if one of the others lies
DEADLINE = 30.0
MOST_HEADS = 100_000  # names taken from one store's listing; one that has more shows the rest once these are known
_BEFORE = 2  # known heads of a writer after which older ones are passed over; tells a store that went back by one


@dataclass(slots=True)
class Shown:
    """What one store listed."""

    records: set[str] = field(default_factory=set)
    heads: list[HeadName] = field(default_factory=list)  # that are not known
    known: dict[bytes, list[str]] = field(default_factory=dict)  # of each writer the newest few that are, newest first
    whole: bool = True  # whether it was listed to the end


async def shown_by_stores(core: Core, known: Collection[str]) -> dict[str, Shown]:
    """What stores list; those that do not answer in time are left out.

    Args:
        core: The space.
        known: Names of the heads that were checked.
    """
    tasks = {asyncio.create_task(_shown(core, name, known)): name for name in core.pool.names if core.pool.up(name)}
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


async def _shown(core: Core, store: str, known: Collection[str]) -> Shown | None:
    shown = Shown()
    try:
        await _records(core, store, shown)
        await _heads(core, store, shown, known)
    except RopewalkError:
        return None
    return shown


async def _records(core: Core, store: str, shown: Shown) -> None:
    after, count = "", 0
    async for listed in core.pool.list(store, records_prefix(core.space_id)):
        count += 1
        if listed.name < after or len(shown.records) > 2 * MOST_RECORDS or count > 4 * MOST_RECORDS:
            shown.whole = False  # a listing that goes backwards would never end
            return
        after = listed.name
        if listed.size <= LARGEST_RECORD:
            shown.records.add(listed.name)


async def _heads(core: Core, store: str, shown: Shown, known: Collection[str]) -> None:
    prefix = heads_prefix(core.space_id)
    after, count = "", 0
    while True:
        jumped = False
        writer, met, place = b"", 0, 0  # the writer at hand, how many of its names are known, the sequence of the last
        async for listed in core.pool.list(store, prefix, after):
            count += 1  # one name over and over, or other names than of heads, never end either
            if listed.name < after or len(shown.heads) > MOST_HEADS or count > 2 * MOST_HEADS:
                shown.whole = False
                return
            if listed.name == after:  # said twice
                continue
            after = listed.name
            if (name := HeadName.decode(listed.name)) is None:
                continue
            if name.writer != writer:
                writer, met = name.writer, 0
            elif met >= _BEFORE and name.sequence != place:  # not between two of one sequence, which are a fork
                after, jumped = _past(heads_prefix(core.space_id, writer)), True
                break
            place = name.sequence
            if listed.name in known:
                met += 1
                shown.known.setdefault(writer, []).append(listed.name)
            else:
                shown.heads.append(name)
        if not jumped:
            return


def _past(folder: str) -> str:
    """What sorts after all names below a folder, and before all others that do: 0 follows the slash."""
    return folder.removesuffix("/") + "0"
