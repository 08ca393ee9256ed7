"""Opening: an empty folder becomes a store, a store's folder is recognised.

Flow: disk -> opening -> marker, folder
Never: makes a store where anything lies already, or more folders than the last of a path.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from ropewalk.errors import Misuse
from ropewalk.spaces.store.filesystem import FileSystem, sync_folder
from ropewalk.spaces.store.folder import Folder, answering
from ropewalk.spaces.store.interface import StoreGone
from ropewalk.spaces.store.marker import IDENTITY, MARKER, marker_bytes, read_marker
from ropewalk.spaces.store.scratch import SCRATCH

__all__ = ["create_folder", "open_folder"]

_NEW = MARKER + ".new"
# What an empty folder may hold: a fresh disk's own folder, and what a create that was cut short leaves.
_NOTHING = ("lost+found/", f"{SCRATCH}/", _NEW)


def create_folder(files: FileSystem, root: str) -> Folder:
    """Make ``root``, whose parent must be there, a store, durably."""
    with answering(root):
        try:
            files.mkdir(root)
        except FileNotFoundError:
            raise StoreGone(
                f"no folder {os.path.dirname(root)} to make a store in", hint="make it first, or mount its disk"
            ) from None
        except FileExistsError:
            pass
        held = sorted(set(files.scan(root)).difference(_NOTHING))
        if MARKER in held:
            raise Misuse(f"{root} is a store already", hint="open it, or choose another folder")
        if held:
            raise Misuse(f"{root} is not empty: {held[0]!r} is in it", hint="choose an empty folder")
        identity = secrets.token_bytes(IDENTITY)
        _write_marker(files, root, marker_bytes(identity))
        # Every put needs this folder; made now, a store is never half there.
        with suppress(FileExistsError):
            files.mkdir(f"{root}/{SCRATCH}")
        sync_folder(files, root)
        # A parent that we may pass through but not read was not written by us either.
        with suppress(PermissionError):
            sync_folder(files, os.path.dirname(root))
    return open_folder(files, root, identity)


def open_folder(files: FileSystem, root: str, expect: bytes | None) -> Folder:
    """The store in ``root``, ready for use."""
    with answering(root):
        folder = Folder(files, root, expect if expect is not None else read_marker(files, root))
        folder.open()
        return folder


def _write_marker(files: FileSystem, root: str, text: bytes) -> None:
    """The whole marker or none; a link, so that of two that create at once one fails."""
    new = f"{root}/{_NEW}"
    with suppress(FileNotFoundError):
        files.unlink(new)
    fd = files.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        if files.writev(fd, [memoryview(text)]) != len(text):
            raise StoreGone(f"marker of the store at {root} was not written whole")
        files.fsync(fd)
    finally:
        files.close(fd)
    try:
        files.link(new, f"{root}/{MARKER}")
    except FileExistsError:
        raise Misuse(f"{root} is a store already", hint="someone else made it just now") from None
    finally:
        files.unlink(new)
