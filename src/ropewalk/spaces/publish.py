"""Publish: a new tree becomes a head: journalled, sent to every store, acknowledged or taken back.

Flow: tree, vector -> head -> journal (durable) -> stores -> acknowledged in the ledger, queued, or withdrawn
Never: uses a sequence twice, or lets a head be seen before all it points at is durable.

A head in the journal is pending until enough stores have it.  After a crash the same bytes are sent again.  Where the
floor is not reached it waits, if offline work is allowed (`later`).  Else it is given up: its copies are deleted where
that can be done, and this writer ends; the next head is the first of a fresh incarnation.  So a copy that comes back
joins as a concurrent version, and cannot make what came after it look as if it had been seen and removed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.adopting import adopt
from ropewalk.spaces.chunk import Reference
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import (
    NO_HEAD,
    AddedPack,
    HeadName,
    MemberLayer,
    Owed,
    StewardLayer,
    Vector,
    embed,
    open_head,
    seal_head,
    writer_id,
)
from ropewalk.spaces.later import (
    delivered,
    few_took,
    keep_at_home,
    make_room,
    object_of,
    owed_of,
    rests_on_queue,
    send_queue,
    strays,
)
from ropewalk.spaces.learning import Standing, Unsure, find_footing, known_head, remember_embedded, standing, unsure
from ropewalk.spaces.mend import stand
from ropewalk.spaces.offline import LET_WAIT
from ropewalk.spaces.owing import pay_heads
from ropewalk.spaces.pack.packing import Packing
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.state import ACKED, PENDING, QUEUED, WITHDRAWN, KnownHead, State
from ropewalk.spaces.waiting import few_answer
from ropewalk.spaces.writer import offer_pack

__all__ = ["Outcome", "Settled", "begin_change", "publish", "settle_journal"]

MOST_PACKS = 500  # packs announced by one head, some 56 KB of it; more go into heads of their own
FRESH = 1.0  # seconds; a store that did something for us so shortly before is not asked whether it answers
_AGAIN = "nothing was changed; bring stores back, or add some to the space, and write again"
MOST_OWED = 500  # packs named in a head as owing shares; how many there are is said in full


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change.

    Attributes:
        head: The head, acknowledged unless it is ``queued``.
        copies: Stores that have it durably, of `stores`.
        owed_heads: Copies of it still owed.
        owed_shares: Shares still owed, of any pack.
        why: Store to what kept it from doing its part.
        queued: Whether it is kept on this machine alone, which is less than acknowledged, until enough stores answer.
    """

    head: KnownHead
    copies: int
    stores: int
    owed_heads: int
    owed_shares: int
    why: Mapping[str, str]
    queued: bool = False

    @property
    def in_full(self) -> bool:
        """Whether all that was promised is there now."""
        return not (self.owed_heads or self.owed_shares or self.queued)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a change can start from."""

    notes: Sequence[str]  # what a crash left open
    standing: Standing
    last: int  # sequence that this writer has used
    unsure: Unsure = ()  # heads that must be put to more stores before a version names them
    stuck: str = ""  # why changes still wait in the queue, if any do: what is signed now waits after them


@dataclass(frozen=True, slots=True)
class _Signed:
    """A head that is in the journal and nowhere else."""

    head: KnownHead
    data: bytes
    embedded: bytes
    packs: list[int]  # that it names
    more: bool  # whether there are packs that no head names
    owed: int  # shares


async def publish(
    core: Core, root: bytes | None, entries: int, vector: Vector, small: Packing | None, note: str
) -> Outcome:
    """Make a version known.

    Args:
        core: The space; the caller has the turn.
        root: Of the tree; all of it is durable, or in ``small``.
        entries: In the tree.
        vector: What the version has seen, without the new head.
        small: Chunks to embed.
        note: For people.

    Raises:
        BelowFloor: Too few stores took the head; nothing of it stays visible.
        QueueFull: It would have been queued, and there is no room.
    """
    await core.pool.weigh(core.head_floor, FRESH)
    if core.offline and (few_answer(core) or await core.ledger.do(rests_on_queue, core)):
        return await _queue(core, root, entries, vector, small, note)
    if few := few_answer(core):
        raise BelowFloor(few, hint=f"{_AGAIN}; or {LET_WAIT}")
    signed = await make_room(core, lambda: core.ledger.do(_sign, core, root, entries, vector, small, note))
    outcome = await _send(core, signed)
    # After it, not before: a head counts as having seen every dot up to its own, the new entries' among them.
    while signed.more:
        try:
            signed = await core.ledger.do(_sign, core, root, entries, vector, None, "")
            await _send(core, signed)
        except BelowFloor:
            break  # the next version names them
    return outcome


async def _send(core: Core, signed: _Signed) -> Outcome:
    kept, why = await _place(core, signed.head, signed.data, signed.embedded, signed.packs)
    queued = await core.ledger.do(State.is_queued, signed.head.name) if core.offline else False
    return Outcome(signed.head, kept, len(core.pool.takers), len(why), signed.owed, why, queued)


async def _queue(
    core: Core, root: bytes | None, entries: int, vector: Vector, small: Packing | None, note: str
) -> Outcome:
    """Keep a version at home, after those that wait; all of it goes out at once if enough stores answer by now."""
    signed = first = await make_room(
        core, lambda: core.ledger.do(_sign, core, root, entries, vector, small, note, QUEUED)
    )
    while signed.more:
        signed = await core.ledger.do(_sign, core, root, entries, vector, None, "", QUEUED)
    await send_queue(core)
    stores = len(core.pool.takers)
    if await core.ledger.do(State.is_queued, first.head.name):
        return Outcome(first.head, 0, stores, stores, first.owed, {}, queued=True)
    owed_heads, owed_shares = await core.ledger.do(owed_of, first.head.name)
    return Outcome(first.head, stores - owed_heads, stores, owed_heads, owed_shares, {})


def _sign(
    state: State,
    core: Core,
    root: bytes | None,
    entries: int,
    vector: Vector,
    small: Packing | None,
    note: str,
    fate: int = PENDING,
) -> _Signed:
    """Make the next head and write it to the journal, durably: all in one go, since each hop between threads counts."""
    writer = core.writer_id
    named = state.packs_queued() if fate == QUEUED else frozenset()
    unnamed = [pack for pack in state.unannounced() if pack.name not in named]
    kept = core.queue if fate == QUEUED else None  # what is put at once names nothing that lies at home alone
    waiting = [pack for pack in unnamed if len(pack.good) >= pack.k or (kept and kept.holds(pack.name))]
    useless = {pack.name for pack in unnamed}.difference(pack.name for pack in waiting)  # of a refused change, and lost
    packs = waiting[:MOST_PACKS]
    owed = [one for one in state.owed_shares(all_packs=True) if one[0] not in useless]  # it is about to name the others
    before = state.newest_head(writer)
    embedded = b""
    if small is not None and len(small):
        pack = small.alone().finish(core.keys, state.packs_of(list(small.children_elsewhere())))
        if core.cache is not None:
            offer_pack(core.cache, pack)
        embedded = embed(pack.directory.seal(pack.name, core.keys), bytes(pack.shares[0].parts[0]))
    seen = {one: item for one, item in vector.items() if one != writer}
    reference = Reference.decode(root) if root else None
    name, data = seal_head(
        incarnation=core.incarnation,
        sequence=state.last_sequence(writer) + 1,
        previous=before.hash if before else NO_HEAD,
        steward=StewardLayer(
            epoch=core.keys.number,
            packs=[AddedPack(one.name, one.manifest, one.directory, one.stored) for one in packs],
            roots=[reference.id] if reference else [],
            owed=len(owed),
            debt=[Owed(one, bytes(numbers)) for one, numbers in owed[:MOST_OWED]],
            heads=state.owed_head_hashes()[:MOST_OWED],
        ),
        member=MemberLayer(
            *(core.keys.number, core.membership.heads, seen, reference, entries),
            max(core.now(), 0),  # a hint, by a clock that may say anything
            note,
        ),
        embedded=embedded,
        device=core.device,
        keys=core.keys,
        feature=core.membership.feature,
    )
    head = known_head(open_head(data, name, core.membership, core.keys), fate)
    if fate == QUEUED and core.queue is not None:
        core.queue.keep_head(head.name, data)
    with state.transaction(durable=True):
        state.add_head(head, data)
        state.name_packs(head.name, [(one.name, one.manifest, one.directory) for one in packs])
        if fate == QUEUED:
            remember_embedded(state, head, embedded, core)
            state.queue_head(head.name, max(core.now(), 0), [one.name for one in packs])
    return _Signed(
        head,
        data,
        embedded,
        [one.id for one in packs],
        len(waiting) > len(packs),
        sum(len(numbers) for _, numbers in owed),
    )


async def _place(
    core: Core, head: KnownHead, data: bytes, embedded: bytes, packs: list[int]
) -> tuple[int, dict[str, str]]:
    """Send a head that is in the journal; acknowledge it or take it back."""
    name = object_of(head)
    later = partial(delivered, core, head.name)
    copies = await core.pool.put_copies(name.encode(), data, enough=core.head_floor, later=later)
    why = {store: str(error) for store, error in copies.failed.items()}
    if len(copies.kept) < core.head_floor and await keep_at_home(core, head, data):
        core.stuck, core.lost = few_took(core, copies), False
        return len(copies.kept), why
    if len(copies.kept) < core.head_floor and await _withdraw(core, head, name):
        may_wait = not core.offline and few_answer(core)
        raise BelowFloor(few_took(core, copies), hint=f"{_AGAIN}; or {LET_WAIT}" if may_wait else _AGAIN)
    await core.ledger.do(_acknowledge, head, embedded, packs, list(why), core)
    return len(copies.kept), why


def _acknowledge(state: State, head: KnownHead, embedded: bytes, packs: list[int], owed: list[str], core: Core) -> None:
    with state.transaction():
        remember_embedded(state, head, embedded, core)
        state.settle_head(head.name, ACKED)
        state.announce(packs)
        state.owe_head(head.name, owed)


async def _withdraw(core: Core, head: KnownHead, name: HeadName) -> bool:
    """Give a head up: delete it everywhere, later where a store does not answer, and end this writer.

    Returns:
        False where it counts by now, because another device has built on it (`take_back`).
    """
    incarnation = os.urandom(16)
    if not await core.ledger.do(_withdrawn, head, core.pool.names, incarnation):
        return False
    core.incarnation = incarnation
    for store in core.pool.names:
        try:
            await core.pool.delete(store, name.encode())
        except RopewalkError:
            continue  # it is owed
        await core.ledger.do(State.paid_head, head.name, store)
    return True


def _withdrawn(state: State, head: KnownHead, stores: Sequence[str], incarnation: bytes) -> bool:
    with state.transaction(durable=True):
        now = state.head_named(head.name)
        if now is not None and now.state == ACKED:
            return False
        state.settle_head(head.name, WITHDRAWN)
        state.owe_head(head.name, stores)
        state.begin_incarnation(incarnation)
    return True


async def settle_journal(core: Core) -> Settled:
    """Send heads again whose fate a crash left open, and pay what is owed of others.

    The caller has the turn.
    """
    notes = []
    found = await core.ledger.do(_journalled, core)
    core.incarnation = found.incarnation
    for head, data in found.pending:
        try:
            opened = open_head(data, object_of(head), core.membership, core.keys)
        except Damaged as error:
            await _withdraw(core, head, object_of(head))
            notes.append(f"a change that was under way at a crash is lost: its journal is damaged: {error}")
            continue
        if few_answer(core) and await keep_at_home(core, head, data):
            continue
        named = [pack.name for pack in opened.steward.packs]
        if why := await stand(core, named, core.membership.policy.floor):
            await _withdraw(core, head, object_of(head))
            notes.append(
                f"a change that was under way at a crash is lost, some of its content did not outlast it: {why}"
            )
            continue
        waiting = [pack.id for pack in await core.ledger.do(State.unannounced) if pack.name in set(named)]
        try:
            await _place(core, head, data, opened.embedded, waiting)
        except BelowFloor as error:
            notes.append(f"a change that was under way at a crash could not be finished: {error}")
    stuck = ""
    if found.waits or (core.offline and found.pending):
        stuck = await send_queue(core)
    if found.pending or found.waits:
        found = await core.ledger.do(_journalled, core)  # one that was given up now has changed the incarnation too
    await pay_heads(core, found.owed)
    return Settled(notes, found.standing, found.last, found.unsure, stuck)


async def begin_change(core: Core) -> Settled:
    """Settle the journal, and see that all heads that the next version names lie where an acknowledged one does.

    The caller has the turn.
    """
    settled = await settle_journal(core)
    if settled.stuck and not core.offline:
        raise BelowFloor(
            f"changes of this device wait to be published, and nothing can go before them: {settled.stuck}",
            hint="bring stores back, or allow offline work, so that more may wait: `ropewalk space offline SPACE on`",
        )
    if not settled.unsure:
        return settled
    now, told = await find_footing(core, settled.unsure)
    return replace(settled, notes=[*settled.notes, *told], standing=now, unsure=())


@dataclass(frozen=True, slots=True)
class _Journalled:
    incarnation: bytes
    pending: list[tuple[KnownHead, bytes]]
    owed: list[tuple[str, str]]
    standing: Standing
    last: int
    unsure: Unsure
    waits: bool  # whether changes are queued


def _journalled(state: State, core: Core) -> _Journalled:
    # Another process of this device may have given a head up since, and with it the writer that we were.
    incarnation = state.incarnation() or core.incarnation
    writer = writer_id(core.device.public().id, incarnation)
    last = state.last_sequence(writer)
    if core.queue is not None and (lost := strays(state, core, core.queue)):
        core.warnings.extend(adopt(state, core, core.queue, lost))
    now, waits = standing(state), bool(state.queued_names())
    return _Journalled(incarnation, state.pending(), state.owed_heads(), now, last, unsure(state, now), waits)
