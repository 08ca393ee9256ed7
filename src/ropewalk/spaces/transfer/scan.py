"""Scan: a local tree in order, a folder before what is in it, names in byte order.

Each folder is opened in the one above it and stays open while something in it is still to be looked at or read: what
is put in a folder's place meanwhile, a link to elsewhere say, is never gone into.

Flow: folder -> open, listdir, stat -> Scanned, one by one -> open_found
Never: follows a symbolic link, opens a file by itself, or stops at what it may not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from ropewalk.spaces.version import DEEPEST

__all__ = ["Folder", "Scanned", "absolute", "measure", "open_found", "scan", "why_not"]

MOST_OPEN = 64  # folders above the one that is listed; those between are opened anew on the way back
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_CLOEXEC", 0)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class Folder:
    """An open folder, closed once nothing that was found in it is under way.

    Raises:
        OSError: There is no folder of this name.
    """

    __slots__ = ("descriptor",)

    def __init__(self, name: bytes, above: Folder | None) -> None:
        self.descriptor = -1
        self.descriptor = os.open(name, _FOLDER, dir_fd=None if above is None else above.descriptor)

    def identity(self) -> tuple[int, int]:
        """Which folder it is."""
        facts = os.fstat(self.descriptor)
        return facts.st_dev, facts.st_ino

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Scanned(msgspec.Struct, frozen=True):
    """One thing in a local tree."""

    path: bytes  # to speak of it
    names: tuple[bytes, ...]  # relative to the top; empty for the top itself
    kind: int  # stat's S_IFREG, S_IFDIR, S_IFLNK, ...; 0 where it could not be looked at
    size: int
    mtime: int
    mode: int
    why: str = ""  # what kept us from looking
    folder: Folder | None = None  # that it lies in; none for the top


def absolute(path: str | bytes | os.PathLike[str]) -> bytes:
    """A local path from the root, so that a change of the working folder does not matter."""
    return os.path.abspath(os.fsencode(path))


def why_not(error: OSError) -> str:
    """An operating system's error in a few words."""
    return (error.strerror or str(error)).lower()


def open_found(found: Scanned, flags: int) -> int:
    """A descriptor of what was found, or of what took its place in that very folder."""
    if found.folder is None:
        return os.open(found.path, flags)
    return os.open(found.names[-1], flags, dir_fd=found.folder.descriptor)


def scan(top: bytes) -> Iterator[Scanned]:
    """Everything at and below ``top``; what cannot be looked at is given with the reason."""
    found = _look(top, top, (), None)
    yield found
    levels: list[_Level] = []
    while True:
        if found.kind == stat.S_IFDIR:
            try:
                level = _Level(found)
            except OSError as error:
                yield _unread(found.path, found.names, error)
            else:
                if len(levels) > MOST_OPEN:
                    levels[-1].folder = None
                levels.append(level)
        name = None
        while levels and (name := next(levels[-1].inside, None)) is None:
            levels.pop()
        if name is None:
            return
        level = levels[-1]
        try:
            level.folder = level.folder or _opened_again(levels)
        except OSError as error:
            levels.pop()
            found = _unread(level.path, level.names, error)
        else:
            found = _look(level.prefix + name, name, (*level.names, name), level.folder)
        yield found


class _Level:
    """A folder that is being gone through.

    Raises:
        OSError: It is no folder any more, may not be listed, or lies where no space keeps anything.
    """

    __slots__ = ("folder", "identity", "inside", "names", "path", "prefix")

    def __init__(self, found: Scanned) -> None:
        if len(found.names) > DEEPEST:
            raise OSError(0, "it lies too deep")
        self.path, self.names = found.path, found.names
        self.prefix = os.path.join(found.path, b"")
        self.folder: Folder | None = Folder(found.names[-1] if found.names else found.path, found.folder)
        self.identity = self.folder.identity()
        # Names alone: a folder may hold a million.
        self.inside = iter(sorted(map(os.fsencode, os.listdir(self.folder.descriptor))))


def _opened_again(levels: list[_Level]) -> Folder:
    """The folder of the last level, by way of the last one that was kept open."""
    folder = levels[MOST_OPEN - 1].folder
    for level in levels[MOST_OPEN:]:
        folder = Folder(level.names[-1], folder)
    assert folder is not None
    if folder.identity() != levels[-1].identity:
        raise OSError(0, "it was replaced while it was put")
    return folder


def _unread(path: bytes, names: tuple[bytes, ...], error: OSError) -> Scanned:
    return Scanned(path, (*names, b""), 0, 0, 0, 0, why_not(error))


def _look(path: bytes, name: bytes, names: tuple[bytes, ...], folder: Folder | None) -> Scanned:
    try:
        facts = os.stat(name, dir_fd=None if folder is None else folder.descriptor, follow_symlinks=False)
    except OSError as error:
        return Scanned(path, names, 0, 0, 0, 0, why_not(error))
    kind, mode = stat.S_IFMT(facts.st_mode), stat.S_IMODE(facts.st_mode)
    return Scanned(path, names, kind, facts.st_size, facts.st_mtime_ns, mode, _KINDS.get(kind, ""), folder)


def measure(top: bytes) -> tuple[int, int]:
    """Files at and below ``top`` and their bytes, for a progress bar; what cannot be looked at is not counted."""
    first = _look(top, top, (), None)
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
