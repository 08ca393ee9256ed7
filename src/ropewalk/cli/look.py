"""`ropewalk ls`, `cat`, `find`, `du`: looking into a space, at its newest version or an older one.

Flow: place -> Version -> lines, or JSON, one document a line
Never: changes anything.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from ropewalk.cli.age import Age, tell_age
from ropewalk.cli.options import KEYED, At, Keyed
from ropewalk.cli.output import count, date, path_fields, size
from ropewalk.cli.place import one_space, parse_place
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.space import OpenFile
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Info, parse_path

__all__ = ["cat", "du", "find", "ls"]

BLOCK = 8 * 1024 * 1024  # bytes of a file read at a time
_MODES = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK}


async def ls(
    place: Annotated[str, Parameter(name="SPACE:/PATH", help="A folder or file.")],
    /,
    *,
    long: Annotated[
        bool, Parameter(name=("-l", "--long"), help="With mode, size, date, and where links point.")
    ] = False,
    at: At = None,
    age: Age = False,
    common: Keyed = KEYED,
) -> int:
    """List a folder."""
    where = parse_place(place)
    parts = parse_path(where.path)
    voice = common.voice
    async with opened(where.space, common) as space:
        version = await space.at(at)
        folder = (await version.find(where.path)).kind == Kind.FOLDER
        above = parts if folder else parts[:-1]
        async for info in version.list(where.path):
            voice.line(
                _long(info) if long else _short(info),
                _fields(info, (*above, os.fsencode(info.path))) if common.json else {},
            )
        if age:
            await tell_age(space, voice)
    return 0


async def cat(
    *places: Annotated[str, Parameter(name="SPACE:/PATH", help="Files.")],
    at: At = None,
    age: Age = False,
    common: Keyed = KEYED,
) -> int:
    """Write files to standard output, byte for byte.

    With --json, only what goes wrong is JSON.
    """
    wanted = [parse_place(place) for place in places]
    if not wanted:
        raise Misuse("got no file to show", hint="as in `ropewalk cat photos:/2026/readme.txt`")
    for place in wanted:
        parse_path(place.path)
    async with opened(one_space(wanted), common) as space:
        version = await space.at(at)
        for place in wanted:
            file = OpenFile(version, await version.file(place.path))
            for offset in range(0, file.size, BLOCK):
                sys.stdout.buffer.write(await file.pread(offset, BLOCK))
        if age:
            await tell_age(space, common.voice)
    sys.stdout.buffer.flush()
    return 0


async def find(
    place: Annotated[str, Parameter(name="SPACE:/PATH", help="Where to begin.")],
    /,
    *,
    name: Annotated[
        str | None,
        Parameter(metavar="GLOB", help="Only what is called like this: '*.jpg', with * ? [..] as in a shell."),
    ] = None,
    kind: Annotated[
        Literal["file", "folder", "link"] | None,
        Parameter(metavar="KIND", help="Only these: file, folder or link.", show_choices=False),
    ] = None,
    at: At = None,
    age: Age = False,
    common: Keyed = KEYED,
) -> int:
    """List everything below a folder, path by path."""
    where = parse_place(place)
    top = parse_path(where.path)
    voice = common.voice
    async with opened(where.space, common) as space:
        version = await space.at(at)
        async for names, shown in version.walk(where.path):
            path = (*top, *names)
            info = Info.of(path[-1] if path else b"", shown)
            if (kind is None or info.kind == kind) and (name is None or fnmatch.fnmatchcase(info.path, name)):
                voice.line(f"/{os.fsdecode(b'/'.join(path))}", _fields(info, path) if common.json else {})
        if age:
            await tell_age(space, voice)
    return 0


async def du(
    place: Annotated[str, Parameter(name="SPACE:/PATH", help="A folder or file.")],
    /,
    *,
    depth: Annotated[
        int,
        Parameter(
            name=("--depth", "-d"), metavar="N", help="Folders so many levels down; 1 by default, 0 for the sum."
        ),
    ] = 1,
    at: At = None,
    common: Keyed = KEYED,
) -> int:
    """Sum up sizes of files, folder by folder.

    What they take in the stores is in `ropewalk status`.
    """
    where = parse_place(place)
    if depth < 0:
        raise Misuse(f"--depth is {depth}, expected 0 or more")
    top = parse_path(where.path)
    sums: list[_Sum] = []
    voice = common.voice
    async with opened(where.space, common) as space:
        version = await space.at(at)
        whole = _Sum(())
        stack = [whole]
        async for names, shown in version.walk(where.path):
            while len(stack) > 1 and names[: len(stack[-1].names)] != stack[-1].names:
                _close(stack, sums)
            if shown.kind == Kind.FOLDER and len(names) <= depth:
                stack.append(_Sum(names))
            stack[-1].add(shown)
        while stack:
            _close(stack, sums)
    for one in sums:
        path = f"/{os.fsdecode(b'/'.join((*top, *one.names)))}"
        fields = {**path_fields(path), "bytes": one.size, "files": one.files, "folders": one.folders}
        voice.line(f"{size(one.size):>10}  {count(one.files, 'file'):>14}  {path}", fields)
    return 0


@dataclass(slots=True)
class _Sum:
    names: tuple[bytes, ...]
    size: int = 0
    files: int = 0
    folders: int = 0

    def add(self, shown: Shown) -> None:
        self.folders += shown.kind == Kind.FOLDER
        self.files += shown.kind != Kind.FOLDER
        self.size += shown.entry.size if shown.kind == Kind.FILE else 0


def _close(stack: list[_Sum], sums: list[_Sum]) -> None:
    done = stack.pop()
    sums.append(done)
    if stack:
        stack[-1].size += done.size
        stack[-1].files += done.files
        stack[-1].folders += done.folders


def _short(info: Info) -> str:
    return info.path + ("/" if info.kind == "folder" else "")


def _long(info: Info) -> str:
    mode = stat.filemode(_MODES.get(info.kind, 0) | info.mode)
    amount = "-" if info.kind == "folder" else size(info.size)
    when = date(info.mtime) if info.mtime or info.kind != "folder" else "-"
    return f"{mode}  {amount:>10}  {when:<16}  {_short(info)}" + (
        f" -> {info.target}" if info.target is not None else ""
    )


def _fields(info: Info, path: Sequence[bytes]) -> dict[str, object]:
    fields: dict[str, object] = {
        **path_fields(f"/{os.fsdecode(b'/'.join(path))}"),
        "kind": info.kind,
        "size": info.size,
        "mtime_ns": info.mtime,
        "mode": f"{info.mode:04o}",
        "version": info.version,
    }
    if info.target is not None:
        fields["target"] = path_fields(info.target)
    return fields
