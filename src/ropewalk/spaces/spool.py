"""Spool: any number of changes by key, given in any order and taken back sorted, in bounded memory.

Flow: add(key, value) -> runs on disk, each sorted -> merge -> (key, value), ascending, the last one given of each key
Never: leaves a file behind: runs lie in one unlinked temporary file.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

__all__ = ["Spool"]

RUN_SIZE = 16 * 1024 * 1024  # bytes of keys and values held before they go to disk; with Python's own, some 40 MB
_OVERHEAD = 150  # bytes that Python adds to a key and a value
_BLOCK = 512  # items read back at once from each run; with 100 runs some 10 MB

Change = tuple[bytes, bytes | None]


class Spool:
    """Changes being collected.

    Args:
        folder: Where the temporary file goes.
        run_size: Bytes held in memory.
    """

    def __init__(self, folder: Path, run_size: int = RUN_SIZE) -> None:
        self._folder, self._run_size = folder, run_size
        self._held: dict[bytes, bytes | None] = {}
        self._size = 0
        self._file: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = []  # for each run its blocks: offset, length

    def add(self, key: bytes, value: bytes | None) -> None:
        """A change; it replaces an earlier one of the same key.  May write to disk."""
        self._held[key] = value
        self._size += len(key) + (len(value) if value else 0) + _OVERHEAD
        if self._size > self._run_size:
            self._spill()

    def __bool__(self) -> bool:
        return bool(self._held or self._runs)

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` closes it
        run = []
        items = sorted(self._held.items())
        for at in range(0, len(items), _BLOCK):
            data = msgspec.msgpack.encode(items[at : at + _BLOCK])
            run.append((self._file.seek(0, 2), len(data)))
            self._file.write(data)
        self._runs.append(run)
        self._held, self._size = {}, 0

    def _read(self, run: list[tuple[int, int]], age: int) -> Iterator[tuple[bytes, int, bytes | None]]:
        decoder = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None]])
        assert self._file is not None
        for offset, length in run:
            self._file.seek(offset)
            for key, value in decoder.decode(self._file.read(length)):
                yield key, age, value

    def sorted(self) -> Iterator[Change]:
        """All changes by key, each key once, with the value given last."""
        if not self._runs:
            yield from sorted(self._held.items())
            return
        runs = [self._read(run, -age) for age, run in enumerate(self._runs)]
        newest = -len(runs)
        runs.append((key, newest, value) for key, value in sorted(self._held.items()))
        last: bytes | None = None
        for key, _, value in heapq.merge(*runs):
            if key != last:
                last = key
                yield key, value

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._file is not None:
            self._file.close()
