"""Browsing: the pages that show spaces, folders and files, and what is found in them.

Flow: request -> Place -> Version -> rows, or one file with its preview -> page, JSON
Never: changes anything.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.pages.answers import json_answer, page
from ropewalk.pages.asking import asker_of
from ropewalk.pages.names import BadAddress, quoted, shown
from ropewalk.pages.notices import Notices
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.previews import kind_of
from ropewalk.pages.rows import FIRST, MORE, ORDERS, Row, rows_of
from ropewalk.pages.standing import standing
from ropewalk.pages.tickets import Ticket, Tickets
from ropewalk.spaces.conflicts import groups_in
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Info, Version

__all__ = ["Browsing", "start_of"]

SEARCH_SECONDS = 10.0  # a search ends with what it has found by then
MOST_FOUND = 500  # things that a search shows
LONGEST_QUERY = 200  # characters


class Browsing:
    """Endpoints.

    Args:
        spaces: What can be shown.
        tickets: For previews.
        notices: What is told on the next page.
    """

    def __init__(self, spaces: Spaces, tickets: Tickets, notices: Notices) -> None:
        self._spaces, self.tickets, self.notices = spaces, tickets, notices

    async def index(self, request: Request) -> Response:
        """The spaces."""
        names = [(name, shown(name), quoted([name.encode()])) for name in self._spaces.names()]
        return page("spaces.html", {"names": names, **self.frame(request)})

    async def files(self, request: Request) -> Response:
        """A folder, or a file."""
        place = await place_of(request, self._spaces)
        version = await place.version()
        found = await version.find(place.path)
        if found.kind == Kind.FOLDER and request.query_params.get("about") != "1":
            return await self._folder(request, place, version, found)
        return await self._item(request, place, version, found)

    async def _folder(self, request: Request, place: Place, version: Version, found: Shown) -> Response:
        order, start = _order(request), start_of(request)
        rows = await rows_of(place, version, found, order, start, FIRST)
        beside = await _beside(place, version, found)
        values = {"place": place, "rows": rows, "order": order, "orders": ORDERS, "beside": beside}
        return page("folder.html", {**values, **self.frame(request, place.space)})

    async def rows(self, request: Request) -> Response:
        """The rest of a folder, in JSON: ``{"rows": [[quoted, label, kind, size, mtime, beside], ...], "next": N}``;
        ``beside`` says whether something else stands under the same name."""
        place = await place_of(request, self._spaces)
        version = await place.version()
        found = await version.find(place.path)
        rows = await rows_of(place, version, found, _order(request), start_of(request), MORE)
        beside = await _beside(place, version, found)
        listed = [
            [quoted([row.name]), row.label, row.kind, row.size, row.mtime // 10**9, row.name in beside]
            for row in rows.rows
        ]
        following = rows.start + len(rows.rows) if rows.more else None
        return json_answer({"rows": listed, "next": following})

    async def _item(self, request: Request, place: Place, version: Version, found: Shown) -> Response:
        info = Info.of(found.name, found)
        kind, address = "", ""
        asker = asker_of(request)
        if found.kind == Kind.FILE and asker.asked.previews:
            kind = await kind_of(version, found.entry, found.name)
            if kind:
                ticket = Ticket(asker.session, version, found.entry, found.name, kind)
                address = f"{asker.asked.previews}/t/{self.tickets.give(ticket)}"
        values: Mapping[str, Any] = {
            "place": place, "info": info, "kind": kind, "address": address,
            "target": shown(info.target) if info.target is not None else None,
            "can_preview": bool(asker.asked.previews),
        }  # fmt: skip
        return page("item.html", {**values, **self.frame(request, place.space)})

    async def search(self, request: Request) -> Response:
        """What is called so, in a folder and all below it."""
        place = await place_of(request, self._spaces)
        query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
        version = await place.version()
        found: list[tuple[Row, str, str]] = []
        seen, cut = 0, ""
        if query:
            pattern = query.casefold() if any(char in query for char in "*?[") else f"*{_literal(query.casefold())}*"
            try:
                async with asyncio.timeout(SEARCH_SECONDS):
                    async for names, one in version.walk(place.path):
                        seen += 1
                        if seen % 1000 == 0:
                            await asyncio.sleep(0)  # what is in memory already does not let others in by itself
                        if fnmatch.fnmatchcase(shown(one.name).casefold(), pattern) and names:
                            path = (*place.parts, *names)
                            folder = "/" + "/".join(shown(part) for part in path[:-1])
                            found.append((Row.of(one), place.href("files", path), folder))
                            if len(found) >= MOST_FOUND:
                                cut = f"Only the first {MOST_FOUND} are shown."
                                break
            except TimeoutError:
                cut = f"Only what was found in {SEARCH_SECONDS:.0f} seconds is shown."
        values = {"place": place, "query": query, "found": found, "seen": seen, "cut": cut}
        return page("search.html", {**values, **self.frame(request, place.space)})

    def frame(self, request: Request, space: Space | None = None) -> dict[str, Any]:
        """What each page needs."""
        asker = asker_of(request)
        notice = self.notices.find(asker.session, request.query_params.get("done", ""))
        warnings = [] if space is None else [shown(text) for text in list(space.warnings)[-5:]]
        stands = [] if space is None else [shown(text) for text in standing(space)]
        said = {"notice": notice, "standing": stands, "warnings": warnings}
        who = {"csrf": asker.session.csrf, "who": asker.session.who}
        return {**who, **said, "has_panel": request.scope.get("ropewalk.panel", False)}


async def _beside(place: Place, version: Version, found: Shown) -> frozenset[bytes]:
    """The names in a folder under which something stands beside something else, as far as it can be settled."""
    if place.at:
        return frozenset()
    return frozenset(one.name for several in await groups_in(version, found) for one in several)


def _order(request: Request) -> str:
    order = request.query_params.get("sort", "name")
    return order if order in ORDERS else "name"


def start_of(request: Request) -> int:
    """From which entry on a list is asked for.

    Raises:
        BadAddress.
    """
    given = request.query_params.get("start", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise BadAddress(f"start is {given[:20]!r}, expected a whole number")
    return int(given)


def _literal(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
