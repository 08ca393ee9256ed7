"""`ropewalk mkdir`, `mv`, `rm`: changes of a space's tree alone, each call one version.

Flow: places -> Change -> settle -> words, JSON, exit status
Never: changes a part of what was asked: all of it, or nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.failure import BadArguments
from ropewalk.cli.options import KEYED, Keyed, Note
from ropewalk.cli.outcome import Settled, settle
from ropewalk.cli.output import count, shown
from ropewalk.cli.place import Place, one_space, parse_place
from ropewalk.cli.put import target_in
from ropewalk.cli.session import opened
from ropewalk.spaces.change import Change
from ropewalk.spaces.version import NoSuchPath, parse_path

__all__ = ["mkdir", "mv", "rm"]


async def mkdir(
    *places: Annotated[str, Parameter(name="SPACE:/PATH", help="New folders.")],
    parents: Annotated[
        bool,
        Parameter(name=("-p", "--parents"), help="Make the folders above, too; one that is there already is well."),
    ] = False,
    note: Note = None,
    common: Keyed = KEYED,
) -> int:
    """Make folders."""
    wanted = _places(places)

    async def work(change: Change) -> None:
        for place in wanted:
            try:
                await change.make_folder(place.path, parents=parents, exist_ok=parents)
            except NoSuchPath as error:
                raise NoSuchPath(str(error), hint="make the folders above it, too: -p") from None

    settled = await _change(wanted, note or f"mkdir {_paths(wanted)}", common, work)
    common.voice.done(f"made {', '.join(map(str, wanted))}: {settled.words}", settled.fields)
    return settled.status


async def mv(
    source: Annotated[str, Parameter(name="SPACE:/OLD", help="What to move.")],
    target: Annotated[str, Parameter(name="SPACE:/NEW", help="Its new name, or a folder to move it into.")],
    /,
    *,
    note: Note = None,
    common: Keyed = KEYED,
) -> int:
    """Rename or move a file or folder within a space; nothing is copied."""
    wanted = _places((source, target))
    old, new = wanted
    moved: list[Place] = []

    async def work(change: Change) -> None:
        await change.find(parse_path(old.path))  # what is not there is told before what is wrong with the target
        moved.append(await target_in(change, new, old.name, several=False))
        await change.move(old.path, moved[0].path)

    settled = await _change(wanted, note or f"mv {_paths(wanted)}", common, work)
    common.voice.done(f"moved to {moved[0]}: {settled.words}", settled.fields)
    return settled.status


async def rm(
    *places: Annotated[str, Parameter(name="SPACE:/PATH", help="What to remove.")],
    recursive: Annotated[
        bool, Parameter(name=("-r", "--recursive"), help="Folders with all that is in them, too.")
    ] = False,
    note: Note = None,
    common: Keyed = KEYED,
) -> int:
    """Remove files and folders.

    Older versions still have them, so no room becomes free.
    """
    wanted = _places(places)
    gone = 0

    async def work(change: Change) -> None:
        nonlocal gone
        for place in wanted:
            gone += await change.remove(place.path, recursive=recursive)

    settled = await _change(wanted, note or f"rm {_paths(wanted)}", common, work)
    common.voice.done(f"removed {count(gone, 'entry/entries')}: {settled.words}", {"removed": gone, **settled.fields})
    common.voice.note("older versions still have it, so no room is free; `ropewalk restore` brings it back")
    return settled.status


def _places(given: tuple[str, ...]) -> list[Place]:
    places = [parse_place(place) for place in given]
    if not places:
        raise BadArguments("got no place", hint="as in photos:/2026")
    one_space(places)
    for place in places:
        parse_path(place.path)  # refused before a passphrase is asked
    return places


def _paths(places: list[Place]) -> str:
    return " ".join(f"/{place.path.strip('/')}" for place in places)


async def _change(places: list[Place], note: str, common: Keyed, work: Callable[[Change], Awaitable[None]]) -> Settled:
    async with opened(places[0].space, common) as space:
        async with space.change(shown(note)) as change:
            await work(change)
        return await settle(space, common.voice)
