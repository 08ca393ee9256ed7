"""Floors: what this machine's disk allows at best, with no encryption, hash or index; a program of its own.

    python floors.py write FOLDER SIZE  five files of a third of SIZE each, all at once, synced
    python floors.py read FOLDER FILE   three of them into one file

Flow: peers.Floor -> this, as a process; probes -> sync_five
Never: does anything with the bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

__all__ = ["read", "sync_five", "write"]

STORES, NEEDED = 5, 3
BLOCK = 8 * 1024 * 1024  # bytes; about what a store is given at once


def write(folder: Path, size: int) -> None:
    """Write what a space would store of ``size`` bytes; durable once it returns."""
    block = memoryview(os.urandom(BLOCK))
    with ThreadPoolExecutor(STORES) as threads:
        list(threads.map(lambda number: _write_one(folder / str(number), -(-size // NEEDED), block), range(STORES)))


def _write_one(folder: Path, size: int, block: memoryview) -> None:
    folder.mkdir(parents=True)
    descriptor = os.open(folder / "data", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        left = size
        while left:
            left -= os.write(descriptor, block[:left])
        os.fsync(descriptor)
        # As the disk store does, so that reading back starts from the disk for both.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    _sync(folder)


def read(folder: Path, target: Path) -> None:
    """Read three of the files, as a space has to, and write them to one."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def copy(number: int) -> None:
        buffer = memoryview(bytearray(BLOCK))
        source = os.open(folder / str(number) / "data", os.O_RDONLY)
        at = number * os.fstat(source).st_size
        try:
            while got := os.readv(source, [buffer]):
                os.pwrite(descriptor, buffer[:got], at)
                at += got
        finally:
            os.close(source)

    try:
        with ThreadPoolExecutor(NEEDED) as threads:
            list(threads.map(copy, range(NEEDED)))
    finally:
        os.close(descriptor)


def sync_five(folders: Sequence[Path], name: str, data: bytes, threads: Executor) -> None:
    """A small new file in each folder, all at once; each file and each folder is synced."""

    def one(folder: Path) -> None:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync(folder)

    list(threads.map(one, folders))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        read(Path(sys.argv[2]), Path(sys.argv[3]))
