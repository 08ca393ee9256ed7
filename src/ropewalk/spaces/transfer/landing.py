"""Landing: a local file on its way in, without its name until it is whole.

Flow: get, opened cuts -> [Landing] -> a file that is not seen, or beside its place -> its place
Never: shows half a file under the final name, or raises for a disk that fails: other files go on.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from ropewalk.spaces.chunk import CHUNK_SIZE, plain_hash
from ropewalk.spaces.content import check_content
from ropewalk.spaces.keys import HASH_SIZE, KeyRing
from ropewalk.spaces.transfer.folders import Folders, Names, check_replaceable
from ropewalk.spaces.transfer.scan import why_not
from ropewalk.spaces.tree.entry import Entry, EntryDamaged

__all__ = ["Landing"]

PLAIN_MODE = 0o1777  # an owner is not kept, so a file that runs as its owner would run as whoever brings it back


class Landing:
    """A local file being written, by several threads at once if it is large.

    Args:
        folders: Where it belongs.
        names: Its place.
        entry: What it is; it is placed only if it holds what its content id says.
        keys: The space's.

    Attributes:
        missing: Cuts that are not written yet.
        failed: Why nothing will come of it, or "".
    """

    __slots__ = (
        "_begun", "_descriptor", "_folder", "_folders", "_hashes", "_keys", "_landed", "_lock", "entry", "failed",
        "missing", "names",
    )  # fmt: skip

    def __init__(self, folders: Folders, names: Names, entry: Entry, keys: KeyRing) -> None:
        self.names, self.entry, self.failed, self._keys = names, entry, "", keys
        self.missing = max(-(-entry.size // CHUNK_SIZE), 1)
        self._landed = bytearray()  # for each cut up to the last one seen, whether it was written
        self._hashes = bytearray()  # of these
        self._folders, self._folder = folders, -1
        self._begun, self._descriptor = b"", -1  # the name that it has until it is whole, if any
        self._lock = threading.Lock()

    def write(self, offset: int, data: bytes) -> None:
        """One cut; the last one ends the file.  A failure is kept, not raised."""
        cut = offset // CHUNK_SIZE
        digest = plain_hash(data, self._keys) if data else b""
        # Held while it is written, since the system lets one thread at a time write to a file, and the other spins.
        with self._lock:
            if self.failed or (cut < len(self._landed) and self._landed[cut]):
                return  # a read that was given up may deliver what is then read again
            try:
                if self._folder < 0:
                    self._begin()
                _write_all(self._descriptor, data, offset)
                self._landed.extend(bytes(max(cut + 1 - len(self._landed), 0)))
                self._landed[cut] = 1
                self._hashes.extend(bytes(max((cut + 1) * HASH_SIZE - len(self._hashes), 0)))
                self._hashes[cut * HASH_SIZE : (cut + 1) * HASH_SIZE] = digest
                self.missing -= 1
                if not self.missing:
                    check_content(self.entry, bytes(self._hashes), self._keys)
                    self._finish()
            except EntryDamaged as error:
                self._abandon(f"{error} ({error.code})")
            except OSError as error:
                self._abandon(why_not(error))

    def fail(self, why: str) -> None:
        """Give the file up and leave nothing of it."""
        with self._lock:
            if not self.failed and self.missing > 0:
                self._abandon(why)

    def _begin(self) -> None:
        self._folder = self._folders.take(self.names[:-1])
        if self.missing > 1:
            check_replaceable(self.names[-1], self._folder)  # now, and not after all was written
        self._begun, self._descriptor = self._folders.new_file(self._folder)
        if self.missing > 1:
            os.ftruncate(self._descriptor, self.entry.size)

    def _finish(self) -> None:
        os.fchmod(self._descriptor, self.entry.mode & PLAIN_MODE)
        os.utime(self._descriptor, ns=(self.entry.mtime, self.entry.mtime))
        if self._begun:
            self._close()  # now, since network file systems tell only here what could not be written
        self._folders.place(self._begun, self._descriptor, self.names[-1], self._folder)
        self._begun = b""
        self._let_go()

    def _abandon(self, why: str) -> None:
        self.failed = why
        if self._begun:
            with suppress(OSError):
                os.unlink(self._begun, dir_fd=self._folder)
        self._let_go()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _let_go(self) -> None:
        if self._folder >= 0:
            self._folders.give(self.names[:-1])
            self._folder = -1
        if self._descriptor >= 0:
            with suppress(OSError):
                self._close()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
