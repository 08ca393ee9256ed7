"""Folder: small files of one device that outlast a power cut, for one process at a time (docs/spec/invites.md 7).

Flow: `turn` -> names, `read`, `write`, `replace`, `remove` -> FileSystem
Never: leaves half of a file that was written whole, or knows what a file means.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ropewalk.errors import Unavailable
from ropewalk.spaces.invites.errors import NoInvite, TooManyInvites
from ropewalk.spaces.invites.messages import LARGEST_MESSAGE
from ropewalk.spaces.store import FileSystem, OsFileSystem

__all__ = ["LARGEST_FILE", "LONGEST_LIFE", "Folder", "InvitesBusy", "InvitesUnwritable"]

LONGEST_LIFE = 7 * 24 * 3600 * 10**9  # nanoseconds
LARGEST_FILE = 4 * LARGEST_MESSAGE  # bytes; what lies here holds up to three messages, and a wrap
_MOST_NAMES = 4096  # in the folder; anybody could have put files there
_PAUSE, _TRIES = 0.05, 100  # seconds; 5 s for others, who need some ms
_NEW = ".new"  # what is being written, by who has the turn


class InvitesBusy(Unavailable):
    """Another process of this device is at its invites."""

    code = "invite.busy"


class InvitesUnwritable(Unavailable):
    """The device's disk does not take what must be remembered of an invite."""

    code = "invite.unwritable"


class Folder:
    """A folder of files that are called by an id of 16 bytes in hex and an ending.

    Args:
        path: Its absolute path; made if it is not there, and its parent is.
        files: The file system.
        pause: Waits so many seconds; calls of this class block, and are for a thread where a loop must go on.
    """

    def __init__(self, path: str, files: FileSystem | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        self._path, self._files, self._pause = path, files or OsFileSystem(), pause
        self._rooted = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One process at a time; whatever writes needs it.

        Raises:
            InvitesBusy, InvitesUnwritable.
        """
        try:
            with suppress(FileExistsError):
                self._files.mkdir(self._path)
            if not self._rooted:  # who made it may have been killed before it was safe
                self._sync(os.path.dirname(self._path) or "/")
                self._rooted = True
            fd = self._files.open(f"{self._path}/.lock", os.O_RDWR | os.O_CREAT)
            try:
                self._wait_lock(fd)
                yield
            finally:
                self._files.close(fd)
        except OSError as error:
            raise InvitesUnwritable(f"{self._path} cannot be written: {error.strerror}") from error

    def names(self, ending: str) -> set[str]:
        """Ids, in hex, of files with this ending.

        Raises:
            TooManyInvites: Somebody has filled the folder.
        """
        found: set[str] = set()
        try:
            for number, name in enumerate(self._files.scan(self._path)):
                if number >= _MOST_NAMES:
                    raise TooManyInvites(f"{self._path} holds over {_MOST_NAMES:,} files", hint="remove what is old")
                if name.endswith(ending) and _is_id(name.removesuffix(ending)):
                    found.add(name.removesuffix(ending))
        except FileNotFoundError:
            pass
        return found

    def read(self, name: str) -> bytes:
        """A file; of one that is too long, more than `LARGEST_FILE` bytes.

        Raises:
            NoInvite: There is none.
        """
        try:
            fd = self._files.open(f"{self._path}/{name}", os.O_RDONLY)
        except FileNotFoundError:
            raise NoInvite("there is no such invite on this device", hint="make a new one") from None
        try:
            data = b""
            while len(data) <= LARGEST_FILE and (more := self._files.pread(fd, LARGEST_FILE, len(data))):
                data += more
            return data
        finally:
            self._files.close(fd)

    def mark(self, name: str) -> bool:
        """Make an empty file, durably; False where the name is taken, so that of two one has made it."""
        try:
            fd = self._files.open(f"{self._path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        try:
            self._files.fsync(fd)
        finally:
            self._files.close(fd)
        self._sync()
        return True

    def write(self, name: str, data: bytes) -> None:
        """Make a file, or another of an older one, durably: after a crash there is the one or the other, whole."""
        new = f"{self._path}/{_NEW}"
        with suppress(FileNotFoundError):
            self._files.unlink(new)
        fd = self._files.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            left = memoryview(data)
            while left:
                left = left[self._files.writev(fd, [left]) :]
            self._files.fsync(fd)
        finally:
            self._files.close(fd)
        self._files.rename(new, f"{self._path}/{name}")
        self._sync()

    def remove(self, *names: str) -> None:
        """Take files away, durably; those that are not there are."""
        if not names:
            return
        for name in names:
            with suppress(FileNotFoundError):
                self._files.unlink(f"{self._path}/{name}")
        self._sync()

    def _wait_lock(self, fd: int) -> None:
        """Others hold it for the time of some syncs."""
        for _ in range(_TRIES):
            if self._files.lock(fd):
                return
            self._pause(_PAUSE)
        raise InvitesBusy("another process is at the invites of this device", hint="try again")

    def _sync(self, folder: str | None = None) -> None:
        fd = self._files.open(folder or self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._files.fsync(fd)
        finally:
            self._files.close(fd)


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return len(bytes.fromhex(text)) == 16 and text == text.lower()
    return False
