"""Measure: one whole process, timed; medians and ratios of what came out.

Flow: Command -> run -> Taken; several Taken of a row -> medians; two sides of the same rounds -> Ratio
Never: counts the time in which an earlier step's bytes go to the disk, or leaves out those of the step itself.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

__all__ = ["Command", "Failed", "Ratio", "Row", "Taken", "ratio", "run", "say", "sync", "turned"]

_SHOWN = 2000  # characters of what a program that failed said last
_TICKS = os.sysconf("SC_CLK_TCK")
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; what getrusage counts memory in


_T = TypeVar("_T")


class Failed(Exception):
    """What is measured ended, fell silent, or gave back other bytes."""


def say(line: str) -> None:
    """Tell how far the run is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def turned(sides: Sequence[_T], number: int) -> list[_T]:
    """The order of a round: nobody is always the first, or always the one after the floor."""
    at = number % len(sides)
    return [*sides[at:], *sides[:at]]


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments."""

    words: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # beside that of this process


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run of a program took."""

    seconds: float  # until it ended
    synced: float  # until all that it wrote was on the disk too
    cpu: float  # seconds of the process and those it waited for, in it and in the kernel for it
    peak: int  # bytes of memory
    others: float  # CPU seconds that everything else on the machine used meanwhile, the kernel's writing included
    said: str = ""  # on its standard output


@dataclass(slots=True)
class Row:
    """The runs of one program doing one thing, a run for each round."""

    work: str
    step: str
    program: str
    files: int
    size: int  # bytes of files, as the user counts them
    by_files: bool = False  # the rate that matters is files/s
    runs: list[Taken] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median, with the sync."""
        return median(taken.synced for taken in self.runs)

    @property
    def before_sync(self) -> float:
        """Median seconds until the process ended."""
        return median(taken.seconds for taken in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """Shortest and longest, with the sync."""
        return min(taken.synced for taken in self.runs), max(taken.synced for taken in self.runs)

    @property
    def cpu_per_gib(self) -> float:
        """CPU seconds for each GiB of files."""
        return median(taken.cpu for taken in self.runs) / self.size * 2**30

    @property
    def peak(self) -> int:
        """Bytes of memory; the worst of all runs, since a limit is broken by one."""
        return max(taken.peak for taken in self.runs)

    def rate(self, seconds: float) -> str:
        """The rate for people."""
        return f"{self.files / seconds:,.0f} files/s" if self.by_files else f"{self.size / seconds / 1e6:,.0f} MB/s"


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times something is something else."""

    median: float  # of the medians
    middle: float  # the median of the pairs, round by round
    low: float  # of the pairs
    high: float


def ratio(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """How many times ``one`` is ``other``; both are of the same rounds."""
    pairs = [ours / theirs for ours, theirs in zip(one, other, strict=True)]
    return Ratio(median(one) / median(other), median(pairs), min(pairs), max(pairs))


def sync(folder: Path) -> None:
    """Return once everything written to the file system of a folder is on the disk."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if library.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs failed", str(folder))
    finally:
        os.close(descriptor)


def run(command: Command, folder: Path) -> Taken:
    """Run a program to its end.

    Args:
        command: What to run.
        folder: On the file system that it writes to.

    Raises:
        Failed: Its status is not 0.
    """
    # An installed package has its bytecode; where this variable keeps it from being written, every start compiles.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(command.env)
    sync(folder)
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        busy, started = _busy(), time.perf_counter()
        process = subprocess.Popen(command.words, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=complained)
        _, status, used = os.wait4(process.pid, 0)
        ended = time.perf_counter()
        process.returncode = os.waitstatus_to_exitcode(status)
        sync(folder)
        synced, busy = time.perf_counter(), _busy() - busy
        if process.returncode:
            complained.seek(max(complained.tell() - _SHOWN, 0))
            last = complained.read().decode(errors="replace").strip()
            raise Failed(f"{' '.join(command.words)[:200]} ended with {process.returncode}: {last}")
        said.seek(0)
        cpu = used.ru_utime + used.ru_stime
        others = max(busy - cpu, 0.0)
        return Taken(
            ended - started, synced - started, cpu, used.ru_maxrss * _UNIT, others, said.read().decode(errors="replace")
        )


def _busy() -> float:
    """CPU seconds that all of the machine has used; 0 where the system does not tell."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq = (int(ticks) for ticks in first[1:8])
    return (user + nice + system + irq + softirq) / _TICKS
