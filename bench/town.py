"""Town: five nodes as processes, and a home with a space over them and one over folders beside.

Flow: a folder -> nodes, stores, spaces -> commands and the library
Never: measures, or leaves a node running.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import Command, Failed, run
from msgspec.structs import replace

from ropewalk.spaces.home import Home, Settings, StoreSetting

__all__ = ["COUNT", "SECRET", "Client", "Town", "line_of", "process", "town_in"]

COUNT = 5
PROGRAM = str(Path(__file__).with_name("node_process.py"))
CLIENT = str(Path(__file__).with_name("client_process.py"))
SECRET = "a bench"  # noqa: S105 - of a home that lasts as long as the measuring

Client = Callable[[str, str, str], float]  # "put", source, path or "get", path, target: seconds that it took


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

    @contextmanager
    def client(self, space: str) -> Iterator[Client]:
        """A process that has a space open; asked to put or get, it gives the seconds that it took."""
        command = [sys.executable, CLIENT, str(self.home.config), space]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
            assert one.stdin is not None
            stdin = one.stdin

            def ask(what: str, first: str, second: str) -> float:
                print(what, first, second, sep="\t", file=stdin, flush=True)
                return float(line_of(one))

            line_of(one)  # it is open
            yield ask

    def set_up(self) -> None:
        """Start all, and make both spaces."""
        self.words("init", "--yes", "--quiet")
        key = self.home.open_keys(SECRET).public().ed25519.hex()
        for number in range(COUNT):
            (self.folder / f"node{number}").mkdir()
            self.processes.append(process("node", self.folder / f"node{number}", key))
            address, identity = line_of(self.processes[-1]).split()
            self.places.append((address, identity))
            self.home.add_store(f"n{number}", StoreSetting(address, identity))
            self.words("store", "add", f"d{number}", str(self.folder / f"disk{number}"), "--quiet")
        for name, letter in (("net", "n"), ("disk", "d")):
            stores = ",".join(f"{letter}{number}" for number in range(COUNT))
            self.words("space", "create", name, "--stores", stores, "--survive", "2", "--across", "store", "--quiet")
        self.home.update(_without_cache)  # what was put here would be read from there, and no node

    def end(self) -> None:
        """End all."""
        for one in self.processes:
            one.send_signal(signal.SIGCONT)  # one that was stopped is not waited for in vain
            with one:
                one.kill()


def _without_cache(settings: Settings) -> Settings:
    return replace(settings, spaces={name: replace(one, cache=0) for name, one in settings.spaces.items()})


@contextmanager
def town_in(folder: Path) -> Iterator[Town]:
    """Start it, and end it."""
    town = Town(folder)
    try:
        town.set_up()
        yield town
    finally:
        town.end()


def process(*words: str | Path | int) -> subprocess.Popen[str]:
    """Of node_process.py."""
    command = [sys.executable, PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line_of(one: subprocess.Popen[str]) -> str:
    """What it prints next."""
    assert one.stdout is not None
    if not (line := one.stdout.readline().strip()):
        raise Failed("a process of the bench did not start")
    return line
