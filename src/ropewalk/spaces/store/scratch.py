"""Scratch: names for files that are being written, and the removal of those whose writer died.

Each writer holds the lock on ``.tmp/<token>.lock`` for as long as it lives, and names its files
``.tmp/<token>-<count>``.  The lock file is made before the first of them and removed after the last.  So a lock file
that can be locked belongs to nobody, and neither does a file whose lock file is not there.

Flow: folder -> scratch -> FileSystem
Never: touches the file of a writer that lives.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import threading
from contextlib import suppress

from ropewalk.spaces.store.filesystem import FileSystem

__all__ = ["SCRATCH", "Scratch"]

SCRATCH = ".tmp"
_LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Scratch:
    """The folder ``.tmp`` of one store, as one writer sees it."""

    def __init__(self, files: FileSystem, root: str) -> None:
        self._files = files
        self._folder = f"{root}/{SCRATCH}"
        self._count = itertools.count()
        self._starting = threading.Lock()
        self._token: str | None = None
        self._lock_fd: int | None = None

    def fresh(self) -> str:
        """The path of a file nobody else will make.  The first call takes the lock.

        Raises:
            OSError: The folder cannot be written.
        """
        with self._starting:
            if self._token is None:
                self._token = self._take_lock()
        return f"{self._folder}/{self._token}-{next(self._count)}"

    def sweep(self) -> None:
        """Remove what dead writers left, as far as this is allowed: nothing depends on it."""
        left: dict[str, list[str]] = {}
        with suppress(OSError):
            for name in self._files.scan(self._folder):
                left.setdefault(name.removesuffix(_LOCK).partition("-")[0], []).append(name)
        for token, names in left.items():
            with suppress(OSError):
                self._sweep_after(token, names)

    def close(self) -> None:
        """Give the lock back; no ``fresh`` file may be left.  Closing twice is harmless."""
        with self._starting:
            if self._lock_fd is not None:
                with suppress(OSError):  # a store that went is closed all the same
                    self._files.unlink(f"{self._folder}/{self._token}{_LOCK}")
                self._files.close(self._lock_fd)
            self._token = self._lock_fd = None

    def _take_lock(self) -> str:
        with suppress(FileExistsError):
            self._files.mkdir(self._folder)
        while True:
            token = secrets.token_hex(8)
            path = f"{self._folder}/{token}{_LOCK}"
            fd = self._files.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                # Another opener may have swept the file away between these two calls: then a new one is made.
                if self._locked(fd) and self._files.facts(fd).links:
                    self._lock_fd = fd
                    return token
            except OSError:
                self._files.close(fd)
                raise
            self._files.close(fd)

    def _locked(self, fd: int) -> bool:
        try:
            return self._files.lock(fd)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return True  # and nobody will be able to lock it in order to sweep it
            raise

    def _sweep_after(self, token: str, names: list[str]) -> None:
        try:
            fd: int | None = self._files.open(f"{self._folder}/{token}{_LOCK}", os.O_RDWR)
        except FileNotFoundError:
            fd = None
        try:
            if fd is None or self._files.lock(fd):
                for name in names:
                    self._files.unlink(f"{self._folder}/{name}")
        finally:
            if fd is not None:
                self._files.close(fd)
