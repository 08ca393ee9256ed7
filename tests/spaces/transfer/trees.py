"""Local trees for tests of transfer: what lies in them as plain values, so that two can be compared.

Flow: a test -> [look] -> dictionaries; World, local tree -> [put] -> Report
Never: follows a link.
"""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

from ropewalk.spaces.space import Space
from ropewalk.spaces.transfer import Report, get_tree, put_tree
from ropewalk.spaces.tree.entry import Entry, Inline, Kind
from ropewalk.spaces.version import parse_path

__all__ = ["get", "link", "look", "put", "skipped", "some", "there"]

MIB = 1024 * 1024


def there(path: Path | bytes) -> bool:
    """Whether anything has this name, a dangling link too."""
    return os.path.lexists(path)


def look(top: Path | bytes) -> dict[bytes, tuple[str, object, int, int]]:
    """Everything below a folder: kind, content, permission bits and time (of a link its target and time only)."""
    found: dict[bytes, tuple[str, object, int, int]] = {}
    base = os.fsencode(top)

    def walk(path: bytes, name: bytes) -> None:
        facts = os.lstat(path)
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            if name:
                found[name] = "folder", None, mode, facts.st_mtime_ns
            for inside in sorted(os.listdir(path)):
                walk(os.path.join(path, inside), os.path.join(name, inside))
        elif stat.S_ISLNK(facts.st_mode):
            found[name] = "link", os.readlink(path), 0, facts.st_mtime_ns
        else:
            with open(path, "rb") as file:
                found[name] = "file", file.read(), mode, facts.st_mtime_ns

    walk(base, b"")
    return found


async def put(space: Space, source: Path | bytes, path: str | bytes = "") -> Report:
    """Put a tree, as one version."""
    async with space.change() as change:
        return await put_tree(change, space.core, source, parse_path(path))


async def get(space: Space, path: str | bytes, target: Path | bytes) -> Report:
    """Bring a path of the newest version back."""
    return await get_tree(await space.current(), space.core, path, target)


def skipped(report: Report) -> dict[str, str]:
    """What was left out, and why, by last name."""
    return {os.path.basename(one.path): one.why for one in report.skipped}


async def some(space: Space) -> None:
    """Files of all sizes, a folder and a link."""
    async with space.change() as change:
        await change.write("file", b"file")
        await change.write("folder/inside", b"inside")
        await change.write("folder/large", random.Random(1).randbytes(5 * MIB))
        await change.write("folder/cuts", random.Random(2).randbytes(2 * MIB + 5))
        await change.put_entry((b"link",), link(b"folder/inside"))


def link(target: bytes) -> Entry:
    """The entry of a link."""
    return Entry(Kind.SYMLINK, len(target), 7, 0o777, bytes(32), Inline(target))
