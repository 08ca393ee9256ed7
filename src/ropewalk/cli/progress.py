"""Progress: bars on a terminal, and silence everywhere else.

Flow: put, get, check, repair -> TransferBar, steps -> rich -> stderr
Never: draws where nobody looks, and then does not load what draws.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ropewalk.cli.options import Common
from ropewalk.spaces.transfer import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Drawn
    from rich.progress import TaskID

__all__ = ["steps", "transfer_bar"]


def _watched(common: Common) -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and common.voice.for_people


class _TransferBar:
    """Files, bytes, rate and time left."""

    def __init__(self, drawn: Drawn, task: TaskID) -> None:
        self._drawn, self._task = drawn, task
        self._files = self._most_files = self._most_bytes = 0

    def expect(self, files: int, size: int) -> None:
        """How much there is in all; several sources, or counts that grow, each say their own."""
        self._most_files += files
        self._most_bytes += size
        self._drawn.update(self._task, total=self._most_bytes)
        self._show(0)

    def advance(self, files: int, size: int) -> None:
        """So much more is done."""
        self._files += files
        self._show(size)

    def _show(self, size: int) -> None:
        of = f"/{self._most_files:,}" if self._most_files else ""
        self._drawn.update(self._task, advance=size, files=f"{self._files:,}{of} files")


@contextmanager
def transfer_bar(what: str, common: Common) -> Iterator[Progress | None]:
    """A bar for a transfer, None where it would not be seen."""
    if not _watched(common):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[files]}", markup=False),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as drawn:
        yield _TransferBar(drawn, drawn.add_task(what, total=None, files=""))


@contextmanager
def steps(what: str, common: Common) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that is counted in steps: called with how many are done, and how many there are."""
    if not _watched(common):
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)


def _silent(_done: int, _total: int) -> None:
    return
