"""`ropewalk put`: local files and trees into a space, as one version.

Flow: sources, target -> put_tree inside one change -> settle -> words, JSON, exit status
Never: shows a part of it: all that could be read becomes visible at once, or nothing does.
"""

from __future__ import annotations

import os
import time
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.failure import BadArguments
from ropewalk.cli.options import KEYED, Keyed, Note
from ropewalk.cli.outcome import merged, report_fields, settle, tell_left_out, told
from ropewalk.cli.output import shown
from ropewalk.cli.place import Place, local_name, parse_place
from ropewalk.cli.progress import transfer_bar
from ropewalk.cli.session import opened
from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.change import Change
from ropewalk.spaces.transfer import put_tree
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.version import NoSuchPath, NotAFolder, parse_path

__all__ = ["put", "target_in"]


async def put(
    *paths: Annotated[str, Parameter(name="SOURCE", help="Local files or folders, and last the place in a space.")],
    note: Note = None,
    common: Keyed = KEYED,
) -> int:
    """Put files and folders into a space.

    `put ./holiday photos:/2026/` makes photos:/2026/holiday; without the slash at the end, and if 2026 is not there
    yet, it makes photos:/2026 itself. Folders on the way are made. Links are kept as links; pipes, sockets and devices,
    and what cannot be read, are left out and named.
    """
    if len(paths) < 2:
        raise BadArguments(
            f"got {len(paths)} of at least 2 arguments: SOURCE... SPACE:/PATH",
            hint="as in `ropewalk put ./holiday photos:/2026/`",
        )
    *sources, last = paths
    target = parse_place(last)
    parse_path(target.path)  # refused before a passphrase is asked
    _check_sources(sources)
    voice = common.voice
    started = time.monotonic()
    async with opened(target.space, common) as space:
        said = note if note is not None else f"put {', '.join(local_name(source) or '/' for source in sources)}"
        reports = []
        with transfer_bar("put", common) as progress:
            async with space.change(shown(said)) as change:
                for source in sources:
                    place = await target_in(change, target, local_name(source), several=len(sources) > 1)
                    reports.append(await put_tree(change, space.core, source, parse_path(place.path), progress))
        settled = await settle(space, voice)
    report, seconds = merged(reports), time.monotonic() - started
    left_out = tell_left_out(report, voice)
    voice.done(f"put {told(report, seconds)}: {settled.words}", {**report_fields(report, seconds), **settled.fields})
    return settled.status if settled.queued else left_out or settled.status


def _check_sources(sources: list[str]) -> None:
    names = [local_name(source) for source in sources]
    if len(names) > 1 and len({*names, ""}) != len(names) + 1:
        raise Misuse(
            f"{', '.join(sources)} are not {len(sources)} different names", hint="put them one after the other"
        )
    for source in sources:
        if not os.path.lexists(source):
            raise Missing(
                f"no file or folder {source}", hint="what is put is a local file or folder; the space comes last"
            )


async def target_in(change: Change, target: Place, name: str, *, several: bool) -> Place:
    """Where something of this name goes: into the target if that is a folder, or was said to be one."""
    try:
        there = await change.find(parse_path(target.path))
    except NoSuchPath:
        if not several or target.into:
            return target.below(name) if target.into else target
        raise Missing(f"no folder {target} to put several into", hint="end it with a slash to make it") from None
    if there.kind == Kind.FOLDER:
        return target.below(name) if name else target
    if target.into or several:
        raise NotAFolder(f"{target} is not a folder", hint="choose another place")
    return target
