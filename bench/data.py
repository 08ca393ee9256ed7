"""Data: what is put and got back: how much of it, made from a seed; and whether a copy is the same.

Flow: Sizes -> folders of files; source, copy -> differences
Never: makes bytes that compress, but for the standard library's tree, which is as it is.
"""

from __future__ import annotations

import filecmp
import os
import random
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from measure import Failed

__all__ = ["FULL", "QUICK", "Sizes", "Source", "compare", "make_large", "make_library", "make_small"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    rounds: int
    large: int  # bytes of the large file
    small: int  # files
    small_size: int  # bytes of each
    changes: int  # small changes committed
    reads: int  # random reads of the large file
    folder: int  # files in the folder in which one is changed
    starts: int  # of the program, for --version


FULL = Sizes(5, 1024 * MIB, 10_000, 4096, 50, 2_000, 100_000, 21)
QUICK = Sizes(3, 256 * MIB, 2_000, 4096, 20, 500, 20_000, 7)


@dataclass(frozen=True, slots=True)
class Source:
    """A folder to put."""

    name: str  # for people
    folder: Path
    files: int
    size: int  # bytes


def make_large(folder: Path, size: int, seed: int = 1) -> Source:
    """A folder with one file of random bytes, ``large.bin``."""
    folder.mkdir(parents=True)
    numbers = random.Random(seed)
    with (folder / "large.bin").open("wb") as file:
        for at in range(0, size, MIB):
            file.write(numbers.randbytes(min(MIB, size - at)))
    shown = f"{size / 2**30:g} GiB" if size >= 2**30 else f"{size / MIB:g} MiB"
    return Source(f"{shown} file", folder, 1, size)


def make_small(folder: Path, files: int, size: int, seed: int = 2) -> Source:
    """A folder with ``files`` files of ``size`` random bytes."""
    folder.mkdir(parents=True)
    numbers = random.Random(seed)
    for number in range(files):
        (folder / f"{number:07}").write_bytes(numbers.randbytes(size))
    shown = f"{size // 1024} KiB" if size >= 1024 else f"{size} bytes"
    return Source(f"{files:,} files of {shown}", folder, files, files * size)


def make_library(folder: Path) -> Source:
    """A copy of the running Python's standard library, without what is compiled or installed."""
    library = sysconfig.get_paths()["stdlib"]
    shutil.copytree(library, folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "site-packages"))
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return Source("standard library", folder, len(files), sum(path.stat().st_size for path in files))


def compare(source: Path, copy: Path) -> None:
    """Compare two trees.

    Raises:
        Failed: A name, a kind, a link's target or a byte differs.
    """
    for here, folders, files in os.walk(source):
        there = copy / Path(here).relative_to(source)
        if sorted(folders + files) != sorted(os.listdir(there)):
            raise Failed(f"{there} has other names than {here}")
        for name in files:
            one, other = Path(here, name), there / name
            if one.is_symlink():
                same = other.is_symlink() and os.readlink(one) == os.readlink(other)
            else:
                same = filecmp.cmp(one, other, shallow=False)
            if not same:
                raise Failed(f"{other} differs from {one}")
    filecmp.clear_cache()
