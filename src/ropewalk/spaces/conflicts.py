"""Conflicts: what devices wrote apart under one name: who wrote each side and when, and a merge of two that is offered.

Flow: Version -> clashes -> sides, their heads; two sides -> what both began with -> textmerge -> an offer
Never: changes anything: which side stays, or what is made of both, is for a person to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.state import ACKED, KnownHead, State
from ropewalk.spaces.textmerge import LARGEST_TEXT, Merged, NotMergeable, merge_texts
from ropewalk.spaces.tree.anew import same_write
from ropewalk.spaces.tree.entry import (
    ROOT_FOLDER,
    Entry,
    EntryDamaged,
    EntryId,
    EntryKey,
    Kind,
    decode_entry,
    is_key,
    name_range,
    pack_key,
    unpack_key,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.view import SETTLED, Shown, rank
from ropewalk.spaces.version import Version

__all__ = ["Clash", "History", "HistoryOf", "Side", "clash_at", "clashes", "common_base", "groups_in", "offer"]

MOST_BASES = 1000  # heads looked through for what two sides began with; each costs a few nodes
MOST_HEADS = 10_000  # of which one is looked for; the newest
TURN = 500  # entries that are looked at before others have their turn: some ms


class History(Protocol):
    """The heads that are known, and what they hold."""

    async def heads(self) -> Sequence[KnownHead]:
        """The acknowledged heads that this device has, in any order."""

    def tree(self, head: KnownHead) -> Tree:
        """The map of a head's version."""

    async def read(self, entry: Entry) -> bytes:
        """The bytes of a file."""


@dataclass(frozen=True, slots=True)
class HistoryOf:
    """The history of an open space (a `History`)."""

    core: Core

    async def heads(self) -> Sequence[KnownHead]:
        """As the local state has them."""
        return await self.core.ledger.do(State.heads, ACKED)

    def tree(self, head: KnownHead) -> Tree:
        """Its map."""
        return self.core.tree.at(head.root)

    async def read(self, entry: Entry) -> bytes:
        """From the stores."""
        return await self.core.content.read(entry)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the things that stand under one name."""

    shown: bytes  # the name under which the view shows it
    key: EntryKey  # its place; writer and sequence say which write it was
    entry: Entry
    head: KnownHead | None  # of that write; None where this device does not have it, or it wrote something else


@dataclass(frozen=True, slots=True)
class Clash:
    """Several different things under one name."""

    path: tuple[bytes, ...]  # from the top
    sides: Sequence[Side]  # the winner first, which is shown under the name


async def clashes(version: Version, history: History) -> AsyncGenerator[Clash, None]:
    """What is shown under names that the view made up, with what keeps the name; reads nothing where nothing clashes.

    A file that two have moved, and is shown in both places, is none: neither hides the other.
    """
    if version.settled is SETTLED:
        return
    written = await _written(history)
    top = Shown(b"", Kind.FOLDER, (), (ROOT_FOLDER,))
    async for clash in _inside((), top, version, history, written):
        yield clash
    seen = 0
    async for path, shown in version.walk():
        seen += 1
        if seen % TURN == 0:
            await asyncio.sleep(0)  # what is in memory already does not let others in by itself
        if shown.kind == Kind.FOLDER:
            async for clash in _inside(path, shown, version, history, written):
                yield clash


async def clash_at(version: Version, history: History, path: tuple[bytes, ...]) -> Clash | None:
    """What stands at a path with others, by the name of any of the sides; None where it stands alone, or nothing does.

    Raises:
        NoSuchPath, NotAFolder: The folder is not there.
    """
    if version.settled is SETTLED or not path:
        return None
    folder = await version.find(b"/".join(path[:-1]))
    async for clash in _inside(path[:-1], folder, version, history, await _written(history), path[-1]):
        return clash
    return None


async def _written(history: History) -> dict[tuple[bytes, int], KnownHead]:
    return {(head.writer, head.sequence): head for head in await history.heads()}


async def _inside(
    path: tuple[bytes, ...],
    folder: Shown,
    version: Version,
    history: History,
    written: dict[tuple[bytes, int], KnownHead],
    only: bytes | None = None,  # the name of a side
) -> AsyncIterator[Clash]:
    for several in await groups_in(version, folder):
        if only is None or any(one.name == only for one in several):
            sides = [await _side(one, history, written) for one in several]
            yield Clash((*path, several[0].key.name), sides)


async def groups_in(version: Version, folder: Shown) -> list[list[Shown]]:
    """What stands side by side in a folder: for each name all that has it, the winner first."""
    # Several folders of one name are shown as one, and what is in one may clash with what is in another.
    if len(folder.folders) < 2 and version.settled.clashing.isdisjoint(folder.folders):
        return []
    named: dict[bytes, list[Shown]] = {}
    async for shown in version.listing(folder.folders):
        if shown.items:
            named.setdefault(shown.key.name, []).append(shown)
    groups = [several for several in named.values() if len(several) > 1]
    for several in groups:
        several.sort(key=_made_up)  # the rest is in the order of the names that were made up
    return groups


def _made_up(shown: Shown) -> bool:
    return shown.name != shown.key.name


async def _side(shown: Shown, history: History, written: dict[tuple[bytes, int], KnownHead]) -> Side:
    key = shown.key
    head = written.get((key.writer, key.sequence))
    if head is not None and not await _wrote(history, head, key, shown.items[0][1]):
        head = None
    return Side(shown.name, key, shown.entry, head)


async def _wrote(history: History, head: KnownHead, key: EntryKey, value: bytes) -> bool:
    """Whether a head holds this itself: any later one could have put it under its dot."""
    try:
        written = await history.tree(head).get(pack_key(key))
    except RopewalkError:
        return False  # an old version may be out of reach
    return written is not None and same_write(written, value)


async def common_base(history: History, one: Side, other: Side) -> Entry | None:
    """What both sides began with: the entry as the newest version has it that both had seen; None without one.

    Looked for under the names that it has now, in the newest thousand versions that both are known to have seen.
    """
    if one.key.entry_id != other.key.entry_id:
        return None  # made apart: they have no more in common than their name
    known = sorted(await history.heads(), key=_age, reverse=True)[:MOST_HEADS]
    seen = [_seen(known, side) for side in (one, other)]
    both = [head for head in known if all(saw.get(head.writer, 0) >= head.sequence for saw in seen)]
    places = {(side.key.parent, side.key.name) for side in (one, other)}
    for head in both[:MOST_BASES]:
        if (entry := await _entry(history.tree(head), one.key.entry_id, places)) is not None:
            return entry
    return None


async def offer(history: History, one: Side, other: Side) -> Merged:
    """Two sides of a text as one, to be looked at.

    Raises:
        NotMergeable: A side is no file, no text, or too large.
        ChunkUnreachable, ChunkLost.
    """
    for side in (one, other):
        if side.entry.kind != Kind.FILE:
            raise NotMergeable("one side is not a file", hint="keep one of the two, or both under other names")
        _check_size(side.entry)
    begun = await common_base(history, one, other)
    base = None
    if begun is not None and begun.kind == Kind.FILE:
        _check_size(begun)
        base = await history.read(begun)
    return merge_texts(base, await history.read(one.entry), await history.read(other.entry))


def _check_size(entry: Entry) -> None:
    if entry.size > LARGEST_TEXT:
        raise NotMergeable(
            f"the file has {entry.size} bytes, expected at most {LARGEST_TEXT}", hint="choose one of the two by hand"
        )


def _seen(known: Sequence[KnownHead], side: Side) -> dict[bytes, int]:
    """What is known to have been seen by who wrote a side: by that write, else by the newest known one before it."""
    mine = [head for head in known if head.writer == side.key.writer and head.sequence <= side.key.sequence]
    newest = max(mine, key=lambda head: head.sequence, default=None)
    return {} if newest is None else {writer: sequence for writer, (sequence, _) in newest.vector.items()}


async def _entry(tree: Tree, entry_id: EntryId, places: set[tuple[EntryId, bytes]]) -> Entry | None:
    found: list[tuple[bytes, bytes]] = []
    for parent, name in places:
        async for batch in tree.scan(*name_range(parent, name)):
            found += [item for item in batch if is_key(item[0]) and unpack_key(item[0]).entry_id == entry_id]
    try:
        return decode_entry(max(found, key=lambda item: rank(item[0]))[1]) if found else None
    except EntryDamaged:
        return None


def _age(head: KnownHead) -> tuple[int, int]:
    """Grows from a head to any that has seen it."""
    return sum(sequence for sequence, _ in head.vector.values()), head.time
