"""`ropewalk log`, `diff`: the versions of a space, and what they differ in.

Flow: heads -> lines; two versions walked side by side -> lines
Never: changes anything, or holds more of two versions than where both walks stand.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import SHORT
from ropewalk.cli.output import count, date, iso, path_fields
from ropewalk.cli.place import parse_version
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.state import State
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import NoSuchPath, Version, parse_path

__all__ = ["diff", "differences", "log"]

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_Item = tuple[tuple[bytes, ...], Shown]


async def log(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    limit: Annotated[
        int | None, Parameter(name=("--limit", "-n"), metavar="N", help="Only so many, from the newest on.")
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """List the versions of a space, the newest first: version, date, entries, note."""
    if limit is not None and limit < 0:
        raise Misuse(f"--limit is {limit}, expected 0 or more")
    voice = common.voice
    async with opened(parse_version(space).space, common) as open_one:
        heads = await open_one.log()
        waiting = set(await open_one.core.ledger.do(State.queued_names))
    for head in heads[:limit]:
        voice.line(
            f"{head.hash.hex()[:SHORT]}  {date(head.time)}  {count(head.entries, 'entry/entries'):>14}  "
            f"{'(queued) ' if head.name in waiting else ''}{head.note}",
            {
                "version": head.hash.hex(),
                "time": iso(head.time),
                "entries": head.entries,
                "note": head.note,
                "writer": head.writer.hex(),
                "sequence": head.sequence,
                "queued": head.name in waiting,
            },
        )
    if not heads:
        voice.note("nothing was ever put into it")
    return 0


async def diff(
    old: Annotated[
        str, Parameter(name="SPACE@OLD", help="A version: SPACE@VERSION, or SPACE:/PATH@VERSION for a part of it.")
    ],
    new: Annotated[
        str | None, Parameter(name="SPACE@NEW", help="Another version of the same; the newest by default.")
    ] = None,
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """List what differs between two versions: + added, - removed, ~ changed.

    What was moved is both removed and added.
    """
    before = parse_version(old)
    after = parse_version(new) if new is not None else parse_version(str(before))
    if before.space != after.space or parse_path(before.path) != parse_path(after.path):
        raise Misuse(f"{before} and {after} are not one place in two versions", hint="as in photos@1a2b photos@3c4d")
    top = parse_path(before.path)
    voice = common.voice
    async with opened(before.space, common) as space:
        first, second = await space.at(before.version), await space.at(after.version)
        if not await _there(first, before.path) and not await _there(second, before.path):
            raise NoSuchPath(f"no {before} in either version")
        async for change, names, what in differences(first, second, before.path):
            path = f"/{os.fsdecode(b'/'.join((*top, *names)))}"
            words = f" ({', '.join(what)})" if what else ""
            voice.line(f"{_SIGNS[change]} {path}{words}", {"change": change, **path_fields(path), "what": what})
    return 0


async def _there(version: Version, path: str) -> bool:
    try:
        await version.find(path)
    except NoSuchPath:
        return False
    return True


async def _walk(version: Version, path: str) -> AsyncIterator[_Item]:
    if await _there(version, path):
        async for item in version.walk(path):
            yield item


async def differences(
    first: Version, second: Version, path: str
) -> AsyncIterator[tuple[str, tuple[bytes, ...], list[str]]]:
    """What was added, removed or changed below a path, with its names from there on, and how.

    Both walks give paths in the same order, so one look at each is enough.
    """
    if first.tree.root == second.tree.root:
        return
    olds, news = _walk(first, path), _walk(second, path)
    old, new = await anext(olds, None), await anext(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield "removed", old[0], []
            old = await anext(olds, None)
        elif old is None or new[0] < old[0]:
            yield "added", new[0], []
            new = await anext(news, None)
        else:
            if what := _what(old[1], new[1]):
                yield "changed", old[0], what
            old, new = await anext(olds, None), await anext(news, None)


def _what(old: Shown, new: Shown) -> list[str]:
    if old.kind != new.kind:
        return ["kind"]
    a, b = old.entry, new.entry
    what = ["content"] if old.kind != Kind.FOLDER and (a.size, a.content_id) != (b.size, b.content_id) else []
    what += ["mode"] if a.mode != b.mode else []
    return what + (["time"] if a.mtime != b.mtime and old.kind != Kind.FOLDER else [])
