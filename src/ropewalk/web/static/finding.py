"""Finding: what a target of a tree is: a file, a folder's index, a page of names, or somewhere else; blocking.

Flow: folder, target, config -> one walk down -> Finding
Never: answers differently for what is not there and what may not be seen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ropewalk.web.static.config import TreeConfig
from ropewalk.web.static.files import Form, Found, open_folder, see
from ropewalk.web.static.listing import listing
from ropewalk.web.static.targets import Target

__all__ = ["Finding", "find"]


@dataclass(slots=True)
class Finding:
    """What is there; nothing at all where no attribute is set.

    Attributes:
        file: With its forms.
        name: Of the file.
        page: Names of a folder, as HTML.
        elsewhere: It is a folder, and was asked for without its slash.
    """

    file: Found | None = None
    name: str = ""
    page: bytes | None = None
    elsewhere: bool = False

    def close(self) -> None:
        """Let go what is open."""
        if self.file:
            self.file.close()


def find(
    root: Path, where: Target, config: TreeConfig, wanted: Sequence[str], known: Mapping[str, Form], most: int
) -> Finding:
    """What a target is; the arguments are those of `see`.

    Raises:
        OSError: The machine is in trouble.
    """
    parent = where.names if where.folder else where.names[:-1]
    folder = open_folder(root, parent)
    if folder is None:
        return Finding()
    try:
        if where.folder:
            return _inside(folder, where, config, wanted, known, most)
        found = see(folder, where.names[-1], wanted, known, most)
    finally:
        os.close(folder)
    if found is None:
        return Finding()
    if found.forms:
        return Finding(found, where.names[-1])
    inside = find(root, Target(where.names, folder=True), config, (), {}, 0)
    inside.close()
    return Finding(elsewhere=inside.file is not None or inside.page is not None)


def _inside(
    folder: int, where: Target, config: TreeConfig, wanted: Sequence[str], known: Mapping[str, Form], most: int
) -> Finding:
    found = see(folder, config.index, wanted, known, most) if config.index else None
    if found and found.forms:
        return Finding(found, config.index)
    if not config.listing:
        return Finding()
    try:
        return Finding(page=listing(folder, "/".join(("", *where.names, "")), top=not where.names))
    except PermissionError:
        return Finding()
