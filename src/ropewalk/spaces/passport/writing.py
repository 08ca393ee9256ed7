"""Writing: what becomes of an object that is put, read, read in part, and deleted.

Flow: looking -> writes, deletes, reads_after_writes, shows_whole, reads_ranges -> Findings
Never: takes an answer for a fact: what was put is read.
"""

from __future__ import annotations

import asyncio

from ropewalk.errors import Damaged, Misuse, Refused, RopewalkError
from ropewalk.spaces.passport.ground import Ground, Outcome, answer
from ropewalk.spaces.passport.record import Finding, Verdict, found
from ropewalk.spaces.store import NoSuchObject

__all__ = ["deletes", "reads_after_writes", "reads_ranges", "shows_whole", "writes"]

SIZES = (0, 1, 4096, 65_537)  # bytes; the ends of what a store may treat in another way
WHOLE = 1024 * 1024  # bytes; large enough for a reader to come in between
MOST_LOOKS = 64
RANGED = 10_000  # bytes
INSIDE = ((0, None), (3, 4), (0, 0), (9_999, None), (4_095, 4_098))
AT_THE_END = ((9_990, 20), (10_000, 1), (10_001, None), (1 << 40, 1 << 40))


async def writes(ground: Ground) -> list[Finding]:
    """Whether anything can be put at all."""
    try:
        await ground.keep(ground.name("first"), ground.bytes_of("first", 100))
    except (Refused, Damaged, Misuse) as error:
        return [found("writes", "no", "limited", f"nothing can be put into it: {error}")]
    return [found("writes", "yes", "good", "it takes objects")]


async def deletes(ground: Ground) -> list[Finding]:
    """Whether what is deleted is gone, and its name free."""
    name, first, second = ground.name("deleted"), b"first", b"second"
    await ground.put(name, first)
    refused = await answer(ground.delete(name))
    if isinstance(refused, RopewalkError):
        ground.quick = True  # what is put stays there
        return [found("delete", "no", "limited", f"it deletes nothing for us: {refused}")]
    there = await answer(ground.get(name))
    if not isinstance(there, NoSuchObject):
        ground.put_here[name] = None
        if isinstance(there, bytes):
            return [found("delete", "late", "limited", "what was deleted can still be read")]
        return [found("delete", "unsaid", "limited", f"it does not say plainly that what was deleted is gone: {there}")]
    listed = await ground.listed(name)
    again = await answer(ground.delete(name))
    if isinstance(again, RopewalkError):
        return [found("delete", "once", "limited", f"to delete what is gone is an error: {again}")]
    taken = await answer(ground.put(name, second))
    if isinstance(taken, RopewalkError):
        return [found("delete", "name", "limited", f"a deleted name cannot be used again: {taken}")]
    ground.kept[name] = second
    outcome = await ground.look(name, second)
    if outcome.amiss:
        why = f": {outcome.why}" if outcome.unread else ""
        return [found("delete", "torn", "bad", f"what was put under a deleted name does not come back{why}")]
    if listed:
        return [found("delete", "listed", "limited", "what was deleted is still listed for a while")]
    return [found("delete", "yes", "good", "what was deleted is gone at once, and its name is free")]


async def reads_after_writes(ground: Ground) -> list[Finding]:
    """Whether what was acknowledged is there at once, whole, and nothing else is."""
    seen = Outcome()
    for size in SIZES:
        name, data = ground.name("read", size), ground.bytes_of(f"read {size}", size)
        await ground.keep(name, data)
        seen += await ground.look(name, data)
    never = await answer(ground.get(ground.name("never")))
    back = len(SIZES) - seen.amiss
    if seen.amiss:
        words = f"of {len(SIZES)} objects that it acknowledged {seen.words}"
        return [found("read-after-write", back, "bad", words)]
    if isinstance(never, bytes):
        return [found("read-after-write", back, "bad", "it gives bytes under a name that was never put")]
    if not isinstance(never, NoSuchObject):
        return [found("read-after-write", back, "limited", f"it does not say plainly what is not there: {never}")]
    return [found("read-after-write", back, "good", f"{back} objects came back at once as they were put")]


async def shows_whole(ground: Ground) -> list[Finding]:
    """Whether a reader who comes early sees none of an object, or all of it."""
    name, data = ground.name("whole"), ground.bytes_of("whole", WHOLE)
    putting = asyncio.create_task(ground.put(name, data))
    looks = torn = 0
    try:
        while not putting.done() and looks < MOST_LOOKS:
            seen = await answer(ground.get(name))
            torn += isinstance(seen, Damaged) or (isinstance(seen, bytes) and seen != data)
            looks += 1
            await asyncio.sleep(0)
        await putting
    finally:
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
    outcome = await ground.look(name, data)
    if torn or outcome.wrong:
        return [found("whole", torn, "bad", "a reader sees part of an object while it is put")]
    if outcome.amiss:
        words = f"cannot be read: {outcome.why}" if outcome.unread else "is not there"
        return [found("whole", torn, "bad", f"an object that was read while it was put {words}")]
    return [found("whole", 0, "good", f"{looks} readers who came early saw none of an object, or all of it")]


async def reads_ranges(ground: Ground) -> list[Finding]:
    """Whether a range is exactly that."""
    name, data = ground.name("ranged"), ground.bytes_of("ranged", RANGED)
    await ground.keep(name, data)
    verdict: Verdict = "good"
    wrong = 0
    words = "ranges are exact, at the end and beyond it too"
    for offset, length in (*INSIDE, *AT_THE_END):
        wanted = data[offset:] if length is None else data[offset : offset + length]
        got = await answer(ground.get(name, offset, length))
        if got == wanted:
            continue
        wrong += 1
        if isinstance(got, bytes):
            verdict = "bad"
            words = f"from {offset}, {length} bytes were asked for: got {len(got)} and not those, {len(wanted)} are"
        elif verdict != "bad":  # nobody asks for what holds no bytes; what does and cannot be read is lost
            verdict = "bad" if wanted else "limited"
            words = f"a range from {offset} of {RANGED} bytes cannot be read: {got}"
    return [found("ranges", len(INSIDE) + len(AT_THE_END) - wrong, verdict, words)]
