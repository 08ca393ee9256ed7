"""Hinting: whether hints can be replaced, are seen when they were, and can be deleted; whether the store tells.

Flow: looking -> replaces -> Findings
Never: waits for word of a change longer than it is told to.
"""

from __future__ import annotations

import asyncio

from ropewalk.errors import RopewalkError
from ropewalk.spaces.passport.ground import Ground, answer
from ropewalk.spaces.passport.record import Finding, found
from ropewalk.spaces.store import LARGEST_HINT, NoSuchObject, ObjectName, TellsNothing, wait_changed

__all__ = ["replaces"]

TELLS_WITHIN = 10.0  # seconds; who is told later reads in between anyhow


async def replaces(ground: Ground) -> list[Finding]:
    """Whether hints can be used, and whether the store tells of them."""
    name = ground.hint()
    for data in (b"first", b"second, and longer", ground.bytes_of("hint", LARGEST_HINT), b"last"):
        refused = await answer(ground.replace(name, data))
        if isinstance(refused, RopewalkError):
            return [found("hints", "no", "limited", f"a hint cannot be replaced: {refused}")]
        lies = await answer(ground.get(name))
        if lies != data:
            return [found("hints", "late", "limited", "a hint that was replaced is not seen at once as it was put")]
    tells = await _tells(ground, name)
    gone = await answer(ground.delete(name))
    if isinstance(gone, RopewalkError):
        return [found("hints", "stays", "limited", f"a hint cannot be deleted: {gone}"), tells]
    there = await answer(ground.get(name))
    listed = await ground.listed(name)
    if not isinstance(there, NoSuchObject) or listed:
        ground.put_here[name] = None
        return [found("hints", "stays", "limited", "a hint that was deleted is seen for a while"), tells]
    return [found("hints", "yes", "good", "hints are replaced, seen at once, and deleted"), tells]


async def _tells(ground: Ground, name: ObjectName) -> Finding:
    try:
        async with asyncio.timeout(TELLS_WITHIN):
            mark = await wait_changed(ground.store, name, b"")
    except TellsNothing:
        return found("tells", "no", "limited", "it does not tell that a hint has changed: it has to be asked")
    except TimeoutError:
        return found("tells", "late", "limited", "it does not say where a hint stands")
    except RopewalkError as error:
        return found("tells", "no", "limited", f"it does not tell that a hint has changed: {error}")
    if ground.quick:  # a folder looks every now and then, and that is waited for
        return found("tells", None, "unknown", "it says where a hint stands; whether it tells of changes was not tried")
    waiting = asyncio.create_task(wait_changed(ground.store, name, mark))
    try:
        await asyncio.sleep(0)
        await ground.replace(name, b"told")
        done, _ = await asyncio.wait({waiting}, timeout=TELLS_WITHIN)
        told = bool(done) and waiting.exception() is None and waiting.result() != mark
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    if not told:
        return found("tells", "late", "limited", f"it did not tell within {TELLS_WITHIN:.0f} s that a hint had changed")
    return found("tells", "yes", "good", "it tells that a hint has changed")
