"""`ropewalk get` and `ropewalk restore`: what is in a space, or was, back into local files.

Flow: place, version -> get_tree -> words, JSON, exit status
Never: writes anywhere but below the target, or through a link that lies there.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.age import Age, tell_age
from ropewalk.cli.options import KEYED, At, Keyed
from ropewalk.cli.outcome import report_fields, tell_left_out, told
from ropewalk.cli.place import BadPlace, Place, parse_place, parse_version
from ropewalk.cli.progress import transfer_bar
from ropewalk.cli.session import opened
from ropewalk.errors import Missing
from ropewalk.spaces.transfer import Progress, get_tree
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.version import Version, parse_path

__all__ = ["get", "restore"]

COUNTED = 1000  # entries between two words on how much there is


async def get(
    source: Annotated[str, Parameter(name="SPACE:/PATH", help="What to bring back.")],
    target: Annotated[str, Parameter(help="A local folder to put it into, or the name it will have.")],
    /,
    *,
    at: At = None,
    age: Age = False,
    common: Keyed = KEYED,
) -> int:
    """Bring files and folders back.

    `get photos:/2026/holiday ./old` makes ./old, or ./old/holiday if ./old is a folder or ends in a slash. A file takes
    its name, and the place of what had it, once it is whole; until then it is a file .ropewalk-... in the same folder.
    Where a get was killed, the next one into the folder removes those. What cannot be read is left out and named.
    """
    return await _bring(parse_place(source), target, at, common, age=age)


async def restore(
    source: Annotated[str, Parameter(name="SPACE:/PATH@VERSION", help="What to bring back, and from which version.")],
    target: Annotated[str, Parameter(help="A local folder to put it into, or the name it will have.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """Bring files and folders back as they were in an older version.

    `ropewalk log SPACE` shows which versions there are.
    """
    place = parse_version(source)
    if place.version is None:
        raise BadPlace(
            f"{source!r} names no version", hint=f"write {place}@VERSION; `ropewalk log {place.space}` shows them"
        )
    return await _bring(place, target, place.version, common)


async def _bring(place: Place, target: str, at: str | None, common: Keyed, *, age: bool = False) -> int:
    parse_path(place.path)  # refused before a passphrase is asked
    local = _local_target(target, place.name)
    started = time.monotonic()
    async with opened(place.space, common) as space:
        version = await space.at(at)
        await version.find(place.path)  # nothing is made for what is not there
        _make_parent(local, into=target.endswith("/"))
        with transfer_bar("get", common) as progress:
            async with _counted(version, place.path, progress):
                report = await get_tree(version, space.core, place.path, local, progress)
        if age:
            await tell_age(space, common.voice)
    seconds = time.monotonic() - started
    left_out = tell_left_out(report, common.voice)
    common.voice.done(f"got {told(report, seconds)}: {local}", {**report_fields(report, seconds), "target": local})
    return left_out


def _local_target(target: str, name: str) -> str:
    return os.path.join(target, name) if name and (target.endswith("/") or os.path.isdir(target)) else target


def _make_parent(local: str, *, into: bool) -> None:
    """The folder that it goes into: made where a slash said that it is one, and what it lies in is there."""
    parent = os.path.dirname(os.path.abspath(local))
    if os.path.isdir(parent):
        return
    above = os.path.dirname(parent)
    if not into or not os.path.isdir(above):
        raise Missing(f"no folder {above if into else parent}", hint="make it first")
    os.mkdir(parent)


@asynccontextmanager
async def _counted(version: Version, path: str, progress: Progress | None) -> AsyncIterator[None]:
    """Tell the bar how much there is, beside the work."""
    if progress is None:
        yield
        return
    counting = asyncio.create_task(_count(version, path, progress))
    try:
        yield
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting


async def _count(version: Version, path: str, progress: Progress) -> None:
    files = size = 0
    async for _, shown in version.walk(path):
        if shown.kind == Kind.FILE:
            files += 1
            size += shown.entry.size
            if files >= COUNTED:
                progress.expect(files, size)
                files = size = 0
    progress.expect(files, size)
