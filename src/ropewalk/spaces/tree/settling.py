"""Settling: which folders are shown elsewhere than they stand, and which are lost, for a whole map.

A look at all of a map finds it.  Where an older map was settled, and where its folders stood is known, it follows from
what changed since: a folder's place can change only with its own entries, with whether the folder above it is there, or
with a ring that one of these closes or opens.  So what is read are the changes, the folders above them, and what was
not plain before.

A *stand* is the key of a folder's entry, or that key without its name: names decide nothing here but whether two
entries stand at one place.

Flow: Tree.scan -> Settling -> Settled; Differences, FolderIndex -> settle_anew -> Settled
Never: guesses: what an index cannot tell, or tells wrongly, is found by a look at all of the map.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ropewalk.spaces.tree.entry import (
    ID_SIZE,
    ROOT_FOLDER,
    EntryId,
    EntryKey,
    Kind,
    folder_range,
    is_key,
    kind_of,
    name_range,
    unpack_key,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.view import Item, Settled, rank

__all__ = [
    "MOST_DIFFERENCES",
    "Differences",
    "FolderIndex",
    "Resettled",
    "Settling",
    "Unsettled",
    "settle",
    "settle_anew",
    "stand_of",
]

MOST_DIFFERENCES = 50_000  # beyond, to look at all of the map is hardly dearer, and takes less memory
_ID_AT = ID_SIZE + ID_SIZE + 8  # from the end of a key: entry id, writer, sequence
_AFTER_NAME = 1 + _ID_AT


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What of a map is not plain, told without names."""

    several: frozenset[EntryId] = frozenset()  # folders that have more than one entry
    broken: frozenset[EntryId] = frozenset()  # those that open a ring of folders
    missing: frozenset[EntryId] = frozenset()  # ids that entries lie in, and no folder has
    clashing: Mapping[EntryId, int] = field(default_factory=dict)  # by folder: entries whose name one before them has


class FolderIndex(Protocol):
    """Where the folders of a settled map stand."""

    async def unsettled(self) -> Unsettled | None:
        """What of that map is not plain; None if it is no longer known."""

    async def stands(self, folders: Collection[EntryId]) -> Mapping[EntryId, list[bytes]] | None:
        """The stands, without names, of those of these folders that are there; None as above."""


class Differences:
    """What changed from one map to another, in as many steps as there are; at most `MOST_DIFFERENCES` of them."""

    def __init__(self, most: int = MOST_DIFFERENCES) -> None:
        self._most = most
        self._kinds: dict[bytes, tuple[int | None, int | None]] = {}
        self.too_many = False

    def add(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        """An entry came, went, or has another value; None where there is none."""
        if self.too_many or not is_key(key):
            return
        was = self._kinds[key][0] if key in self._kinds else _kind(before)
        now = _kind(after)
        if was is None and now is None:
            self._kinds.pop(key, None)
        else:
            self._kinds[key] = was, now
        if len(self._kinds) > self._most:
            self.too_many = True
            self._kinds.clear()

    def __iter__(self) -> Iterator[tuple[bytes, int | None, int | None]]:
        """Each key with the kind that its entry had and has, None where there was or is none."""
        return ((key, was, now) for key, (was, now) in self._kinds.items())


@dataclass(frozen=True, slots=True)
class Resettled:
    """What a map comes to, and how an index that knew the one before gets to know it."""

    settled: Settled
    unsettled: Unsettled
    gone: Collection[bytes]  # stands, without names
    come: Collection[bytes]


class Settling:
    """A look at a whole map, some of it at a time.  Memory goes with the number of folders, not of entries."""

    def __init__(self) -> None:
        self._stands: dict[EntryId, list[bytes]] = {}
        self._parents: set[EntryId] = set()
        self._parent: EntryId | None = None
        self._place: bytes | None = None
        self._clashing: dict[EntryId, int] = {}

    def look(self, items: Iterable[Item]) -> None:
        """The next entries, in order of their keys."""
        for key, value in items:
            if not is_key(key):
                continue
            if self._parent is None or key[:ID_SIZE] != self._parent:
                self._parent = EntryId(key[:ID_SIZE])
                self._parents.add(self._parent)
            place = key[:-_AFTER_NAME]
            if place == self._place:
                self._clashing[self._parent] = self._clashing.get(self._parent, 0) + 1
            self._place = place
            if kind_of(value) == Kind.FOLDER:
                self._stands.setdefault(_entry_id(key), []).append(key)

    def settled(self) -> Settled:
        """What the map comes to."""
        return self._come_to()[0]

    def unsettled(self) -> Unsettled:
        """What of it is not plain."""
        return self._come_to()[1]

    def stands(self) -> list[bytes] | None:
        """All stands, without names; None where two would be the same, which no honest writer brings about."""
        found = [stand_of(key) for keys in self._stands.values() for key in keys]
        return found if len(set(found)) == len(found) else None

    def _come_to(self) -> tuple[Settled, Unsettled]:
        winners, broken = _placed(self._stands)
        missing = self._parents - self._stands.keys() - {ROOT_FOLDER}
        several = frozenset(entry_id for entry_id, keys in self._stands.items() if len(keys) > 1)
        unsettled = Unsettled(several, frozenset(broken), frozenset(missing), self._clashing)
        return _settled(self._stands, winners, unsettled), unsettled


def settle(items: Iterable[Item]) -> Settled:
    """What a map that is at hand as a whole comes to."""
    settling = Settling()
    settling.look(items)
    return settling.settled()


async def settle_anew(index: FolderIndex, differences: Differences, tree: Tree) -> Resettled | None:
    """What a map comes to, from what is known of one before it.

    Costs what changed and how deep it lies; a folder whose entries clash with each other is read as a whole.

    Args:
        index: Of the map before.
        differences: From that map to this one.
        tree: This one.

    Returns:
        None where all of the map must be looked at.
    """
    before = await index.unsettled()
    if before is None or differences.too_many:
        return None
    gone, come = _moves(differences)
    if gone is None or come is None:
        return None
    added = {_parent(key) for key, was, now in differences if was is None} - {ROOT_FOLDER}
    taken = {_parent(key) for key, was, now in differences if now is None} - {ROOT_FOLDER}
    changed = {_entry_id(stand) for stand in (*gone, *come)}
    stands = await _stands(index, changed | added | before.several | before.broken | before.missing, gone, come)
    clashing = await _clashing(before.clashing, differences, tree)
    if stands is None or clashing is None:
        return None
    winners, broken = _placed(stands)
    missing = added - stands.keys()
    for folder in (before.missing | changed) - stands.keys() - added:
        if folder in before.missing - taken or await _holds_any(tree, folder):
            missing.add(folder)
    several = frozenset(folder for folder, found in stands.items() if len(found) > 1)
    unsettled = Unsettled(several, frozenset(broken), frozenset(missing), clashing)
    named = await _named(stands, winners, unsettled, come, tree)
    if named is None:
        return None
    return Resettled(_settled(named, winners, unsettled), unsettled, gone, come.keys())


def stand_of(key: bytes) -> bytes:
    """The stand that a key is, without its name."""
    return key[:ID_SIZE] + key[-_ID_AT:]


def _moves(differences: Differences) -> tuple[set[bytes], dict[bytes, bytes]] | tuple[None, None]:
    """Stands that went, and those that came with their keys; nothing where one writer uses a stand twice."""
    gone: set[bytes] = set()
    come: dict[bytes, bytes] = {}
    count = 0
    for key, was, now in differences:
        if (was == Kind.FOLDER) != (now == Kind.FOLDER):
            count += 1
            if was == Kind.FOLDER:
                gone.add(stand_of(key))
            else:
                come[stand_of(key)] = key
    return (gone, come) if len(gone | come.keys()) == count else (None, None)


async def _stands(
    index: FolderIndex, wanted: Collection[EntryId], gone: Collection[bytes], come: Collection[bytes]
) -> dict[EntryId, list[bytes]] | None:
    """The stands of these folders and of all above them, in the new map."""
    changes: dict[EntryId, tuple[list[bytes], list[bytes]]] = {}
    for which, stands in enumerate((gone, come)):
        for stand in stands:
            changes.setdefault(_entry_id(stand), ([], []))[which].append(stand)
    known: dict[EntryId, list[bytes]] = {}
    asked: set[EntryId] = set()
    left = set(wanted)
    while left:
        asked |= left
        found = await index.stands(left)
        if found is None:
            return None
        above: set[EntryId] = set()
        for folder in left:
            now = set(found.get(folder, ()))
            lost, new = changes.get(folder, ((), ()))
            if not now.issuperset(lost) or not now.isdisjoint(new):
                return None  # the index is of another map, or a writer uses a stand twice
            if now := (now.difference(lost)).union(new):
                known[folder] = sorted(now)
                above.update(_parent(stand) for stand in now)
        left = above - asked - {ROOT_FOLDER}
    return known


def _placed(stands: Mapping[EntryId, list[bytes]]) -> tuple[dict[EntryId, bytes], set[EntryId]]:
    """The winner of each folder's stands, and the folders that open rings."""

    def ranked(stand: bytes) -> tuple[bool, bytes]:
        return stand[:ID_SIZE] in stands or stand[:ID_SIZE] == ROOT_FOLDER, rank(stand)

    winners = {folder: max(found, key=ranked) if len(found) > 1 else found[0] for folder, found in stands.items()}
    return winners, _ring_breakers(winners)


def _settled(stands: Mapping[EntryId, list[bytes]], winners: Mapping[EntryId, bytes], unsettled: Unsettled) -> Settled:
    """From the keys of what is not plain."""
    hidden = [
        key
        for folder in unsettled.several | unsettled.broken
        for key in stands[folder]
        if folder in unsettled.broken or key[:-_AFTER_NAME] != winners[folder][:-_AFTER_NAME]
    ]
    clashing = frozenset(unsettled.clashing)
    return Settled(frozenset(hidden), sorted(unsettled.broken | unsettled.missing), clashing)


async def _named(
    stands: Mapping[EntryId, list[bytes]],
    winners: dict[EntryId, bytes],
    unsettled: Unsettled,
    come: Mapping[bytes, bytes],
    tree: Tree,
) -> dict[EntryId, list[bytes]] | None:
    """The keys of folders that are not plain, the winners' too; None where the map does not have them.

    Their names are found in the folders that they stand in, which are read for it from end to end.
    """
    odd = {folder: stands[folder] for folder in unsettled.several | unsettled.broken}
    wanted: dict[EntryId, set[bytes]] = {}
    for folder, found in odd.items():
        for stand in found:
            # Where the winner stands alone in its folder, no other one can be at its place.
            alone = stand == winners[folder] and sum(_parent(other) == _parent(stand) for other in found) == 1
            if stand not in come and (folder in unsettled.broken or not alone):
                wanted.setdefault(_parent(stand), set()).add(stand)
    keys = dict(come)
    for parent, some in wanted.items():
        async for batch in tree.scan(*folder_range(parent)):
            for key, value in batch:
                if stand_of(key) in some and kind_of(value) == Kind.FOLDER:
                    keys[stand_of(key)] = key
        if not keys.keys() >= some:
            return None
    for folder in odd:
        # A key without a name stands at no place that a key has.
        winners[folder] = keys.get(winners[folder], winners[folder])
    return {folder: [keys[stand] for stand in found if stand in keys] for folder, found in odd.items()}


async def _clashing(before: Mapping[EntryId, int], differences: Differences, tree: Tree) -> dict[EntryId, int] | None:
    """By folder, how many entries have a name that one before them has; None if that is less than nothing."""
    places: dict[bytes, tuple[int, EntryKey]] = {}
    for key, was, now in differences:
        if (was is None) != (now is None):
            more, at = places.get(key[:-_AFTER_NAME]) or (0, unpack_key(key))
            places[key[:-_AFTER_NAME]] = more + (1 if was is None else -1), at
    clashing = dict(before)
    for more, at in places.values():
        if not more:
            continue  # as many as before
        count = 0
        async for batch in tree.scan(*name_range(at.parent, at.name)):
            count += sum(is_key(key) for key, _ in batch)
        clashing[at.parent] = clashing.get(at.parent, 0) + max(count - 1, 0) - max(count - more - 1, 0)
    if any(count < 0 for count in clashing.values()):
        return None
    return {folder: count for folder, count in clashing.items() if count}


async def _holds_any(tree: Tree, folder: EntryId) -> bool:
    async for batch in tree.scan(*folder_range(folder)):
        if any(is_key(key) for key, _ in batch):
            return True
    return False


def _ring_breakers(winners: Mapping[EntryId, bytes]) -> set[EntryId]:
    """The folder with the lowest winner of each ring of folders that lie in each other."""
    broken: set[EntryId] = set()
    done: set[EntryId] = set()
    for start in winners:
        trail: dict[EntryId, None] = {}  # in the order walked
        at = start
        while at in winners and at not in done and at not in trail:
            trail[at] = None
            at = _parent(winners[at])
        if at in trail:
            walked = list(trail)
            broken.add(min(walked[walked.index(at) :], key=lambda entry_id: rank(winners[entry_id])))
        done.update(trail)
    return broken


def _kind(value: bytes | None) -> int | None:
    return None if value is None else kind_of(value)


def _parent(key: bytes) -> EntryId:
    return EntryId(key[:ID_SIZE])


def _entry_id(key: bytes) -> EntryId:
    return EntryId(key[-_ID_AT : -_ID_AT + ID_SIZE])
