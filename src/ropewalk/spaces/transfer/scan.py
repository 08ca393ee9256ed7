"""Scan: a local tree in order, a folder before what is in it, names in byte order.

Flow: folder -> listdir, lstat -> Found, one by one
Never: follows a symbolic link, opens a file, or stops at what it may not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

import msgspec

__all__ = ["Found", "absolute", "measure", "scan", "why_not"]

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class Found(msgspec.Struct, frozen=True):
    """One thing in a local tree."""

    path: bytes  # to open it
    names: tuple[bytes, ...]  # relative to the top; empty for the top itself
    kind: int  # stat's S_IFREG, S_IFDIR, S_IFLNK, ...; 0 where it could not be looked at
    size: int
    mtime: int
    mode: int
    why: str = ""  # what kept us from looking


def absolute(path: str | bytes | os.PathLike[str]) -> bytes:
    """A local path from the root, so that a change of the working folder does not matter."""
    return os.path.abspath(os.fsencode(path))


def why_not(error: OSError) -> str:
    """An operating system's error in a few words."""
    return (error.strerror or str(error)).lower()


def scan(top: bytes) -> Iterator[Found]:
    """Everything at and below ``top``; what cannot be looked at is given with the reason."""
    first = _look(top, ())
    yield first
    if first.kind != stat.S_IFDIR:
        return
    stack = [_entries(top, ())]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        yield found
        if found.kind == stat.S_IFDIR:
            stack.append(_entries(found.path, found.names))


def _entries(path: bytes, names: tuple[bytes, ...]) -> Iterator[Found]:
    try:
        inside = sorted(os.listdir(path))  # names alone: a folder may hold a million
    except OSError as error:
        yield Found(path, (*names, b""), 0, 0, 0, 0, why_not(error))
        return
    for name in inside:
        yield _look(os.path.join(path, name), (*names, name))


def _look(path: bytes, names: tuple[bytes, ...]) -> Found:
    try:
        return _found(path, names, os.lstat(path))
    except OSError as error:
        return Found(path, names, 0, 0, 0, 0, why_not(error))


def _found(path: bytes, names: tuple[bytes, ...], facts: os.stat_result) -> Found:
    kind = stat.S_IFMT(facts.st_mode)
    mode = stat.S_IMODE(facts.st_mode)
    return Found(path, names, kind, facts.st_size, facts.st_mtime_ns, mode, _KINDS.get(kind, ""))


def measure(top: bytes) -> tuple[int, int]:
    """Files at and below ``top`` and their bytes, for a progress bar; what cannot be looked at is not counted."""
    first = _look(top, ())
    if first.kind != stat.S_IFDIR:
        return (1, first.size) if first.kind == stat.S_IFREG else (0, 0)
    files = size = 0
    folders = [top]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files += 1
                    with suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
    return files, size
