"""The matrix: every lie on every operation, and the table of what came of them.

Flow: a seed -> prepare -> judge each pair, each in a simulated loop of its own -> Verdicts -> the table in Markdown
Never: takes one run's stores or homes into the next.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from ropewalk.loops.simulated import Simulated
from ropewalk.spaces import discover, gathering, rebuild, survey, warnings
from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.learning import listing
from ropewalk.testing.liars.liar import Lie
from ropewalk.testing.liars.prepare import prepare
from ropewalk.testing.liars.registry import LIES, SCENARIOS
from ropewalk.testing.liars.scenario import Scenario
from ropewalk.testing.liars.stage import Prepared
from ropewalk.testing.liars.verdict import DETECTED, FAILED, HARMLESS, NOT_TRIED, PAST, STOPPED, Verdict, judge

__all__ = ["MARKS", "matrix", "prepared_in", "simulated", "table", "worst"]

_T = TypeVar("_T")

FEW = 300  # names, in place of bounds of up to a million, which take their time to list
BOUNDS = (
    (listing, "MOST_HEADS"),
    (listing, "MOST_RECORDS"),
    (gathering, "MOST_NAMES"),
    (discover, "MOST_RECORDS"),
    (discover, "MOST_SPACES"),
    (rebuild, "MOST_LISTED"),
    (survey, "MOST_NAMES"),
)

MARKS = {NOT_TRIED: "", HARMLESS: "h", DETECTED: "d", PAST: "p", STOPPED: "s", FAILED: "F"}  # from best to worst
_HEAD = """# Lies, and what comes of them

Each lie is a store that does what it says, for as long as it is asked: `ropewalk.testing.liars` has them all.
Five stores keep a space of which any two may be lost, and one of them lies; where it says so, two or all of them lie.
A device or a mailbox that lies has its own lines: of a device, one store shows what it signed.
The space began with feature level 1, has three members, and one more, an admin, was put out of it.
Afterwards all that was acknowledged is read byte for byte from the four that are honest, by a device without memory,
and the device that was lied to goes on writing. Both agree on who belongs, and nobody who was put out opens what is
written then.

- **h**, harmless: the result is what it would be without the lie, and nobody was troubled.
- **d**, detected: the same, and the user is told, with the name of the store.
- **s**, stopped: the operation ended with a documented error, and nothing was acknowledged. One store alone stops
  nothing; all of them together can, and so can a mailbox, or a device whose own work is then refused.
- **p**, past: all stores agree on an old state, and a device without memory of its own is shown that; see the
  [threat model](../threat-model.md).
- **F**, a failure: something else than these; there is none.
- Nothing: the lie was not told there, or nobody listened.

This file is made by `python -m ropewalk.testing.liars`, and a test checks that it is current.
"""


def simulated(main: Coroutine[Any, Any, _T], seed: int) -> _T:
    """Run in a loop in which no real time passes, with randomness from the seed."""
    drawn = random.Random(seed).randbytes  # noqa: S311 - repeatable, not secret
    with mock.patch.object(os, "urandom", drawn), asyncio.Runner(loop_factory=Simulated(seed).new_loop) as runner:
        return runner.run(main)


def prepared_in(folder: Path, seed: int) -> Prepared:
    """The space that all runs start from."""
    return simulated(prepare(folder / "prepared"), seed)


def matrix(
    folder: Path,
    seed: int,
    lies: Iterable[type[Lie]] = LIES,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> list[Verdict]:
    """Try every lie on every operation, with bounds on listings that are small enough to be reached."""
    prepared = prepared_in(folder, seed)
    verdicts = []
    with ExitStack() as bounds:
        for check in ("verify_quick", "verify_slow"):  # the same signatures come in each run
            bounds.enter_context(mock.patch.object(PublicKeys, check, cache(getattr(PublicKeys, check))))
        gc.freeze()  # what is there by now stays: to look through it again and again takes a tenth of the time
        bounds.callback(gc.unfreeze)
        for module, bound in BOUNDS:
            bounds.enter_context(mock.patch.object(module, bound, FEW))
        bounds.enter_context(mock.patch.object(warnings, "MOST_WARNINGS", FEW // 2))  # so that names may cause more
        for lie in lies:
            for scenario in scenarios:
                if lie.by_mailbox and not scenario.by_mailbox:
                    verdicts.append(Verdict(lie.number, scenario.name, NOT_TRIED, "no mailbox has a part in it", {}, 0))
                    continue
                run = folder / "run"
                run.mkdir()
                verdicts.append(simulated(judge(prepared, run, lie, scenario, seed), seed))
                shutil.rmtree(run)
    return verdicts


def worst(runs: Iterable[Iterable[Verdict]]) -> dict[tuple[str, str], str]:
    """By lie and operation, the mark of the worst that came of it in any run."""
    order = list(MARKS)
    found: dict[tuple[str, str], str] = {}
    for run in runs:
        for verdict in run:
            cell = verdict.lie, verdict.operation
            found[cell] = max(found.get(cell, NOT_TRIED), verdict.outcome, key=order.index)
    return {cell: MARKS[outcome] for cell, outcome in found.items()}


def table(marks: Mapping[tuple[str, str], str]) -> str:
    """The page."""
    lines = [_HEAD, "| # | lie | such a store |", "|---|---|---|"]
    lines += [f"| {lie.number} | {lie.name} | {_does(lie)} |" for lie in LIES]
    lines += ["", "| # | " + " | ".join(scenario.name for scenario in SCENARIOS) + " |"]
    lines += ["|---" * (len(SCENARIOS) + 1) + "|"]
    for lie in LIES:
        row = [marks.get((lie.number, scenario.name), "") for scenario in SCENARIOS]
        lines += [f"| {lie.number} | " + " | ".join(row) + " |"]
    return "\n".join(lines) + "\n"


def _does(lie: type[Lie]) -> str:
    text = (lie.__doc__ or "").strip().rstrip(".")
    return text[:1].lower() + text[1:]
