"""Conflicts: what stands side by side under one name, compared, and settled by whoever looks at it.

Flow: clashes -> list; one of them -> sides, lines, pictures -> a choice -> one change -> Notice with its Undo
Never: chooses by itself, or settles what changed since somebody looked at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.counting import count
from ropewalk.errors import Missing, Misuse, RopewalkError
from ropewalk.pages.answers import json_answer, page, wants_json
from ropewalk.pages.asking import asker_of
from ropewalk.pages.auditing import audited
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.changing import field_of, name_of, outcome_of
from ropewalk.pages.names import BadAddress, moment, shown, stamp
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.previews import kind_by_name
from ropewalk.pages.space.comparing import Comparing, NotCompared
from ropewalk.pages.space.merging import bytes_of, merge_of
from ropewalk.pages.space.resolving import (
    MOST_INSIDE,
    keep,
    keep_all,
    keep_text,
    looked_at,
    paths_of,
    unchanged,
)
from ropewalk.pages.tickets import Ticket
from ropewalk.pages.undoing import Path, Undo
from ropewalk.spaces.change import Change
from ropewalk.spaces.conflicts import Clash, HistoryOf, Side, clash_at, clashes
from ropewalk.spaces.members import Names
from ropewalk.spaces.tree.entry import LONGEST_NAME, NO_ENTRY, Kind
from ropewalk.spaces.version import Version

__all__ = ["BadChoice", "Conflicts", "NoConflict"]

MOST_SHOWN = 200  # names in one list
MOST_SIDES = 20  # sides of one name that are shown: each was written by a device of its own, as a rule
SECONDS = 10.0  # a list ends with what was found by then
_KINDS: Mapping[int, str] = {Kind.FILE: "file", Kind.FOLDER: "folder", Kind.SYMLINK: "link", NO_ENTRY: "damaged"}
_UNDONE = "Each is there as it was shown, but as a file of its own: they are not compared any more."


class NoConflict(Missing):
    """Only one thing stands under this name."""

    code = "pages.no-conflict"


class BadChoice(Misuse):
    """The form does not say how a conflict is to be settled, or says what cannot be."""

    code = "pages.bad-choice"


@dataclass(frozen=True, slots=True)
class SideShown:
    """One side, for a page.

    Attributes:
        number: From 1.
        path: Where it is shown now.
        label: Its name there, for people.
        author: Whose device wrote it.
        when, stamp: Of that write, or the file's own time; "" if neither is known.
        own_time: Whether it is the file's own.
        kind: file, folder, link, damaged or other.
        size: Bytes.
        inside: Entries of a folder; None for too many to be counted.
        address: Of its picture; "" without one.
    """

    number: int
    path: Path
    label: str
    author: str
    when: str
    stamp: str
    own_time: bool
    kind: str
    size: int
    inside: int | None = 0
    address: str = ""

    @classmethod
    def of(cls, clash: Clash, which: int, names: Names, inside: int | None = 0, address: str = "") -> SideShown:
        """Of a side of a clash."""
        side = clash.sides[which]
        author = shown(names.whose(side.head.device)) if side.head is not None else "not known"
        time = side.head.time if side.head is not None else side.entry.mtime
        kind = _KINDS.get(side.entry.kind, "other")
        when = (moment(time), stamp(time)) if time else ("", "")
        return cls(
            *(which + 1, paths_of(clash)[which], shown(side.shown), author, *when, side.head is None),
            *(kind, side.entry.size, inside, address),
        )


class Conflicts:
    """A section.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing) -> None:
        self._spaces, self._browsing, self._comparing = spaces, browsing, Comparing()

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """The endpoints."""
        return {"conflicts": {"GET": self.look, "POST": self.choose}}

    async def look(self, request: Request) -> Response:
        """All of them, or one."""
        place = await place_of(request, self._spaces)
        if place.at:
            raise BadAddress("conflicts are those of the newest version", hint="leave `at` out")
        version = await place.version()
        if not place.parts:
            return await self._all(request, place, version)
        clash = await clash_at(version, HistoryOf(place.space.core), place.parts)
        if clash is None:
            await version.find(place.path)
            raise NoConflict(
                f"{place.whole} stands side by side with nothing",
                hint="somebody may have settled it; its versions show what there was",
            )
        return await self._one(request, place, version, clash)

    async def _all(self, request: Request, place: Place, version: Version) -> Response:
        names = _names(place)
        found: list[tuple[str, str, list[SideShown], int]] = []
        cut = ""
        try:
            listing = clashes(version, HistoryOf(place.space.core))
            async with asyncio.timeout(SECONDS), aclosing(listing):
                async for clash in listing:
                    sides = [SideShown.of(clash, at, names) for at in range(min(len(clash.sides), MOST_SIDES))]
                    more = len(clash.sides) - len(sides)
                    found.append((_whole(clash.path), place.href("conflicts", clash.path), sides, more))
                    if len(found) >= MOST_SHOWN:
                        cut = f"Only the first {MOST_SHOWN} are shown. Settle some of them, and others come here."
                        break
        except TimeoutError:
            cut = f"Only what was found in {SECONDS:.0f} seconds is shown."
        values = {"place": place, "found": found, "cut": cut, **self._browsing.frame(request, place.space)}
        return page("space/conflicts.html", values)

    async def _one(self, request: Request, place: Place, version: Version, clash: Clash) -> Response:
        names = _names(place)
        seen, inside = await looked_at(version, clash)
        sides = [
            SideShown.of(clash, at, names, inside[at], self._picture(request, version, clash, side))
            for at, side in enumerate(clash.sides[:MOST_SIDES])
        ]
        other = _number(request.query_params.get("other", "2"), 2, len(sides))
        values: dict[str, object] = {
            "place": place, "whole": _whole(clash.path), "sides": sides, "hidden": len(clash.sides) - len(sides),
            "seen": seen, "other": other, "pieces": None, "merge": None, "why": "", "suggested": _suggested(clash),
            "first": clash.path, "most_inside": MOST_INSIDE,
        }  # fmt: skip
        one, against = clash.sides[0], clash.sides[other - 1]
        pictures = sides[0].address and sides[other - 1].address
        if one.entry.kind == against.entry.kind == Kind.FILE and not pictures:
            try:
                if request.query_params.get("merge") == "1":
                    core = place.space.core
                    async with self._comparing.turns:
                        values["merge"] = await merge_of(core, one, against, (sides[0].author, sides[other - 1].author))
                else:
                    values["pieces"] = await self._comparing.pieces(version.content, one.entry, against.entry)
            except NotCompared as error:
                values["why"] = str(error)
            except RopewalkError as error:  # what cannot be read now can be downloaded, or kept, all the same
                values["why"] = f"They cannot be compared now: {shown(str(error))}."
        return page("space/conflict.html", {**values, **self._browsing.frame(request, place.space)})

    def _picture(self, request: Request, version: Version, clash: Clash, side: Side) -> str:
        asker = asker_of(request)
        if side.entry.kind != Kind.FILE or not asker.asked.previews:
            return ""
        name = clash.path[-1]
        if kind_by_name(name) != "image":
            return ""
        ticket = Ticket(asker.session, version, side.entry, name, "image")
        return f"{asker.asked.previews}/t/{self._browsing.tickets.give(ticket)}"

    # -- choices -----------------------------------------------------------------------------------------------------

    async def choose(self, request: Request) -> Response:
        """Settle one: ``choice`` keep (``side``), both (``name``, ...) or merge (``other``, ``text``), and ``seen``."""
        place = await place_of(request, self._spaces)
        if not place.parts or place.at:
            raise BadAddress("the address names no conflict")
        seen, choice = field_of(request, "seen"), field_of(request, "choice")
        works: Mapping[str, _Work] = {"keep": _kept, "both": _all_kept, "merge": _merged}
        if choice not in works:
            raise BadChoice(f"choice is {choice[:20]!r}, expected one of {', '.join(works)}")
        space, work = place.space, works[choice]
        with audited(request, f"settle {place.whole} in {shown(place.name)}: {choice}"):
            async with space.change(shown(f"settle {place.whole}")) as change:
                before = change.base
                clash, inside = await unchanged(change, space.core, place.parts, seen)
                text, moved = await work(request, change, clash, inside)
        text, after, warning = outcome_of(space, text)
        way_back = None
        if after is not None:
            paths = () if moved else tuple(paths_of(clash))
            folder = clash.path[:-1]
            way_back = Undo(space, place.name, before, after, paths, tuple(reversed(moved)), folder, _UNDONE)
        notice = self._browsing.notices.add(asker_of(request).session, text, way_back, warning=warning)
        if wants_json(request):
            return json_answer({"message": text, "done": notice.word, "undo": way_back is not None})
        return RedirectResponse(place.href("conflicts", (), done=notice.word), 303)


_Moved = Sequence[tuple[Path, Path]]
_Work = Callable[[Request, Change, Clash, Sequence[int | None]], Awaitable[tuple[str, _Moved]]]


async def _kept(request: Request, change: Change, clash: Clash, inside: Sequence[int | None]) -> tuple[str, _Moved]:
    which = _number(field_of(request, "side"), 1, len(clash.sides)) - 1
    if any(number is None for at, number in enumerate(inside) if at != which):
        raise BadChoice(
            f"a folder that would go has over {MOST_INSIDE:,} entries inside",
            hint="remove it in its own page first, or keep both under two names",
        )
    await keep(change, clash, which)
    gone = len(clash.sides) - 1
    words = f"Kept side {which + 1} as {_whole(clash.path)}, and removed {count(gone, 'other')}."
    return f"{words} Older versions keep what went.", ()


async def _all_kept(request: Request, change: Change, clash: Clash, _: Sequence[int | None]) -> tuple[str, _Moved]:
    names = [name_of(value) for key, value in asker_of(request).form if key == "name"]
    if len(names) != len(clash.sides) - 1:
        raise BadChoice(f"got {count(len(names), 'name')}, expected {len(clash.sides) - 1}")
    await keep_all(change, clash, names)
    news = [(*clash.path[:-1], name) for name in names]
    listed = ", ".join(shown(name) for name in names[:5])
    return f"Kept {shown(clash.path[-1])}, and beside it {listed}.", list(zip(paths_of(clash)[1:], news, strict=True))


async def _merged(request: Request, change: Change, clash: Clash, _: Sequence[int | None]) -> tuple[str, _Moved]:
    other = clash.sides[_number(field_of(request, "other"), 2, len(clash.sides)) - 1]
    if not clash.sides[0].entry.kind == other.entry.kind == Kind.FILE:
        raise BadChoice("only two files can become one text")
    await keep_text(change, clash, other, bytes_of(field_of(request, "text"), field_of(request, "ends")))
    left = len(clash.sides) - 2
    more = f" {count(left, 'more side')} still under this name." if left else ""
    return f"Put your text in place of both sides of {_whole(clash.path)}.{more}", ()


def _names(place: Place) -> Names:
    return Names(place.space.core.membership, place.space.core.keys)


def _whole(path: Path) -> str:
    return "/" + "/".join(shown(part) for part in path)


def _number(text: str, low: int, high: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high:
        return int(text)
    raise BadChoice(f"side is {text[:20]!r}, expected {low} to {high}")


def _suggested(clash: Clash) -> Sequence[str]:
    """Names for the sides after the first: `a.txt` becomes `a (2).txt`."""
    stem, dot, ending = clash.path[-1].rpartition(b".")
    if not stem:
        stem, dot, ending = clash.path[-1], b"", b""
    tails = [f" ({number})".encode() + dot + ending for number in range(2, len(clash.sides) + 1)]
    return [shown(stem[: LONGEST_NAME - len(tail)] + tail) for tail in tails]
