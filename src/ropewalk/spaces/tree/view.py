"""View: what a person sees of a space's map, where devices wrote without knowing of each other.

The map keeps both sides of every clash; these rules give each entry one place to be seen, the same for everyone:

1. Entries are ranked by (sequence, writer, key); the higher one wins.  Time is no part of it: clocks lie.
2. Folders of one name in one place are shown as one folder that holds what is in all of them.
3. Files, links and unknown things of one name: equal ones (kind, size, content id) are shown once; of the others the
   winner keeps the name and the rest is shown as ``name (conflict WRITER-SEQUENCE).ext``.  A folder keeps its name
   against all of them, and all of them against a value that is no entry.
4. A file that stands in several places (it was moved by two, or moved and edited) is shown in all of them.
5. A folder that stands in several places is shown where its winner stands, a place whose parent is there before others.
6. Entries whose folder is gone, and one folder of each ring of folders (the one with the lowest winner), are shown in
   ``lost+found`` at the top, under the id of the folder.

Rules 5 and 6 need the whole map; ``settling`` finds what they come to, which is nothing until two devices were joined.

Flow: Tree.scan, Settled -> [show_folder] -> Space, gateways
Never: drops an entry, changes the map, or depends on which device looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count

import msgspec

from ropewalk.spaces.tree.entry import (
    ID_SIZE,
    LONGEST_NAME,
    LOST_FOLDER,
    NO_ENTRY,
    ROOT_FOLDER,
    Entry,
    EntryDamaged,
    EntryId,
    EntryKey,
    Kind,
    decode_entry,
    is_key,
    kind_of,
    unpack_key,
)

__all__ = ["CONFLICT_MARK", "LOST_NAME", "SETTLED", "Item", "Settled", "Shown", "rank", "show_folder"]

Item = tuple[bytes, bytes]  # an entry's key and value

LOST_NAME = b"lost+found"
CONFLICT_MARK = b" (conflict "  # in names that the view makes up
_DOT_SIZE = ID_SIZE + 8  # bytes at the end of a key: writer, sequence
_ID_AT = ID_SIZE + _DOT_SIZE
_AFTER_NAME = 1 + _ID_AT
LONGEST_EXTENSION = 32  # bytes with the dot; more is no extension but a name with a dot in it


class Shown(msgspec.Struct, frozen=True):
    """One thing in a listing."""

    name: bytes  # as shown: the entry's own, or one that tells a conflict
    kind: int
    items: Sequence[Item]  # the entries it stands for, the winner first; none for lost+found and what is lost itself
    folders: Sequence[EntryId] = ()  # for a folder: the ids whose entries are in it, in order

    @property
    def key(self) -> EntryKey:
        """Place and dot of the winner; not for a folder without items."""
        return unpack_key(self.items[0][0])

    @property
    def entry(self) -> Entry:
        """What the winner holds; for a folder without items, a folder with nothing known of it.

        What is no entry is one of the kind `NO_ENTRY`: whoever lists or copies a folder goes on with the next.
        """
        if not self.items:
            return Entry(Kind.FOLDER)
        try:
            return decode_entry(self.items[0][1])
        except EntryDamaged:
            return Entry(NO_ENTRY)


@dataclass(frozen=True, slots=True)
class Settled:
    """What must be known of the whole map to show a part of it."""

    hidden: frozenset[bytes]  # keys of folder entries that are not shown where they stand: their folder is elsewhere
    lost: Sequence[EntryId]  # folders shown in lost+found, in order
    clashing: frozenset[EntryId] = frozenset()  # folders in which several entries have one name

    @property
    def plain(self) -> bool:
        """Whether all is shown where it stands, under its own name, and can be shown in parts.

        Where names clash it cannot: one that is made up may sort before what was shown already.
        """
        return not (self.hidden or self.lost or self.clashing)


SETTLED = Settled(frozenset(), ())  # where nothing was ever joined


def show_folder(folders: Sequence[EntryId], items: Iterable[Item], settled: Settled = SETTLED) -> list[Shown]:
    """What is to be seen in a folder, by name in byte order.

    Args:
        folders: The ids that the shown folder stands for: ``[ROOT_FOLDER]``, or ``Shown.folders``.
        items: All entries whose parent is one of them, in any order.
        settled: What ``settling`` made of the whole map.
    """
    named: dict[bytes, list[Item]] = {}
    for item in items:
        if item[0] not in settled.hidden and is_key(item[0]):
            named.setdefault(item[0][ID_SIZE:-_AFTER_NAME], []).append(item)
    made: dict[bytes, EntryId] = {}
    if ROOT_FOLDER in folders and settled.lost:
        made[LOST_NAME] = LOST_FOLDER
    if LOST_FOLDER in folders:
        made |= {entry_id.hex().encode(): entry_id for entry_id in settled.lost}
    shown: list[Shown] = []
    renamed: list[tuple[bytes, Sequence[Item]]] = []
    for name in sorted(named.keys() | made.keys()):
        found = named.get(name, [])
        if len(found) == 1 and name not in made:
            shown.append(_show(name, found))
            continue
        inside = [item for item in found if kind_of(item[1]) == Kind.FOLDER and _is_entry(item[1])]
        folders_here = {key for key, _ in inside}
        groups = _equal_ones([item for item in found if item[0] not in folders_here])
        if inside or name in made:
            shown.append(_show(name, sorted(inside, key=_item_rank, reverse=True), made.get(name)))
        else:
            shown.append(_show(name, groups.pop(0)))
        renamed.extend((name, group) for group in groups)
    if renamed:
        taken = set(named) | set(made)
        for name, group in renamed:
            other = _conflict_name(name, group[0][0], taken)
            taken.add(other)
            shown.append(_show(other, group))
        shown.sort(key=lambda one: one.name)
    return shown


def _show(name: bytes, items: Sequence[Item], made: EntryId | None = None) -> Shown:
    kind = kind_of(items[0][1]) if items else Kind.FOLDER
    if kind != Kind.FOLDER:
        return Shown(name, kind, items)
    ids = {EntryId(key[-_ID_AT:-_DOT_SIZE]) for key, _ in items}
    return Shown(name, kind, items, sorted(ids | {made} if made else ids))


def _equal_ones(items: list[Item]) -> list[list[Item]]:
    """Groups of items that hold the same, the winner first in each and the group of the winner of all first."""
    groups: dict[object, list[Item]] = {}
    for item in sorted(items, key=lambda item: (_is_entry(item[1]), _item_rank(item)), reverse=True):
        groups.setdefault(_held(item[1]) or item[0], []).append(item)
    return list(groups.values())


def _is_entry(value: bytes) -> bool:
    try:
        decode_entry(value)
    except EntryDamaged:
        return False
    return True


def _held(value: bytes) -> object:
    """What is the same for equal files and links; None for all else."""
    try:
        entry = decode_entry(value)
    except EntryDamaged:
        return None
    content = entry.content_id or entry.content
    alike = entry.kind in {Kind.FILE, Kind.SYMLINK} and content is not None
    return (entry.kind, entry.size, content) if alike else None


def _conflict_name(name: bytes, key: bytes, taken: set[bytes]) -> bytes:
    """A name of at most 255 bytes that is not taken, and is the same for everyone who sees the same folder."""
    stem, dot, extension = name.rpartition(b".")
    if not stem or len(extension) >= LONGEST_EXTENSION:
        stem, dot, extension = name, b"", b""
    mark = f"{CONFLICT_MARK.decode()}{key[-_DOT_SIZE:][:4].hex()}-{int.from_bytes(key[-8:], 'big')}"
    marks = chain([f"{mark})"], (f"{mark} {number})" for number in count(2)))
    tails = (end.encode() + dot + extension for end in marks)
    others = (_shortened(stem, LONGEST_NAME - len(tail)) + tail for tail in tails)
    return next(other for other in others if other not in taken)


def _shortened(stem: bytes, size: int) -> bytes:
    """At most ``size`` bytes from the start, no character cut in two where the bytes are UTF-8."""
    if len(stem) <= size:
        return stem
    end = size
    while end > size - 3 and stem[end] & 0xC0 == 0x80:
        end -= 1
    return stem[:end]


def rank(key: bytes) -> bytes:
    """What decides between entries: the higher wins."""
    return key[-8:] + key[-_DOT_SIZE:-8] + key


def _item_rank(item: Item) -> bytes:
    return rank(item[0])
