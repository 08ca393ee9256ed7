"""The verdict: what came of one lie in one operation.

A lie is *harmless* where the result is what it would be without it and nobody was troubled; *detected* where besides a
user was told, with the name of the store; *stopped* where the operation ended with a documented error and nothing was
acknowledged; and *past* where all stores agreed on an old state and a device without memory was shown it, which nobody
can prevent.  All else is a failure.  What was acknowledged is read afterwards: from the honest stores alone, by a
device without memory and by the one that heard the lies, which then goes on writing.

Flow: Prepared, Lie, Scenario -> Stage -> Verdict
Never: calls a lie tried that was not served and consumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ropewalk.errors import Damaged, PeerFault, Refused, Unavailable
from ropewalk.loops.simulated import Deadlock
from ropewalk.testing.liars.liar import Lie
from ropewalk.testing.liars.scenario import THOROUGH, Scenario
from ropewalk.testing.liars.stage import STORES, Prepared, Stage, Wrong

__all__ = ["DETECTED", "FAILED", "HARMLESS", "NOT_TRIED", "PAST", "STOPPED", "Verdict", "judge"]

HARMLESS, DETECTED, STOPPED, PAST, NOT_TRIED, FAILED = (
    "harmless",
    "detected",
    "stopped",
    "past",
    "not tried",
    "failed",
)
_AUDITS = ("check", "repair")  # they read every byte themselves
FOREVER = 100_000.0  # simulated seconds after which nothing is waited for: it hangs


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it."""

    lie: str  # its number
    operation: str
    outcome: str
    why: str  # of a failure, or the first thing that told of it
    consumed: dict[str, int]  # by call and kind of object
    seconds: float  # simulated

    def __str__(self) -> str:
        return f"lie {self.lie} in {self.operation}: {self.outcome} ({self.why})"


async def judge(
    prepared: Prepared, folder: Path, lie: type[Lie], scenario: Scenario, seed: int = 0, teller: str = "d0"
) -> Verdict:
    """Try one lie on one operation."""
    tellers = lie.tellers or (STORES if lie.all_alike else (teller,))
    stage = await Stage.set(prepared, folder, lie, tellers, seed)
    outcome, why, seconds = await _acted(stage, scenario, lie.told_of or tellers)
    consumed = dict(stage.account.consumed)
    if outcome == FAILED and lie.may_show_past and scenario.sees_past:
        outcome = PAST
    if consumed and outcome in (HARMLESS, DETECTED, STOPPED, PAST):
        try:
            async with asyncio.timeout(FOREVER):
                await _afterwards(stage, lie, scenario, done=outcome in (HARMLESS, DETECTED))
        except (Exception, Deadlock) as error:  # noqa: BLE001 - whatever it is, it is a failure
            outcome, why = FAILED, f"afterwards: {_said(error)}"
    if not consumed:
        outcome = NOT_TRIED if outcome in (HARMLESS, DETECTED) else FAILED  # what nobody lied about must not stop
    return Verdict(lie.number, scenario.name, outcome, why, consumed, seconds)


async def _acted(stage: Stage, scenario: Scenario, told_of: Collection[str]) -> tuple[str, str, float]:
    started = stage.clock()
    outcome, why = HARMLESS, ""
    try:
        async with asyncio.timeout(FOREVER):
            await scenario.act(stage)
    except (Damaged, Unavailable, Refused, PeerFault) as error:
        outcome, why = STOPPED, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
        return FAILED, _said(error), stage.clock() - started
    seconds = stage.clock() - started
    if stage.account.unbounded:
        return FAILED, "it took the names of a listing without a bound", seconds
    if seconds > scenario.limit:
        return FAILED, f"it took {seconds:.0f} s, at most {scenario.limit:.0f} s are allowed", seconds
    by_device = any(liar.lie.by_device for liar in stage.liars.values())
    marks = [*told_of, *(stage.prepared.inside.marks if by_device else ())]
    told = [line for line in stage.said if any(name in line for name in marks)]
    if outcome == HARMLESS and told:
        outcome, why = DETECTED, told[0]
    return outcome, why, seconds


async def _afterwards(stage: Stage, lie: type[Lie], scenario: Scenario, *, done: bool) -> None:
    """What was acknowledged is there, what is not kept was noticed by who read every byte, and who belongs is agreed.

    Args:
        stage: Of the run.
        lie: What was told.
        scenario: What was done.
        done: Whether it came to its end.

    Raises:
        Wrong, RopewalkError.
    """
    if lie.spoils and scenario.name not in _AUDITS:
        async with asyncio.timeout(THOROUGH), stage.open() as space:
            await stage.audit(space)
    await stage.end(leave=not (lie.all_alike or lie.tellers))
    stage.gone |= stage.spared
    untouched, gone = stage.as_prepared, frozenset(stage.gone)
    if not untouched or gone not in stage.prepared.seen:  # from the same objects it reads the same
        async with stage.open(stage.fresh()) as space:
            await stage.expect(await space.current())
            if not done:  # what was broken off may have come to be or not, and is the same for all
                stage.people = stage.found(space)
            await stage.expect_people(space)
        if untouched:
            stage.prepared.seen.add(gone)
    stage.gone -= stage.spared
    async with stage.open() as space:
        await space.write("goes on", b"as if nothing had been")
        stage.files["goes on"] = b"as if nothing had been"
        await stage.expect(await space.current())
        await stage.expect_people(space)


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
