"""`ropewalk conflicts`, `merge`: what devices wrote apart under one name, and one text of two, offered.

Flow: open space -> clashes -> sides with who and when; a place -> clash -> offer -> text, file, or one change
Never: writes a merge that somebody must look at first, or lets a side go that changed meanwhile.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT, settle
from ropewalk.cli.output import count, date, iso, path_fields, shown, size
from ropewalk.cli.place import Place, parse_place
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse, Refused, Unavailable
from ropewalk.spaces.conflicts import Clash, HistoryOf, Side, clash_at, clashes, offer
from ropewalk.spaces.members import Names
from ropewalk.spaces.space import Space
from ropewalk.spaces.textmerge import Merged
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.version import NoSuchPath, parse_path

__all__ = ["ChangedMeanwhile", "NoConflict", "NotClean", "conflicts", "merge"]

_KINDS: dict[int, str] = {Kind.FILE: "file", Kind.FOLDER: "folder", Kind.SYMLINK: "link"}


class NoConflict(Misuse):
    """Only one thing stands under this name."""

    code = "merge.no-conflict"


class NotClean(Refused):
    """Both sides changed the same lines: a person must choose."""

    code = "merge.not-clean"


class ChangedMeanwhile(Unavailable):
    """A side is not what was merged any more."""

    code = "merge.changed-meanwhile"


# ---- all of them -----------------------------------------------------------------------------------------------------


async def conflicts(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """List what several devices wrote apart under one name: each side, by whom, and when.

    The first side is shown under the name itself, the others beside it. To settle it, `ropewalk merge` offers one text
    of two; or remove, or rename, what you do not want, as any other file.
    """
    voice, found = common.voice, 0
    async with opened(parse_place(space).space, common) as one:
        names = Names(one.core.membership, one.core.keys)
        async for clash in clashes(await one.current(), HistoryOf(one.core)):
            found += 1
            path = _path(clash)
            if common.json:
                voice.line("", {**path_fields(path), "sides": [_fields(clash, side, names) for side in clash.sides]})
                continue
            for line in (path, *_lines(clash, names)):
                voice.line(line)
    if not found:
        voice.note("there are none")
    return 0


def _path(clash: Clash, side: Side | None = None) -> str:
    parts = clash.path if side is None else (*clash.path[:-1], side.shown)
    return "/" + os.fsdecode(b"/".join(parts))


def _lines(clash: Clash, names: Names) -> list[str]:
    called = [shown(os.fsdecode(side.shown)) for side in clash.sides]
    authors = [_author(side, names) for side in clash.sides]
    wide, wider = max(map(len, called)), max(map(len, authors))
    return [
        f"  {name:<{wide}}  {author:<{wider}}  {_when(side)}  {_what(side)}".rstrip()
        for name, author, side in zip(called, authors, clash.sides, strict=True)
    ]


def _author(side: Side, names: Names) -> str:
    return names.whose(side.head.device) if side.head is not None else "not known"


def _when(side: Side) -> str:
    return date(side.head.time if side.head is not None else side.entry.mtime)


def _what(side: Side) -> str:
    kind = _KINDS.get(side.entry.kind, "of a kind that this version does not know")
    return f"{kind}, {size(side.entry.size)}" if side.entry.kind == Kind.FILE else kind


def _fields(clash: Clash, side: Side, names: Names) -> dict[str, object]:
    return {
        **path_fields(_path(clash, side)),
        "kind": _KINDS.get(side.entry.kind, str(side.entry.kind)),
        "size": side.entry.size,
        "who": _author(side, names) if side.head is not None else None,
        "device": side.head.device.hex() if side.head is not None else None,
        "time": iso(side.head.time) if side.head is not None else None,
        "version": side.head.hash.hex() if side.head is not None else None,
    }


# ---- one of them -----------------------------------------------------------------------------------------------------


async def merge(
    place: Annotated[str, Parameter(name="SPACE:/PATH", help="A file that is in conflict.")],
    /,
    *,
    to: Annotated[
        Path | None,
        Parameter(name="--to", metavar="FILE", help="Write the text to a new local file, not to the output."),
    ] = None,
    apply: Annotated[
        bool,
        Parameter(
            name="--apply",
            negative="",
            help="Put the text into the space in place of both sides, if no line is in question.",
        ),
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Offer one text of two that were written apart: what only one side changed is taken.

    Where both changed the same lines, both are shown, between lines of <<<<<<< and >>>>>>>, for you to choose. Without
    --apply nothing is changed in the space.

    Exit status: 11 there are such lines.
    """
    where = parse_place(place)
    wanted = parse_path(where.path)
    if to is not None and apply:
        raise Misuse("--to and --apply are two different things", hint="look at it with --to first")
    if to is not None and to.exists():
        raise Misuse(f"{to} is there already", hint="name a new file")
    async with opened(where.space, common) as space:
        clash = await _clash(space, where, wanted)
        one, other = clash.sides[:2]
        merged = await offer(HistoryOf(space.core), one, other)
        names = Names(space.core.membership, space.core.keys)
        text = merged.text(*_called(one, other, names))
        fields: dict[str, object] = {
            **path_fields(_path(clash)),
            "sides": [_fields(clash, side, names) for side in clash.sides],
            "clean": not merged.clashes,
            "clashes": merged.clashes,
            "to": str(to) if to is not None else None,
        }
        if apply:
            return await _apply(space, clash, merged, text, fields, common)
    _give(to, text, fields, common)
    return _tell(merged, clash, to, common)


def _called(one: Side, other: Side, names: Names) -> tuple[str, str, str]:
    sides = [f"{os.fsdecode(side.shown)}, {_author(side, names)}, {_when(side)}" for side in (one, other)]
    return shown(sides[0]), "before both", shown(sides[1])


async def _clash(space: Space, place: Place, wanted: tuple[bytes, ...]) -> Clash:
    """What stands at a path in several versions, by the name of any of them.

    Raises:
        NoSuchPath, NoConflict.
    """
    version = await space.current()
    try:
        if (clash := await clash_at(version, HistoryOf(space.core), wanted)) is not None:
            return clash
        await version.find(place.path)
    except NoSuchPath:
        raise NoSuchPath(f"no {place}", hint=f"`ropewalk conflicts {space.name}` shows what can be merged") from None
    raise NoConflict(f"{place} is not in conflict", hint=f"`ropewalk conflicts {space.name}` shows what is")


def _give(to: Path | None, text: bytes, fields: dict[str, object], common: Keyed) -> None:
    if to is not None:
        try:
            with to.open("xb") as file:
                file.write(text)
        except FileExistsError:
            raise Misuse(f"{to} is there already", hint="name a new file") from None
        common.voice.done(f"the text is in {to}", fields)
    elif common.json:
        common.voice.done("", {**fields, "text": text.decode()})
    else:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def _tell(merged: Merged, clash: Clash, to: Path | None, common: Keyed) -> int:
    voice = common.voice
    beside = _path(clash, clash.sides[1])
    if merged.clashes:
        voice.warning(
            f"{count(merged.clashes, 'place')} where both sides changed the same lines: choose between the marks"
        )
    elif to is None:
        voice.note("no line is in question: --apply puts this into the space in place of both sides")
    if to is not None:
        voice.note(f"once it is as you want it: put it back as {_path(clash)}, and remove {beside}")
    if len(clash.sides) > 2:
        voice.note(f"{count(len(clash.sides) - 2, 'more side')} under this name: merge again when these two are one")
    return LEFT_OUT if merged.clashes else 0


async def _apply(
    space: Space, clash: Clash, merged: Merged, text: bytes, fields: dict[str, object], common: Keyed
) -> int:
    place, one, other = _path(clash), *clash.sides[:2]
    if merged.clashes:
        raise NotClean(
            f"{count(merged.clashes, 'place')} of {place} where both sides changed the same lines",
            hint="write the text to a file with --to, choose, put it back, and remove the other side",
        )
    async with space.change(f"merge {shown(place)}") as change:
        for side in (one, other):
            there = await change.find((*clash.path[:-1], side.shown))
            if not there.items or there.key != side.key:
                raise ChangedMeanwhile(f"{_path(clash, side)} was changed meanwhile", hint="try again")
        # In this order: the name of the second one is made up, from both.
        await change.write(b"/".join(clash.path), text, mode=one.entry.mode)
        await change.remove(b"/".join((*clash.path[:-1], other.shown)))
    settled = await settle(space, common.voice)
    common.voice.done(f"merged into {place}: {settled.words}", {**fields, **settled.fields})
    if len(clash.sides) > 2:
        common.voice.note(f"{count(len(clash.sides) - 2, 'more side')} under this name: run it again")
    return settled.status
