"""Examining: whether a folder's file system has what a store stands on, tried with temporary files.

Flow: disk -> examine_folder -> FileSystem, in a thread of the store
Never: leaves a file, or touches one that it did not make.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress

from ropewalk.spaces.store.examined import Examined
from ropewalk.spaces.store.filesystem import FileSystem, sync_folder
from ropewalk.spaces.store.folder import Folder, answering

__all__ = ["examine_folder"]

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def examine_folder(folder: Folder) -> Examined:
    """What its file system does.

    Raises:
        StoreFull, StoreReadOnly, StoreGone.
    """
    files = folder.files
    with answering(folder.root), ExitStack() as after:
        folder.confirm()
        one, other = (_written(folder, files, after, text) for text in (b"one", b"other"))
        name = one + "-x"  # swept with the rest of a writer who died
        after.callback(_forget, files, name)
        links = _links(files, one, other, name)
        folds = _there(files, one + "-X")
        locks = _locks(files, one)
        files.rename(other, one)
        replaces = _text(files, one) == b"other" and not _there(files, other)
        syncs = True
        try:
            sync_folder(files, os.path.dirname(one))
        except OSError:
            syncs = False
        tried = {
            "hard links that do not replace": links,
            "renames that replace": replaces,
            "folders that can be synced": syncs,
            "locks": locks,
        }
        return Examined(links, folds, files.stamp(one)[1], tuple(what for what, there in tried.items() if not there))


def _written(folder: Folder, files: FileSystem, after: ExitStack, text: bytes) -> str:
    path, fd = folder.scratch_file()
    after.callback(_forget, files, path)
    try:
        files.writev(fd, [memoryview(text)])
        files.fsync(fd)
    finally:
        files.close(fd)
    return path


def _forget(files: FileSystem, path: str) -> None:
    with suppress(OSError):  # renamed, as a rule
        files.unlink(path)


def _links(files: FileSystem, one: str, other: str, name: str) -> bool:
    """Whether a link gives a name, once."""
    try:
        files.link(one, name)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    try:
        files.link(other, name)
    except FileExistsError:
        return _text(files, name) == b"one"
    return False


def _text(files: FileSystem, path: str) -> bytes:
    fd = files.open(path, os.O_RDONLY)
    try:
        return files.pread(fd, 16, 0)
    finally:
        files.close(fd)


def _there(files: FileSystem, path: str) -> bool:
    try:
        files.facts(path)
    except FileNotFoundError:
        return False
    return True


def _locks(files: FileSystem, path: str) -> bool:
    """Whether a lock keeps a second one out."""
    first = files.open(path, os.O_RDWR)
    try:
        second = files.open(path, os.O_RDWR)
        try:
            return files.lock(first) and not files.lock(second)
        except OSError:
            return False  # the file system has none
        finally:
            files.close(second)
    finally:
        files.close(first)
