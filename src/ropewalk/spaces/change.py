"""Change: what one commit does to the tree, collected by path and applied at once.

Flow: write, remove, move, make_folder, add_file -> entries by key -> Spool -> Tree.apply
Never: publishes anything: that is the commit's part, once this is done.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence

from ropewalk.errors import Misuse
from ropewalk.spaces.chunk import Sealed
from ropewalk.spaces.content import Stored, seal_cuts, seal_small, store_cuts
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.spool import Spool
from ropewalk.spaces.tree.entry import (
    CHUNK_SIZE,
    MOST_CHUNKS,
    ROOT_FOLDER,
    Entry,
    EntryId,
    EntryKey,
    Kind,
    WriterId,
    encode_entry,
    pack_key,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.view import Shown, show_folder
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version, check_parts, follow, parse_path
from ropewalk.spaces.writer import Item, Writer

__all__ = ["AlreadyThere", "Change", "FolderNotEmpty"]

IDS_AT_ONCE = 256
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


class AlreadyThere(Misuse):
    """The name is taken by something that would have to go first."""

    code = "space.already-there"


class FolderNotEmpty(Misuse):
    """A folder is removed only with what is in it when that is said."""

    code = "space.folder-not-empty"


class Change:
    """One commit being made.

    Args:
        base: The version that it starts from.
        writer: Takes the content.
        dot: Writer and sequence of the head that will carry it.
        maps: The empty offset map.
        keys: The space's.
        spool: Takes the entries.
        now: Nanoseconds since 1970, for what has no time of its own.
        random: Gives entry ids.
        padded: From privacy level 2.
    """

    def __init__(
        self,
        base: Version,
        writer: Writer,
        dot: tuple[bytes, int],
        maps: Tree,
        keys: KeyRing,
        spool: Spool,
        now: Callable[[], int],
        random: Callable[[int], bytes] = os.urandom,
        *,
        padded: bool = False,
    ) -> None:
        self.base, self.writer = base, writer
        self._dot = WriterId(dot[0]), dot[1]
        self._maps, self._keys, self._spool, self._now, self._random = maps, keys, spool, now, random
        self._padded = padded
        self._ids: list[EntryId] = []
        self._touched: dict[tuple[EntryId, bytes], list[tuple[bytes, bytes]]] = {}
        self._folders: dict[tuple[bytes, ...], Sequence[EntryId]] = {(): (ROOT_FOLDER,)}
        self._new_folders: set[EntryId] = set()
        self._unseen = False  # whether something was put that only the spool knows
        self.note = ""

    # -- looking -------------------------------------------------------------------------------------------------

    async def named(self, folders: Sequence[EntryId], name: bytes) -> Shown | None:
        """What is shown under a name, with what this change has done so far."""
        if not any((folder, name) in self._touched for folder in folders):
            if all(folder in self._new_folders for folder in folders):
                return None
            return await self.base.named(folders, name)
        items = [item for folder in folders for item in self._touched.get((folder, name), [])]
        return next((shown for shown in show_folder(folders, items, self.base.settled) if shown.name == name), None)

    async def catch_up(self) -> None:
        """See what was put with ``once``: needed before one comes back to where such things may lie."""
        if self._unseen:
            self.base = Version(await self.apply(), self.base.content, self.base.settled)
            self._touched.clear()
            self._new_folders.clear()
            self._unseen = False

    async def find(self, parts: Sequence[bytes]) -> Shown:
        """What lies at a path now.

        Raises:
            NoSuchPath, NotAFolder.
        """
        await self.catch_up()
        return await follow(parts, self.named, "this space")

    # -- folders -------------------------------------------------------------------------------------------------

    async def folder(
        self, parts: tuple[bytes, ...], *, mode: int = _FOLDER_MODE, mtime: int | None = None
    ) -> Sequence[EntryId]:
        """The ids of a folder; made where it is not there, with those above it.

        Raises:
            NotAFolder: Something else has the name of one of them.
        """
        if (known := self._folders.get(parts)) is not None:
            return known
        check_parts(parts)
        depth = len(parts)
        while parts[:depth] not in self._folders:
            depth -= 1
        for end in range(depth + 1, len(parts) + 1):
            last = end == len(parts)
            above = self._folders[parts[: end - 1]]
            self._folders[parts[:end]] = await self._folder_in(
                above, parts[:end], mode if last else _FOLDER_MODE, mtime if last else None
            )
        return self._folders[parts]

    async def _folder_in(
        self, above: Sequence[EntryId], parts: tuple[bytes, ...], mode: int, mtime: int | None
    ) -> Sequence[EntryId]:
        there = await self.named(above, parts[-1])
        if there is None:
            entry = Entry(Kind.FOLDER, mtime=self._now() if mtime is None else mtime, mode=mode)
            ids = (self._place(above[0], parts[-1], entry),)
            self._new_folders.update(ids)
            return ids
        if there.kind != Kind.FOLDER:
            raise NotAFolder(f"{_shown(parts)} is not a folder", hint="remove or rename it first")
        return there.folders

    async def make_folder(self, path: str | bytes, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make an empty folder.

        Raises:
            AlreadyThere, NoSuchPath, NotAFolder.
        """
        parts = parse_path(path)
        if not parts:
            if exist_ok:
                return
            raise AlreadyThere("the top of the space is there already")
        await self.catch_up()
        if not parents:
            above = await self.find(parts[:-1])
            if above.kind != Kind.FOLDER:
                raise NotAFolder(f"{_shown(parts[:-1])} is not a folder")
        if not exist_ok and await self._there(parts):
            raise AlreadyThere(f"{_shown(parts)} is there already")
        await self.folder(parts)

    async def _there(self, parts: tuple[bytes, ...]) -> Shown | None:
        try:
            return await self.find(parts)
        except NoSuchPath:
            return None

    # -- files ---------------------------------------------------------------------------------------------------

    async def write(self, path: str | bytes, data: bytes | memoryview, *, mode: int = _FILE_MODE) -> None:
        """Make or replace a file; folders on the way are made.

        Raises:
            AlreadyThere: A folder has the name.
            NotAFolder, BelowFloor.
        """
        parts = parse_path(path)
        if len(data) <= MOST_CHUNKS * CHUNK_SIZE:
            stored, cuts = seal_small(bytes(data), self._keys, padded=self._padded)
            await self.writer.add([(cut, None) for cut in cuts])
        else:
            stored = await self._write_large(memoryview(data))
        await self.put_entry(parts, file_entry(stored, self._now(), mode))

    async def _write_large(self, data: memoryview) -> Stored:
        async def cuts() -> AsyncIterator[Sequence[Sealed]]:
            for at in range(0, len(data), CHUNK_SIZE):
                yield seal_cuts(data[at : at + CHUNK_SIZE], self._keys, padded=self._padded)

        return await store_cuts(cuts(), self.writer, self._maps, self._keys)

    async def add_chunks(self, items: Sequence[Item]) -> None:
        """Take sealed content that an entry will point at."""
        await self.writer.add(items)

    async def put_entry(self, parts: tuple[bytes, ...], entry: Entry, *, once: bool = False) -> bool:
        """Put a file or link at a path, in place of the one that is there; whether that changed anything.

        Args:
            parts: The path.
            entry: What to put.
            once: The name does not come again until `catch_up`, so nothing needs to be remembered of it.

        Raises:
            AlreadyThere: A folder has the name.
            NotAFolder: One on the way is something else.
        """
        if not parts:
            raise AlreadyThere("the top of the space is a folder")
        if not once:
            await self.catch_up()
        check_parts(parts)
        folders = await self.folder(parts[:-1])
        there = await self.named(folders, parts[-1])
        if there is not None and there.kind == Kind.FOLDER:
            raise AlreadyThere(f"{_shown(parts)} is a folder", hint="remove it first, or choose another name")
        if there is None:
            self._place(folders[0], parts[-1], entry, once=once)
            return True
        if _alike(there.entry, entry):
            return False
        for key, _ in there.items:
            self._forget(key, there)
        self._place(there.key.parent, there.key.name, entry, there.key.entry_id)
        return True

    def put_value(self, key: bytes, value: bytes) -> None:
        """Another value for an entry that is there, its key and so its dot kept: the same content, sealed anew."""
        self._spool.add(key, value)
        self._unseen = True

    # -- moving and removing -------------------------------------------------------------------------------------

    async def remove(self, path: str | bytes, *, recursive: bool = False) -> int:
        """Remove a file or link, or a folder with all that is in it; how many entries went.

        Raises:
            FolderNotEmpty, NoSuchPath, NotAFolder.
        """
        parts = parse_path(path)
        if not parts:
            raise Misuse("the top of the space cannot be removed", hint="remove what is in it")
        found = await self.find(parts)
        gone = 0
        if found.kind == Kind.FOLDER:
            gone += await self._empty(found, parts, recursive=recursive)
        for key, _ in found.items:
            self._forget(key, found)
            gone += 1
        self._folders = {known: ids for known, ids in self._folders.items() if known[: len(parts)] != parts}
        return gone

    async def _empty(self, folder: Shown, parts: tuple[bytes, ...], *, recursive: bool) -> int:
        gone = 0
        levels = [folder]
        while levels:
            at = levels.pop()
            async for shown in self._listing(at.folders):
                if not recursive:
                    raise FolderNotEmpty(f"{_shown(parts)} is not empty", hint="remove it with all that is in it: -r")
                if shown.kind == Kind.FOLDER:
                    levels.append(shown)
                for key, _ in shown.items:
                    self._forget(key, shown)
                    gone += 1
        return gone

    async def _listing(self, folders: Sequence[EntryId]) -> AsyncIterator[Shown]:
        touched = {name for folder, name in self._touched if folder in folders}
        if not all(folder in self._new_folders for folder in folders):
            async for shown in self.base.listing(folders):
                if shown.name not in touched:
                    yield shown
        for name in sorted(touched):
            if (found := await self.named(folders, name)) is not None:
                yield found

    async def move(self, source: str | bytes, target: str | bytes) -> None:
        """Rename or move, content and history kept; a folder of a million files is one entry.

        Raises:
            AlreadyThere: The target is a folder, or a file where a folder moves.
            Misuse: A folder would move into itself.
            NoSuchPath, NotAFolder.
        """
        old, new = parse_path(source), parse_path(target)
        if not old or not new:
            raise Misuse("the top of the space cannot be moved or replaced")
        moving = await self.find(old)
        if old == new:
            return
        if moving.kind == Kind.FOLDER and new[: len(old)] == old:
            raise Misuse(f"{_shown(old)} cannot move into itself")
        folders = (await self.find(new[:-1])).folders
        if not folders:
            raise NotAFolder(f"{_shown(new[:-1])} is not a folder")
        there = await self.named(folders, new[-1])
        if there is not None:
            if there.kind == Kind.FOLDER or moving.kind == Kind.FOLDER:
                raise AlreadyThere(f"{_shown(new)} is there already", hint="remove it first, or choose another name")
            for key, _ in there.items:
                self._forget(key, there)
        moved: set[EntryId] = set()
        for key, value in moving.items:
            self._forget(key, moving)
            if (entry_id := _entry_id(key)) not in moved:  # of several versions of one entry the first is the shown one
                moved.add(entry_id)
                self._put(EntryKey(folders[0], new[-1], entry_id, *self._dot), value)
        self._folders = {
            known: ids for known, ids in self._folders.items() if known[: len(old)] != old and known[: len(new)] != new
        }

    # -- entries -------------------------------------------------------------------------------------------------

    def _place(
        self, parent: EntryId, name: bytes, entry: Entry, entry_id: EntryId | None = None, *, once: bool = False
    ) -> EntryId:
        entry_id = entry_id or self._new_id()
        self._put(EntryKey(parent, name, entry_id, *self._dot), encode_entry(entry), once=once)
        return entry_id

    def _new_id(self) -> EntryId:
        if not self._ids:  # many at once: asking the system costs more than all else about an entry
            drawn = self._random(16 * IDS_AT_ONCE)
            self._ids = [EntryId(drawn[at : at + 16]) for at in range(0, len(drawn), 16)]
        return self._ids.pop()

    def _put(self, key: EntryKey, value: bytes, *, once: bool = False) -> None:
        packed = pack_key(key)
        self._spool.add(packed, value)
        if once:
            self._unseen = True
        else:
            self._touched.setdefault((key.parent, key.name), []).append((packed, value))

    def _forget(self, key: bytes, shown: Shown) -> None:
        self._spool.add(key, None)
        parent, name = EntryId(key[:16]), key[16 : key.index(b"\0", 16)]
        rest = self._touched.get((parent, name))
        if rest is None:
            rest = [item for item in shown.items if item[0] != key]
        self._touched[parent, name] = [item for item in rest if item[0] != key]

    async def apply(self) -> Tree:
        """The tree with all of this in it."""
        return await self.base.tree.apply(self._spool.sorted())

    @property
    def empty(self) -> bool:
        """Whether nothing was changed."""
        return not self._spool


def file_entry(stored: Stored, mtime: int, mode: int) -> Entry:
    """The entry of a file."""
    return Entry(Kind.FILE, stored.size, mtime, mode, stored.content_id, stored.content)


def _alike(old: Entry, new: Entry) -> bool:
    return (old.kind, old.size, old.mtime, old.mode, old.content_id) == (
        *(new.kind, new.size, new.mtime, new.mode, new.content_id),
    )


def _entry_id(key: bytes) -> EntryId:
    end = key.index(b"\0", 16)
    return EntryId(key[end + 1 : end + 17])


def _shown(parts: Sequence[bytes]) -> str:
    return "/" + b"/".join(parts).decode(errors="backslashreplace")
