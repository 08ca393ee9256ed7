"""Paying: what stores are owed, brought to them as soon as they take it.

Flow: ledger -> journal settled, records, heads and shares put -> ledger
Never: runs beside another change of this device, or fails for a store that is away: it is owed, and stays so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.learning import pay_records
from ropewalk.spaces.mend import mend_owed
from ropewalk.spaces.publish import settle_journal
from ropewalk.spaces.state import State

__all__ = ["keep_paying", "pay"]


async def pay(core: Core) -> int:
    """Pay what is owed where stores allow it; how many shares are still owed. The caller has the turn."""
    await settle_journal(core)
    await pay_records(core)
    return await mend_owed(core)


async def keep_paying(core: Core, every: float, pay_now: Callable[[], Awaitable[int]]) -> None:
    """Pay for as long as this runs.

    Args:
        core: The space.
        every: Seconds between two looks at what is owed.
        pay_now: Takes the turn, and pays.
    """
    while True:
        await asyncio.sleep(every)
        try:
            await core.pool.revive()
            if await core.ledger.do(_owes):
                await pay_now()
        except RopewalkError:
            continue  # it is still owed, and the status says so


def _owes(state: State) -> bool:
    return bool(state.owed_heads() or state.owed_shares() or state.owed_records())
