"""The file system as a store uses it: a seam of a few calls, so that a test can stand a power cut in its place.

Flow: folder, marker, scratch -> FileSystem -> the operating system, or ropewalk.testing.powerloss
Never: decides anything; each method is one call of POSIX and raises OSError as that call does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ropewalk.spaces.store.interface import Room

__all__ = ["Facts", "FileSystem", "OsFileSystem", "sync_folder"]

_MOST_PARTS = 1024  # IOV_MAX of Linux and macOS; more in one writev is EINVAL
# macOS lets fsync return before the disk has written; this command of fcntl does not.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is."""

    regular: bool  # neither folder, symbolic link, pipe, socket nor device
    size: int  # bytes
    links: int  # names that lead to it


class FileSystem(Protocol):
    """The calls a store makes.  ``fd`` is a number that ``open`` gave; paths are absolute."""

    def open(self, path: str, flags: int) -> int:
        """A file or folder, opened with the ``os.O_*`` flags; symbolic links in the last place are not followed."""

    def close(self, fd: int) -> None:
        """Let go of ``fd``, and of the lock on it."""

    def writev(self, fd: int, parts: Sequence[memoryview]) -> int:
        """Write at the end of what was written; how many bytes were taken may be fewer than were given."""

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; none at the end."""

    def fsync(self, fd: int) -> None:
        """Make a file's bytes, or a folder's entries, outlast a power cut."""

    def drop_cached(self, fd: int) -> None:
        """Advise that the file's pages will not be read again soon."""

    def lock(self, fd: int) -> bool:
        """Take the file's lock until it is closed; False where someone else has it."""

    def facts(self, file: int | str) -> Facts:
        """What an open file, or the file at a path, is."""

    def link(self, old: str, new: str) -> None:
        """A second name for a file; EEXIST where the name is taken."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in the place of the file that had it, if any."""

    def stamp(self, path: str) -> tuple[int, int, int]:
        """Of the file at a path: its number, when it was changed in nanoseconds, its size in bytes."""

    def unlink(self, path: str) -> None:
        """Take a file's name away."""

    def mkdir(self, path: str) -> None:
        """Make a folder; EEXIST where the name is taken."""

    def scan(self, path: str) -> Iterator[str]:
        """The names in a folder, unordered: regular files as they are, folders with ``/`` after, nothing else."""

    def room(self, path: str) -> Room:
        """What the file system that holds ``path`` has, and leaves to us."""


class OsFileSystem:
    """The operating system's own.  Calls that a signal interrupts are begun again by Python itself (PEP 475)."""

    def open(self, path: str, flags: int) -> int:
        # O_NONBLOCK, since opening a pipe that someone put in an object's place would wait for its other end.
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def writev(self, fd: int, parts: Sequence[memoryview]) -> int:
        return os.writev(fd, parts[:_MOST_PARTS])

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def fsync(self, fd: int) -> None:
        if _FULL_SYNC is None:
            os.fsync(fd)
        else:
            fcntl.fcntl(fd, _FULL_SYNC)

    def drop_cached(self, fd: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True

    def facts(self, file: int | str) -> Facts:
        found = os.fstat(file) if isinstance(file, int) else os.lstat(file)
        return Facts(stat.S_ISREG(found.st_mode), found.st_size, found.st_nlink)

    def link(self, old: str, new: str) -> None:
        os.link(old, new, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def stamp(self, path: str) -> tuple[int, int, int]:
        found = os.lstat(path)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def scan(self, path: str) -> Iterator[str]:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name + "/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name

    def room(self, path: str) -> Room:
        found = os.statvfs(path)
        return Room(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)


def sync_folder(files: FileSystem, path: str) -> None:
    """Make the entries of a folder durable."""
    fd = files.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.fsync(fd)
    finally:
        files.close(fd)
