"""Taken: what becomes of a second put under one name, after the first or at the same time.

Flow: looking -> protects, races -> Findings
Never: calls a store unfit because others could overwrite: names commit to bytes.  What must not be is that an object
    is then neither the one nor the other.
"""

from __future__ import annotations

import asyncio

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.passport.ground import Ground, answer, tried
from ropewalk.spaces.passport.record import Finding, Verdict, found
from ropewalk.spaces.store import NameTaken, NoSuchObject, ObjectName

__all__ = ["RACERS", "protects", "races"]

RACERS = 16
ROUNDS = 4  # a quick look has one
_BODY = 16_384  # bytes


async def protects(ground: Ground) -> list[Finding]:
    """Whether a name that is taken keeps its bytes, and whether the same bytes may be put twice."""
    name, first, other = ground.name("taken"), ground.bytes_of("taken", 5000), ground.bytes_of("over", 4000)
    await ground.put(name, first)
    said = await answer(ground.put(name, other))
    lies = await answer(ground.get(name))
    if lies == first:
        ground.kept[name] = first
        if said is None:
            return [
                _found("kept", "bad", "it says that other bytes were kept under a taken name, and has not kept them")
            ]
        again = await answer(ground.put(name, first))
        if isinstance(again, RopewalkError):
            return [_found("once", "limited", f"the same bytes cannot be put again: {again}")]
        if not isinstance(said, NameTaken):
            return [
                _found("refused", "limited", f"other bytes are refused, without saying that the name is taken: {said}")
            ]
        return [_found("refused", "good", "other bytes under a taken name are refused, and the first stay")]
    if lies == other and said is None:
        ground.kept[name] = other
        return [_found("overwritten", "limited", "a second put overwrites the first")]
    if isinstance(lies, RopewalkError) and not isinstance(lies, NoSuchObject):
        return [_found("torn", "bad", f"what lies under a name that was put twice cannot be read: {lies}")]
    return [
        _found("torn", "bad", "after a second put a name holds neither what was put first nor what it acknowledged")
    ]


def _found(value: str, verdict: Verdict, words: str) -> Finding:
    return found("overwrite", value, verdict, words)


async def races(ground: Ground) -> list[Finding]:
    """How many of several who put other bytes under one name at once are told that theirs was kept."""
    most, torn, others = 0, 0, 0
    for turn in range(1 if ground.quick else ROUNDS):
        name = ground.name("race", turn)
        winners, lies = await _race(ground, name, turn)
        most = max(most, winners)
        torn += lies == "torn"
        others += lies == "another's"
    if torn:
        words = f"after {RACERS} puts at once a name does not hold what one of them put, whole"
        return [found("race", most, "bad", words)]
    if most == 1 and not others:
        return [
            found(
                "race",
                most,
                "good",
                f"one of {RACERS} who put other bytes at once is told that his are kept, and they are",
            )
        ]
    if most == 0:
        return [
            found("race", most, "limited", f"none of {RACERS} who put other bytes at once is told that his are kept")
        ]
    words = f"of {RACERS} who put other bytes under one name at once {most} were told that theirs are kept"
    return [found("race", most, "limited", words)]


async def _race(ground: Ground, name: ObjectName, turn: int) -> tuple[int, str]:
    async def put(body: bytes) -> RopewalkError | None:
        return await tried(ground.put(name, body))

    bodies = [ground.bytes_of(f"race {turn} {racer}", _BODY) for racer in range(RACERS)]
    said = await asyncio.gather(*map(put, bodies))
    if all(isinstance(one, Unavailable) for one in said) and isinstance(said[0], Unavailable):
        raise said[0]
    won = [body for body, one in zip(bodies, said, strict=True) if one is None]
    lies = await answer(ground.get(name))
    if not isinstance(lies, bytes) or lies not in bodies:
        return len(won), "torn"
    ground.kept[name] = lies
    return len(won), "a winner's" if lies in won else "another's"
