"""Receiving: an object that comes piece by piece, written as it comes, and kept whole or not at all.

Flow: whoever receives -> Receiving.write, in a thread of the store -> finish: synced, linked to its name
Never: gives a name to fewer or more bytes than were announced, or holds more of them in memory than one piece.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from ropewalk.errors import Misuse
from ropewalk.spaces.store.folder import Folder, answering
from ropewalk.spaces.store.interface import LARGEST_OBJECT, ObjectName, object_name

__all__ = ["Receiving"]


class Receiving:
    """One put under way, in blocking calls, from any thread.  Nothing is there before the first of them.

    Args:
        folder: Where it goes.
        name: What it will be called.
        size: Its bytes, all together.

    Raises:
        Misuse: The name is not fit, or the object too large.
    """

    def __init__(self, folder: Folder, name: ObjectName, size: int) -> None:
        if not 0 <= size <= LARGEST_OBJECT:
            raise Misuse(f"object {name} is too large: want at most {LARGEST_OBJECT} bytes, got {size}")
        self._folder, self._name, self._size = folder, object_name(name), size
        self._came = 0
        self._file: tuple[str, int] | None = None  # path and descriptor of what came so far
        self._closed = False
        self._turn = threading.Lock()  # a write that nobody waits for any more may still be under way at the close

    def write(self, piece: bytes) -> None:
        """The next bytes.

        Raises:
            Misuse: There are more than were announced.
            StoreFull, StoreReadOnly, StoreGone.
        """
        with self._turn, answering(self._folder.root):
            _, descriptor = self._open()
            self._came += len(piece)
            if self._came > self._size:
                raise Misuse(f"object {self._name} goes on after {self._size} bytes, all that was announced")
            left = memoryview(piece)
            while left:
                left = left[self._folder.files.writev(descriptor, [left]) :]

    def finish(self) -> bool:
        """Keep what came, as `Store.put` does; whether it was new.

        Raises:
            Misuse: There are fewer bytes than were announced.
            NameTaken, StoreFull, StoreReadOnly, StoreGone, StoreDamaged.
        """
        with self._turn, answering(self._folder.root):
            path, descriptor = self._open()
            if self._came != self._size:
                raise Misuse(f"object {self._name} has {self._came} bytes, announced were {self._size}")
            self._folder.files.fsync(descriptor)
            return self._folder.adopt(path, descriptor, self._name, self._size)

    def close(self) -> None:
        """Let go of what came and got no name; nothing can be written from then on.  Harmless twice."""
        with self._turn:
            self._closed = True
            if self._file is not None:
                path, descriptor = self._file
                self._file = None
                with suppress(OSError):
                    self._folder.files.close(descriptor)
                with suppress(OSError):
                    self._folder.files.unlink(path)

    def _open(self) -> tuple[str, int]:
        if self._closed:
            raise Misuse(f"object {self._name} is not received any more")
        if self._file is None:
            self._folder.confirm()
            self._file = self._folder.scratch_file()
        return self._file
