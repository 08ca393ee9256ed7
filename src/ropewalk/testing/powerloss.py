"""A file system in memory that forgets what was not synced, as POSIX lets one: SIGKILL alone proves nothing.

What lasts after a power cut:
- A file's bytes as of its last fsync.  Of what was written since, any block may be there, or zeros, or the file's end.
- A folder's entries as of the folder's last fsync.  Each name changed since stands, by itself, at any of its states.
So a file that was synced has no name if its folder was not, and a name whose file was not synced leads to torn bytes.
Journalling file systems promise more; what is sound here is sound on all of them.

Flow: DiskStore -> PowerLossFileSystem; a test stops it at any call, then ``crash``es it and opens what is left
Never: orders one unsynced change after another.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ropewalk.spaces.store import Facts, Room

__all__ = ["PowerCut", "PowerLossFileSystem"]

_BLOCK = 4096  # bytes; what a disk writes at once, so what a power cut may leave out


class PowerCut(BaseException):
    """The process ends here.  Not an Exception, since nothing may catch it and go on."""


@dataclass(eq=False, slots=True)
class _File:
    bytes_now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    links: int = 0
    changes: int = 0  # for its time

    def sync(self) -> None:
        self.synced = bytes(self.bytes_now)

    def after_crash(self, chance: random.Random) -> _File:
        now = bytes(self.bytes_now)
        fate = chance.choice(["lost", "whole", "torn"]) if now != self.synced else "whole"
        if fate == "lost":
            left = self.synced
        elif fate == "whole":
            left = now
        else:
            size = chance.randint(min(len(self.synced), len(now)), max(len(self.synced), len(now)))
            old = self.synced.ljust(size, b"\0")
            blocks = range(0, size, _BLOCK)
            left = b"".join(chance.choice([old, now])[at : at + _BLOCK].ljust(_BLOCK, b"\0") for at in blocks)[:size]
        return _File(bytearray(left), left)


@dataclass(eq=False, slots=True)
class _Folder:
    entries: dict[str, _File | _Folder] = field(default_factory=dict)
    synced: dict[str, _File | _Folder] = field(default_factory=dict)
    since: dict[str, list[_File | _Folder | None]] = field(default_factory=dict)  # what each name was since the sync
    links: int = 1

    def set(self, name: str, node: _File | _Folder | None) -> None:
        if node is None:
            self.entries.pop(name).links -= 1
        else:
            self.entries[name] = node
            node.links += 1
        self.since.setdefault(name, []).append(node)

    def sync(self) -> None:
        self.synced = dict(self.entries)
        self.since.clear()

    def after_crash(self, chance: random.Random, seen: dict[int, _File]) -> _Folder:
        left = _Folder()
        for name in sorted({*self.synced, *self.since}):
            node = chance.choice([self.synced.get(name), *self.since.get(name, [])])
            if isinstance(node, _Folder):
                left.set(name, node.after_crash(chance, seen))
            elif node is not None:
                # Two names of one file still lead to one file.
                left.set(name, seen.setdefault(id(node), node.after_crash(chance)))
        left.sync()
        return left


class PowerLossFileSystem:
    """Implements ``FileSystem``.  Starts as an empty, durable ``/``.

    Args:
        at_once: Bytes that one call of writev or pread moves at most.
    """

    def __init__(self, at_once: int = 1 << 30) -> None:
        self.calls = 0
        self._stop_at: int | None = None
        self._at_once = at_once
        self._root = _Folder()
        self._open: dict[int, _File | _Folder] = {}
        self._locks: dict[int, int] = {}  # id of a file -> the fd that holds its lock
        self._next = 3
        self._tick = itertools.count(1)
        self._turn = threading.RLock()

    def stop_at(self, call: int) -> None:
        """Raise PowerCut in place of the ``call``-th call from now, counted from 0, and of every one after it."""
        self.calls = 0
        self._stop_at = call

    def kill(self) -> None:
        """The process is dead and the machine is not: all that was done stands, locks are free."""
        self._open.clear()
        self._locks.clear()
        self._stop_at = None

    def crash(self, seed: int) -> PowerLossFileSystem:
        """What the disk holds after a power cut now, one of the many ways it may turn out.  This one stays as it is."""
        left = PowerLossFileSystem(self._at_once)
        left._root = self._root.after_crash(random.Random(seed), {})  # noqa: S311 - repeatable, not secret
        return left

    def contents(self, path: str) -> bytes:
        """The bytes of a file as they stand now, for a test to look at.  Not counted as a call."""
        node = self._find(path)
        return bytes(node.bytes_now) if isinstance(node, _File) else b""

    # ---- FileSystem --------------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        with self._call():
            folder, name = self._place(path)
            node = self._root if not name else folder.entries.get(name)
            if node is None and flags & os.O_CREAT:
                node = _File(changes=next(self._tick))
                folder.set(name, node)
            elif node is None:
                raise _error(errno.ENOENT, path)
            elif flags & os.O_EXCL:
                raise _error(errno.EEXIST, path)
            elif isinstance(node, _File) and flags & os.O_DIRECTORY:
                raise _error(errno.ENOTDIR, path)
            elif isinstance(node, _Folder) and flags & (os.O_WRONLY | os.O_RDWR):
                raise _error(errno.EISDIR, path)
            self._next += 1
            self._open[self._next] = node
            return self._next

    def close(self, fd: int) -> None:
        with self._call():
            self._node(fd)
            del self._open[fd]
            self._locks = {file: holder for file, holder in self._locks.items() if holder != fd}

    def writev(self, fd: int, parts: Sequence[memoryview]) -> int:
        with self._call():
            taken = b"".join(parts)[: self._at_once]
            file = self._file(fd)
            file.bytes_now += taken
            file.changes = next(self._tick)
            return len(taken)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        with self._call():
            return bytes(self._file(fd).bytes_now[offset : offset + min(length, self._at_once)])

    def fsync(self, fd: int) -> None:
        with self._call():
            self._node(fd).sync()

    def drop_cached(self, fd: int) -> None:
        with self._call():
            self._file(fd)

    def lock(self, fd: int) -> bool:
        with self._call():
            return self._locks.setdefault(id(self._file(fd)), fd) == fd

    def facts(self, file: int | str) -> Facts:
        with self._call():
            node = self._node(file) if isinstance(file, int) else self._find(file)
            regular = isinstance(node, _File)
            return Facts(regular, len(node.bytes_now) if isinstance(node, _File) else 0, node.links)

    def link(self, old: str, new: str) -> None:
        with self._call():
            node = self._find(old)
            folder, name = self._place(new)
            if name in folder.entries:
                raise _error(errno.EEXIST, new)
            folder.set(name, node)

    def rename(self, old: str, new: str) -> None:
        with self._call():
            node = self._find(old)
            source, was = self._place(old)
            folder, name = self._place(new)
            there = folder.entries.get(name)
            if isinstance(there, _Folder):
                raise _error(errno.EISDIR, new)
            if there is not None:
                there.links -= 1
            folder.set(name, node)
            source.set(was, None)

    def stamp(self, path: str) -> tuple[int, int, int]:
        with self._call():
            node = self._find(path)
            size = len(node.bytes_now) if isinstance(node, _File) else 0
            return id(node), node.changes if isinstance(node, _File) else 0, size

    def unlink(self, path: str) -> None:
        with self._call():
            folder, name = self._place(path)
            if isinstance(self._find(path), _Folder):
                raise _error(errno.EISDIR, path)
            folder.set(name, None)

    def mkdir(self, path: str) -> None:
        with self._call():
            folder, name = self._place(path)
            if name in folder.entries:
                raise _error(errno.EEXIST, path)
            folder.set(name, _Folder(links=0))

    def scan(self, path: str) -> Iterator[str]:
        with self._call():
            folder = self._find(path)
            if isinstance(folder, _File):
                raise _error(errno.ENOTDIR, path)
            # Backwards: whoever wants an order has to make it.
            return iter(
                [n + "/" * isinstance(folder.entries[n], _Folder) for n in sorted(folder.entries, reverse=True)]
            )

    def room(self, path: str) -> Room:
        with self._call():
            self._find(path)
            return Room(total=1 << 40, free=1 << 40)

    # ------------------------------------------------------------------------------------------------------------------

    def _call(self) -> threading.RLock:
        with self._turn:
            if self._stop_at is not None and self.calls >= self._stop_at:
                raise PowerCut
            self.calls += 1
        return self._turn

    def _find(self, path: str) -> _File | _Folder:
        folder, name = self._place(path)
        if not name:
            return folder
        if name not in folder.entries:
            raise _error(errno.ENOENT, path)
        return folder.entries[name]

    def _place(self, path: str) -> tuple[_Folder, str]:
        """The folder a path ends in, and the name there; no name for the root itself."""
        *above, name = path.strip("/").split("/")
        folder = self._root
        for step in above:
            node = folder.entries.get(step)
            if node is None:
                raise _error(errno.ENOENT, path)
            if isinstance(node, _File):
                raise _error(errno.ENOTDIR, path)
            folder = node
        return folder, name

    def _file(self, fd: int) -> _File:
        node = self._node(fd)
        if isinstance(node, _Folder):
            raise _error(errno.EISDIR, str(fd))
        return node

    def _node(self, fd: int) -> _File | _Folder:
        if fd not in self._open:
            raise _error(errno.EBADF, str(fd))
        return self._open[fd]


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
