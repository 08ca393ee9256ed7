"""Peers: what is measured, each as whole processes that put a folder somewhere and get it back.

Flow: rounds -> prepare, put, get -> Command
Never: gives a program options that its user would not have by default, but for what a row's name says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from data import Source
from measure import Command, run

__all__ = ["SPACE", "STORES", "Floor", "Program", "Rclone", "Restic", "Ropewalk", "peers", "version_of"]

SPACE = "bench"
STORES = 5
LOST = (1, 3)  # stores that are taken away
_SECRET = "not secret"  # noqa: S105 - it guards random bytes in a temporary folder


class Program(Protocol):
    """Something that puts a folder and gets it back."""

    name: str
    inside: Path | None  # where in a get's target the copy of what was put last lies; None: nothing to compare

    def prepare(self) -> None:
        """Start from nothing, untimed."""

    def put(self, source: Source) -> Command:
        """Put the folder."""

    def get(self, target: Path) -> Command:
        """Get it back; ``target`` is not there yet."""


class Floor:
    """The disk's own speed: the bytes that a space would store, and nothing else."""

    name = "floor"
    inside: Path | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._words = [sys.executable, str(Path(__file__).with_name("floors.py"))]

    def prepare(self) -> None:
        _empty(self._folder)

    def put(self, source: Source) -> Command:
        return Command([*self._words, "write", str(self._folder), str(source.size)])

    def get(self, target: Path) -> Command:
        return Command([*self._words, "read", str(self._folder), str(target)])


class Ropewalk:
    """A space over five stores that survives the loss of any two, at privacy level 1."""

    name = "ropewalk"
    inside: Path | None = Path()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"ROPEWALK_HOME": str(folder / "home"), "ROPEWALK_PASSPHRASE": _SECRET}

    def prepare(self) -> None:
        _empty(self.folder)
        self.probe("setup", *(str(self.store(number)) for number in range(STORES)))

    def put(self, source: Source) -> Command:
        return self.words("put", "--quiet", str(source.folder), f"{SPACE}:/data")

    def get(self, target: Path) -> Command:
        return self.words("get", "--quiet", f"{SPACE}:/data", str(target))

    def words(self, *words: str) -> Command:
        """Any command."""
        return Command([sys.executable, "-m", "ropewalk", *words], self.env)

    def probe(self, *words: str) -> str:
        """What a probe of the open space prints."""
        probes = str(Path(__file__).with_name("probes.py"))
        return run(Command([sys.executable, probes, *words], self.env), self.folder).said

    def store(self, number: int) -> Path:
        """The folder of a store."""
        return self.folder / f"store{number}"

    def objects(self) -> list[set[Path]]:
        """The files in each store."""
        return [{path for path in self.store(number).rglob("*") if path.is_file()} for number in range(STORES)]

    @contextmanager
    def two_lost(self) -> Iterator[None]:
        """Two stores are away meanwhile."""
        for number in LOST:
            self.store(number).rename(self.folder / f"away{number}")
        try:
            yield
        finally:
            for number in LOST:
                (self.folder / f"away{number}").rename(self.store(number))


class Restic:
    """A repository in a local folder.

    Args:
        folder: Where it goes.
        compression: For ``--compression``; None for a restic that has none.
    """

    def __init__(self, folder: Path, compression: str | None) -> None:
        self.name = f"restic, compression {compression}" if compression else "restic"
        self._folder = folder
        self._env = {
            "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_PASSWORD": _SECRET,
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }
        self._options = ["--compression", compression] if compression else []
        self.inside: Path | None = None

    def prepare(self) -> None:
        _empty(self._folder)
        run(Command(["restic", "init", "--quiet"], self._env), self._folder)

    def put(self, source: Source) -> Command:
        self.inside = source.folder.resolve().relative_to("/")
        return Command(["restic", "backup", "--quiet", *self._options, str(source.folder)], self._env)

    def get(self, target: Path) -> Command:
        return Command(["restic", "restore", "latest", "--quiet", "--target", str(target)], self._env)


class Rclone:
    """An encrypting remote over a local folder."""

    name = "rclone crypt"
    inside: Path | None = Path()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._words = ["rclone", "--config", str(folder / "rclone.conf"), "copy"]

    def prepare(self) -> None:
        _empty(self._folder)
        said = run(Command(["rclone", "obscure", _SECRET]), self._folder).said.strip()
        settings = f"[crypt]\ntype = crypt\nremote = {self._folder / 'remote'}\npassword = {said}\n"
        (self._folder / "rclone.conf").write_text(settings)

    def put(self, source: Source) -> Command:
        return Command([*self._words, str(source.folder), "crypt:data"])

    def get(self, target: Path) -> Command:
        return Command([*self._words, "crypt:data", str(target)])


def peers(folder: Path, *, compressible: bool, small: bool) -> tuple[list[Program], list[str]]:
    """The peers that are installed, and what is to be said of those that are not.

    Args:
        folder: They work below it.
        compressible: Compression is worth its time, so nobody would turn it off.
        small: Many small files; rclone makes a file of each, which compares with nothing here.
    """
    found: list[Program] = []
    notes = []
    if restic := version_of("restic"):
        if restic >= (0, 14):
            found += [Restic(folder / f"restic-{one}", one) for one in (("auto",) if compressible else ("auto", "off"))]
        else:
            found.append(Restic(folder / "restic", None))
    else:
        notes.append("restic is not installed: its rows and the ratios to it are missing")
    if not small:
        if version_of("rclone"):
            found.append(Rclone(folder / "rclone"))
        else:
            notes.append("rclone is not installed: its rows are missing")
    return found, notes


def version_of(program: str) -> tuple[int, ...] | None:
    """What a program says of its version; None where it is not there."""
    if shutil.which(program) is None:
        return None
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\d+(\.\d+)+", said)
    return tuple(int(part) for part in number[0].split(".")) if number else (0,)


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    os.makedirs(folder)
