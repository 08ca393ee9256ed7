"""Nodes: a space over five nodes, beside a bare TLS stream of the same bytes and the same pool in local folders.

Flow: a town -> puts and gets in open spaces and by the command line, watchers at rest -> figures
Never: compares a run with one of another time.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from figures import Figure, Load, in_turns
from measure import Failed, say
from nodes_floor import COUNT
from report import Goal, Report, beside
from town import SECRET, Client, Town, line_of, process, town_in

from ropewalk.remote import Nodes
from ropewalk.spaces.store import ObjectName

__all__ = ["rest", "stream"]

SMALL = 2000  # bytes
WATCHERS = 100
GET, PUT, SMALL_FILES = 0.5, 0.3, 0.5
MEMORY, REST = 120.0, 0.5  # MiB, percent of a core


def stream(report: Report, load: Load, folder: Path) -> None:
    """A large file, in an open space and by a command; many small ones; a bare stream, and the same pool in folders."""
    source, small = folder / "large", folder / "small"
    with source.open("wb") as file:
        for _ in range(load.streamed >> 20):
            file.write(os.urandom(1 << 20))
    small.mkdir()
    for number in range(load.small_files):
        (small / str(number)).write_bytes(os.urandom(SMALL))
    with (
        _peers(folder, source.stat().st_size) as (port, *ports),
        town_in(folder) as town,
        town.client("net") as net,
        town.client("disk") as disk,
    ):
        sides = _Sides(town, folder, port, ports)
        for space in ("net", "disk"):
            for what in (source, small):
                town.words("put", "--quiet", str(what), f"{space}:/{what.name}")
        work = f"{load.streamed >> 20:,} MiB"
        mb, many = source.stat().st_size / 1e6, load.small_files
        puts = in_turns(
            f"put of {work}", "MB/s",
            {
                "bare TLS stream": lambda: mb / sides.bare(),
                "read, sealed, coded, sent, written": lambda: mb / sides.given(source),
                "five nodes": lambda: mb / sides.put_open(net, source),
                "five folders": lambda: mb / sides.put_open(disk, source),
            },
            load.rounds,
        )  # fmt: skip
        gets = in_turns(
            f"get of {work}", "MB/s",
            {
                "bare TLS stream": lambda: mb / sides.bare(),
                "bare, decrypted, hashed, written": lambda: mb / sides.bare("file"),
                "five nodes": lambda: mb / sides.get_open(net, "large"),
                "five folders": lambda: mb / sides.get_open(disk, "large"),
                "five nodes, a command": lambda: mb / sides.get("net", "large"),
            },
            load.rounds,
        )  # fmt: skip
        files = in_turns(
            f"put of {many} files of {SMALL:,} bytes", "files/s",
            {
                "five folders": lambda: many / sides.put("disk", small),
                "five nodes": lambda: many / sides.put("net", small),
            },
            load.rounds,
        )  # fmt: skip
        back = in_turns(
            f"get of {many} files of {SMALL:,} bytes", "files/s",
            {
                "five folders": lambda: many / sides.get("disk", "small"),
                "five nodes": lambda: many / sides.get("net", "small"),
            },
            load.rounds,
        )  # fmt: skip
    for found in (puts, gets, files, back):
        report.figures += found.values()
    report.goals += [
        beside(f"get of {work} from five nodes, beside a bare stream", gets["five nodes"], gets["bare TLS stream"], GET,
               least=True),
        beside(f"put of {work} into five nodes, beside a bare stream", puts["five nodes"], puts["bare TLS stream"], PUT,
               least=True),
        beside("put of small files, beside folders", files["five nodes"], files["five folders"], SMALL_FILES,
               least=True),
        beside("get of small files, beside folders", back["five nodes"], back["five folders"], SMALL_FILES, least=True),
    ]  # fmt: skip


@dataclass
class _Sides:
    """What is measured; each gives seconds."""

    town: Town
    folder: Path
    port: str  # of the bare stream
    ports: list[str]  # of those that take a column each
    turn: Iterator[int] = field(default_factory=count)

    def bare(self, how: str = "sink") -> float:
        """The bare stream, once."""
        with process(how, self.folder, self.port) as sink:
            return float(line_of(sink))

    def given(self, source: Path) -> float:
        """Five columns of a file, as the floor puts it."""
        with process("gives", self.folder, source, *self.ports) as giver:
            return float(line_of(giver))

    def put_open(self, ask: Client, source: Path) -> float:
        """In an open space."""
        _change(source)
        return ask("put", str(source), f"{source.name}{next(self.turn)}")

    def get_open(self, ask: Client, path: str) -> float:
        """From an open space."""
        with _target(self.folder, next(self.turn)) as target:
            return ask("get", path, str(target))

    def put(self, space: str, source: Path) -> float:
        """By a command."""
        _change(source)
        return self.town.words("put", "--quiet", str(source), f"{space}:/{source.name}{next(self.turn)}")

    def get(self, space: str, path: str) -> float:
        """By a command."""
        with _target(self.folder, next(self.turn)) as target:
            return self.town.words("get", "--quiet", f"{space}:/{path}", str(target))


@contextmanager
def _peers(folder: Path, size: int) -> Iterator[list[str]]:
    """The bare stream's server, and those that take a column each: their ports."""
    servers = []
    try:
        for name, what in (("raw", "raw"), *((f"column{number}", "takes") for number in range(COUNT))):
            (folder / name).mkdir()
            servers.append(process(what, folder / name, size))
        yield [line_of(server) for server in servers]
    finally:
        for server in servers:
            with server:
                server.kill()


@contextmanager
def _target(folder: Path, number: int) -> Iterator[Path]:
    """Where something goes, for as long as it is of interest."""
    target = folder / f"out{number}"
    yield target
    subprocess.run(["rm", "-rf", str(target)], check=True)


def _change(what: Path) -> None:
    """Make each cut of a file, or of each file in a folder, another one: what is there already is not put again."""
    for path in what.iterdir() if what.is_dir() else (what,):
        with path.open("r+b") as file:
            for at in range(0, path.stat().st_size, 1 << 20):
                file.seek(at)
                file.write(os.urandom(16))


def rest(report: Report, load: Load, folder: Path) -> None:
    """A node at rest that 100 devices watch."""
    with town_in(folder) as town:
        memory, cpu = asyncio.run(_rested(town, load))
    work = f"a node that {WATCHERS} watch, at rest"
    figures = [Figure(work, "memory", "MiB", [memory]), Figure(work, "CPU", "% of a core", [cpu])]
    say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures
    report.goals.append(Goal(f"{work}: memory", memory, MEMORY, "MiB"))
    report.goals.append(Goal(f"{work}: CPU", cpu, REST, "% of a core"))


async def _rested(town: Town, load: Load) -> tuple[float, float]:
    keys = town.home.open_keys(SECRET)
    pid = town.processes[0].pid
    name = ObjectName("a" * 64 + "/hints/" + "0" * 32)
    async with AsyncExitStack() as owned:
        for _ in range(WATCHERS // 50):  # no key may have more than 64 sessions, nor a session more than 64 waits
            nodes = [await owned.enter_async_context(_opened(keys.login, town.places[0][0])) for _ in range(25)]
            for store in nodes:
                for _ in range(2):
                    task = asyncio.create_task(_waits(store, name))
                    owned.callback(task.cancel)
        await asyncio.sleep(2)
        before = _ticks(pid)
        await asyncio.sleep(load.rest * 5)
        used = (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
        return _memory(pid), 100 * used / (load.rest * 5)


@asynccontextmanager
async def _opened(login: object, address: str) -> AsyncIterator[object]:
    store = await Nodes(login).open(address)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        await store.aclose()


async def _waits(store: object, name: ObjectName) -> None:
    mark = b""
    while True:
        mark = await store.wait_changed(name, mark)  # type: ignore[attr-defined]


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed("a node has no memory")
