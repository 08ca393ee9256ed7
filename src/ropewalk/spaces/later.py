"""Later: what waits in the queue is published as it was signed, in order, once enough stores answer.

Flow: ledger, QueueFiles -> packs put, until they are on the floor -> head put -> acknowledged in the ledger -> files go
Never: sends a head before all it points at is durable, or passes one over to send the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import AddedPack, Head, HeadName, open_head
from ropewalk.spaces.learning import look, pay_records, remember_embedded, short_records
from ropewalk.spaces.mend import live_shares, stand
from ropewalk.spaces.offline import DiskFull, QueuedDamaged, QueuedPack, QueueFiles, QueueFull
from ropewalk.spaces.pack.directory import Directory
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pool.pool import Copies
from ropewalk.spaces.state import ACKED, WITHDRAWN, KnownHead, State, StateFull
from ropewalk.spaces.waiting import BESIDE, few_answer, why_stuck
from ropewalk.spaces.writer import keep_pack

__all__ = [
    "delivered",
    "drop_queue",
    "few_took",
    "keep_at_home",
    "make_room",
    "object_of",
    "owed_of",
    "rests_on_queue",
    "send_queue",
    "strays",
]

_T = TypeVar("_T")

_WAY_OUT = (
    "neither the stores nor the cache give it back; `ropewalk space queue SPACE --export FOLDER` takes out what can be"
    " read of all that waits, `--drop` gives it up"
)


async def keep_at_home(core: Core, head: KnownHead, data: bytes) -> bool:
    """Let a head wait that too few stores took, instead of giving it up; whether that may be done."""
    if not core.offline:
        return False
    try:
        await make_room(core, lambda: core.ledger.do(_kept, core, head, data))
    except QueueFull:
        return False
    return True


async def make_room(core: Core, keep: Callable[[], Awaitable[_T]]) -> _T:
    """Keep something at home; where the disk is full, the cache makes room for it: that can be had again.

    Args:
        core: The space.
        keep: What may be done twice.

    Raises:
        QueueFull, Unavailable.
    """
    try:
        return await keep()
    except (DiskFull, StateFull):
        if core.cache is None:
            raise
        await core.cache.give_way()
        return await keep()


def _kept(state: State, core: Core, head: KnownHead, data: bytes) -> None:
    opened = open_head(data, object_of(head), core.membership, core.keys)
    if core.queue is not None:
        core.queue.keep_head(head.name, data)
    with state.transaction(durable=True):
        now = state.head_named(head.name)
        if now is not None and now.state == ACKED:  # another device has built on it
            return
        remember_embedded(state, head, opened.embedded, core)
        state.queue_head(head.name, max(core.now(), 0), [pack.name for pack in opened.steward.packs])


def owed_of(state: State, head: str) -> tuple[int, int]:
    """Copies of a head, and shares of any pack, that are owed."""
    copies = sum(name == head for name, _ in state.owed_heads())
    return copies, sum(len(numbers) for _, numbers in state.owed_shares())


def rests_on_queue(state: State, core: Core) -> bool:
    """Whether what is signed now needs something that is in no store yet."""
    if state.queued_names():
        return True
    floor, queue = core.membership.policy.floor, core.queue
    return queue is not None and any(
        len(pack.good) < min(floor, pack.n) and queue.holds(pack.name) for pack in state.unannounced()
    )


async def send_queue(core: Core) -> str:
    """Publish what waits, as far as that goes now; why it does not go further, or nothing.

    It may be stopped anywhere, and run again.  The caller has the turn.
    """
    core.stuck, core.lost = "", False
    if core.queue is None:
        return ""
    if not (waiting := await core.ledger.do(State.queued)):
        return ""
    if why := why_stuck(core):
        return why
    await core.pool.weigh(core.head_floor)
    if why := few_answer(core):
        return why
    if (await look(core)).forked:  # what came while too few answered is known before anything goes out
        core.untended = True
    if why := why_stuck(core):
        return why
    core.stuck = await _send_all(core, core.queue, [head for head, _ in waiting])
    return core.stuck


async def _send_all(core: Core, queue: QueueFiles, heads: Sequence[KnownHead]) -> str:
    if await short_records(core):
        await pay_records(core)
        if await short_records(core):
            return "membership records that it rests on are in too few stores"
    for head in heads:
        if why := await _send(core, queue, head):
            return why
    return ""


async def _send(core: Core, queue: QueueFiles, head: KnownHead) -> str:
    name, data = object_of(head), await core.ledger.do(State.head_data, head.name)
    what = f"change {head.hash.hex()[:12]}"
    try:
        opened = open_head(data or b"", name, core.membership, core.keys)
    except RopewalkError as error:
        return f"{what} cannot be read in the journal: {error}"
    if await core.ledger.do(State.has_head_from, head.writer, head.sequence):
        return f"{what}: {BESIDE}"
    for pack in opened.steward.packs:
        if why := await _place_pack(core, queue, pack):
            return f"{what}: {why}"
    copies = await core.pool.put_copies(
        name.encode(), data or b"", enough=core.head_floor, later=partial(delivered, core, head.name)
    )
    if len(copies.kept) < core.head_floor:
        return f"{what}: {few_took(core, copies)}"
    await core.ledger.do(_acknowledge, head, opened, list(copies.failed), core)
    await asyncio.to_thread(queue.drop, [pack.name for pack in opened.steward.packs], [head.name])
    return ""


async def _place_pack(core: Core, queue: QueueFiles, added: AddedPack) -> str:
    """See that a pack lies on the floor of stores; why it does not, or nothing."""
    floor, wrong = core.membership.policy.floor, ""
    try:
        try:
            kept = _as_signed(await asyncio.to_thread(queue.load, added.name), added)
        except QueuedDamaged as error:
            kept, wrong = await _from_cache(core, queue, added), str(error)
        if kept is None:
            return await _place_without_file(core, added, wrong)
        known = await core.ledger.do(State.pack_named, added.name)
        if known is None:
            return f"pack {added.name.hex()[:8]} is not known here any more"
        if live_shares(core, known):
            await stand(core, [added.name], floor)  # what the ledger says may be of before a crash
            known = await core.ledger.do(State.pack_named, added.name) or known
        live = {number: share.store for number, share in live_shares(core, known).items()}
        if len(live) >= min(floor, known.n):
            return ""
        whole = await asyncio.get_running_loop().run_in_executor(core.cpu, kept.whole, core.space_id)
        shares = [share for share in whole.shares if share.number not in live]
        left = Pack(whole.name, whole.manifest, whole.directory, whole.directory_hash, shares)
        await keep_pack(left, core.membership.policy, core.pool, core.ledger, have=live)
    except RopewalkError as error:
        return str(error)
    return ""


async def _place_without_file(core: Core, added: AddedPack, wrong: str) -> str:
    if not (why := await stand(core, [added.name], core.membership.policy.floor)):
        return ""
    known = await core.ledger.do(State.pack_named, added.name)
    core.lost = known is None or len(known.good) < known.k  # what is away has no more of it
    return f"{wrong or why}; {_WAY_OUT}" if core.lost else wrong or why


def _as_signed(kept: QueuedPack | None, added: AddedPack) -> QueuedPack | None:
    if kept is None or (kept.manifest.digest, kept.directory_hash) == (added.manifest, added.directory):
        return kept
    raise QueuedDamaged(f"queued pack {added.name.hex()[:8]} is not the one that was signed")


async def _from_cache(core: Core, queue: QueueFiles, added: AddedPack) -> QueuedPack | None:
    """A pack whose file is damaged, from what is left of it and the chunks that were written lately; or None."""
    if core.cache is None:
        return None
    try:
        left = _as_signed(await asyncio.to_thread(queue.load_unchecked, added.name), added)
        if left is None:
            return None
        places = Directory.open(left.directory, added.name, left.manifest.lengths, core.keys).places
        chunks = await core.cache.get([place.id for place in places])
        at = {(place.column, place.offset): chunks[place.id] for place in places if place.id in chunks}
        return await asyncio.to_thread(left.patched, at)
    except Damaged:
        return None


def few_took(core: Core, copies: Copies) -> str:
    """What to say of a head that too few stores took."""
    reasons = "; ".join(f"{store}: {error}" for store, error in sorted(copies.failed.items()))
    took = f"{len(copies.kept)} of {len(core.pool.takers)} stores took the head, the write floor is {core.head_floor}"
    return f"{took} ({reasons})" if reasons else took


def _acknowledge(state: State, head: KnownHead, opened: Head, owed: Sequence[str], core: Core) -> None:
    """A head that waited is on the floor of stores; durable before its files go."""
    names = {pack.name for pack in opened.steward.packs}
    with state.transaction(durable=True):
        remember_embedded(state, head, opened.embedded, core)
        state.settle_head(head.name, ACKED)
        state.announce([pack.id for pack in state.unannounced() if pack.name in names])
        state.owe_head(head.name, owed)
        state.tidy_queue()


async def delivered(core: Core, name: str, store: str) -> None:
    """A store that was slow has taken a head after all."""
    await core.ledger.do(_paid, name, store)


def _paid(state: State, name: str, store: str) -> None:
    if not state.is_unacknowledged(name):  # of one that was given up, it is the removal that is owed
        state.paid_head(name, store)


async def drop_queue(core: Core, queue: QueueFiles, incarnation: bytes) -> int:
    """Give up all that waits; how many changes that was. The caller has the turn."""
    waiting = await core.ledger.do(_dropped, core.pool.names, incarnation)
    core.incarnation = incarnation
    there = await asyncio.to_thread(queue.waiting)
    gone = [pack.name for pack in await core.ledger.do(State.unannounced) if pack.name in there.packs]
    await core.ledger.do(_forget, waiting, gone)
    await asyncio.to_thread(queue.drop, there.packs, there.heads)
    return len(waiting)


def _dropped(state: State, stores: Sequence[str], incarnation: bytes) -> list[str]:
    with state.transaction(durable=True):
        names = list(state.queued_names())
        for name in names:
            state.settle_head(name, WITHDRAWN)
            state.owe_head(name, stores)  # its removal: some may have taken it
        state.begin_incarnation(incarnation)
        state.tidy_queue()
    return names


def _forget(state: State, heads: Sequence[str], packs: Sequence[bytes]) -> None:
    with state.transaction(durable=True):
        state.forget_packs(heads, packs)


def strays(state: State, core: Core, queue: QueueFiles) -> list[str]:
    """Heads that wait in the folder, and that the journal does not know; what a stop has left there goes.

    Names of their objects: the journal was lost, for these are by another writer than this device is now.
    """
    there = queue.waiting()
    if not there.size:
        return []
    queue.sweep()
    wanted = set(state.queued_names())
    others = [name for one in there.heads if (name := f"{core.space_id.hex()}/heads/{one}") not in wanted]
    left = [name for name in others if not _ours(core, name) and state.head_named(name) is None]
    queue.drop(heads=set(others).difference(left))
    if not left and not state.pending():
        _drop_unnamed(state, queue, there.packs)
    return sorted(left)


def _drop_unnamed(state: State, queue: QueueFiles, there: Collection[bytes]) -> None:
    """Take away packs of changes that were never signed: no version points at them, and none ever will."""
    unnamed = set(there) - state.packs_queued()
    known = [pack.name for pack in state.unannounced() if pack.name in unnamed]
    if known:
        _forget(state, [], known)
    queue.drop(unnamed)


def _ours(core: Core, name: str) -> bool:
    parsed = HeadName.decode(name)
    return parsed is None or parsed.writer == core.writer_id


def object_of(head: KnownHead) -> HeadName:
    """The name of a head's object."""
    name = HeadName.decode(head.name)
    assert name is not None
    return name
