"""Row: one outage tried, and what came of it; the table of all of them.

Flow: Outage -> Stage, clients at work -> befall -> all back -> repaired, checked, read by a newcomer -> Row -> table
Never: calls a run good in which a byte was lost or wrong, or of which a node that lied was not named.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from ropewalk.errors import RopewalkError
from ropewalk.spaces.check import check
from ropewalk.spaces.space import Space
from ropewalk.testing.outages.outage import Outage
from ropewalk.testing.outages.stage import NAMES, Stage

__all__ = ["HEAD", "Row", "lacking", "parse", "table", "tried", "tried_apart"]

BACK_WITHIN = 120.0  # seconds in which all is as before once all nodes are back
HEAD = ("outage", "times", "operations under way", "acknowledged", "refused", "read", "lost", "wrong", "told of")


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one outage.

    Attributes:
        outage: Its name.
        times: How often it struck.
        under_way: Operations at these moments, together.
        acknowledged: Writes; also those that were said to wait, and were published later.
        refused: Operations that ended with a documented error.
        read: Reads that gave what was written.
        lost: Acknowledged files that were not there afterwards.
        wrong: Reads that gave what nobody wrote.
        named: Nodes that lied, and of which people were told.
        faults: What else was not as it must be, in words.
    """

    outage: str
    times: int
    under_way: int
    acknowledged: int
    refused: int
    read: int
    lost: int
    wrong: int
    named: str
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all is as it must be."""
        return not (self.lost or self.wrong or self.faults)

    @property
    def cells(self) -> list[str]:
        """As in the table."""
        numbers = (self.times, self.under_way, self.acknowledged, self.refused, self.read, self.lost, self.wrong)
        return [self.outage, *(f"{number:,}" for number in numbers), self.named]


async def tried(kind: type[Outage], folder: Path, seed: int) -> Row:
    """Try an outage; what came of it.

    Args:
        kind: Which.
        folder: Empty.
        seed: Of what is left to chance.
    """
    outage = kind()
    faults: list[str] = []
    async with Stage.set(folder, seed, outage.floor, apart=outage.apart) as stage:
        async with stage.clients("one", "two", "three") as spaces:
            async with stage.load.of(spaces[:2], spaces[1:]):
                await stage.load.more_of("written", 4)
                stage.known.slowest.clear()
                await outage.befall(stage)
                slowest = dict(stage.known.slowest)
                await stage.load.more_of("written", 1)
            for space in spaces:
                await _until(partial(_writable, space, stage), faults, "a client could not write again")
            for space in spaces:
                await _until(space.pay, faults, "a client could not pay what it owes")
            await _until(partial(_repaired, spaces[0]), faults, "a repair left something owed")
        for kind_of, limit in outage.prompt.items():
            if (seconds := slowest.get(kind_of, 0.0)) > limit:
                faults.append(f"a {kind_of} took {seconds:.1f} s, expected at most {limit:g} s")
        named = [name for name in outage.accused if stage.told_of(name)]
        faults += [f"nobody was told of {name}" for name in outage.accused if name not in named]
        lost = await _lost(stage)
        known = stage.known
        return Row(
            outage.name,
            stage.times,
            stage.under_way,
            known.count["written"] + known.count["queued"],
            known.count["refused write"] + known.count["refused read"],
            known.count["read"],
            len(lost),
            len(known.wrong),
            ", ".join(named),
            faults + [f"{path} is lost" for path in lost[:5]] + known.wrong[:5],
        )


async def tried_apart(kind: type[Outage], seed: int) -> Row:
    """The same, in a process in a network namespace of its own."""
    words = [sys.executable, "-m", "ropewalk.testing.outages", "--one", kind.name, "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "sh", "-ec", 'ip link set lo up\nexec "$@"', "sh", *words),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(2 * BACK_WITHIN):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # so that it ends its nodes
            await process.wait()
    return msgspec.json.decode(said, type=Row)


def lacking(kind: type[Outage]) -> str:
    """Why an outage cannot be tried on this machine; "" where it can."""
    if not kind.root:
        return ""
    if os.geteuid():
        return "it needs root, to make namespaces"
    for program in ("unshare", "nsenter", *(("ip",) if kind.apart else ())):
        if shutil.which(program) is None:
            return f"it needs the program {program}"
    try:
        subprocess.run(["unshare", "--net" if kind.apart else "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return "namespaces are not to be had here"
    return ""


async def _writable(space: Space, stage: Stage) -> int:
    path = f"again/{len(stage.known.tried)}"
    stage.known.begin(path, b"again")
    await space.write(path, b"again")
    stage.known.said(path, b"again")
    return 0


async def _repaired(space: Space) -> int:
    report = await space.repair()
    checked = await check(space.core, everything=True)
    return report.owed + report.lost + len(report.away) + (not checked.ok)


async def _until(work: Callable[[], Awaitable[int]], faults: list[str], what: str) -> None:
    """Do it again and again until it leaves nothing."""
    why = ""
    try:
        async with asyncio.timeout(BACK_WITHIN):
            while True:
                try:
                    if not (left := await work()):
                        return
                    why = f"{left} left"
                except RopewalkError as error:
                    why = str(error)
                await asyncio.sleep(0.2)
    except TimeoutError:
        faults.append(f"{what} within {BACK_WITHIN:g} s: {why}")


async def _lost(stage: Stage) -> Sequence[str]:
    """What a client without memory does not find, with as many nodes gone as may be."""
    await stage.kill_quietly(stage.some(len(NAMES) - 3))
    async with stage.open("newcomer") as space:
        return await stage.known.compare(await space.current())


def table(rows: Iterable[Row], kinds: Sequence[type[Outage]], words: str) -> str:
    """The page."""
    lines = [words, "| outage | what befalls |", "|---|---|"]
    lines += [f"| {kind.name} | {_does(kind)} |" for kind in kinds]
    lines += ["", "| " + " | ".join(HEAD) + " |", "|---" + "|---:" * 7 + "|---|"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def parse(page: str) -> list[Row]:
    """The rows of the page."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    at = rows.index(list(HEAD))
    return [_row(*cells) for cells in rows[at + 2 :]]


def _row(outage: str, *cells: str) -> Row:
    times, under_way, acknowledged, refused, read, lost, wrong = (int(cell.replace(",", "")) for cell in cells[:-1])
    return Row(outage, times, under_way, acknowledged, refused, read, lost, wrong, cells[-1])


def _does(kind: type[Outage]) -> str:
    text = (kind.__doc__ or "").partition("\n")[0].strip().rstrip(".")
    return text[:1].lower() + text[1:]
