"""Footing: the heads that a version is about to name are put where an acknowledged head lies (docs/spec/space.md 6.5).

A head of another device may have been seen where only one store had it: its writer crashed, or that store lies.  Once
that store is gone, a version that names it would be set aside by everybody, with all that was built on it.

Flow: heads named that few stores are known to have -> bytes -> stores that lack them -> Standing, without the others
Never: costs a call where all heads that are named are known to be there; or takes our own next version back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, HeadName
from ropewalk.spaces.learning.standing import Standing, standing
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.vectors import MOST_NUMBER

__all__ = ["Unsure", "find_footing", "unsure"]

AT_ONCE = 8  # heads put together

Unsure = Sequence[tuple[KnownHead, Collection[str]]]  # heads, with the stores that are known to have each


def unsure(state: State, now: Standing) -> Unsure:
    """The heads that a version on top of these would need, and that are not known to lie on enough stores."""
    sparse = state.sparse_heads()
    if not sparse:
        return ()
    named = {digest for _, digest in now.vector.values()}
    forks = state.forks()
    found = []
    for name, stores in sparse.items():
        head = state.head_named(name)
        if head is None:
            state.placed_head(name)
        elif head.hash in named or (head.writer in forks and head.sequence >= forks[head.writer][0]):
            found.append((head, stores))
    return found


async def find_footing(core: Core, heads: Unsure, without: Collection[bytes] = ()) -> tuple[Standing, list[str]]:
    """Where a version can start from, and what to tell people of it.  The caller has the turn.

    Args:
        core: The space.
        heads: What `unsure` says.
        without: Hashes of heads that the version starts without in any case.
    """
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(head: KnownHead, stores: Collection[str]) -> bool:
        async with limit:
            return await _put(core, head, stores)

    done = await asyncio.gather(*(one(*each) for each in heads))
    left = [head for (head, _), there in zip(heads, done, strict=True) if not there]
    if not left:
        return await core.ledger.do(standing, without, core.writer_id), []
    told = [
        f"head {head.writer.hex()[:8]}-{head.sequence} can be put into too few stores now; this change starts without"
        " it, and it joins later"
        for head in left
    ]
    told = [line for line in told if line not in core.warnings]  # each change finds it so
    return await core.ledger.do(_without, left, core.writer_id, without), told


async def _put(core: Core, head: KnownHead, stores: Collection[str]) -> bool:
    name = HeadName.decode(head.name)
    assert name is not None
    has = set(stores).intersection(core.pool.names)
    lacking = [store for store in core.pool.takers if store not in has]
    try:
        data = await core.ledger.do(State.head_data, head.name)
        if data is None or not name.fits(data):
            data = await core.pool.get_any(name.encode(), name.fits, LARGEST_HEAD + 1)
    except RopewalkError:
        return False
    later = partial(_came, core, head.name)
    enough = max(core.head_floor - len(has), 0)
    copies = await core.pool.put_copies(name.encode(), data, among=lacking, enough=enough, later=later)
    await core.ledger.do(_kept, head.name, has | copies.kept, list(copies.failed), core.head_floor)
    return len(has | copies.kept) >= core.head_floor


def _kept(state: State, name: str, stores: Collection[str], failed: Iterable[str], floor: int) -> None:
    with state.transaction():
        if len(stores) >= floor:
            state.placed_head(name)
            state.owe_head(name, failed)
        else:
            state.doubt_head(name, stores)


async def _came(core: Core, name: str, store: str) -> None:
    await core.ledger.do(State.paid_head, name, store)


def _without(state: State, left: Sequence[KnownHead], writer: bytes, without: Collection[bytes] = ()) -> Standing:
    forks = state.forks()
    hashes = {*without, *(head.hash for head in left)}
    for head in left:
        if head.writer in forks:  # what follows it is not known to be of which branch
            hashes |= {after.hash for after in state.heads_at(head.writer, head.sequence + 1, MOST_NUMBER)}
    return standing(state, hashes, writer)
