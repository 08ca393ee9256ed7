"""A folder as a store, in blocking calls: how an object is kept so that a power cut cannot take or tear it.

A put writes a temporary file, syncs it, links it to its name, and syncs every folder on the way that may have a new
entry.  A link never replaces, so of two writers one wins; the other compares.

Flow: disk -> folder -> FileSystem
Never: overwrites; trusts an entry it did not sync itself to be durable; takes an object through a symbolic link.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Protocol

from ropewalk.errors import Misuse
from ropewalk.spaces.store.filesystem import FileSystem, sync_folder
from ropewalk.spaces.store.interface import (
    LARGEST_OBJECT,
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    Room,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    hint_name,
    object_name,
)
from ropewalk.spaces.store.listing import walk
from ropewalk.spaces.store.marker import MARKER, read_marker
from ropewalk.spaces.store.parts import checked_hint, pieces, size_of, views
from ropewalk.spaces.store.scratch import Scratch

__all__ = ["Folder", "Spread", "answering"]

_COMPARED = 1024 * 1024  # bytes read at once when a name is taken; large enough that the calls do not count
_DROPPED = 1024 * 1024  # bytes from which pages leave the cache once synced: a share is not read soon, a head may be
_MOST_SETTLED = 65536  # folders remembered as durable, some 10 MB; more are synced again

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class Spread(Protocol):
    """Does a piece of work for each index below ``count``, several at once; the first error is raised at the end."""

    def __call__(self, work: Callable[[int], None], count: int) -> None: ...


@contextmanager
def answering(root: str) -> Iterator[None]:
    """Turn what the operating system says into what a store may say."""
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        if error.errno in _FULL:
            raise StoreFull(f"store at {root} is full: {said}", hint="free some room or add a store") from error
        if error.errno in _READ_ONLY:
            raise StoreReadOnly(
                f"store at {root} cannot be written: {said}",
                hint="look at the owner and mode of the folder, how it is mounted, and that it allows hard links",
            ) from error
        raise StoreGone(f"store at {root} does not answer: {said}", hint="is the disk mounted and sound?") from error


class Folder:
    """The store ``identity`` in the folder ``root``.  Safe to call from several threads."""

    def __init__(self, files: FileSystem, root: str, identity: bytes) -> None:
        self.root = root
        self.identity = identity
        self.files = files
        self._scratch = Scratch(files, root)
        self._settled: set[str] = set()  # folders whose entry in their parent is known to be durable

    def open(self) -> None:
        """Remove what crashed writers left, once the folder is known to be the store."""
        self.confirm()
        self._scratch.sweep()

    def close(self) -> None:
        """Let go of the lock on our temporary files."""
        self._scratch.close()

    def confirm(self) -> None:
        """Raises StoreGone unless the folder is still the store it was."""
        if (found := read_marker(self.files, self.root)) != self.identity:
            raise StoreGone(
                f"store at {self.root} is another one: want {self.identity.hex()}, got {found.hex()}",
                hint="is the right disk mounted here?",
            )

    def put(self, objects: Sequence[tuple[ObjectName, Parts]], spread: Spread, abandoned: Callable[[], bool]) -> None:
        """Keep them all, each folder synced once.

        Once ``abandoned`` says so nothing more gets a name, since the caller may reuse the memory behind the parts.
        """
        paths = [self.path(name) for name, _ in objects]
        sizes = [size_of(parts) for _, parts in objects]
        temporary: dict[int, str] = {}

        def write(index: int) -> None:
            name, parts = objects[index]
            if not self._taken(paths[index], name, pieces(parts, _COMPARED), sizes[index]):
                temporary[index] = self._written(parts, sizes[index])

        with answering(self.root):
            self.confirm()
            try:
                spread(write, len(objects))
                for index, (name, parts) in enumerate(objects):
                    self.settle(os.path.dirname(paths[index]))
                    if index not in temporary:
                        continue
                    if abandoned():
                        return
                    try:
                        self.files.link(temporary[index], paths[index])
                    except FileExistsError:
                        self._taken(paths[index], name, pieces(parts, _COMPARED), sizes[index])
                    except FileNotFoundError:
                        self._settled.clear()  # someone removed a folder: the next try makes it again
                        raise
            finally:
                for path in temporary.values():
                    with suppress(OSError):
                        self.files.unlink(path)
            for folder in sorted({os.path.dirname(path) for path in paths}):
                sync_folder(self.files, folder)
            # Not before: only now is it sure that all of it went to this store, and not to what took its place.
            self.confirm()

    def scratch_file(self) -> tuple[str, int]:
        """A new temporary file, open, for `adopt`; whoever gets it takes it away again."""
        path = self._scratch.fresh()
        return path, self.files.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def adopt(self, path: str, fd: int, name: ObjectName, size: int) -> bool:
        """``put`` of what a temporary file holds durably; False where the store had it."""

        def wanted() -> Iterator[memoryview]:
            for offset in range(0, size, _COMPARED):
                yield memoryview(self._read(fd, name, min(_COMPARED, size - offset), offset))

        kept = self.path(name)
        with answering(self.root):
            self.confirm()
            if new := not self._taken(kept, name, wanted(), size):
                self.settle(os.path.dirname(kept))
                try:
                    self.files.link(path, kept)
                except FileExistsError:
                    new = not self._taken(kept, name, wanted(), size)
                except FileNotFoundError:
                    self._settled.clear()
                    raise
            sync_folder(self.files, os.path.dirname(kept))
            self.confirm()
        return new

    def replace(self, name: ObjectName, parts: Parts, abandoned: Callable[[], bool]) -> None:
        """Keep a hint.  Nothing is synced: what a power cut leaves is looked at as closely as what a store invents."""
        size = checked_hint(name, parts)
        path = self.path(name)
        with answering(self.root):
            self.confirm()
            temporary = self._written(parts, size, durable=False)
            try:
                for above in (os.path.dirname(os.path.dirname(path)), os.path.dirname(path)):
                    with suppress(FileExistsError):
                        self.files.mkdir(above)
                if not abandoned():
                    self.files.rename(temporary, path)
            except (NotADirectoryError, IsADirectoryError):
                raise NameTaken(f"name {name} is taken in the store at {self.root}: no object lies there") from None
            finally:
                with suppress(OSError):  # it has its name by now, as a rule
                    self.files.unlink(temporary)
            self.confirm()

    def mark(self, name: ObjectName) -> bytes:
        """Another whenever a hint was replaced."""
        path = self.path(hint_name(name))
        try:
            return b"%d %d %d" % self.files.stamp(path)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise self._unreadable(name, error) from error
        self.confirm()
        return b"none"

    def stamp(self, prefix: str) -> bytes:
        """Another whenever an object came to those right below a prefix that ends in a slash, or left them."""
        try:
            return b"%d %d %d" % self.files.stamp(f"{self.root}/{prefix.rstrip('/')}")
        except OSError as error:
            if error.errno in _NOT_THERE:
                return b"none"
            raise StoreGone(f"store at {self.root} does not answer: {error.strerror or error}") from error

    def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        """The range, read with no more than it from the disk."""
        path = self.path(name)
        try:
            fd = self.files.open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno not in (*_NOT_THERE, errno.ELOOP):
                raise self._unreadable(name, error) from error
            self.confirm()
            raise NoSuchObject(f"no object {name} in the store at {self.root}") from None
        try:
            facts = self.files.facts(fd)
            if not facts.regular:
                raise NoSuchObject(f"no object {name} in the store at {self.root}: something else lies there")
            wanted = max(0, facts.size - offset)
            if length is not None:
                wanted = min(wanted, length)
            if wanted > LARGEST_OBJECT:
                raise StoreDamaged(f"object {name} is too large: want at most {LARGEST_OBJECT} bytes, got {facts.size}")
            return self._read(fd, name, wanted, offset)
        except OSError as error:
            raise self._unreadable(name, error) from error
        finally:
            self.files.close(fd)

    def get_many(self, names: Sequence[ObjectName], most: int, abandoned: Callable[[], bool]) -> list[bytes | None]:
        """The first ``most`` bytes of each; None for one that cannot be read, and for all that nobody waits for."""
        found: list[bytes | None] = []
        for name in names:
            try:
                found.append(None if abandoned() else self.get(name, 0, most))
            except (NoSuchObject, StoreGone, StoreDamaged):
                found.append(None)
        return found

    def page(self, found: Iterator[Listed], most: int) -> list[Listed]:
        """The next of a listing, at most ``most``; fewer at its end."""
        try:
            page = list(islice(found, most))
        except OSError as error:
            raise StoreGone(
                f"store at {self.root} cannot be listed: {error.strerror}", hint="may this user read the folder?"
            ) from error
        # An empty folder where a disk was mounted must not pass for an end of the listing.
        self.confirm()
        return page

    def walk(self, prefix: str, after: str) -> Iterator[Listed]:
        """What ``page`` takes its listing from."""
        return walk(self.files, self.root, prefix, after)

    def delete(self, name: ObjectName) -> None:
        """Take the name away; the folder is synced even where it was not there, since its going may not be durable."""
        path = self.path(name)
        with answering(self.root):
            self.confirm()
            try:
                self.files.unlink(path)
            except OSError as error:
                # A folder under an object's name is no object; unlink says EISDIR, or EPERM on some systems.
                if error.errno not in _NOT_THERE and not (error.errno == errno.EPERM and self._is_folder(path)):
                    raise
            with suppress(FileNotFoundError, NotADirectoryError):
                sync_folder(self.files, os.path.dirname(path))
            self.confirm()

    def room(self) -> Room:
        """What the file system has left."""
        with answering(self.root):
            found = self.files.room(self.root)
            self.confirm()
            return found

    def path(self, name: ObjectName) -> str:
        """Where an object of this name lies, or would."""
        if object_name(name).partition("/")[0] == MARKER:
            raise Misuse(f"object name {name!r} is not fit: {MARKER} is the store's own")
        return f"{self.root}/{name}"

    def _is_folder(self, path: str) -> bool:
        try:
            return not self.files.facts(path).regular
        except OSError:
            return False

    def _taken(self, path: str, name: ObjectName, wanted: Iterable[memoryview], size: int) -> bool:
        """Whether the name holds these bytes, which are then durable.  NameTaken where it holds others."""
        try:
            fd = self.files.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise NameTaken(f"name {name} is taken in the store at {self.root}: no object lies there") from None
            raise self._unreadable(name, error) from error
        try:
            facts = self.files.facts(fd)
            if not facts.regular or facts.size != size or not self._same(fd, name, wanted):
                raise NameTaken(f"name {name} is taken by other bytes in the store at {self.root}")
            self.files.fsync(fd)
        finally:
            self.files.close(fd)
        return True

    def _same(self, fd: int, name: ObjectName, wanted: Iterable[memoryview]) -> bool:
        offset = 0
        try:
            for piece in wanted:
                if self._read(fd, name, piece.nbytes, offset) != piece:
                    return False
                offset += piece.nbytes
        except OSError as error:
            raise self._unreadable(name, error) from error
        return True

    def _read(self, fd: int, name: ObjectName, wanted: int, offset: int) -> bytes:
        found = self.files.pread(fd, wanted, offset) if wanted else b""
        if len(found) == wanted:
            return found  # nearly always; the rest copies
        gathered = bytearray(found)
        while len(gathered) < wanted:
            more = self.files.pread(fd, wanted - len(gathered), offset + len(gathered))
            if not more:
                raise StoreDamaged(
                    f"object {name} ends early in the store at {self.root}: "
                    f"want {wanted} bytes from {offset}, got {len(gathered)}"
                )
            gathered += more
        return bytes(gathered)

    def _unreadable(self, name: ObjectName, error: OSError) -> StoreDamaged | StoreGone:
        said = error.strerror or str(error)
        if error.errno == errno.EIO:
            return StoreDamaged(f"object {name} cannot be read from the store at {self.root}: {said}")
        return StoreGone(f"store at {self.root} does not answer: {said}", hint="may this user read the folder?")

    def _written(self, parts: Parts, size: int, *, durable: bool = True) -> str:
        """The path of a temporary file that holds the parts, durably unless told otherwise."""
        path = self._scratch.fresh()
        fd = self.files.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                # One call for all of it: writing 10 MiB in pieces of 1 MiB was measured at a third of the speed.
                left = views(parts)
                while left:
                    taken = self.files.writev(fd, left)
                    left = _after(left, taken)
                if durable:
                    self.files.fsync(fd)
                if size >= _DROPPED:
                    self.files.drop_cached(fd)
            finally:
                self.files.close(fd)
        except OSError:
            with suppress(OSError):
                self.files.unlink(path)
            raise
        return path

    def settle(self, folder: str) -> None:
        """Make the folder and those above it, and their entries durable, up to the root.

        A folder that is found is synced too, once: whoever made it may have died before.
        """
        if folder == self.root or folder in self._settled:
            return
        parent = os.path.dirname(folder)
        self.settle(parent)
        with suppress(FileExistsError):
            self.files.mkdir(folder)
        sync_folder(self.files, parent)
        if len(self._settled) >= _MOST_SETTLED:
            self._settled.clear()
        self._settled.add(folder)


def _after(parts: list[memoryview], taken: int) -> list[memoryview]:
    """What is left of the parts once ``taken`` bytes of them are written."""
    for index, part in enumerate(parts):
        if taken < part.nbytes:
            return [part[taken:], *parts[index + 1 :]]
        taken -= part.nbytes
    return []
