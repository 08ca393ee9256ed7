"""Descent: whether all that the newest heads need lies somewhere, as a steward sees it, who reads directories alone.

Flow: roots that the newest heads name -> directories of the packs they lie in -> children, and theirs -> what lacks
Never: opens a chunk; a directory says what one points at, and to whoever wrote it that is left to be believed.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Collection, Mapping

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, Head, HeadDamaged, HeadName, open_head, split_embedded
from ropewalk.spaces.keys import HASH_SIZE
from ropewalk.spaces.learning import standing
from ropewalk.spaces.mend import name_of, usable
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.share import ShareDamaged, ShareName
from ropewalk.spaces.rebuild import read_trailer
from ropewalk.spaces.state import KnownPack, State

__all__ = ["lacking"]

Listed = Mapping[str, Mapping[ShareName, int]]


async def lacking(core: Core, listed: Listed) -> AsyncIterator[str]:
    """What the newest heads need and nothing that is known has, or cannot be looked into now: a line each.

    Args:
        core: The space.
        listed: By store the shares that it lists, and their sizes.
    """
    nodes: set[bytes] = set()  # whose children were followed; a small part of all chunks
    plain: set[int] = set()  # packs of chunks that point at nothing: most of them
    todo: dict[int, set[bytes]] = {}  # chunks that are needed, by pack
    turn: list[int] = []  # the newest pack first: what points at a chunk was mostly stored with it, or after it
    wanted: Collection[bytes] = await _roots(core)
    while wanted or turn:
        located = await core.ledger.do(State.locate, list(wanted))
        for chunk in sorted(wanted):
            if (place := located.get(chunk)) is None:
                yield f"chunk {chunk.hex()[:8]} of the newest version lies in no pack that is known"
            elif place.pack not in plain:
                if place.pack not in todo:
                    heapq.heappush(turn, -place.pack)
                todo.setdefault(place.pack, set()).add(chunk)
        wanted = ()
        if turn:
            number = -heapq.heappop(turn)
            needed = todo.pop(number)
            pack = (await core.ledger.do(State.packs_by_id, [number]))[number]
            if pack.head is None and not usable(core, pack):
                plain.add(number)  # that it is lost is told of the pack
                continue
            try:
                directory = await _directory(core, pack, listed)
            except RopewalkError as error:
                yield f"what pack {pack.name.hex()[:8]} points at cannot be seen now: {error}"
                plain.add(number)
                continue
            if not any(directory.children):
                plain.add(number)
            wanted = _followed(directory, needed, nodes)


def _followed(directory: Directory, needed: set[bytes], nodes: set[bytes]) -> set[bytes]:
    """The children that lie in other packs, of these chunks and of those that they point at within this one."""
    at = {place.id: number for number, place in enumerate(directory.places)}
    elsewhere: set[bytes] = set()
    stack = [at[chunk] for chunk in needed if chunk in at]
    while stack:
        number = stack.pop()
        chunk = directory.places[number].id
        if not (children := directory.children[number]) or chunk in nodes:
            continue
        nodes.add(chunk)
        for child in children:
            if isinstance(child, int):
                stack.append(child)
            elif (inside := at.get(child[:HASH_SIZE])) is not None:
                stack.append(inside)
            else:
                elsewhere.add(child[:HASH_SIZE])
    return elsewhere


async def _roots(core: Core) -> set[bytes]:
    roots: set[bytes] = set()
    for head in (await core.ledger.do(standing)).heads:
        try:
            roots.update((await _head(core, head.name)).steward.roots)
        except RopewalkError:
            continue  # whoever looks at the heads says so
    return roots


async def _head(core: Core, text: str) -> Head:
    name = HeadName.decode(text)
    assert name is not None
    data = await core.pool.get_any(name.encode(), name.fits, LARGEST_HEAD + 1)
    return open_head(data, name, core.membership, core.keys)


async def _directory(core: Core, pack: KnownPack, listed: Listed) -> Directory:
    """The directory of a pack, from its head or from the first share that gives it.

    Raises:
        Damaged, Missing, Unavailable: None does.
    """
    if pack.head is not None:
        box, _ = split_embedded((await _head(core, pack.head)).embedded)
        return Directory.open(box, pack.name, pack.lengths, core.keys)
    problem: RopewalkError = ShareDamaged("no store that answers lists a share of it")
    for share in usable(core, pack):
        name = name_of(core, pack, share)
        if (size := listed.get(share.store, {}).get(name)) is None:
            continue
        try:
            trailer = await read_trailer(core, share.store, name, size)
            if directory_hash(trailer.directory) != pack.directory:
                raise HeadDamaged(f"store {share.store}: its directory is not the one that a head signs")
            return Directory.open(trailer.directory, pack.name, pack.lengths, core.keys)
        except RopewalkError as error:
            problem = error
    raise problem
