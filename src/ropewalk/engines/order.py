"""Order: names as an engine lists them, into names as a store lists them.

S3 lists by the bytes of the whole name.  Some of its likeness walk a tree instead, by the name of each folder: there
"a/b" comes before "a-b", and a listing that is to begin after "a-b" leaves "a/b" out.  Others have no order at all.
Names in one folder come in the same order either way; where there are folders in it, names are held back for a while.

Flow: keeping -> order -> names of a bucket
Never: gives a name before a smaller one, or holds more than a bounded number.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator

from ropewalk.spaces.store import Listed, StoreDamaged

__all__ = ["HELD", "in_order", "start_of", "wanted"]

HELD = 4096  # names, some 1 MB: those held back until what must come before them has come

_PREFIX = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*/?\Z")
_DOUBTFUL = re.compile(r"\A/|[^a-z0-9_/]|/(?=/|\Z)")  # from here on the two orders differ, or the text is no name's


def start_of(prefix: str, after: str) -> tuple[str, str] | None:
    """The folder to list, and the name to begin after, "" for all of it; None where nothing can be wanted.

    In either order all that is wanted comes after that name, and perhaps a little more.
    """
    if (prefix and not _PREFIX.match(prefix)) or (after > prefix and not after.startswith(prefix)):
        return None
    folder, _, part = prefix.rpartition("/")
    begin = _before(prefix) if part else ""
    doubt = _DOUBTFUL.search(after)
    sure = after[: doubt.start()] if doubt else after
    if after > prefix and len(sure) >= len(prefix):
        # Not after the name itself: it may be a folder's too, and some leave out all that is in that.
        begin = _before(sure)
    return folder, begin


def wanted(found: Iterable[Listed], prefix: str, after: str, *, ordered: bool = True) -> Iterator[Listed]:
    """Those that begin with ``prefix`` and come after ``after``.

    Args:
        found: As the engine lists it.
        prefix: As of a store.
        after: The same.
        ordered: Whether the names of one folder come in order, so that the rest need not be read.
    """
    base = prefix.rfind("/") + 1
    part = prefix[base:]
    for listed in found:
        if listed.name.startswith(prefix):
            if listed.name > after:
                yield listed
        elif ordered and listed.name[base:].partition("/")[0] > part:
            return


def in_order(found: Iterable[Listed], folder: str, *, held: int = HELD, ordered: bool = True) -> Iterator[Listed]:
    """The same by name in byte order, each once.

    Args:
        found: As the engine lists it, all below ``folder``.
        folder: Without a slash at its end.
        held: How many are held back at most.
        ordered: Whether the names of one folder come in order.

    Raises:
        StoreDamaged: A name came too late, or names come again and again.
    """
    last, again = "", 0
    for listed in _sorted(found, len(folder) + 1 if folder else 0, held, ordered):
        if listed.name < last:
            raise StoreDamaged(
                f"the store lists {listed.name[:80]!r} more than {held} names late",
                hint="this engine lists in no order that can be used",
            )
        if listed.name > last:
            yield listed
        elif (again := again + 1) > held:
            raise StoreDamaged(
                f"the store lists {listed.name[:80]!r} and others more than {held} times too often",
                hint="this engine's listings go round in a circle",
            )
        last = listed.name


def _sorted(found: Iterable[Listed], base: int, held: int, ordered: bool) -> Iterator[Listed]:
    waiting: list[tuple[str, Listed]] = []
    for listed in found:
        if ordered and not waiting and "/" not in listed.name[base:]:
            yield listed  # nothing that comes later is smaller, in either order
            continue
        ordered = False
        heapq.heappush(waiting, (listed.name, listed))
        if len(waiting) > held:
            yield heapq.heappop(waiting)[1]
    while waiting:
        yield heapq.heappop(waiting)[1]


def _before(start: str) -> str:
    """A name smaller than all that begin with ``start``, in either order: none has a segment below "-"."""
    if not start or start.endswith("/"):
        return f"{start}-"
    return start[:-1] if start.endswith("-") else f"{start[:-1]}-"
