"""Liars: stores that lie in every way we know, what is tried on them, and what came of it.

Public: whoever builds on spaces can put the same lies to his own software.

Flow: LIES x SCENARIOS -> judge -> Verdict; a test of one's own -> Liar -> any Store
Never: lies unless switched on.
"""

from __future__ import annotations

from ropewalk.testing.liars.liar import Account, Inside, Liar, Lie, Place
from ropewalk.testing.liars.prepare import prepare
from ropewalk.testing.liars.registry import LIES, SCENARIOS
from ropewalk.testing.liars.scenario import Scenario
from ropewalk.testing.liars.stage import Prepared, Stage, Wrong
from ropewalk.testing.liars.verdict import (
    DETECTED,
    FAILED,
    HARMLESS,
    NOT_TRIED,
    PAST,
    STOPPED,
    Verdict,
    judge,
)

__all__ = [
    "DETECTED",
    "FAILED",
    "HARMLESS",
    "LIES",
    "NOT_TRIED",
    "PAST",
    "SCENARIOS",
    "STOPPED",
    "Account",
    "Inside",
    "Liar",
    "Lie",
    "Place",
    "Prepared",
    "Scenario",
    "Stage",
    "Verdict",
    "Wrong",
    "judge",
    "prepare",
]
