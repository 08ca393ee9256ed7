"""Files: what lies under a name below a folder, opened so that no link leads elsewhere; blocking, for a thread.

Flow: folder, names -> a descriptor for each folder on the way -> the file and its compressed siblings -> Found
Never: follows a link below the tree's folder, opens what is no plain file, waits for a writer.
Source: open(2), RFC 9110 section 8.8.3.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from io import FileIO
from pathlib import Path

from ropewalk.errors import Unavailable
from ropewalk.web.static.codings import CODINGS, IDENTITY

__all__ = ["GRAIN", "FileChanged", "Form", "Found", "OpenFile", "Version", "open_folder", "read", "see"]

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)  # to pass through it need not be readable
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Not there, for whoever asks; what is left are troubles of the machine.
_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EINVAL, errno.EISDIR,
    errno.ENXIO, errno.ENODEV,
}  # fmt: skip
GRAIN = 2_000_000_000  # ns; a file may change again within a tick of the file system's clock and show the same time
_SECOND = 1_000_000_000
_TRIES = 3  # of reading a file that is being written


class FileChanged(Unavailable):
    """A file became shorter, or other, while it was sent."""

    code = "web.file-changed"


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a file from another.

    Attributes:
        size: In bytes.
        modified: In ns since 1970.
    """

    size: int
    modified: int
    changed: int
    file: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> Version:
        """From what the system says."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    @property
    def etag(self) -> bytes:
        """In quotes. A hash, since the file's number is nobody's business."""
        told = b"%d %d %d" % (self.modified, self.size, self.file)
        return b'"' + urlsafe_b64encode(blake2b(told, digest_size=12).digest()) + b'"'

    def still_good(self, now: Version) -> bool:
        """Whether bytes read of this version are bytes of that one: it is the same, or has only grown since."""
        same = (self.file, self.device) == (now.file, now.device)
        # Not by when it was changed: to be given another name, or none, changes no byte.
        return same and (now.size > self.size or (self.size, self.modified) == (now.size, now.modified))


class OpenFile:
    """A file that is too large to be kept, open until `close`.

    Attributes:
        file: As a server's own sending wants it.
        version: When it was opened.
    """

    def __init__(self, descriptor: int, version: Version) -> None:
        self.file, self.version = FileIO(descriptor), version

    @property
    def descriptor(self) -> int:
        """Of the system."""
        return self.file.fileno()

    def read(self, first: int, size: int) -> bytes:
        """Exactly these bytes.

        Raises:
            FileChanged: They are not there any more.
        """
        data = os.pread(self.descriptor, size, first)
        while len(data) < size:
            more = os.pread(self.descriptor, size - len(data), first + len(data))
            if not more:
                raise FileChanged(f"a file ended after {first + len(data)} bytes, expected {first + size} at least")
            data += more
        self.check()
        return data

    def check(self) -> None:
        """See that it is what it was when it was opened, or has only grown.

        Raises:
            FileChanged.
        """
        now = Version.of(os.fstat(self.descriptor))
        if not self.version.still_good(now):
            raise FileChanged(f"a file of {self.version.size} bytes was changed while it was sent, and has {now.size}")

    def close(self) -> None:
        """Let it go; again does nothing."""
        self.file.close()

    def __del__(self) -> None:
        """The last resort, for one whose asker was cancelled while a thread still opened it."""
        self.close()


@dataclass(frozen=True, slots=True)
class Form:
    """A file, or a compressed sibling of it.

    Attributes:
        body: All of it, or None where it is too large to be kept.
        settled: It had been left alone for a while when it was read, so that its version says whether it is the same.
    """

    version: Version
    body: bytes | None = None
    settled: bool = True


@dataclass(slots=True)
class Found:
    """What lies under a name.

    Attributes:
        forms: By coding; none where it is a folder.
        opened: The form that was wanted, where it is too large to be kept.
    """

    forms: dict[str, Form] = field(default_factory=dict)
    opened: dict[str, OpenFile] = field(default_factory=dict)

    def close(self) -> None:
        """Let go what is open."""
        for one in self.opened.values():
            one.close()


def open_folder(root: Path, names: Sequence[str]) -> int | None:
    """A descriptor of a folder below ``root``; None where there is none. The root itself may be a link.

    Raises:
        OSError: The machine is in trouble: it has no more descriptors, or its disk fails.
    """
    at = os.open(root, _FOLDER)
    try:
        for name in names:
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
    except OSError as error:
        os.close(at)
        if error.errno in _NOT_THERE:
            return None
        raise
    return at


def see(folder: int, name: str, wanted: Sequence[str], known: Mapping[str, Form], most: int) -> Found | None:
    """What lies under a name of an open folder; None where nobody is to know of it.

    Args:
        folder: A descriptor.
        name: Of one file or folder.
        wanted: Codings, best first; IDENTITY alone where siblings do not matter.
        known: The forms as they were when they were last read: what is the same is not read again.
        most: Bytes of a form that is read whole.

    Raises:
        OSError: The machine is in trouble.
    """
    try:
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    if stat.S_ISDIR(kind):
        return Found()
    found = Found()
    try:
        for coding in (IDENTITY, *CODINGS):
            one = _open(folder, name + CODINGS.get(coding, ""))
            if one is not None:
                _take(found, coding, one, known.get(coding), most)
            elif coding == IDENTITY:
                return None
        chosen = next(coding for coding in (*wanted, IDENTITY) if coding in found.forms)
        for coding in [*found.opened]:
            if coding != chosen:
                found.opened.pop(coding).close()
    except BaseException:
        found.close()
        raise
    return found


def _open(folder: int, name: str) -> OpenFile | None:
    try:
        # Asked first, since to open a device can do something to it.
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return None
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return OpenFile(descriptor, Version.of(status))
    os.close(descriptor)
    return None


def _take(found: Found, coding: str, one: OpenFile, known: Form | None, most: int) -> None:
    """Add a form: as it is known, as it is read now, or open."""
    try:
        if coding != IDENTITY and not _as_new(one.version, found.forms[IDENTITY].version):
            one.close()
        elif known and known.version == one.version and known.settled and known.body is not None:
            found.forms[coding] = known
            one.close()
        elif one.version.size <= most and (form := read(one)):
            found.forms[coding] = form
            one.close()
        else:
            found.forms[coding], found.opened[coding] = Form(one.version), one
    except BaseException:
        one.close()
        raise


def read(one: OpenFile) -> Form | None:
    """A form with all its bytes; None where it is written to at this very moment."""
    for _ in range(_TRIES):
        version = Version.of(os.fstat(one.descriptor))
        body = os.pread(one.descriptor, version.size + 1, 0)
        settled = time.time_ns() - max(version.modified, version.changed) > GRAIN
        if len(body) == version.size and Version.of(os.fstat(one.descriptor)) == version:
            return Form(version, body, settled)
    return None


def _as_new(sibling: Version, plain: Version) -> bool:
    """Whether a compressed sibling is of this plain file and not of one before it.

    Some compressors give it the plain file's time, cut to a second.
    """
    cut = sibling.modified % _SECOND == 0
    return sibling.modified >= (plain.modified // _SECOND * _SECOND if cut else plain.modified)
