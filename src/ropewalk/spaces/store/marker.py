"""The marker: the file that says that a folder is a store, and which.

Flow: folder -> marker -> FileSystem
Never: takes a folder without its marker for an empty store: a disk that is not mounted looks like one.
"""

from __future__ import annotations

import errno
import os
import re

from ropewalk.errors import Refused
from ropewalk.spaces.store.filesystem import FileSystem
from ropewalk.spaces.store.interface import StoreDamaged, StoreGone

__all__ = [
    "IDENTITY",
    "LONGEST_MARKER",
    "MARKER",
    "UnknownStoreFormat",
    "marker_bytes",
    "parse_marker",
    "read_marker",
]

MARKER = "ropewalk-store"
IDENTITY = 16  # bytes; random, so no two stores ever share one
LONGEST_MARKER = 4096  # bytes; a marker of a later format may say more, and is recognised by how it begins
_FORMAT = 1
_ANY = re.compile(rb'\{"format": ([1-9][0-9]{0,8})[,}]')
_OURS = re.compile(rb'\{"format": 1, "id": "([0-9a-f]{32})"\}\n\Z')


class UnknownStoreFormat(Refused):
    """The folder is a store of a format this version does not know."""

    code = "store.unknown-format"


def marker_bytes(identity: bytes) -> bytes:
    """What the marker of the store ``identity`` (16 bytes) holds."""
    return b'{"format": %d, "id": "%s"}\n' % (_FORMAT, identity.hex().encode())


def read_marker(files: FileSystem, root: str) -> bytes:
    """The identity of the store in ``root``, 16 bytes.

    Raises:
        StoreGone: There is no marker, or it cannot be read.
        StoreDamaged: The marker is not one.
        UnknownStoreFormat: A later version made it.
    """
    try:
        fd = files.open(f"{root}/{MARKER}", os.O_RDONLY)
        try:
            text = files.pread(fd, LONGEST_MARKER, 0)
        finally:
            files.close(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise StoreGone(
                f"no store at {root}: want a file named {MARKER} in it",
                hint="is the disk mounted, and is this the folder it was?",
            ) from error
        raise StoreGone(f"store at {root} does not answer: {error.strerror}") from error
    return parse_marker(text, root)


def parse_marker(text: bytes, root: str) -> bytes:
    """The identity that a marker tells, 16 bytes.

    Args:
        text: What the marker holds.
        root: Where it lies, for people.

    Raises:
        StoreDamaged: It is not a marker.
        UnknownStoreFormat: A later version made it.
    """
    if ours := _OURS.match(text):
        return bytes.fromhex(ours[1].decode())
    known = _ANY.match(text)
    if known and int(known[1]) != _FORMAT:
        raise UnknownStoreFormat(
            f"store at {root} has format {int(known[1])}: want {_FORMAT}", hint="a later ropewalk made it: upgrade"
        )
    raise StoreDamaged(f"marker of the store at {root} is not one: got {text[:60]!r}")
