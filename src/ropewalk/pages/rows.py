"""Rows: the entries of a folder as a page lists them, some of them at once and the rest as they are asked for.

Flow: Version.listing -> Row, in order -> template, JSON
Never: has a browser or this process hold more entries at once than it can.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from ropewalk.errors import Misuse
from ropewalk.pages.names import shown
from ropewalk.pages.places import Place
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Info, Version

__all__ = ["FIRST", "MORE", "ORDERS", "Row", "Rows", "TooManyToSort", "rows_of"]

FIRST = 200  # entries in the page itself: more than a screen shows, and few enough to come at once
MORE = 2500  # entries in one answer with the rest: the first of them come soon, and nobody waits long meanwhile
MOST_SORTED = 100_000  # entries of a folder that can be had in another order than by name: all are held for it
ORDERS = ("name", "size", "time")


class TooManyToSort(Misuse):
    """A folder of so many entries is listed by name alone."""

    code = "pages.too-many-to-sort"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry.

    Attributes:
        name: Its bytes.
        label: For people.
        kind: As of `Info`.
        size: Bytes.
        mtime: Nanoseconds since 1970.
    """

    name: bytes
    label: str
    kind: str
    size: int
    mtime: int

    @classmethod
    def of(cls, found: Shown) -> Row:
        """Of something shown in a folder."""
        info = Info.of(found.name, found)
        return cls(found.name, shown(found.name), info.kind, info.size, info.mtime)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some entries.

    Attributes:
        rows: In order.
        start: How many come before them.
        more: Whether some come after them.
    """

    rows: list[Row]
    start: int
    more: bool


async def rows_of(place: Place, version: Version, found: Shown, order: str, start: int, limit: int) -> Rows:
    """Entries of a folder.

    Args:
        place: For messages.
        version: It is of.
        found: The folder.
        order: One of `ORDERS`; the largest and the newest first.
        start: Entries to pass over.
        limit: How many to give.

    Raises:
        TooManyToSort, ChunkUnreachable, ChunkLost.
    """
    if order == "name":
        return await _by_name(version, found, start, limit)
    rows: list[Row] = []
    async for row in _all(version, found):
        rows.append(row)
        if len(rows) > MOST_SORTED:
            raise TooManyToSort(
                f"{place.whole} has over {MOST_SORTED:,} entries",
                hint="it is listed by name alone; filter or search it",
            )
    rows.sort(key=lambda row: -(row.size if order == "size" else row.mtime))
    return Rows(rows[start : start + limit], start, len(rows) > start + limit)


async def _by_name(version: Version, found: Shown, start: int, limit: int) -> Rows:
    rows: list[Row] = []
    at = 0
    async with aclosing(version.listing(found.folders)) as listing:  # type: ignore[type-var]
        async for one in listing:
            if at >= start + limit:
                return Rows(rows, start, more=True)
            if at >= start:
                rows.append(Row.of(one))
            at += 1
    return Rows(rows, start, more=False)


async def _all(version: Version, found: Shown) -> AsyncIterator[Row]:
    async for one in version.listing(found.folders):
        yield Row.of(one)
