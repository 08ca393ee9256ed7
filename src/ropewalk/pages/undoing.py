"""Undoing: what a path was before goes back to where it was, in one change.

Flow: version before, version after, paths -> nothing else has changed there -> put back
Never: undoes what somebody else did since, or a half of what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ropewalk.errors import Unavailable
from ropewalk.pages.names import shown
from ropewalk.spaces.change import Change
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version

__all__ = ["ChangedMeanwhile", "Undo", "found_at", "put_back", "undo"]

Path = tuple[bytes, ...]


class ChangedMeanwhile(Unavailable):
    """Somebody changed the same thing since."""

    code = "pages.changed-meanwhile"


@dataclass(frozen=True, slots=True, eq=False)
class Undo:
    """How to take a change back.

    Attributes:
        space: As it was open then.
        name: Of the space.
        before, after: The versions.
        paths: What the change touched.
        moved: From where to where, where things were only moved; those are moved back.
        folder: To be shown afterwards.
        words: What is not quite as it was then, for people; "" for nothing.
    """

    space: Space
    name: str
    before: Version
    after: Version
    paths: Sequence[Path] = ()
    moved: Sequence[tuple[Path, Path]] = ()
    folder: Path = ()
    words: str = ""


async def undo(change: Change, what: Undo) -> None:
    """Take a change back.

    Raises:
        ChangedMeanwhile: Nothing is to be done.
    """
    for old, new in what.moved:
        await _unchanged(change, what, old)
        await _unchanged(change, what, new)
        await change.move(b"/".join(new), b"/".join(old))
    for path in what.paths:
        await _unchanged(change, what, path)
        await _unchanged_inside(change, what, path)
    for path in what.paths:
        await put_back(change, what.before, path, recursive=False)


async def _unchanged(change: Change, what: Undo, path: Path) -> None:
    if _items(await found_at(change, path)) != _items(await found_at(what.after, path)):
        raise ChangedMeanwhile(
            f"/{'/'.join(shown(part) for part in path)} was changed since",
            hint="nothing was undone; its versions show what happened",
        )


async def _unchanged_inside(change: Change, what: Undo, path: Path) -> None:
    """What is put back as it was goes with all that is in it now, so nothing in there may be of somebody else."""
    was, there = await found_at(what.before, path), await found_at(change, path)
    if was is None or there is None or there.kind != Kind.FOLDER:
        return
    raw = b"/".join(path)
    then = {names: _items(found) async for names, found in what.after.walk(raw)}
    now = {names: _items(found) async for names, found in change.base.walk(raw)}
    if then != now:
        raise ChangedMeanwhile(
            f"something in /{'/'.join(shown(part) for part in path)} was changed since",
            hint="nothing was undone; its versions show what happened",
        )


async def put_back(change: Change, then: Version, path: Path, *, recursive: bool = True) -> int:
    """Have a path as it was in a version, and not there if it was not; how many entries were put.

    Args:
        change: Being made.
        then: The version.
        path: What is put back.
        recursive: Whether a folder that was not there, or was something else, goes with all that is in it.

    Raises:
        FolderNotEmpty: It does not, and something is in it.
    """
    raw = b"/".join(path)
    was, there = await found_at(then, path), await found_at(change, path)
    if there is not None and (was is None or was.kind != there.kind or was.kind == Kind.FOLDER):
        await change.remove(raw, recursive=recursive or was is not None)
    if was is None:
        return 0
    if was.kind != Kind.FOLDER:
        await change.put_entry(path, was.entry)
        return 1
    await change.folder(path, mode=was.entry.mode, mtime=was.entry.mtime)
    entries = 1
    async for names, found in then.walk(raw):
        if found.kind == Kind.FOLDER:
            await change.folder((*path, *names), mode=found.entry.mode, mtime=found.entry.mtime)
        else:
            await change.put_entry((*path, *names), found.entry)
        entries += 1
    return entries


async def found_at(where: Version | Change, path: Path) -> Shown | None:
    """What lies at a path; None where nothing does."""
    try:
        return await (where.find(path) if isinstance(where, Change) else where.find(b"/".join(path)))
    except (NoSuchPath, NotAFolder):
        return None


def _items(found: Shown | None) -> Sequence[bytes] | None:
    return None if found is None else [key for key, _ in found.items]
