"""Folders: the local folders below a target, each reached from the one above it and never through a link.

Flow: get -> make, make_link, dress, `Landing` -> [Folders] -> calls relative to an open folder
Never: follows a symbolic link below the folder that the target lies in, not even one that is put there meanwhile, or
    holds more folders open than a few and those that are being written to.

What is not whole yet has no name, or is called `.ropewalk-` and 20 hexadecimal digits: on file systems that take no
nameless files, and for the moment in which it replaces what was there.  Whoever writes into a folder shares a lock on
it, so where a crash left some, the next get into the folder that finds nobody else there removes them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from ropewalk.spaces.tree.entry import Entry

__all__ = ["Folders", "Names", "check_replaceable"]

Names = tuple[bytes, ...]  # of a folder below the one that the target lies in, which has none

MOST_IDLE = 64  # folders that are open with nobody writing to them; a process may have some 1,000 open files
FOLDER_MODE = 0o3777
NEW_MODE = 0o700  # until all is in it
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
_UNREADABLE = getattr(os, "O_PATH", os.O_RDONLY)  # enough to go through a folder and to make files in it
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILES = b"/proc/self/fd"  # how Linux names a file that has no name
_NAMELESS = os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_TMPFILE", 0)
_UNFINISHED = re.compile(r"\.ropewalk-[0-9a-f]{20}")
_IN_THE_WAY = "something else is there, or a link"


class _Open:
    __slots__ = ("descriptor", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.users = descriptor, 0


class Folders:
    """Safe to use from several threads.

    Args:
        target: What is brought back, a path from the root.

    Attributes:
        top: The target's own place.
    """

    def __init__(self, target: bytes) -> None:
        base, name = os.path.split(target)
        self.top: Names = (name or b".",)
        self._base = base
        self._open: dict[Names, _Open] = {}  # the least lately used first
        self._lock = threading.Lock()
        self._token, self._numbers = os.urandom(6).hex().encode(), count()
        self._nameless: bool | None = None  # whether the system takes files without a name

    def close(self) -> None:
        """Let go of all folders."""
        with self._lock:
            for folder in self._open.values():
                os.close(folder.descriptor)
            self._open.clear()

    def take(self, names: Names) -> int:
        """A descriptor of the folder, for calls relative to it; `give` it back.

        Raises:
            OSError: It is not there, or a link is in its place or on the way.
        """
        with self._lock:
            folder = self._open.pop(names, None) or self._reached(names)
            self._open[names] = folder
            folder.users += 1
            return folder.descriptor

    def give(self, names: Names) -> None:
        """The folder is not used any more."""
        with self._lock:
            self._open[names].users -= 1

    @contextmanager
    def within(self, names: Names) -> Iterator[int]:
        """Take a folder and give it back."""
        descriptor = self.take(names)
        try:
            yield descriptor
        finally:
            self.give(names)

    def _reached(self, names: Names) -> _Open:
        if not names:
            return _Open(_opened(self._base))  # the way to it is the user's own: a link there is meant
        depth = next((depth for depth in range(len(names) - 1, -1, -1) if names[:depth] in self._open), -1)
        if depth < 0:
            depth, self._open[()] = 0, self._reached(())
        known = at = self._open[names[:depth]].descriptor
        for name in names[depth:]:
            try:
                below = _opened(name, os.O_NOFOLLOW, dir_fd=at)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise OSError(errno.ENOTDIR, _IN_THE_WAY) from None
                raise
            finally:
                if at != known:
                    os.close(at)
            at = below
        idle = [path for path, folder in self._open.items() if not folder.users]
        for path in idle[: max(len(idle) - MOST_IDLE, 0)]:
            os.close(self._open.pop(path).descriptor)
        return _Open(at)

    # -- what lies in a folder -----------------------------------------------------------------------------------

    def make(self, names: Names) -> None:
        """Make a folder, or see that it is there; what a crash left in it is removed.

        Raises:
            OSError: It cannot be made, or something else is there.
        """
        with self.within(names[:-1]) as above:
            try:
                os.mkdir(names[-1], NEW_MODE, dir_fd=above)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(names[-1], dir_fd=above, follow_symlinks=False).st_mode):
                    raise OSError(errno.ENOTDIR, _IN_THE_WAY) from None
            else:
                return
        self.sweep(names)

    def make_link(self, names: Names, entry: Entry, target: bytes) -> None:
        """Make a symbolic link, in place of what may be there.

        Raises:
            OSError: It cannot be made, or a folder is there.
        """
        name = names[-1]
        with self.within(names[:-1]) as above:
            try:
                os.symlink(target, name, dir_fd=above)
            except FileExistsError:
                beside = self.fresh_name()
                os.symlink(target, beside, dir_fd=above)
                _replace(beside, name, above)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=above, follow_symlinks=False)

    def new_file(self, folder: int) -> tuple[bytes, int]:
        """A new file for what is not whole yet: its name, or none where the system takes it without, and a descriptor.

        The descriptor is for writing.  `place` gives the file its name.
        """
        if self._nameless is None:
            self._nameless = self._takes_nameless(folder)
        if self._nameless:
            with suppress(OSError):  # another file system may be mounted here
                return b"", os.open(b".", _NAMELESS, 0o600, dir_fd=folder)
        name = self.fresh_name()
        return name, os.open(name, _NEW, 0o600, dir_fd=folder)

    def place(self, begun: bytes, descriptor: int, name: bytes, folder: int) -> None:
        """Give a file from `new_file` that is whole its name, in place of what may have it.

        Raises:
            OSError: It cannot be done, a folder has the name, or the name that was begun with is gone.
        """
        if begun:
            _replace(begun, name, folder)
            return
        here = _OPEN_FILES + b"/%d" % descriptor
        try:
            os.link(here, name, dst_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            beside = self.fresh_name()
            os.link(here, beside, dst_dir_fd=folder, follow_symlinks=True)
            _replace(beside, name, folder)

    def _takes_nameless(self, folder: int) -> bool:
        """Whether a file can be made without a name and get one later, tried out."""
        if not hasattr(os, "O_TMPFILE"):
            return False
        name = self.fresh_name()
        try:
            descriptor = os.open(b".", _NAMELESS, 0o600, dir_fd=folder)
            try:
                self.place(b"", descriptor, name, folder)
            finally:
                os.close(descriptor)
            os.unlink(name, dir_fd=folder)
        except OSError:
            return False
        return True

    def fresh_name(self) -> bytes:
        """A name that nothing has, and that tells what it is for."""
        return b".ropewalk-%b%08x" % (self._token, next(self._numbers))

    def sweep(self, names: Names) -> None:
        """Remove the unfinished files in a folder, unless somebody may be writing them."""
        with suppress(OSError), self.within(names) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                for name in os.listdir(folder):
                    if name.startswith(".ropewalk-") and _UNFINISHED.fullmatch(name):
                        os.unlink(name, dir_fd=folder)
            finally:
                fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def dress(self, names: Names, entry: Entry) -> None:
        """Give a folder its mode and time.

        Raises:
            OSError: It is not there any more, or not ours.
        """
        with self.within(names[:-1]) as above:
            try:
                os.chmod(names[-1], entry.mode & FOLDER_MODE, dir_fd=above, follow_symlinks=False)
            except (NotImplementedError, ValueError):  # how Python says that a link has no mode
                raise OSError(errno.ENOTDIR, _IN_THE_WAY) from None
            os.utime(names[-1], ns=(entry.mtime, entry.mtime), dir_fd=above, follow_symlinks=False)


def _replace(beside: bytes, name: bytes, folder: int) -> None:
    """Put one thing in the place of another; where that fails, nothing of it is left."""
    try:
        check_replaceable(name, folder)
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise


def check_replaceable(name: bytes, folder: int) -> None:
    """See that no folder is there, which nothing replaces.

    Raises:
        OSError: One is.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.EISDIR, "a folder is there")


def _opened(name: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
    try:
        descriptor = os.open(name, os.O_RDONLY | _FOLDER | flags, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, _UNREADABLE | _FOLDER | flags, dir_fd=dir_fd)  # nobody could sweep it either
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor
