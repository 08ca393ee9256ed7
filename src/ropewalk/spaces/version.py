"""Version: one state of a space's tree, to look at: paths, listings, files.

Flow: path -> entries by folder and name -> view -> Found; Found -> ContentSource -> bytes
Never: changes anything.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from ropewalk.errors import Missing, Misuse, RopewalkError
from ropewalk.spaces.content import ContentSource
from ropewalk.spaces.tree.entry import (
    ID_SIZE,
    LOST_FOLDER,
    NO_ENTRY,
    ROOT_FOLDER,
    Entry,
    EntryId,
    Inline,
    Kind,
    check_name,
    decode_entry,
    folder_range,
    name_range,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.view import CONFLICT_MARK, LOST_NAME, SETTLED, Settled, Shown, show_folder

__all__ = ["DEEPEST", "Info", "NoSuchPath", "NotAFile", "NotAFolder", "Version", "check_parts", "follow", "parse_path"]

LONGEST_PATH = 4096  # bytes; what Linux takes, so that all that is kept can be brought back
DEEPEST = 1024  # folders in each other
_KINDS: dict[int, str] = {Kind.FILE: "file", Kind.FOLDER: "folder", Kind.SYMLINK: "link", NO_ENTRY: "damaged"}


class NoSuchPath(Missing):
    """Nothing of this name is in the space."""

    code = "space.no-such-path"


class NotAFolder(Misuse):
    """A folder is needed, and something else is there."""

    code = "space.not-a-folder"


class NotAFile(Misuse):
    """A file is needed, and something else is there."""

    code = "space.not-a-file"


class Info(msgspec.Struct, frozen=True):
    """One thing in a space, for people and programs."""

    path: str  # from the top of the space, or of the listing; bytes that are not UTF-8 as `os.fsdecode` gives them
    kind: str  # "file", "folder", "link", "damaged", or a number that this version does not know
    size: int  # bytes of a file, or of a link's target
    mtime: int  # nanoseconds since 1970
    mode: int  # permission bits
    target: str | None  # where a link points
    version: str  # the write that made it: writer and sequence

    @classmethod
    def of(cls, path: bytes, shown: Shown) -> Info:
        """What can be said of something shown."""
        if not shown.items:
            return cls(os.fsdecode(path), "folder", 0, 0, 0, None, "")
        key, value = shown.items[0]
        kind, size, mtime, mode = _facts(value)
        target = None
        if kind == Kind.SYMLINK and isinstance(content := shown.entry.content, Inline):
            target = os.fsdecode(content.data)
        dot = f"{key[-24:-20].hex()}-{int.from_bytes(key[-8:], 'big')}"
        return cls(os.fsdecode(path), _KINDS.get(kind) or str(kind), size, mtime, mode, target, dot)


# What a listing shows of an entry, read without the rest: to decode and check all of it takes five times as long.
_Raw = msgspec.Raw
_facts_decoder = msgspec.msgpack.Decoder(tuple[int, int, int, int, _Raw, _Raw, _Raw, _Raw])


def _facts(value: bytes) -> tuple[int, int, int, int]:
    try:
        kind, size, mtime, mode, *_ = _facts_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_ENTRY, 0, 0, 0  # the rest of the folder is shown all the same
    return kind, size, mtime, mode


def parse_path(path: str | bytes) -> tuple[bytes, ...]:
    """The names in a path of a space; leading, trailing and double slashes say nothing.

    Raises:
        Misuse: A name that no entry can have (``.``, ``..``, NUL, over 255 bytes), or a path of over 4,096 bytes.
    """
    parts = tuple([part for part in os.fsencode(path).split(b"/") if part])
    check_parts(parts)
    for part in parts:
        check_name(part)
    return parts


def check_parts(parts: Sequence[bytes]) -> None:
    """See that a path is one that can be asked for: names were checked, how many they are was not.

    Raises:
        Misuse: Over 4,096 bytes with the slashes between them, or over 1,024 names.
    """
    size = sum([len(part) for part in parts]) + max(len(parts) - 1, 0)
    if size > LONGEST_PATH:
        raise Misuse(
            f"path has {size} bytes, expected at most {LONGEST_PATH}", hint="use shorter names or fewer folders"
        )
    if len(parts) > DEEPEST:
        raise Misuse(f"path has {len(parts)} names, expected at most {DEEPEST}")


async def follow(
    parts: Sequence[bytes], named: Callable[[Sequence[EntryId], bytes], Awaitable[Shown | None]], where: str
) -> Shown:
    """What lies at a path, name by name from the top.

    Args:
        parts: The names.
        named: Tells what is shown under a name in a folder.
        where: What is looked through, for messages.

    Raises:
        NoSuchPath, NotAFolder.
    """
    at = Shown(b"", Kind.FOLDER, (), (ROOT_FOLDER,))
    for depth, name in enumerate(parts):
        if at.kind != Kind.FOLDER:
            raise NotAFolder(f"{_join(parts[:depth])} is not a folder")
        found = await named(at.folders, name)
        if found is None:
            raise NoSuchPath(f"no {_join(parts[: depth + 1])} in {where}")
        at = found
    return at


class Version:
    """A tree and the content it points at.

    Args:
        tree: The space's map at this version.
        content: Reads what entries point at.
        settled: What joins have left to settle, for the whole map.
    """

    def __init__(self, tree: Tree, content: ContentSource, settled: Settled = SETTLED) -> None:
        self.tree, self.content, self.settled = tree, content, settled

    async def find(self, path: str | bytes) -> Shown:
        """What lies at a path.

        Raises:
            NoSuchPath: Nothing does.
            NotAFolder: A name on the way is something else.
        """
        return await follow(parse_path(path), self.named, "this version of the space")

    async def named(self, folders: Sequence[EntryId], name: bytes) -> Shown | None:
        """What is shown under a name in a folder, or None."""
        items: list[tuple[bytes, bytes]] = []
        for folder in folders:
            start, stop = name_range(folder, name)
            async for batch in self.tree.scan(start, stop):
                items += batch
        if CONFLICT_MARK in name or (name == LOST_NAME and self.settled.lost) or LOST_FOLDER in folders:
            # The view makes such names up: only the whole folder tells.
            return next((shown for shown in await self._full(folders) if shown.name == name), None)
        return next((shown for shown in show_folder(folders, items, self.settled) if shown.name == name), None)

    async def listing(self, folders: Sequence[EntryId]) -> AsyncIterator[Shown]:
        """What is shown in a folder, by name."""
        if len(folders) != 1 or self.settled is not SETTLED:
            for shown in await self._full(folders):
                yield shown
            return
        held: list[tuple[bytes, bytes]] = []  # entries of the last name, which the next node may continue
        async for batch in self.tree.scan(*folder_range(folders[0])):
            held += batch
            end = len(held) - 1
            while end and _name(held[end - 1]) == _name(held[-1]):
                end -= 1
            for shown in show_folder(folders, held[:end]):
                yield shown
            held = held[end:]
        for shown in show_folder(folders, held):
            yield shown

    async def _full(self, folders: Sequence[EntryId]) -> Sequence[Shown]:
        items: list[tuple[bytes, bytes]] = []
        for folder in folders:
            async for batch in self.tree.scan(*folder_range(folder)):
                items += batch
        return show_folder(folders, items, self.settled)

    async def list(self, path: str | bytes = "") -> AsyncIterator[Info]:
        """What is in a folder, by name; of anything else, that alone.

        Raises:
            NoSuchPath, NotAFolder.
        """
        at = await self.find(path)
        if at.kind != Kind.FOLDER:
            yield Info.of(at.name, at)
            return
        async for shown in self.listing(at.folders):
            yield Info.of(shown.name, shown)

    async def walk(
        self,
        path: str | bytes = "",
        unreadable: Callable[[tuple[bytes, ...], RopewalkError], None] | None = None,
    ) -> AsyncIterator[tuple[tuple[bytes, ...], Shown]]:
        """All below a path, depth first, a folder before what is in it; names are relative to the path.

        Args:
            path: Where to begin.
            unreadable: Told of a folder whose listing fails, and what is left of it is passed over; without it, and
                for the first folder, the error is raised.

        Raises:
            NoSuchPath, NotAFolder, ChunkUnreachable, ChunkLost.
        """
        top = await self.find(path)
        if top.kind != Kind.FOLDER:
            yield (), top
            return
        stack: list[tuple[tuple[bytes, ...], AsyncIterator[Shown]]] = [((), self.listing(top.folders))]
        while stack:
            parents, listing = stack[-1]
            try:
                shown = await anext(listing)
            except StopAsyncIteration:
                stack.pop()
                continue
            except RopewalkError as error:
                if unreadable is None or not parents:
                    raise
                stack.pop()
                unreadable(parents, error)
                continue
            names = (*parents, shown.name)
            yield names, shown
            if shown.kind == Kind.FOLDER and len(names) < DEEPEST:
                stack.append((names, self.listing(shown.folders)))

    async def file(self, path: str | bytes) -> Entry:
        """The entry of a file.

        Raises:
            NoSuchPath, NotAFolder, NotAFile, EntryDamaged.
        """
        shown = await self.find(path)
        entry = shown.entry
        if entry.kind == NO_ENTRY:
            decode_entry(shown.items[0][1])  # says what is wrong with it
        if shown.kind != Kind.FILE:
            raise NotAFile(f"{_join(parse_path(path)) or '/'} is not a file")
        return entry

    async def read(self, path: str | bytes, offset: int = 0, length: int | None = None) -> bytes:
        """A file's bytes, or a range of them.

        Raises:
            NoSuchPath, NotAFolder, NotAFile, ChunkUnreachable, ChunkLost.
        """
        return await self.content.read(await self.file(path), offset, length)


def _name(item: tuple[bytes, bytes]) -> bytes:
    key = item[0]
    return key[ID_SIZE : max(key.find(b"\0", ID_SIZE), ID_SIZE)]


def _join(parts: Sequence[bytes]) -> str:
    return "/" + b"/".join(parts).decode(errors="backslashreplace")
