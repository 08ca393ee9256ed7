"""Run: `make bench`: rates beside the floors and other programs on this machine, and which goals are met.

    python bench/run.py --quick             smaller data, three rounds
    python bench/run.py --only platform     the network platform's parts alone; or `spaces`, `remote`, `groups`,
                                            `nodes`, `web`, `pages`
    python bench/run.py --only large        one part; may be repeated
    python bench/run.py --ram               the large file once more on /dev/shm
    python bench/run.py --large             memory for 4 GiB and for 1,000,000 files too (many minutes)
    python bench/run.py --json FILE         everything, each single run too

docs/reference/benchmarks.md says what each row is and how to read it.

Flow: words -> parts -> Report -> standard output; how far it is -> standard error
Never: leaves out a row that looks bad: what is missed is said as plainly as what is met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import SubprocessError

import data
import figures
from measure import Failed, say
from peers import version_of
from report import Report
from spaces import Spaces

RAM = Path("/dev/shm")  # noqa: S108 - it is the place that is meant, and all goes into a fresh folder
ROOM = 8  # times the large file: what the large file's part may need at once
SPACES = ("large", "small", "library", "changes", "metadata", "start")
PLATFORM = {  # part -> module and function
    "echo": ("network", "echo"),
    "accept": ("network", "accept"),
    "idle": ("network", "idle"),
    "loops": ("loops", "measure"),
    "metrics": ("metrics", "measure"),
    "launch": ("launch", "measure"),
    "intake": ("intake", "measure"),
}
REMOTE = {"calls": ("remote", "calls"), "holding": ("remote", "holding")}
TOGETHER = {"merge": ("groups", "merge"), "removal": ("people", "removal"), "opening": ("people", "opening")}
OVER_NODES = {"stream": ("nodes", "stream"), "rest": ("nodes", "rest")}
OVER_NODES |= {part: ("nodes_away", part) for part in ("dead", "first", "slow")}
WEB = {"requests": ("web", "requests")}
PAGES = {part: ("pages", part) for part in ("folder", "transfer", "film", "up", "page")}
MODULES = PLATFORM | REMOTE | TOGETHER | OVER_NODES | WEB | PAGES
PACKAGES = (
    *("uvloop", "httptools", "websockets", "twisted", "uvicorn", "starlette", "aiofastnet", "anyio"),
    *("prometheus-client", "opentelemetry-sdk"),
)
GROUPS = {"spaces": SPACES, "platform": tuple(PLATFORM), "remote": tuple(REMOTE), "groups": tuple(TOGETHER)}
GROUPS |= {"nodes": tuple(OVER_NODES), "web": tuple(WEB), "pages": tuple(PAGES)}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Rates beside the floors and other programs on this machine.")
    parser.add_argument("--quick", action="store_true", help="smaller data, three rounds")
    parser.add_argument("--rounds", type=int, help="how many; five, seven but for spaces, or three with --quick")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes: the disk to measure")
    parser.add_argument("--ram", action="store_true", help=f"the large file once more on {RAM}")
    parser.add_argument("--large", action="store_true", help="memory for 4 GiB and for 1,000,000 files too")
    parts = (*GROUPS, *SPACES, "memory", *MODULES)
    parser.add_argument("--only", choices=parts, action="append", help="a part, or a group of them; may be repeated")
    parser.add_argument("--json", type=Path, help="write everything into this file too")
    given = parser.parse_args(words)
    sizes, load = (data.QUICK, figures.QUICK) if given.quick else (data.FULL, figures.FULL)
    sizes = replace(sizes, rounds=given.rounds or sizes.rounds)
    load = replace(load, rounds=given.rounds or load.rounds)
    folder = Path(tempfile.mkdtemp(prefix="ropewalk-bench-", dir=given.folder)).resolve()
    report = Report(_machine(sizes.rounds, load.rounds))
    spaces = Spaces(sizes, folder, report)
    steps: list[Callable[[], None]] = [
        partial(_loaded, part, report, load, folder) if part in MODULES else getattr(spaces, part)
        for part in _chosen(given.only or tuple(GROUPS))
    ]
    if given.ram:
        steps.append(partial(_on_ram, spaces))
    if given.large:
        steps.append(spaces.memory)
    status = 0
    try:
        for step in steps:
            try:
                step()
            except (Failed, OSError, SubprocessError) as error:  # what the other parts find is worth having
                say(f"failed: {error}")
                report.notes.append(f"a part is missing, since it failed: {error}")
                status = 1
            if given.json:  # after each part, since a long run may be stopped
                given.json.write_text(json.dumps(report.plain(), indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.text())
    return status


def _chosen(given: Sequence[str]) -> list[str]:
    """The parts of groups, each once."""
    return list(dict.fromkeys(part for name in given for part in GROUPS.get(name, (name,))))


def _loaded(part: str, report: Report, load: figures.Load, folder: Path) -> None:
    # Imported only now: what this process holds in memory, a child begins with, and it counts as the child's peak.
    module, name = MODULES[part]
    inside = folder / part
    inside.mkdir()
    getattr(import_module(module), name)(report, load, inside)


def _machine(rounds: int, platform_rounds: int) -> dict[str, str]:
    versions = [f"{name} {'.'.join(map(str, found))}" for name in ("restic", "rclone") if (found := version_of(name))]
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.machine()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
        "rounds": f"{rounds} of spaces, else {platform_rounds}, interleaved; figures are medians, peaks the worst",
    }


def _on_ram(spaces: Spaces) -> None:
    wanted = ROOM * spaces.sizes.large
    if not RAM.is_dir() or shutil.disk_usage(RAM).free < wanted:
        spaces.report.notes.append(f"{RAM} has less than {wanted / 2**30:.0f} GiB free: its rows are missing")
        return
    folder = Path(tempfile.mkdtemp(prefix="ropewalk-bench-", dir=RAM))
    try:
        spaces.large(folder, ", RAM disk")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
