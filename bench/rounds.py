"""Rounds: every program does the same work in turn, again and again, so that all share a slow minute of the disk.

Flow: Source, programs -> each round: all put, then all get, get again, get with two stores gone -> Row of each
Never: puts into what an earlier round has left, or goes on when a copy differs from its source.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from data import Source, compare
from measure import Row, run, say, turned
from peers import Program, Ropewalk

__all__ = ["AGAIN", "FIRST", "LOST", "LOST_AGAIN", "PUT", "Rounds"]

PUT = "put"
FIRST = "get"  # from where the put has left it
AGAIN = "get, again"  # everything was read once
LOST = "get, two stores gone"
LOST_AGAIN = "get, two stores gone, again"


class Rounds:
    """One source and the programs that put and get it.

    Args:
        folder: Copies go here; those of many files stay, see `_clear`.
        source: What is put.
        programs: In the order of the table.
        again: Whether to get a second time, and with two stores gone.
        by_files: Whether files/s are what matters.
        called: What the source is called in the rows.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        programs: Sequence[Program],
        *,
        again: bool,
        by_files: bool = False,
        called: str = "",
    ) -> None:
        self._folder, self._source, self._programs = folder, source, programs
        self._again, self._by_files = again, by_files
        self.work = called or source.name
        self._rows: dict[tuple[str, str], Row] = {}
        self._copies = 0
        self.new_objects = 0  # in the store that got most, of the last put into a space
        self.stored = 0.0  # bytes in all stores for each byte put, of the last one too

    @property
    def rows(self) -> list[Row]:
        """Step by step, a program after the other."""
        order = [PUT, FIRST, AGAIN, LOST, LOST_AGAIN]
        return sorted(self._rows.values(), key=lambda row: order.index(row.step))

    def row(self, program: str, step: str) -> Row | None:
        """One of them."""
        return self._rows.get((program, step))

    def run(self, rounds: int) -> None:
        """Do the rounds.

        Raises:
            Failed: A program did, or a copy differs.
        """
        for number in range(rounds):
            turn = turned(self._programs, number)
            for program in turn:
                self._put(program, number)
            for program in turn:
                self._get(program, FIRST, number)
                if self._again:
                    self._get(program, AGAIN, number)
                if self._again and isinstance(program, Ropewalk):
                    with program.two_lost():
                        self._get(program, LOST, number)
                        self._get(program, LOST_AGAIN, number)

    def _put(self, program: Program, number: int) -> None:
        program.prepare()
        before = program.objects() if isinstance(program, Ropewalk) else []
        self._timed(program, PUT, number, self._folder)
        if isinstance(program, Ropewalk):
            after = program.objects()
            self.new_objects = max(len(new - old) for new, old in zip(after, before, strict=True))
            self.stored = sum(path.stat().st_size for paths in after for path in paths) / self._source.size

    def _get(self, program: Program, step: str, number: int) -> None:
        self._copies += 1
        target = self._folder / f"copy{self._copies}"
        self._timed(program, step, number, target)
        if program.inside is not None and (number == 0 or isinstance(program, Ropewalk)):
            compare(self._source.folder, target / program.inside)
        self._clear(target)

    def _timed(self, program: Program, step: str, number: int, target: Path) -> None:
        command = program.put(self._source) if step == PUT else program.get(target)
        taken = run(command, self._folder)
        empty = Row(self.work, step, program.name, self._source.files, self._source.size, self._by_files)
        row = self._rows.setdefault((program.name, step), empty)
        row.runs.append(taken)
        rate = row.rate(taken.synced)
        say(f"{self.work}, round {number + 1}: {program.name} {step}: {taken.synced:.2f} s, {rate}")

    def _clear(self, target: Path) -> None:
        # Many files stay until the run ends: for minutes after they are deleted, ext4 passes over their inodes one by
        # one, and whoever makes files next was seen to take ten times as long.
        if self._source.files > 1:
            return
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
