"""Listing: the objects below a folder, by name in byte order, over nested folders.

Flow: folder -> listing -> FileSystem
Never: opens an object; holds more names of one folder than ``_HELD``, however many there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import chain, islice

from ropewalk.errors import Misuse
from ropewalk.spaces.store.filesystem import FileSystem
from ropewalk.spaces.store.interface import Listed, ObjectName, object_name
from ropewalk.spaces.store.marker import MARKER

__all__ = ["walk"]

_HELD = 65536  # names, some 15 MB; a folder of more is read again for each so many


def walk(files: FileSystem, root: str, prefix: str, after: str) -> Iterator[Listed]:
    """The objects whose names start with ``prefix`` and are greater than ``after``.

    Raises:
        OSError: A folder cannot be read; one that is not there, or goes, is passed over.
    """
    top = prefix.rpartition("/")[0]
    if not top:
        yield from _walk(files, root, "", prefix, after)
    elif _fit(top):  # else no object's name starts so
        yield from _walk(files, root, f"{top}/", prefix, after)


def _walk(files: FileSystem, root: str, base: str, prefix: str, after: str) -> Iterator[Listed]:
    """As ``walk``, below ``base``, which is empty or ends in a slash."""

    def wanted(name: str) -> bool:
        if name.endswith("/"):
            within = name.startswith(prefix) or prefix.startswith(name)
            return within and (name > after or after.startswith(name))
        return name.startswith(prefix) and name > after

    all_of_it = base.startswith(prefix) and base > after and not after.startswith(base)
    last = ""
    while True:
        try:
            found = (base + name for name in files.scan(f"{root}/{base}"))
            if last or not all_of_it:
                found = (name for name in found if name > last and wanted(name))
            # A folder stands where its slash puts it: "a-b" < "a/b" < "a0", as the whole names do.
            names = _smallest(found)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if not _fit(name.removesuffix("/")):  # asked of those alone that somebody comes to: it takes longest
                continue
            if name.endswith("/"):
                yield from _walk(files, root, name, prefix, after)
            else:
                try:
                    facts = files.facts(f"{root}/{name}")
                except FileNotFoundError:
                    continue  # deleted since
                yield Listed(ObjectName(name), facts.size)
        if len(names) < _HELD:
            return
        last = names[-1]


def _smallest(names: Iterator[str]) -> list[str]:
    """The first ``_HELD`` in order."""
    held = list(islice(names, _HELD))
    if len(held) < _HELD:
        held.sort()
        return held
    return heapq.nsmallest(_HELD, chain(held, names))


def _fit(name: str) -> bool:
    try:
        object_name(name)
    except Misuse:
        return False
    return name.partition("/")[0] != MARKER
