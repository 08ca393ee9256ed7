"""Nodes: a space over five nodes, beside a bare TLS stream of the same bytes and the same pool in local folders.

Flow: five processes, a home that knows them -> puts and gets by the command line, reads by the library -> figures
Never: compares a run with one of another time, or leaves a node running.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from figures import Figure, Load, in_turns
from measure import Command, Failed, run, say
from report import Goal, Report, beside

from ropewalk.remote import Nodes
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.places import opener
from ropewalk.spaces.space import open_space
from ropewalk.spaces.store import ObjectName, Store
from ropewalk.testing.fault_proxy import FaultProxy

__all__ = ["dead", "rest", "slow", "stream"]

COUNT = 5
DEAD = (1, 3)
PROGRAM = str(Path(__file__).with_name("node_process.py"))
SECRET = "a bench"  # noqa: S105 - of a home that lasts as long as the measuring
SMALL = 2000  # bytes
FILE = 20_000  # bytes; more than a head embeds, so that a store is read
WATCHERS = 100
GET, PUT, SMALL_FILES, WITHOUT, SLOWEST = 0.5, 0.3, 0.5, 0.7, 3.0
MEMORY, REST = 120.0, 0.5  # MiB, percent of a core


@dataclass
class Town:
    """Nodes, and a home with the spaces ``net`` over them and ``disk`` over folders beside."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Of the command line."""
        return {"ROPEWALK_HOME": str(self.folder / "home"), "ROPEWALK_PASSPHRASE": SECRET}

    @property
    def home(self) -> Home:
        """Whose spaces these are."""
        return Home(self.folder / "home", self.folder / "home" / "state")

    def words(self, *words: str) -> float:
        """Seconds that a command takes."""
        return run(Command([sys.executable, "-m", "ropewalk", *words], self.env), self.folder).seconds

    def set_up(self) -> None:
        """Start all, and make both spaces."""
        self.words("init", "--yes", "--quiet")
        key = self.home.open_keys(SECRET).public().ed25519.hex()
        for number in range(COUNT):
            (self.folder / f"node{number}").mkdir()
            self.processes.append(_process("node", self.folder / f"node{number}", key))
            address, identity = _line(self.processes[-1]).split()
            self.places.append((address, identity))
            self.home.add_store(f"n{number}", StoreSetting(address, identity))
            self.words("store", "add", f"d{number}", str(self.folder / f"disk{number}"), "--quiet")
        for name, letter in (("net", "n"), ("disk", "d")):
            stores = ",".join(f"{letter}{number}" for number in range(COUNT))
            self.words("space", "create", name, "--stores", stores, "--survive", "2", "--across", "store", "--quiet")

    def end(self) -> None:
        """End all."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@contextmanager
def _town(folder: Path) -> Iterator[Town]:
    town = Town(folder)
    try:
        town.set_up()
        yield town
    finally:
        town.end()


def _process(*words: str | Path | int) -> subprocess.Popen[str]:
    command = [sys.executable, PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if not (line := process.stdout.readline().strip()):
        raise Failed("a process of the bench did not start")
    return line


def stream(report: Report, load: Load, folder: Path) -> None:
    """A large file and many small ones, put and got; the bare stream, and the same pool in folders."""
    source = folder / "large"
    with source.open("wb") as file:
        for _ in range(load.streamed >> 20):
            file.write(os.urandom(1 << 20))
    small = folder / "small"
    small.mkdir()
    for number in range(load.small_files):
        (small / str(number)).write_bytes(os.urandom(SMALL))
    (folder / "raw").mkdir()
    server = _process("raw", folder / "raw", source.stat().st_size)
    try:
        port = _line(server)
        with _town(folder) as town:
            mb, count = source.stat().st_size / 1e6, load.small_files

            def bare() -> float:
                process = _process("sink", folder, port)
                seconds = float(_line(process))
                process.wait()
                return mb / seconds

            turn = iter(range(1_000_000))

            def put(space: str, what: Path, amount: float) -> Callable[[], float]:
                return lambda: amount / town.words("put", "--quiet", str(what), f"{space}:/{what.name}{next(turn)}")

            def get(space: str, what: str, amount: float) -> Callable[[], float]:
                def one() -> float:
                    target = folder / f"out{next(turn)}"
                    seconds = town.words("get", "--quiet", f"{space}:/{what}", str(target))
                    subprocess.run(["rm", "-rf", str(target)], check=True)
                    return amount / seconds

                return one

            for space in ("net", "disk"):
                for what in (source, small):
                    town.words("put", "--quiet", str(what), f"{space}:/{what.name}")
            work = f"{load.streamed >> 20:,} MiB"
            puts = in_turns(
                f"put of {work}", "MB/s",
                {
                    "bare TLS stream": bare,
                    "five nodes": put("net", source, mb),
                    "five folders": put("disk", source, mb),
                },
                load.rounds,
            )  # fmt: skip
            gets = in_turns(
                f"get of {work}", "MB/s",
                {
                    "bare TLS stream": bare,
                    "five nodes": get("net", "large", mb),
                    "five folders": get("disk", "large", mb),
                },
                load.rounds,
            )  # fmt: skip
            files = in_turns(
                f"put of {count} files of {SMALL:,} bytes", "files/s",
                {"five folders": put("disk", small, count), "five nodes": put("net", small, count)},
                load.rounds,
            )  # fmt: skip
            back = in_turns(
                f"get of {count} files of {SMALL:,} bytes", "files/s",
                {"five folders": get("disk", "small", count), "five nodes": get("net", "small", count)},
                load.rounds,
            )  # fmt: skip
    finally:
        server.kill()
        server.wait()
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


def dead(report: Report, load: Load, folder: Path) -> None:
    """The same get with two of five nodes dead."""
    source = folder / "large"
    source.write_bytes(os.urandom(load.streamed // 4))
    with _town(folder) as town:
        mb = source.stat().st_size / 1e6
        town.words("put", "--quiet", str(source), "net:/large")
        turn = iter(range(1_000_000))

        def get() -> float:
            target = folder / f"out{next(turn)}"
            seconds = town.words("get", "--quiet", "net:/large", str(target))
            target.unlink()
            return mb / seconds

        def without() -> float:
            for number in DEAD:
                town.processes[number].send_signal(signal.SIGSTOP)
            try:
                return get()
            finally:
                for number in DEAD:
                    town.processes[number].send_signal(signal.SIGCONT)

        healthy = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"all there": get}, load.rounds)
        silent = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"two of five silent": without}, load.rounds)
        for number in DEAD:
            town.processes[number].kill()
            town.processes[number].wait()
        gone = in_turns(f"get of {mb:,.0f} MB from nodes", "MB/s", {"two of five dead": get}, load.rounds)
    for found in (healthy, silent, gone):
        report.figures += found.values()
    report.goals.append(
        beside("get with two of five nodes dead", gone["two of five dead"], healthy["all there"], WITHOUT, least=True)
    )


def slow(report: Report, load: Load, folder: Path) -> None:
    """Small reads while one of five nodes takes half a second for each answer."""
    small = folder / "small"
    small.mkdir()
    for number in range(load.small_files):
        (small / str(number)).write_bytes(os.urandom(FILE))
    with _town(folder) as town:
        town.words("put", "--quiet", str(small), "net:/small")
        healthy, late = asyncio.run(_reads(town, load))
    work = f"read of {load.small_files} files of {FILE:,} bytes, p99"
    figures = [Figure(work, "all nodes well", "ms", healthy), Figure(work, "one takes 500 ms", "ms", late)]
    say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures
    report.goals.append(beside("p99 of small reads with one slow node", figures[1], figures[0], SLOWEST))


async def _reads(town: Town, load: Load) -> tuple[list[float], list[float]]:
    found: tuple[list[float], list[float]] = [], []
    keys = town.home.open_keys(SECRET)
    address = town.places[0][0]
    async with FaultProxy.before(int(address.partition("#")[0].rpartition(":")[2].partition("?")[0]), 0) as proxy:
        through = address.replace(f":{proxy.to}", f":{proxy.port}")

        async def open_store(place: str, identity: bytes) -> Store:
            return await opener(town.home, keys)(through if place == address else place, identity)

        for _ in range(load.rounds):
            for delay, into in zip((0.0, 0.25), found, strict=True):  # there and back
                proxy.faults.delay = delay
                async with await open_space(town.home, "net", keys, pay_every=3600, open_store=open_store) as space:
                    took = []
                    for number in range(load.small_files):
                        began = time.perf_counter()
                        data = await space.read(f"small/{number}")
                        took.append((time.perf_counter() - began) * 1000)
                        assert len(data) == FILE
                into.append(quantiles(took, n=100)[98])
    return found


def rest(report: Report, load: Load, folder: Path) -> None:
    """A node at rest that 100 devices watch."""
    with _town(folder) as town:
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
