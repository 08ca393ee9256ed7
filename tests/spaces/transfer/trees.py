"""Local trees for tests of transfer: what lies in them as plain values, so that two can be compared.

Flow: a test -> [look] -> dictionaries; World, local tree -> [put] -> Report
Never: follows a link.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ropewalk.spaces.space import Space
from ropewalk.spaces.transfer import Report, get_tree, put_tree
from ropewalk.spaces.version import parse_path

__all__ = ["get", "look", "put", "there"]


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
