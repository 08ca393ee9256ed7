"""Spaces: what files cost, beside the disk's own floor and other programs on the same data.

Flow: sizes, folder -> a part -> rows and goals in the Report
Never: begins a part with what another has left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median

from data import Sizes, Source, make_large, make_library, make_small
from measure import run, say
from peers import Floor, Program, Ropewalk, peers
from report import Goal, Report, faster
from rounds import AGAIN, FIRST, LOST, LOST_AGAIN, PUT, Rounds

__all__ = ["Spaces"]

MEMORY = 250 * 2**20  # bytes


class Spaces:
    """The parts of one run that put, get and change files.

    Args:
        sizes: How much of everything.
        folder: All goes below it.
        report: Gets what is found.
        with_peers: Whether to run those that are installed.
    """

    def __init__(self, sizes: Sizes, folder: Path, report: Report, *, with_peers: bool = True) -> None:
        self.sizes, self.folder, self.report = sizes, folder, report
        self._with_peers = with_peers

    def large(self, folder: Path | None = None, where: str = "") -> None:
        """The large file: put, get, get with two stores gone, random reads."""
        folder = folder or self._part("large")
        source = make_large(folder / "large", self.sizes.large)
        ropewalk = Ropewalk(folder / "ropewalk")
        programs: list[Program] = [Floor(folder / "floor"), ropewalk, *self._peers(folder)]
        rounds = Rounds(folder, source, programs, again=True, called=source.name + where)
        rounds.run(self.sizes.rounds)
        ours, restic = ropewalk.name, ("restic", "restic, compression auto", "restic, compression off")

        def goal(what: str, step: str, others: tuple[str, ...], least: float, theirs: str = "") -> None:
            beside = [rounds.row(other, theirs or step) for other in others]
            of = " with all there" if theirs else ""
            self.report.goals += faster(f"{what}{where}, beside", rounds.row(ours, step), beside, least, of)

        goal("put a large file", PUT, restic, 2.0)
        goal("put a large file", PUT, ("floor",), 0.4)
        goal("get it, as the put left the cache", FIRST, restic, 2.0)
        goal("get it, as the put left the cache", FIRST, ("floor",), 0.5)
        goal("get it again, all of it in the cache", AGAIN, restic, 2.0)
        goal("get it again, all of it in the cache", AGAIN, ("floor",), 0.5)
        goal("get it with two stores gone", LOST, (ours,), 0.6, FIRST)
        goal("get it again with two stores gone", LOST_AGAIN, (ours,), 0.6, AGAIN)
        most = max(row.peak for row in rounds.rows if row.program == ours)
        self.report.goals += [
            Goal(f"stored bytes for each byte put, privacy level 1{where}", rounds.stored, 1.70),
            Goal(f"peak memory, large file{where}", most / 2**20, MEMORY / 2**20, "MiB"),
        ]
        self.report.rows += rounds.rows
        if not where:
            self._reads(ropewalk)
        shutil.rmtree(folder)

    def _reads(self, ropewalk: Ropewalk) -> None:
        say(f"{self.sizes.reads:,} random reads")
        words = "reads", str(self.sizes.reads)
        healthy = json.loads(ropewalk.probe(*words))
        with ropewalk.two_lost():
            degraded = json.loads(ropewalk.probe(*words))
        for found, most, state in ((healthy, 1, "all there"), (degraded, 3, "two stores gone")):
            counts = found["counts"]
            more = (
                f"{sum(counts) / len(counts):.2f} on average, and {found['opening']} once for the file's map; "
                f"median {median(found['seconds']) * 1000:.2f} ms a read"
            )
            what = f"store reads for a random read of 64 KiB, the most of {len(counts):,}, {state}"
            self.report.goals.append(Goal(what, max(counts), most, more=more))

    def small(self) -> None:
        """Many small files, and listing them."""
        folder = self._part("small")
        source = make_small(folder / "source", self.sizes.small, self.sizes.small_size)
        ropewalk, rounds = self._tree(folder, source, compressible=False)
        what = f"objects in a store for {source.files:,} files in one put"
        self.report.goals.append(Goal(what, rounds.new_objects, 10))
        found = json.loads(ropewalk.probe("listing"))
        more = f"the first time {found['first'] * 1000:.0f} ms"
        what = f"list {found['entries']:,} entries, warm"
        self.report.goals.append(Goal(what, median(found["again"]) * 1000, 50, "ms", more))

    def library(self) -> None:
        """The standard library's tree."""
        folder = self._part("library")
        self._tree(folder, make_library(folder / "source"), compressible=True)

    def _tree(self, folder: Path, source: Source, *, compressible: bool) -> tuple[Ropewalk, Rounds]:
        ropewalk = Ropewalk(folder / "ropewalk")
        others = self._peers(folder, compressible=compressible, small=True)
        rounds = Rounds(folder, source, [ropewalk, *others], again=False, by_files=True)
        rounds.run(self.sizes.rounds)
        for step in (PUT, FIRST):
            beside = [rounds.row(other.name, step) for other in others]
            self.report.goals += faster(f"{step} {source.name}, beside", rounds.row(ropewalk.name, step), beside, 1.5)
        self.report.rows += rounds.rows
        return ropewalk, rounds

    def changes(self) -> None:
        """One small change at a time."""
        ours, floor = [], []
        ropewalk = Ropewalk(self._part("changes") / "ropewalk")
        for number in range(self.sizes.rounds):
            ropewalk.prepare()
            found = json.loads(ropewalk.probe("changes", str(self.sizes.changes), str(ropewalk.folder / "floor")))
            ours.append(median(found["change"]))
            floor.append(median(found["floor"]))
            say(f"small changes, round {number + 1}: {ours[-1] * 1000:.1f} ms, floor {floor[-1] * 1000:.1f} ms")
        pairs = [one / other for one, other in zip(ours, floor, strict=True)]
        more = (
            f"rounds {min(pairs):.2f} to {max(pairs):.2f}; "
            f"{median(ours) * 1000:.1f} ms beside {median(floor) * 1000:.1f} ms"
        )
        what = "a small change, in times of five parallel file-and-folder syncs"
        self.report.goals.append(Goal(what, median(ours) / median(floor), 3, "x", more))

    def metadata(self) -> None:
        """One changed file in a large folder."""
        say(f"a folder of {self.sizes.folder:,}")
        ropewalk = Ropewalk(self._part("metadata") / "ropewalk")
        ropewalk.prepare()
        found = json.loads(ropewalk.probe("metadata", str(self.sizes.folder)))
        what = f"new metadata for one changed file in a folder of {self.sizes.folder:,}, the most of five"
        more = f"{found['at_first'] / 2**20:.1f} MiB for all of it"
        self.report.goals.append(Goal(what, max(found["saved"]) / 1024, 64, "KiB", more))

    def start(self) -> None:
        """How long the program takes to say its version."""
        ropewalk = Ropewalk(self._part("start"))
        took = [run(ropewalk.words("--version"), self.folder).seconds * 1000 for _ in range(self.sizes.starts)]
        more = f"{min(took):.0f} to {max(took):.0f} ms"
        self.report.goals.append(Goal("python -m ropewalk --version", median(took), 150, "ms", more))

    def memory(self) -> None:
        """Peak memory for one very large file, and for very many files."""
        folder = self._part("memory")
        makes: tuple[Callable[[], Source], ...] = (
            lambda: make_large(folder / "one", 4 * 2**30),
            lambda: make_small(folder / "many", 1_000_000, 16),
        )
        for make in makes:
            say("making what is put")
            source = make()
            ropewalk = Ropewalk(folder / "ropewalk")
            rounds = Rounds(folder, source, [ropewalk], again=False, by_files=source.files > 1)
            rounds.run(1)
            for row in rounds.rows:
                what = f"peak memory, {row.step} {source.name}"
                self.report.goals.append(Goal(what, row.peak / 2**20, MEMORY / 2**20, "MiB"))
            self.report.rows += rounds.rows

    def _peers(self, folder: Path, *, compressible: bool = False, small: bool = False) -> list[Program]:
        if not self._with_peers:
            return []
        found, notes = peers(folder, compressible=compressible, small=small)
        self.report.notes += [note for note in notes if note not in self.report.notes]
        return found

    def _part(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder
