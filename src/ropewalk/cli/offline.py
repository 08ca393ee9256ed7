"""`ropewalk space offline` and `ropewalk space queue`: changes that wait on this machine until enough stores answer.

Flow: settings; ledger, queue's folder -> lines, JSON; what waiting changes made -> local files
Never: gives up what waits unless told to, or calls it acknowledged.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.history import differences
from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.outcome import LEFT_OUT, QUEUED, SHORT, merged, tell_left_out
from ropewalk.cli.output import count, date, iso, size
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.cache import LEAST
from ropewalk.spaces.current import version_of
from ropewalk.spaces.home import Home, Settings
from ropewalk.spaces.learning import Standing, standing
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.transfer import Report, get_tree
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.waiting import queued

__all__ = ["offline", "queue"]


def offline(
    name: Annotated[str, Parameter(name="SPACE", help="The space.")],
    to: Annotated[
        Literal["on", "off"] | None, Parameter(name="STATE", help="`on` or `off`; by default, it is said which.")
    ] = None,
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Say whether changes may wait on this machine while too few stores answer.

    Such a change is queued: kept here, durable, and published as it is once enough stores answer. That is less than
    acknowledged: until then one machine can lose it. What was read or written lately is kept as well, sealed.
    """
    home = Home.of_user()
    setting = home.space(name)
    if to is not None:
        allowed = to == "on"

        def change(now: Settings) -> Settings:
            return replace(now, spaces={**now.spaces, name: replace(now.spaces[name], offline=allowed)})

        setting = home.update(change).spaces[name]
    words = "is allowed: up to {} may wait" if setting.offline else "is off: a change needs its stores"
    common.voice.done(
        f"offline work in {name} {words.format(size(setting.queue))}",
        {"space": name, "offline": setting.offline, "queue": setting.queue, "cache": setting.cache},
    )
    if 0 < setting.cache < LEAST or setting.cache < 0:
        common.voice.note(
            f"what was read is not kept: cache in {home.settings_file} is {setting.cache:,} bytes, and less than"
            f" {LEAST:,} are of no use"
        )
    if to == "off":
        common.voice.note(f"what waits already is still published; `ropewalk space queue {name}` shows it")
    return 0


async def queue(
    name: Annotated[str, Parameter(name="SPACE", help="The space.")],
    /,
    *,
    export: Annotated[
        Path | None,
        Parameter(metavar="FOLDER", help="Put the files that these changes made or changed into a local folder."),
    ] = None,
    drop: Annotated[bool, Parameter(help="Give these changes up, for good; after --export, if both are said.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Show the changes that wait on this machine to be published, since when, and what for.

    It is tried first whether they can be. As long as any wait, the exit status is 12.
    """
    home = Home.of_user()
    home.space(name)
    voice = common.voice
    async with opened(name, common) as space:
        waiting = await space.core.ledger.do(State.queued)
        found = await queued(space.core)
        for head, since in waiting:
            fields = {"version": head.hash.hex(), "since": iso(since), "entries": head.entries, "note": head.note}
            voice.line(
                f"{head.hash.hex()[:SHORT]}  {date(since)}  {count(head.entries, 'entry/entries'):>14}  {head.note}",
                {**fields, "stuck": bool(found.stuck), "why": found.why or None},
            )
        if not waiting:
            voice.note("nothing waits to be published")
            return 0
        why = found.why or "the next command, or an open space, goes on with it"
        voice.note(f"{count(len(waiting), 'change')} in {size(found.size)}: {why}")
        if export is not None:
            await asyncio.to_thread(_make_empty, export)
            report = await _export(space, waiting[-1][0], export)
            voice.note(f"exported {count(report.files, 'file')} to {export}")
            if tell_left_out(report, voice):
                return LEFT_OUT  # nothing is dropped of which a part could not be taken out
        if not drop:
            return QUEUED
        dropped = await space.drop_queue()
    voice.note(f"gave up {count(dropped, 'change')}; {name} stands where the stores have it")
    return 0


def _make_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misuse(f"{folder} is there already, and is no empty folder", hint="choose another place")
    folder.mkdir(parents=True, exist_ok=True)


async def _export(space: Space, last: KnownHead, folder: Path) -> Report:
    core = space.core
    before = await version_of(core, await core.ledger.do(standing, queued=False), newest=False)
    after = await version_of(core, Standing([last]), newest=False)
    reports = []
    async for change, names, _ in differences(before, after, ""):
        if change == "removed":
            continue
        path = b"/".join(names)
        local = os.path.join(os.fsencode(folder), path)
        if (await after.find(path)).kind == Kind.FOLDER:
            os.makedirs(local, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(local), exist_ok=True)
        reports.append(await get_tree(after, core, path, local))
    return merged(reports)
