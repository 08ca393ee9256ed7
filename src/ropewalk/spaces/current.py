"""Current: from where a space stands to the version that is shown: heads joined, and what joins left open settled.

Where the folders of an older version stood is remembered, so a join costs what changed, not what there is.

A head whose tree cannot be read is left out, and with it what names it: an older one of its writer stands there.  So
who signs what is no tree keeps nobody from the rest.  Where offline work is allowed, the same goes for a head of
another writer whose tree lies in stores that are away: it stays concurrent, and is joined once they are back.

Flow: Standing -> join of its heads -> settle_anew, or a look at all of it -> Version
Never: publishes a join: that is for the next change; or remembers where folders stand in a version that no head has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Vector
from ropewalk.spaces.learning import Standing, find_footing, standing, unsure
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.reader import ChunkLost, ChunkMissing, ChunkUnreachable
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.tree.anew import marked_by
from ropewalk.spaces.tree.entry import EntryId, WriterId
from ropewalk.spaces.tree.join import join
from ropewalk.spaces.tree.node import NodeDamaged
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.relabel import Forks, relabel
from ropewalk.spaces.tree.settling import Differences, Resettled, Settling, Unsettled, settle_anew
from ropewalk.spaces.tree.view import SETTLED, Settled
from ropewalk.spaces.version import Version
from ropewalk.spaces.waiting import few_answer

__all__ = ["Current", "newest_version", "start_of_change", "version_of"]

MOST_ROUNDS = 64  # of leaving heads out; one passes a head of each writer that lies, of at most 17 in a row
_UNREADABLE = (NodeDamaged, ChunkMissing, ChunkLost)  # not what a store that is away now may bring back
_NOT_AT_HAND = (*_UNREADABLE, ChunkUnreachable)  # of packs that are new, not even the directory may be known
_LEFT_OUT = "what other devices wrote and stores that are away have is left out for now, and joined once they are back"


@dataclass(frozen=True, slots=True)
class Current:
    """What an open space shows."""

    standing: Standing
    version: Version
    seen: int  # what the ledger's data version was


async def version_of(core: Core, now: Standing, *, newest: bool = True) -> Version:
    """The version that these heads come to, to look at.

    Args:
        core: The space.
        now: The heads.
        newest: Whether the space stands there, and the next merge will start from it.
    """
    if len(now.heads) > 1 or now.branched:
        return await _joined(core, now, core.looked_at())
    if len(now.vector) <= 1 or await core.ledger.do(State.is_settled, now.root or b""):
        return core.version(now.root)
    return core.version(now.root, await _settled(core, now.heads[0], keep=newest))


async def newest_version(core: Core) -> tuple[Standing, Version]:
    """Where the space stands, and what that comes to, to look at."""
    return await _of_readable(core, await core.ledger.do(standing), version_of)


async def start_of_change(core: Core, now: Standing) -> tuple[Standing, Version]:
    """What a change starts from: the newest head, or the join of those that have not seen each other, to be kept."""

    async def kept(core: Core, now: Standing) -> Version:
        together = len(now.heads) > 1 or now.branched
        return await _joined(core, now, core.tree) if together else await version_of(core, now)

    return await _of_readable(core, now, kept, changing=True)


async def _of_readable(
    core: Core, now: Standing, build: Callable[[Core, Standing], Awaitable[Version]], *, changing: bool = False
) -> tuple[Standing, Version]:
    """A version of these heads, or without those of other writers whose trees cannot be read."""
    if core.offline and not few_answer(core):
        with suppress(*_NOT_AT_HAND):  # by which it may come to light that stores are away
            await _read_new(core, now)
    if core.offline and few_answer(core):
        return await _of_reachable(core, now, build, changing=changing)
    try:
        return await _of_sound(core, now, build, changing=changing)
    except ChunkUnreachable:
        if not (core.offline and few_answer(core)):
            raise
    return await _of_reachable(core, now, build, changing=changing)


async def _of_sound(
    core: Core, now: Standing, build: Callable[[Core, Standing], Awaitable[Version]], *, changing: bool
) -> tuple[Standing, Version]:
    left: set[bytes] = set()
    for _ in range(MOST_ROUNDS):
        try:
            return now, await build(core, now)
        except _UNREADABLE:
            bad = {head.hash: why for head in now.heads if (why := await _unreadable(core, head))}
            if not bad:
                raise
            left |= bad.keys()
            core.warnings.extend(why for why in bad.values() if why not in core.warnings)
        now = await core.ledger.do(standing, left, core.writer_id)
        if changing and (doubtful := await core.ledger.do(unsure, now)):
            now, told = await find_footing(core, doubtful, left)
            core.warnings.extend(told)
    return now, await build(core, now)


async def _of_reachable(
    core: Core, now: Standing, build: Callable[[Core, Standing], Awaitable[Version]], *, changing: bool
) -> tuple[Standing, Version]:
    """The same while stores are away: without those of other writers whose trees are not at hand."""
    left: set[bytes] = set()
    for _ in range(MOST_ROUNDS):
        own = next((head for head in now.heads if head.writer == core.writer_id), None)
        others = [head for head in now.heads if head is not own]
        try:
            await _read_new(core, now)
            version = await build(core, now)
        except _NOT_AT_HAND:
            bad = [head.hash for head in others if not await _reaches(core, own, head)]
            first = own is None and len(others) > 1  # each can be had, and all of them cannot
            bad = bad or [head.hash for head in others[first:]]
            left.update(bad)
            before, now = now, await core.ledger.do(standing, left, core.writer_id)
            if not bad or not now.heads or now.heads == before.heads:
                raise
        else:
            if left:
                core.warnings.append(_LEFT_OUT)
            return replace(now, partial=bool(left)), version
        if changing and (doubtful := await core.ledger.do(unsure, now)):
            now, told = await find_footing(core, doubtful, left)
            core.warnings.extend(told)
    return now, await build(core, now)


async def _reaches(core: Core, own: KnownHead | None, head: KnownHead) -> bool:
    try:
        await _reach(core, own, head)
    except _NOT_AT_HAND:
        return False
    return True


async def _reach(core: Core, own: KnownHead | None, head: KnownHead) -> None:
    """Read what the join with our own head takes; or, without one, what is new since the space was last looked at."""
    if own is not None:
        await _joined(core, Standing([own, head]), core.looked_at())
        return
    base, tree = await core.ledger.do(_indexed), core.tree.at(head.root)
    if base is None:
        await tree.walk()
        return
    async for _ in core.tree.at(base.root).diff(tree):
        pass


async def _read_new(core: Core, now: Standing) -> None:
    """Have at hand what is new of one head by another writer: its version is not read before it is looked at."""
    if len(now.heads) == 1 and now.heads[0].writer != core.writer_id:
        await _reach(core, None, now.heads[0])


async def _unreadable(core: Core, head: KnownHead) -> str:
    """Why a head is to be left out, or ""; this writer's own never is: what it wrote would count as removed by it."""
    if head.writer == core.writer_id:
        return ""
    try:
        async for _ in core.tree.at(head.root).scan():
            pass
    except _UNREADABLE as error:
        hint = f"; {error.hint}" if error.hint else ""
        return f"head {head.writer.hex()[:8]}-{head.sequence} was left out: its tree cannot be read: {error}{hint}"
    return ""


@dataclass(frozen=True, slots=True)
class _Index:
    """Where folders stand in a head's version (a `FolderIndex`)."""

    ledger: Ledger
    head: str

    async def unsettled(self) -> Unsettled | None:
        return await self.ledger.do(State.unsettled, self.head)

    async def stands(self, folders: Collection[EntryId]) -> Mapping[EntryId, list[bytes]] | None:
        return await self.ledger.do(State.folder_stands, self.head, folders)


async def _joined(core: Core, now: Standing, trees: Tree) -> Version:
    """The join of all heads, its new nodes kept as ``trees`` keeps them."""
    if now.branched:
        return await _joined_branches(core, now, trees)
    base = await core.ledger.do(State.folders_head)
    first = next((head for head in now.heads if head.name == base), None)
    if first is None:
        first = now.heads[0]
        await _settled(core, first, keep=True)
    differences = Differences()
    tree, seen = trees.at(first.root), _sequences(first.vector)
    for head in now.heads:
        if head is not first:
            tree, joined = await join(
                *(tree, seen, trees.at(head.root), _sequences(head.vector)), differences.add, marked_by(core.keys)
            )
            seen = dict(joined)
    found = await settle_anew(_Index(core.ledger, first.name), differences, tree)
    settled = (await _look_at_all(tree)).settled() if found is None else found.settled
    return Version(tree, core.content, SETTLED if settled.plain else settled)


async def _joined_branches(core: Core, now: Standing, trees: Tree) -> Version:
    """The same where a writer forked: what folders are known by is other dots than the branches'."""
    tree, seen, marked = trees, dict[WriterId, int](), marked_by(core.keys)
    for head in now.heads:
        read = trees.at(head.root)
        if head.branches:
            read = await relabel(read, _forks(head), marked)
        tree, joined = await join(tree, seen, read, _sequences(head.vector), marked=marked)
        seen = dict(joined)
    settled = (await _look_at_all(tree)).settled()
    return Version(tree, core.content, SETTLED if settled.plain else settled)


def _forks(head: KnownHead) -> Forks:
    return {
        WriterId(writer): [(first, WriterId(branch)) for first, branch in parts]
        for writer, parts in head.branches.items()
    }


async def _settled(core: Core, head: KnownHead, *, keep: bool) -> Settled:
    """What a head's version comes to; with ``keep``, the next one is found from this."""
    tree = core.tree.at(head.root)
    base = await core.ledger.do(_indexed)
    found = None if base is None else await _since(core, base, tree)
    if base is not None and found is not None:
        settled = found.settled
        if keep and base.name != head.name:
            await core.ledger.do(State.move_folders, base.name, head.name, found.gone, found.come, found.unsettled)
    else:
        looked = await _look_at_all(tree)
        settled, stands = looked.settled(), looked.stands()
        if keep and stands is not None:
            await core.ledger.do(State.set_folders, head.name, stands, looked.unsettled())
    if not settled.plain:
        return settled
    if keep:
        await core.ledger.do(State.remember_settled, head.root or b"")
    return SETTLED


async def _since(core: Core, base: KnownHead, tree: Tree) -> Resettled | None:
    """What a version comes to, from one whose folders are known."""
    differences = Differences()
    try:
        async for key, before, after in core.tree.at(base.root).diff(tree):
            differences.add(key, before, after)
            if differences.too_many:
                return None
    except RopewalkError:
        return None  # an old version may be out of reach while the one that is wanted is not
    return await settle_anew(_Index(core.ledger, base.name), differences, tree)


async def _look_at_all(tree: Tree) -> Settling:
    settling = Settling()
    async for batch in tree.scan():
        settling.look(batch)
    return settling


def _indexed(state: State) -> KnownHead | None:
    name = state.folders_head()
    return None if name is None else state.head_named(name)


def _sequences(vector: Vector) -> dict[WriterId, int]:
    return {WriterId(writer): sequence for writer, (sequence, _) in vector.items()}
