"""Footing: the heads that a version is about to name are put where an acknowledged head lies (docs/spec/space.md 6.5).

A head of another device may have been seen where only one store had it: its writer crashed, or that store lies.  Once
that store is gone, a version that names it would be set aside by everybody, with all that was built on it.  So would
one that names another head which names it: whether the author of that one has seen to it, nobody can tell.

Flow: heads needed that few stores are known to have -> bytes -> stores that lack them -> Standing, without the others
Never: costs a call where all heads that are named are known to be there; or takes our own next version back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from ropewalk.errors import RopewalkError
from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, HeadName
from ropewalk.spaces.learning.standing import Standing, standing
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.vectors import MOST_NUMBER, Vector

__all__ = ["Unsure", "find_footing", "unsure"]

AT_ONCE = 8  # heads put together
MOST_WALKED = 2048  # heads that are opened to see what a version rests on: 0.1 s as a rule, and more than it can name
MOST_ROUNDS = 16  # in which older heads are taken for those that rest on what is left out

Unsure = Sequence[tuple[KnownHead, Collection[str]]]  # heads, with the stores that are known to have each


def unsure(state: State, now: Standing) -> Unsure:
    """The heads that a version on top of these would need, and that are not known to lie on enough stores.

    It needs those that it names, those that these name, and so on.  One that follows a head which is named is all that
    shows others that there was one, where that is not known itself.  Where that is too much to look through, all heads
    are given that few stores are known to have.
    """
    sparse: dict[bytes, tuple[KnownHead, Collection[str]]] = {}
    for name, stores in state.sparse_heads().items():
        if (head := state.head_named(name)) is None:
            state.placed_head(name)
        else:
            sparse[head.hash] = head, stores
    if not sparse:
        return ()
    forks = state.forks()
    named = {digest for _, digest in now.vector.values()}
    needed = {
        digest
        for digest, (head, _) in sparse.items()
        if digest in named or (head.writer in forks and head.sequence >= forks[head.writer][0])
    }
    walk = _needed(state, forks, now.vector)
    for _ in range(MOST_WALKED):
        if len(needed) == len(sparse) or (found := next(walk, None)) is None:
            break
        if found[0].hash in sparse:
            needed.add(found[0].hash)
    else:
        needed.update(sparse)
    return [one for digest, one in sparse.items() if digest in needed]


def _needed(
    state: State, forks: Mapping[bytes, Sequence[int]], vector: Vector
) -> Iterator[tuple[KnownHead, Collection[bytes]]]:
    """Each known head that others must know before all in a vector is settled for them, and the hashes it needs."""
    left = deque((writer, *item) for writer, item in vector.items())
    met, given = set(left), set[tuple[bytes, bytes]]()
    while left:
        writer, sequence, digest = left.popleft()
        there = state.head_hashed(digest)
        following = () if there is not None else state.heads_at(writer, sequence + 1)
        for head in (there,) if there is not None else (one for one in following if one.previous == digest):
            branch = writer if head.writer != writer else b""
            if (head.hash, branch) in given:
                continue
            given.add((head.hash, branch))
            needs = [(other, *item) for other, item in head.vector.items() if other != head.writer]
            further = branch if branch != branch_writer(head.writer, head.hash) else b""
            forked = head.writer in forks and head.sequence > forks[head.writer][0]
            if forked or (further and head.sequence > 1):  # its chain says of which branch it is
                needs.append((further or head.writer, head.sequence - 1, head.previous))
            left.extend(one for one in needs if one not in met)
            met.update(needs)
            yield head, [one[2] for one in needs]


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
    hashes = {digest for head in left for digest in _shown(state, head)}
    for head in left:
        if head.writer in forks:  # what follows it is not known to be of which branch
            hashes |= {after.hash for after in state.heads_at(head.writer, head.sequence + 1, MOST_NUMBER)}
    now = standing(state, {*without, *hashes}, writer)
    for _ in range(MOST_ROUNDS):
        if not (more := _resting(state, _needed(state, forks, now.vector), hashes, writer)):
            break
        hashes |= more
        now = standing(state, {*without, *hashes}, writer)
    return now


def _resting(
    state: State, needed: Iterator[tuple[KnownHead, Collection[bytes]]], hashes: Collection[bytes], writer: bytes
) -> set[bytes]:
    """What is shown by those of these heads that need some hashes, or others that do; our own stay in any case."""
    found: set[bytes] = set()
    left = [(head, needs) for head, needs in islice(needed, MOST_WALKED) if head.writer != writer]
    while True:
        now = [head for head, needs in left if any(one in hashes or one in found for one in needs)]
        if not now:
            return found - set(hashes)
        found.update(digest for head in now for digest in _shown(state, head))
        left = [(head, needs) for head, needs in left if head.hash not in found]


def _shown(state: State, head: KnownHead) -> tuple[bytes, ...]:
    """The hash of a head, and that of the one before if nothing else shows that there was one."""
    alone = head.sequence > 1 and state.head_hashed(head.previous) is None
    return (head.hash, head.previous) if alone else (head.hash,)
