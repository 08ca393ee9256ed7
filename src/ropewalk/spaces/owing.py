"""Owing: copies of heads that stores lack, brought to those that take them.

Flow: ledger -> bytes of the head, checked -> store -> ledger, now or whenever the store has it
Never: holds the turn for a store that is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, HeadName, open_head
from ropewalk.spaces.later import delivered
from ropewalk.spaces.state import State

__all__ = ["pay_heads"]

AT_ONCE = 4  # heads that one store is sent together; half of what a slow one may have to do, the rest is for new ones


async def pay_heads(core: Core, owed: Sequence[tuple[str, str]]) -> None:
    """Pay what stores take now; one that is slow gets a few, and more once it has done with these.

    Args:
        core: The space; the caller has the turn.
        owed: Names of heads and stores.
    """
    by_store: dict[str, list[str]] = {}
    for name, store in owed:
        by_store.setdefault(store, []).append(name)
    for store, names in by_store.items():
        for at in range(0, len(names), AT_ONCE):
            if not core.pool.up(store) or core.pool.behind(store):
                break
            await asyncio.gather(*(_pay(core, name, store) for name in names[at : at + AT_ONCE]))


async def _pay(core: Core, name: str, store: str) -> None:
    parsed = HeadName.decode(name)
    assert parsed is not None
    try:
        if await core.ledger.do(State.is_unacknowledged, name):
            await core.pool.delete(store, parsed.encode())
        else:
            data = await core.ledger.do(State.head_data, name) or b""
            if not _checks(core, data, parsed):
                data = await core.pool.get_any(
                    parsed.encode(), lambda data: _checks(core, data, parsed), LARGEST_HEAD + 1
                )
            later = partial(delivered, core, name)  # the turn is ours: others wait for it, and no store is worth that
            copies = await core.pool.put_copies(parsed.encode(), data, among=[store], enough=0, later=later)
            if not copies.kept:
                return
    except RopewalkError:
        return  # still owed; the next look tries again
    await core.ledger.do(State.paid_head, name, store)


def _checks(core: Core, data: bytes, name: HeadName) -> bool:
    try:
        open_head(data, name, core.membership, core.keys)
    except RopewalkError:
        return False
    return True
