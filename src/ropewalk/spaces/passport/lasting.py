"""Lasting: whether what was acknowledged is still there: at the end, and after the store was started again.

Flow: looking -> keeps; leave -> a restart that somebody makes -> lasts -> Findings
Never: calls anything durable that was only read back from a store that ran on.
"""

from __future__ import annotations

from ropewalk.spaces.passport.ground import Ground, Outcome
from ropewalk.spaces.passport.record import Finding, found
from ropewalk.spaces.store import ObjectName

__all__ = ["LEFT", "keeps", "lasts", "leave", "names_left", "not_tried"]

LEFT = (100, 4096, 1024 * 1024)  # bytes of the objects that are left


async def keeps(ground: Ground) -> list[Finding]:
    """Whether all that was put in this look, and not deleted, is there at its end."""
    seen = Outcome()
    for name, data in ground.kept.items():
        seen += await ground.look(name, data)
    count = len(ground.kept)
    if seen.amiss:
        return [found("keeps", count - seen.amiss, "bad", f"of {count} objects, at the end of the look, {seen.words}")]
    return [found("keeps", count, "good", f"all of {count} objects are there at the end")]


def names_left(ground: Ground) -> list[ObjectName]:
    """What they are called."""
    return [ground.name("left", at) for at in range(len(LEFT))]


async def leave(ground: Ground) -> None:
    """Put what is to be there after a restart."""
    for at, (name, size) in enumerate(zip(names_left(ground), LEFT, strict=True)):
        await ground.put(name, ground.bytes_of(f"left {at}", size))


async def lasts(ground: Ground) -> Finding:
    """Whether what was left is there."""
    seen = Outcome()
    for at, (name, size) in enumerate(zip(names_left(ground), LEFT, strict=True)):
        seen += await ground.look(name, ground.bytes_of(f"left {at}", size))
    if seen.amiss:
        return found("durability", "no", "bad", f"of {len(LEFT)} objects, after a restart, {seen.words}")
    return found("durability", "yes", "good", "what was left before a restart was there after it")


def not_tried(left: bytes) -> Finding:
    """What is said before anybody has started the store again."""
    words = "start the store again, then look with --after-restart" if left else "it was not looked at after a restart"
    return found("durability", None, "unknown", words)
