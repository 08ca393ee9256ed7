"""Resolving: what stands side by side becomes one thing, or several under names of their own, in a change.

What is kept is written anew, though it is the same: who meanwhile kept another side elsewhere, without knowing of this,
takes away only what we both had seen, and so both are there once more, side by side.

Flow: what a person looked at -> the same still -> Change: moves, removes, writes
Never: lets a side go that changed since it was looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence

from ropewalk.pages.names import shown
from ropewalk.pages.undoing import ChangedMeanwhile, Path, found_at
from ropewalk.spaces.change import AlreadyThere, Change
from ropewalk.spaces.conflicts import Clash, HistoryOf, Side, clash_at
from ropewalk.spaces.core import Core
from ropewalk.spaces.tree.entry import Kind, pack_key
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version

__all__ = ["MOST_INSIDE", "keep", "keep_all", "keep_text", "looked_at", "paths_of", "unchanged"]

MOST_INSIDE = 10_000  # entries of a folder that goes in favour of another side; one with more is removed by itself


def paths_of(clash: Clash) -> Sequence[Path]:
    """Where its sides are shown, that of the name itself first."""
    return [(*clash.path[:-1], side.shown) for side in clash.sides]


async def looked_at(version: Version, clash: Clash) -> tuple[str, Sequence[int | None]]:
    """What names these sides as they are, and how much is in each that is a folder; None for more than is counted."""
    seen = hashlib.sha256()
    inside: list[int | None] = []
    for path, side in zip(paths_of(clash), clash.sides, strict=True):
        seen.update(pack_key(side.key) + b"\0")
        number: int | None = 0
        if side.entry.kind == Kind.FOLDER:
            async for _, found in version.walk(b"/".join(path)):
                if number is not None and number % 1000 == 0:
                    await asyncio.sleep(0)  # what is in memory already does not let others in by itself
                number = number + 1 if number is not None and number < MOST_INSIDE else None
                if number is None:
                    break
                for key, _ in found.items:
                    seen.update(key)
        inside.append(number)
    return seen.hexdigest(), inside


async def unchanged(change: Change, core: Core, path: Path, seen: str) -> tuple[Clash, Sequence[int | None]]:
    """The sides at a path, as somebody looked at them, and how much is in each.

    Args:
        change: Being made; nothing was done in it yet.
        core: Of its space.
        path: The name.
        seen: What `looked_at` said.

    Raises:
        ChangedMeanwhile: They are not what they were, or stand side by side no more.
    """
    try:
        clash = await clash_at(change.base, HistoryOf(core), path)
    except (NoSuchPath, NotAFolder):
        clash = None
    if clash is None:
        raise ChangedMeanwhile(
            f"{_word(path)} stands side by side with nothing any more: somebody settled it",
            hint="nothing was changed; look at what is there now",
        )
    now, inside = await looked_at(change.base, clash)
    if now != seen:
        raise ChangedMeanwhile(
            f"one of the sides of {_word(path)} was changed meanwhile",
            hint="nothing was changed; look at the sides again, and choose then",
        )
    return clash, inside


async def keep(change: Change, clash: Clash, which: int) -> None:
    """One side stays, under the name itself; the others go.

    Args:
        change: Being made; nothing was done in it yet.
        clash: As it is in there.
        which: Of its sides, from 0.
    """
    first, *others = [b"/".join(path) for path in paths_of(clash)]
    if which == 0:
        await _write_anew(change, clash)
    else:  # the first one goes first: once another of the name was touched, it is not found by that name
        await change.remove(first, recursive=True)
        await change.move(others.pop(which - 1), first)
    for other in others:
        await change.remove(other, recursive=True)


async def keep_all(change: Change, clash: Clash, names: Sequence[bytes]) -> None:
    """All sides stay: the first one under the name itself, the others under these.

    Raises:
        AlreadyThere: One of the names is taken; nothing is to be done.
    """
    above = clash.path[:-1]
    taken = {clash.path[-1]}
    for name in names:
        if name in taken or await found_at(change, (*above, name)) is not None:
            raise AlreadyThere(f"{_word((*above, name))} is there already", hint="choose another name")
        taken.add(name)
    await _write_anew(change, clash)
    for old, name in zip(paths_of(clash)[1:], names, strict=True):
        await change.move(b"/".join(old), b"/".join((*above, name)))


async def keep_text(change: Change, clash: Clash, other: Side, text: bytes) -> None:
    """A text takes the place of the first side and of another one."""
    first = clash.sides[0]
    # In this order: the name of the second one is made up, from both.
    await change.write(b"/".join(clash.path), text, mode=first.entry.mode)
    await change.remove(b"/".join((*clash.path[:-1], other.shown)))


async def _write_anew(change: Change, clash: Clash) -> None:
    """The first side, as a write of this change: it goes away and comes back."""
    path, beside = b"/".join(clash.path), b"/".join((*clash.path[:-1], secrets.token_hex(16).encode()))
    await change.move(path, beside)
    await change.move(beside, path)


def _word(path: Path) -> str:
    return "/" + "/".join(shown(part) for part in path)
