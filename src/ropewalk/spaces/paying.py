"""Paying: what stores are owed, brought to them as soon as they take it.

Flow: ledger -> journal settled, what was queued published, records, heads and shares put -> ledger
Never: runs beside another change of this device, or fails for a store that is away: it is owed, and stays so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.learning import pay_records
from ropewalk.spaces.mend import mend_owed
from ropewalk.spaces.publish import settle_journal
from ropewalk.spaces.state import State
from ropewalk.spaces.waiting import few_answer, told_of_queue

__all__ = ["PayNow", "keep_paying", "pay", "pay_at_opening"]

PayNow = Callable[[float | None], Awaitable[int]]  # given how long to wait for the turn, if not as long as usual


async def pay(core: Core) -> int:
    """Pay what is owed where stores allow it; how many shares are still owed. The caller has the turn."""
    await settle_journal(core)
    await pay_records(core)
    return await mend_owed(core)


async def pay_at_opening(core: Core, name: str, pay_now: PayNow, *, again: bool) -> None:
    """Settle what a crash has left, and publish what waits if stores allow it; people are told of what waits still.

    Args:
        core: The space.
        name: What the user calls it.
        pay_now: Takes the turn, and pays.
        again: Whether the local state was built anew, or is behind.
    """
    lost = again and core.queue is not None and bool((await asyncio.to_thread(core.queue.waiting)).heads)
    pending = await core.ledger.do(State.pending)
    if lost or pending:
        await pay_now(None)
    elif await core.ledger.do(State.queued_names):
        await core.pool.opened()
        if not few_answer(core):
            with suppress(RopewalkError):  # another process is at it; or it is said below
                await pay_now(0)
    if said := await told_of_queue(core, name):
        core.warnings.append(said)


async def keep_paying(core: Core, every: float, pay_now: PayNow) -> None:
    """Pay for as long as this runs.

    Args:
        core: The space.
        every: Seconds between two looks at what is owed; a store that is slow gets more once it has done with some.
        pay_now: Takes the turn, and pays.
    """
    while True:
        await asyncio.sleep(every)
        try:
            await core.pool.revive()
            owed = await core.ledger.do(_owes)
            while owed:
                await pay_now(None)
                await core.pool.caught_up(every)
                owed, before = await core.ledger.do(_owes), owed
                if owed >= before:
                    break
        except RopewalkError:
            continue  # it is still owed, and the status says so


def _owes(state: State) -> int:
    """How much, in whatever units: less is less."""
    shares = sum(len(numbers) for _, numbers in state.owed_shares())
    return len(state.owed_heads()) + shares + len(state.owed_records()) + len(state.queued_names())
