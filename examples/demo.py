"""The main job of a space, on real data and real folders: two of five stores go, everything comes back.

Part 1 puts the running Python's standard library and one large file into a space over five stores, destroys two,
reads all of it back and compares it byte for byte; adds two empty stores, repairs, destroys two *other* stores, and
compares again.  Part 2 lets stores die while a tree is being put, and shows the write floor.

    python examples/demo.py            both parts, in a temporary folder that is removed
    python examples/demo.py --size 64  the large file in MiB
    python examples/demo.py --source P another tree than the standard library

It exits with 1 if one byte differs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.repair import repair
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.status import status
from ropewalk.spaces.store import DiskStore
from ropewalk.spaces.transfer import Report, get_tree, put_tree

BLOCK = 1024 * 1024


class Failed(Exception):
    """The demonstration showed something other than it should."""


class Place:
    """Five stores, a user's home and a space, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home", folder / "home" / "state")
        self.device, self.paper = DeviceKeys.generate(), DeviceKeys.generate(PAPER)

    def path(self, store: str) -> Path:
        return self.folder / store

    async def add_store(self, name: str) -> None:
        store = await DiskStore.create(self.path(name))
        setting = StoreSetting(str(self.path(name)), store.identity.hex(), {"machine": "here"})
        await store.aclose()
        self.home.add_store(name, setting)

    async def make(self) -> None:
        names = [f"disk{number}" for number in range(1, 6)]
        for name in names:
            await self.add_store(name)
        policy = plan_policy([StoreDomains(name) for name in names], {"store": 2})
        paper = self.paper.public()
        await create_space(self.home, "demo", names, policy, 1, self.device, paper, time.monotonic, time.time_ns)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Space]:
        async with await open_space(self.home, "demo", self.device) as space:
            yield space


class Shown:
    """The table of what was seen."""

    def __init__(self, console: Console, title: str, *, rates: bool = False) -> None:
        self._console = console
        self._table = Table(title=title, title_justify="left")
        for heading in ("step", "seen", *(("files", "MiB", "seconds", "files/s", "MB/s") if rates else ())):
            self._table.add_column(heading, justify="left" if heading in ("step", "seen") else "right")

    def row(self, step: str, seen: str, report: Report | None = None, seconds: float = 0.0) -> None:
        cells = [step, seen]
        if report is not None:
            rate = [f"{report.files / seconds:,.0f}", f"{report.size / seconds / 1e6:,.0f}"]
            cells += [f"{report.files:,}", f"{report.size / BLOCK:,.0f}", f"{seconds:.2f}", *rate]
        self._table.add_row(*cells)

    def show(self) -> None:
        self._console.print(self._table)


def make_source(folder: Path, tree: Path, size: int) -> Path:
    """The tree, by a link to its copy, and one large file of random bytes."""
    source = folder / "source"
    shutil.copytree(tree, source / "tree", symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "site-packages"))
    numbers = random.Random(1)
    with (source / "large.bin").open("wb") as file:
        for _ in range(size):
            file.write(numbers.randbytes(BLOCK))
    return source


def compare(source: Path, copy: Path) -> int:
    """How many files were compared.

    Raises:
        Failed: A name, a kind, a link's target or a byte differs.
    """
    names = sorted(path.relative_to(source) for path in source.rglob("*"))
    if names != sorted(path.relative_to(copy) for path in copy.rglob("*")):
        raise Failed(f"{copy} has other names than {source}")
    files = 0
    for name in names:
        one, other = source / name, copy / name
        if one.is_symlink() or other.is_symlink():
            if os.readlink(one) != os.readlink(other):
                raise Failed(f"{name} links elsewhere")
        elif one.is_dir() != other.is_dir() or (one.is_file() and one.read_bytes() != other.read_bytes()):
            raise Failed(f"{name} differs")
        else:
            files += one.is_file()
    return files


async def fetch_and_compare(place: Place, shown: Shown, step: str, source: Path) -> None:
    copy = place.folder / "copy"
    async with place.open() as space:
        started = time.perf_counter()
        report = await get_tree(await space.current(), space.core, "all", copy)
        seconds = time.perf_counter() - started
    if report.left_out:
        first = report.skipped[0]
        raise Failed(f"{report.left_out} files could not be read back: {first.path}: {first.why}")
    shown.row(step, f"{compare(source, copy):,} files equal, byte for byte", report, seconds)
    shutil.rmtree(copy)


async def survive(place: Place, source: Path, console: Console) -> None:
    """Part 1: two stores go, two come, two others go."""
    shown = Shown(console, "1. Any two of five stores may be lost", rates=True)
    await place.make()
    async with place.open() as space:
        started = time.perf_counter()
        async with space.change("the first version") as change:
            report = await put_tree(change, space.core, source, (b"all",))
        shown.row("put into five stores", "acknowledged in full", report, time.perf_counter() - started)
        if space.outcome is None or not space.outcome.in_full:
            raise Failed("the put left a debt with five good stores")
    for name in ("disk1", "disk2"):
        shutil.rmtree(place.path(name))
    shown.row("destroy disk1 and disk2", "")
    await fetch_and_compare(place, shown, "get from the other three", source)
    for name in ("disk6", "disk7"):
        await place.add_store(name)
    place.home.set_space_stores("demo", ["disk3", "disk4", "disk5", "disk6", "disk7"])
    async with place.open() as space:
        started = time.perf_counter()
        mended = await repair(space.core)
        seconds = time.perf_counter() - started
        rate = f"{mended.shares:,} shares made anew, {mended.size / seconds / 1e6:,.0f} MB/s"
        shown.row("add disk6 and disk7, repair", rate)
        if mended.owed or mended.lost:
            raise Failed(f"repair left {mended.owed} owed and {mended.lost} lost")
    for name in ("disk3", "disk4"):
        shutil.rmtree(place.path(name))
    shown.row("destroy disk3 and disk4", "")
    await fetch_and_compare(place, shown, "get from disk5, 6 and 7", source)
    shown.show()


class Notes:
    """Files written one by one, and what became of each."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.refused: list[str] = []
        self.owed = 0

    async def write(self, place: Place, space: Space, number: int, data: bytes, shown: Shown) -> None:
        path = f"notes/{number:02}.bin"
        dying = {8: "disk2", 16: "disk4"}.get(number)
        try:
            async with space.change() as change:
                await change.write(path, data)
                if dying:
                    place.path(dying).rename(place.folder / f"{dying}.away")
                    shown.row(f"{dying} dies while {path} is written", "")
        except RopewalkError as error:
            if not self.refused:
                shown.row(f"write {path}", f"refused: {str(error).split(' (')[0]}")
            self.refused.append(path)
            return
        self.kept[path] = data
        outcome = space.outcome
        if outcome is None:
            raise Failed(f"{path} was written, and nothing was said of it")
        if not outcome.in_full and not self.owed:
            shown.row(f"write {path}", f"acknowledged; owed: {outcome.owed_shares} shares, {outcome.owed_heads} heads")
        self.owed = outcome.owed_shares + outcome.owed_heads

    async def compare(self, space: Space) -> None:
        for path, data in self.kept.items():
            if await space.read(path) != data:
                raise Failed(f"{path} was acknowledged and reads back otherwise")
        names = [info.path async for info in space.list("notes")]
        if sorted(f"notes/{name}" for name in names) != sorted(self.kept):
            raise Failed("a refused file is there, or an acknowledged one is not")


async def floor(place: Place, console: Console) -> None:
    """Part 2: stores die while files are being written; the floor is four of five."""
    shown = Shown(console, "2. Stores die under way; a write needs four of five")
    await place.make()
    notes = Notes()
    numbers = random.Random(2)
    async with place.open() as space:
        for number in range(24):
            await notes.write(place, space, number, numbers.randbytes(200_000), shown)
    kept, refused = len(notes.kept), len(notes.refused)
    shown.row("24 writes", f"{kept} acknowledged, {refused} refused, {notes.owed} copies owed")
    if not refused or not notes.owed:
        raise Failed("no write was refused, or nothing was owed, with two stores dead")
    async with place.open() as space:
        await notes.compare(space)
    shown.row("read from the three left", f"{kept} acknowledged there, {refused} refused not there")
    for name in ("disk2", "disk4"):
        (place.folder / f"{name}.away").rename(place.path(name))
    async with place.open() as space:
        left = await space.pay()
        facts = await status(space.core)
        if left or facts.owed_heads or facts.owed_shares:
            raise Failed(f"{facts.owed_shares} shares and {facts.owed_heads} heads are still owed")
        await notes.compare(space)
    shown.row("both come back", "the debt is paid in full")
    shown.show()


async def main(arguments: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = Path(tempfile.mkdtemp(prefix="ropewalk-demo-", dir=arguments.folder))
    try:
        source = make_source(folder, arguments.source, arguments.size)
        (folder / "one").mkdir()
        await survive(Place(folder / "one"), source, console)
        (folder / "two").mkdir()
        await floor(Place(folder / "two"), console)
    except Failed as error:
        console.print(f"[bold red]failed:[/] {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Two of five stores go, everything comes back.")
    parser.add_argument("--size", type=int, default=256, help="the large file, in MiB")
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_paths()["stdlib"]), help="the tree")
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary folder goes")
    sys.exit(asyncio.run(main(parser.parse_args())))
