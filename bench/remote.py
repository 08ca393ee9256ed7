"""Remote: calls of remote objects beside the bare stream and what else Python programs call each other with.

Peers are no dependencies: they are run by the interpreter that $ROPEWALK_BENCH_PEERS names, this one without it.

Flow: a server and a client of each side -> each work, side by side in turn, round by round -> Figures -> goals
Never: ranks what answers a hundred calls with one message among what answers each; says so in the row instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from statistics import median, quantiles
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from figures import Figure, Load
from measure import Failed, say, turned
from remote_ours import BARE, CHAIN, OURS, TUNED
from remote_ours import SIDES as OUR_SIDES
from remote_peers import COMPLETE
from remote_peers import SIDES as PEER_SIDES
from remote_work import WORKS
from report import Goal, Report, beside

__all__ = ["PEERS_PYTHON", "calls", "holding"]

PEERS_PYTHON = "ROPEWALK_BENCH_PEERS"
PATIENCE = 60  # seconds for an answer of a process
SHOWN = 400  # characters of the last words of one that failed
TYPED, ASYNC, TIMED, CHAINED = f"{OURS}, annotated", f"{OURS}, async", f"{OURS}, deadline", f"{OURS}, chain of {CHAIN}"
PICOWS, PB, GRPC, PYRO = "picows, msgspec", "Twisted PB", "gRPC aio", "Pyro5, batch"
UNLIKE = {  # side -> the works that it does in another way than the others, and how
    PYRO: ("bcde", "one message carries all calls"),
    PB: ("e", "in two pieces"),
    "Twisted AMP": ("de", "in pieces of less than 64 KiB"),
    "Foolscap": ("abcde", "always over TLS"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """What stands in rows of its own without being a process of its own.

    Attributes:
        side: Whose process does it.
        prefix: Of the work, as that process knows it.
        same: It is measured too where client and server share a core.
    """

    side: str
    prefix: str = ""
    same: bool = False


VARIANTS = {
    TYPED: Variant(OURS, "typed "),
    ASYNC: Variant(OURS, "async "),
    TIMED: Variant(OURS, "deadline ", same=True),
    CHAINED: Variant(OURS, "chain "),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One work that sides are compared by."""

    title: str
    key: str  # in WORKS
    prefix: str = ""
    same: bool = False  # client and server share a core
    asked: bool = True  # a goal stands on it; else half the time will do


ROWS = (
    Row("a: one call at a time", "a", asked=False),
    Row("a: the same, one core", "a", same=True),
    Row("b: 100 calls in flight", "b"),
    Row("b: the same, one core", "b", same=True, asked=False),
    Row("b: 100 begun, then awaited", "b", "many "),
    Row("c: 100 records in flight", "c"),
    Row("d: 64 KiB, 16 in flight", "d"),
    Row("e: 1 MiB, 4 in flight", "e"),
    Row("a over TLS, one core", "a", "tls ", same=True),
    Row("b over TLS", "b", "tls ", asked=False),
    Row("d over TLS", "d", "tls ", asked=False),
    Row("e over TLS", "e", "tls "),
    Row("one call, 20 ms away", "a", "far "),
)
Found = dict[str, dict[str, Figure]]  # title, side


class Process:
    """A server or a client."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._complained = TemporaryFile()  # noqa: SIM115 - `end` closes it
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complained, text=True
        )
        self.number = self._process.pid

    def said(self) -> Any:
        """Its next line.

        Raises:
            Failed: It has ended, or says nothing.
        """
        assert self._process.stdout is not None
        what = " ".join(self._words[1:4])
        if not select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Failed(f"{what} said nothing for {PATIENCE} s")
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait(PATIENCE)
            self._complained.seek(0)
            last = self._complained.read().decode(errors="replace").strip()[-SHOWN:]
            raise Failed(f"{what} ended with {status}: {last}")
        return json.loads(line)

    def ask(self, question: str) -> Any:
        """What it says to that.

        Raises:
            Failed: It has ended, or says nothing.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{question}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `said` tells how it ended
        return self.said()

    def pin(self, core: int) -> None:
        """Let all its threads, and those that they will start, run on this core alone."""
        for thread in Path(f"/proc/{self.number}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})

    def end(self) -> None:
        """Let it go."""
        self._process.kill()
        self._process.wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout, self._complained):
            assert pipe is not None
            pipe.close()


@contextmanager
def _process(*words: str) -> Iterator[Process]:
    process = Process(words)
    try:
        yield process
    finally:
        process.end()


class Pair:
    """Server and client of one side."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.name = name
        ours = name in OUR_SIDES
        script = Path(__file__).with_name("remote_ours.py" if ours else "remote_peers.py")
        self._words = (sys.executable if ours else _peers_python(), str(script), name)
        self._stack = stack
        folder = stack.enter_context(TemporaryDirectory())
        self.server = stack.enter_context(_process(*self._words, "serve", folder))

    def connect(self) -> None:
        """Start the client; `begun` waits for it."""
        words = (*self._words, "client", self.server.said(), str(self.server.number))
        self.client = self._stack.enter_context(_process(*words))

    def begun(self) -> None:
        """Wait until the client can work."""
        self.works = frozenset(self.client.said())

    def pin(self, *, same: bool) -> None:
        """Give each of the two a core of its own, or both the last one."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            self.server.pin(cores[-1] if same else cores[0])
            self.client.pin(cores[-1])


class Rounds:
    """What every side does, round by round.

    Attributes:
        found: The figures of each row, by side; the first is what the others stand beside.
    """

    def __init__(self, report: Report, seconds: float) -> None:
        self.found: Found = {row.title: {} for row in ROWS}
        self._report, self._seconds = report, seconds
        self._sides = [*OUR_SIDES, *_installed(report)]
        self._costs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._others: list[float] = []

    def run(self, number: int) -> None:
        """One round: new processes of all sides; then, row by row, each in turn, another one first in each round."""
        with ExitStack() as stack:
            pairs = {name: Pair(name, stack) for name in self._sides}
            for act in (Pair.connect, Pair.begun):  # so they start side by side
                for name in list(self._sides):
                    with self._without(name):
                        act(pairs[name])
            for row in ROWS:
                for label in turned([BARE, OURS, *VARIANTS, TUNED, *PEER_SIDES], number):
                    done = VARIANTS.get(label, Variant(label, same=True))
                    if done.side in self._sides and (done.same or not row.same):
                        with self._without(done.side):
                            self._time(row, label, pairs[done.side], f"{row.prefix}{done.prefix}{row.key}")

    @contextmanager
    def _without(self, name: str) -> Iterator[None]:
        """Go on without a peer that fails."""
        try:
            yield
        except Failed as error:
            if name in OUR_SIDES:
                raise
            self._report.notes.append(f"{name} is left out, since it failed: {error}")
            self._sides.remove(name)
            for figures in self.found.values():
                figures.pop(name, None)

    def _time(self, row: Row, label: str, pair: Pair, work: str) -> None:
        if work not in pair.works:
            return
        pair.pin(same=row.same)
        took = pair.client.ask(f"{work} {self._seconds if row.asked else self._seconds / 2}")
        each, payload = took["seconds"] / took["calls"], WORKS[row.key].payload
        unit, value = "/s", 1 / each
        if row.key == "a":
            unit, value = "us", each * 1e6
        elif payload:
            unit, value = "MB/s", payload / each / 1e6
        self.found[row.title].setdefault(label, Figure(row.title, label, unit)).values.append(value)
        cost = (took["client"] / took["calls"] * 1e6, took["server"] / took["calls"] * 1e6)
        self._costs.setdefault((row.title, label), []).append(cost)
        self._others.append(took["others"])

    def close(self) -> None:
        """Say what calls cost, and put all figures into the report."""
        for title, figures in self.found.items():
            order = [label for label in (BARE, OURS, *VARIANTS, TUNED, *PEER_SIDES) if label in figures]
            self.found[title] = {label: figures[label] for label in order}
            for label in order:
                client, server = (median(cost[at] for cost in self._costs[title, label]) for at in (0, 1))
                works, how = UNLIKE.get(label, ("", ""))
                more = f"; {how}" if title[0] in works else ""
                figures[label].more = f"CPU {client:.1f} and {server:.1f} us each{more}"
            self._report.figures += self.found[title].values()
        least, middle, most = (quantiles(self._others, n=10)[at] for at in (0, 4, 8))
        share = f"{middle:.2f} of a core in the median, {least:.2f} to {most:.2f} in eight of ten"
        self._report.notes.append(f"while remote calls were timed, everything else on the machine used {share}")


def calls(report: Report, load: Load, _folder: Path) -> None:
    """All works, of all sides that can run here."""
    rounds = Rounds(report, load.section)
    for number in range(load.rounds):
        rounds.run(number)
        say(f"remote calls: round {number + 1} of {load.rounds}")
    rounds.close()
    report.goals += goals(rounds.found)


def goals(found: Found) -> list[Goal]:
    """Those that have both their sides."""
    goals: list[Goal] = []

    def near(ours: str, title: str, others: Iterable[str], limit: float, *, least: bool = False, of: str = "") -> None:
        """One of ours beside the best of some others."""
        figures = found[title]
        there = [figures[other] for other in others if other in figures]
        if ours not in figures or not there:
            return
        best = (max if least else min)(there, key=lambda figure: figure.median)
        what = f"{title}{ours.removeprefix(OURS)}{of}, beside {best.side}"
        goals.append(beside(what, figures[ours], best, limit, least=least))

    ranked = [name for name in PEER_SIDES if name != PYRO]
    one = "a: the same, one core"
    for ours in (OURS, TIMED):
        near(ours, one, [BARE], 1.6)
        near(ours, one, [PICOWS], 1.3)
        near(ours, one, COMPLETE, 0.4, of=", the best complete system")
        near(ours, "b: 100 calls in flight", [BARE], 0.12, least=True)
        near(ours, "b: 100 calls in flight", ranked, 1, least=True, of=", the best peer")
        near(ours, "b: 100 calls in flight", [PB], 15, least=True)
        near(ours, "b: 100 calls in flight", [GRPC], 45, least=True)
        near(ours, "b: 100 begun, then awaited", [PYRO], 1.3, least=True)
        near(ours, "c: 100 records in flight", ranked, 1, least=True, of=", the best peer")
        near(ours, "a over TLS, one core", [BARE], 1.2)
    for title in ("d: 64 KiB, 16 in flight", "e: 1 MiB, 4 in flight"):
        near(TUNED, title, [BARE], 0.8, least=True)
        near(TUNED, title, PEER_SIDES, 1.8, least=True, of=", the best peer")
    near(TUNED, "e over TLS", [BARE], 0.9, least=True)
    far = found["one call, 20 ms away"]
    if OURS in far and CHAINED in far:
        goals.append(beside(f"{CHAIN} dependent calls in one round trip", far[CHAINED], far[OURS], 1.1))
    return goals


def holding(report: Report, load: Load, _folder: Path) -> None:
    """Memory of references that are held, and of sessions that do nothing."""
    with ExitStack() as stack:
        pair = Pair(OURS, stack)
        script, address = str(Path(__file__).with_name("remote_ours.py")), pair.server.said()
        with _process(sys.executable, script, "references", address, str(load.references)) as holder:
            each = holder.said()
        what = f"one of {load.references:,} references, memory of their holder"
        report.figures.append(Figure(what, OURS, "bytes", [each]))
        report.goals.append(Goal(what, each, 500, "bytes"))
        with _process(sys.executable, script, "sessions", address, "10"):
            pass  # whatever is made once is there
        before = pair.server.ask("memory")
        with _process(sys.executable, script, "sessions", address, str(load.sessions)) as holder:
            holder.said()
            each = (pair.server.ask("memory") - before) / load.sessions / 1024
        what = f"one of {load.sessions:,} idle sessions, memory of the server"
        report.figures.append(Figure(what, OURS, "KiB", [each]))
        report.goals.append(Goal(what, each, 12, "KiB"))


def _peers_python() -> str:
    return os.environ.get(PEERS_PYTHON) or sys.executable


def _installed(report: Report) -> list[str]:
    """The peers that the interpreter has; what is to be said of the others, and of the versions."""
    needs = {name: side.needs for name, side in PEER_SIDES.items()}
    words = [_peers_python(), "-c", _LOOK, json.dumps(needs)]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    missing = [name for name in PEER_SIDES if name not in found["here"]]
    if missing:
        where = f"set {PEERS_PYTHON} to an interpreter that has them"
        report.notes.append(f"remote objects without {', '.join(missing)}: not installed; {where}")
    report.machine["peers"] = f"Python {found['python']}, {', '.join(found['versions'])}"
    return [name for name in PEER_SIDES if name in found["here"]]


_LOOK = """
import importlib.metadata, importlib.util, json, platform, sys
needs, owners = json.loads(sys.argv[1]), importlib.metadata.packages_distributions()
here = [name for name, modules in needs.items() if all(map(importlib.util.find_spec, modules))]
owned = sorted({owners[module][0] for name in here for module in needs[name] if module in owners})
versions = [f"{one} {importlib.metadata.version(one)}" for one in owned]
print(json.dumps({"here": here, "python": platform.python_version(), "versions": versions}))
"""
