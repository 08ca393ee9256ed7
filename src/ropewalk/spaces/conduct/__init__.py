"""Conduct: what a head deserves, by the heads and records that are known (docs/spec/groups.md 4 and 5).

In the order to read them: ``branches`` (forks), ``judging`` (one head), ``cuts`` (all of them, once records say more).
"""

from ropewalk.spaces.conduct.branches import Branches, branch_writer
from ropewalk.spaces.conduct.cuts import Heads, resettled
from ropewalk.spaces.conduct.judging import (
    Counted,
    Evidence,
    Fallen,
    Known,
    Quarantine,
    Refuse,
    Verdict,
    Wait,
    fallen,
    judge,
)

__all__ = [
    "Branches",
    "Counted",
    "Evidence",
    "Fallen",
    "Heads",
    "Known",
    "Quarantine",
    "Refuse",
    "Verdict",
    "Wait",
    "branch_writer",
    "fallen",
    "judge",
    "resettled",
]
