"""Files: the folder in which packs and heads wait for stores, each a file of its own (docs/spec/offline.md).

Flow: writer, publish -> keep_pack, keep_head (durable) -> later -> drop
Never: shows a file under its name before all of it is durable, or grows beyond its bounds.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ropewalk.errors import Unavailable
from ropewalk.spaces.offline.packs import LARGEST_FILE, QueuedPack, parts_of
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.store.filesystem import FileSystem, OsFileSystem, sync_folder

__all__ = ["LET_WAIT", "MOST_HEADS", "QUEUE_FOLDER", "DiskFull", "QueueFiles", "QueueFull", "Waiting"]

QUEUE_FOLDER = "queue"  # in the folder of a space's state
MOST_HEADS = 4096  # that wait; at 256 KiB each they are a GiB, and bytes are bounded besides
_NEW = ".new"  # ends the name of a file that is not whole
_PACK = re.compile(r"([0-9a-f]{64})\.pack\Z")
_HEAD = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16}-[0-9a-f]{64})\.head\Z")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_ONCE = 8 * 1024 * 1024  # bytes
_LARGEST_HEAD = 256 * 1024


class QueueFull(Unavailable):
    """What waits to be published may not grow any more."""

    code = "offline.queue-full"


class DiskFull(QueueFull):
    """It may not, for want of room on the disk."""

    code = "offline.disk-full"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in the folder."""

    packs: frozenset[bytes]
    heads: frozenset[str]  # names of their objects, from the writer on
    size: int  # bytes, what was begun and not finished with it


class QueueFiles:
    """The folder.  Its calls wait for the disk; whoever writes or drops has the device's turn.

    Args:
        folder: Made with the first file.
        limit: Bytes in all files.
        files: The file system.
    """

    def __init__(self, folder: str, limit: int, files: FileSystem | None = None) -> None:
        self.folder, self.limit, self._files = folder, limit, files or OsFileSystem()

    # -- keeping -------------------------------------------------------------------------------------------------

    def keep_pack(self, pack: Pack) -> None:
        """Keep a pack: durable once this returns.

        Raises:
            QueueFull, Unavailable.
        """
        self._keep(f"{pack.name.hex()}.pack", parts_of(pack))

    def keep_head(self, name: str, data: bytes) -> None:
        """Keep a head beside the journal, so that it is seen that one waits even where the journal is lost.

        Raises:
            QueueFull, Unavailable.
        """
        if len(self.waiting().heads) >= MOST_HEADS:
            raise QueueFull(f"{MOST_HEADS:,} changes wait to be published, and no more may", hint=_HINT)
        self._keep(_file_of(name), [memoryview(data)])

    def _keep(self, name: str, parts: Sequence[memoryview]) -> None:
        size = sum(map(len, parts))
        have = self.waiting().size
        if have + size > self.limit:
            raise QueueFull(
                f"{have + size:,} bytes would wait to be published, the queue may have {self.limit:,}", hint=_HINT
            )
        path = f"{self.folder}/{name}"
        try:
            with suppress(FileExistsError):
                self._files.mkdir(self.folder)
                sync_folder(self._files, os.path.dirname(self.folder))
            self._write(path + _NEW, parts)
            self._files.rename(path + _NEW, path)
            sync_folder(self._files, self.folder)
        except OSError as error:
            with suppress(OSError):
                self._files.unlink(path + _NEW)
            if error.errno in _FULL:
                raise DiskFull(f"no room in {self.folder} for what waits to be published", hint=_ROOM) from None
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from None

    def _write(self, path: str, parts: Sequence[memoryview]) -> None:
        fd = self._files.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        try:
            left = [part for part in parts if len(part)]
            while left:
                done = self._files.writev(fd, left)
                while left and done >= len(left[0]):
                    done -= len(left.pop(0))
                if left:
                    left[0] = left[0][done:]
            self._files.fsync(fd)
        finally:
            self._files.close(fd)

    # -- reading -------------------------------------------------------------------------------------------------

    def waiting(self) -> Waiting:
        """What lies there."""
        packs, heads, size = set(), set(), 0
        try:
            names = list(self._files.scan(self.folder))
        except FileNotFoundError:
            return Waiting(frozenset(), frozenset(), 0)
        for name in names:
            if name.endswith("/"):
                continue
            with suppress(FileNotFoundError):  # another process has just published it
                size += self._files.facts(f"{self.folder}/{name}").size
            if found := _PACK.match(name):
                packs.add(bytes.fromhex(found[1]))
            elif found := _HEAD.match(name):
                heads.add(f"{found[1]}/{found[2]}")
        return Waiting(frozenset(packs), frozenset(heads), size)

    def holds(self, pack: bytes) -> bool:
        """Whether a pack waits here."""
        try:
            return self._files.facts(self._pack(pack)).regular
        except OSError:
            return False

    def ranges(self, pack: bytes, wanted: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Parts of a pack's file, unchecked, each by offset and length; None where it does not wait here.

        Offsets count from the start of the first column.
        """
        try:
            fd = self._files.open(self._pack(pack), os.O_RDONLY)
        except OSError:
            return None
        try:
            return [self._read(fd, length, offset) for offset, length in wanted]
        except OSError:
            return None
        finally:
            self._files.close(fd)

    def load(self, pack: bytes) -> QueuedPack | None:
        """A pack, all of it, checked; None where it does not wait here.

        Raises:
            QueuedDamaged.
        """
        found = self.ranges(pack, [(0, LARGEST_FILE + 1)])
        return None if found is None else QueuedPack.decode(found[0], pack)

    def load_unchecked(self, pack: bytes) -> QueuedPack | None:
        """The same, with columns that may be damaged.

        Raises:
            QueuedDamaged: What is beside them is.
        """
        found = self.ranges(pack, [(0, LARGEST_FILE + 1)])
        return None if found is None else QueuedPack.parse(found[0], pack)

    def _read(self, fd: int, length: int, offset: int) -> bytes:
        """So many bytes, or all that there are from there on."""
        pieces, left = list[bytes](), length
        while left and (piece := self._files.pread(fd, min(left, _AT_ONCE), offset)):
            pieces.append(piece)
            left, offset = left - len(piece), offset + len(piece)
        return b"".join(pieces)

    def _pack(self, pack: bytes) -> str:
        return f"{self.folder}/{pack.hex()}.pack"

    # -- dropping ------------------------------------------------------------------------------------------------

    def drop(self, packs: Collection[bytes] = (), heads: Collection[str] = ()) -> None:
        """Take away what waits no more; what is not there is well.

        Args:
            packs: By name.
            heads: By the names of their objects.
        """
        names = [f"{pack.hex()}.pack" for pack in packs] + [_file_of(head) for head in heads]
        for name in names:
            with suppress(OSError):
                self._files.unlink(f"{self.folder}/{name}")

    def sweep(self) -> None:
        """Take away files that were begun and not finished."""
        with suppress(OSError):
            for name in [name for name in self._files.scan(self.folder) if name.endswith(_NEW)]:
                self._files.unlink(f"{self.folder}/{name}")

    def head(self, name: str) -> bytes | None:
        """The bytes of a head that waits here."""
        try:
            fd = self._files.open(f"{self.folder}/{_file_of(name)}", os.O_RDONLY)
        except OSError:
            return None
        try:
            return self._read(fd, _LARGEST_HEAD + 1, 0)
        except OSError:
            return None
        finally:
            self._files.close(fd)


def _file_of(head: str) -> str:
    return "-".join(head.split("/")[-2:]) + ".head"


LET_WAIT = "let changes wait on this machine: `ropewalk space offline SPACE on`"  # said where that is off
_ROOM = "make room on its disk, or bring stores back; `ropewalk space queue SPACE` shows what waits"
_HINT = "bring stores back, so that it is published; `ropewalk space queue SPACE` shows it"
