"""Remembering: what a device has forgotten of a space, or never knew, is learnt anew when it opens it.

Flow: Memory -> rebuild -> ledger; what that may have missed -> warnings, notes
Never: goes on after local state was lost without saying so.
"""

from __future__ import annotations

from ropewalk.counting import count
from ropewalk.spaces.core import Core
from ropewalk.spaces.opening import Memory
from ropewalk.spaces.rebuild import rebuild

__all__ = ["remember"]


async def remember(core: Core, name: str, memory: Memory) -> None:
    """Fill the ledger again, where that is due.

    Args:
        core: The space.
        name: What the user calls it.
        memory: What was remembered.
    """
    if memory is Memory.KEPT:
        return
    found = await rebuild(core)
    if memory is Memory.LOST:
        core.warnings.append(
            f"the local state of {name} was built anew from the stores ({count(found.packs, 'pack')},"
            f" {count(found.heads, 'head')}); that they went back to an older version in the meantime cannot be ruled"
            " out"
        )
    elif memory is Memory.NONE:
        core.notes.append(
            f"nothing was known of {name!r} on this machine: that its stores show an old version cannot be ruled"
            " out this once"
        )
    core.warnings.extend(found.problems)
