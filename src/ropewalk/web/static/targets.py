"""Targets: the path of a request as the names to walk, or a refusal.

Flow: decoded path, path as it was sent -> names, and whether a folder is meant
Never: repairs a path: what is not plain names between single slashes is nobody's file. Decodes twice.
Source: RFC 3986 sections 2.1, 3.3; RFC 8615 for `.well-known`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["WELL_KNOWN", "Target", "shown", "target"]

WELL_KNOWN = ".well-known"
_MOST_NAMES = 64  # each is one call of the kernel; real trees are not half as deep
_LONGEST_NAME = 255  # bytes, as in all file systems of today
_LONGEST_PATH = 4096  # characters
# What no name may hold: control characters, and a backslash, which another system takes for a slash; and what a decoder
# puts where bytes are not UTF-8, overlong forms of a slash or a dot among them.
_BAD = re.compile(r"[\x00-\x1f\x7f\\�\ud800-\udfff]")
_ESCAPED_BAD = re.compile(rb"%(?:2f|5c|[01][0-9a-f]|7f)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names below the folder of a tree.

    Attributes:
        names: From the top; without the last slash.
        folder: The path ends with a slash.
    """

    names: tuple[str, ...]
    folder: bool


def target(path: str, raw: bytes = b"", *, well_known: bool = False) -> Target | None:
    """The names of a path, or None where it is refused.

    Args:
        path: Decoded once, below the mount; "/" is the tree's folder.
        raw: The same as it was sent, where it is known: a slash that was escaped does not part names.
        well_known: `/.well-known/` is let through, though it begins with a dot.
    """
    if not path.startswith("/") or len(path) > _LONGEST_PATH or _BAD.search(path) or _ESCAPED_BAD.search(raw):
        return None
    names = tuple(path[1:].split("/"))
    folder = not names[-1]
    if folder:
        names = names[:-1]
    if len(names) > _MOST_NAMES:
        return None
    exempt = 1 if well_known and names[:1] == (WELL_KNOWN,) else 0
    return Target(names, folder) if all(map(shown, names[exempt:])) else None


def shown(name: str) -> bool:
    """Whether one name may be asked for; one that begins with a dot may not, "." and ".." among them."""
    return bool(name) and not name.startswith(".") and not _BAD.search(name) and len(name.encode()) <= _LONGEST_NAME
