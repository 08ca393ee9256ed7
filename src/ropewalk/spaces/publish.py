"""Publish: a new tree becomes a head: journalled, sent to every store, acknowledged or taken back.

Flow: tree, vector -> head -> journal (durable) -> stores -> acknowledged in the ledger, or withdrawn
Never: uses a sequence twice, or lets a head be seen before all it points at is durable.

A head in the journal is pending until enough stores have it.  After a crash the same bytes are sent again.  Where the
floor is not reached it is given up: its copies are deleted where that can be done, and this writer ends; the next head
is the first of a fresh incarnation.  So a copy that comes back all the same joins as a concurrent version, and cannot
make what came after it look as if it had been seen and removed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.chunk import Reference
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import (
    LARGEST_EMBEDDED,
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
)
from ropewalk.spaces.pack.packing import Packing
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.state import ACKED, PENDING, WITHDRAWN, KnownHead, KnownPack, State
from ropewalk.spaces.watch import known_head, remember_head

__all__ = ["SMALL", "Outcome", "publish", "settle_journal"]

SMALL = LARGEST_EMBEDDED - 12 * 1024  # bytes of chunks in a head; leaves room for a directory of 300 chunks
MOST_PACKS = 500  # packs announced by one head, some 56 KB of it; more go into heads of their own
MOST_OWED = 500  # packs named in a head as owing shares; how many there are is said in full


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change.

    Attributes:
        head: The acknowledged head.
        copies: Stores that have it durably, of `stores`.
        owed_heads: Copies of it still owed.
        owed_shares: Shares still owed, of any pack.
        why: Store to what kept it from doing its part.
    """

    head: KnownHead
    copies: int
    stores: int
    owed_heads: int
    owed_shares: int
    why: Mapping[str, str]

    @property
    def in_full(self) -> bool:
        """Whether all that was promised is there now."""
        return not (self.owed_heads or self.owed_shares)


@dataclass(frozen=True, slots=True)
class _Before:
    """What a new head must say of what came before it."""

    sequence: int  # its own
    head: KnownHead | None  # this writer's last
    waiting: list[KnownPack]  # packs that no head has named
    owed: list[tuple[bytes, list[int]]]
    lacking: list[bytes]  # heads that some store has not
    hints: dict[bytes, bytes]  # children of embedded chunks that lie elsewhere: chunk -> pack


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
    """
    await core.pool.weigh()
    _refuse_if_few_answer(core)
    before = await core.ledger.do(_before, core.writer_id, list(small.children_elsewhere()) if small else [])
    waiting = before.waiting
    outcome = await _send(core, root, entries, vector, small, note, waiting[:MOST_PACKS], before)
    # After it, not before: a head counts as having seen every dot up to its own, the new entries' among them.
    for at in range(MOST_PACKS, len(waiting), MOST_PACKS):
        try:
            before = await core.ledger.do(_before, core.writer_id, [])
            await _send(core, root, entries, vector, None, "", waiting[at : at + MOST_PACKS], before)
        except BelowFloor:
            break  # the next version names them
    return outcome


async def _send(
    core: Core,
    root: bytes | None,
    entries: int,
    vector: Vector,
    small: Packing | None,
    note: str,
    packs: list[KnownPack],
    before: _Before,
) -> Outcome:
    writer, owed = core.writer_id, before.owed
    embedded = b""
    if small is not None and len(small):
        pack = small.alone().finish(core.keys, before.hints)
        embedded = embed(pack.directory.seal(pack.name, core.keys), bytes(pack.shares[0].parts[0]))
    seen = {one: item for one, item in vector.items() if one != writer}
    reference = Reference.decode(root) if root else None
    name, data = seal_head(
        incarnation=core.incarnation,
        sequence=before.sequence,
        previous=before.head.hash if before.head else NO_HEAD,
        steward=StewardLayer(
            epoch=core.membership.epoch,
            packs=[AddedPack(one.name, one.manifest, one.directory, one.stored) for one in packs],
            roots=[reference.id] if reference else [],
            owed=len(owed),
            debt=[Owed(one, bytes(numbers)) for one, numbers in owed[:MOST_OWED]],
            heads=before.lacking[:MOST_OWED],
        ),
        member=MemberLayer(
            *(core.membership.epoch, core.membership.heads, seen, reference, entries),
            max(core.now(), 0),  # a hint, by a clock that may say anything
            note,
        ),
        embedded=embedded,
        device=core.device,
        keys=core.keys,
        feature=core.membership.feature,
    )
    head = known_head(open_head(data, name, core.membership, core.keys), PENDING)
    await core.ledger.do(_journal, head, data)
    kept, why = await _place(core, head, data, embedded, [one.id for one in packs])
    shares = sum(len(numbers) for _, numbers in owed)
    return Outcome(head, kept, len(core.pool.names), len(why), shares, why)


def _before(state: State, writer: bytes, elsewhere: list[bytes]) -> _Before:
    located = state.locate(elsewhere)
    packs = state.packs_by_id(list({place.pack for place in located.values()}))
    return _Before(
        state.last_sequence(writer) + 1,
        state.newest_head(writer),
        state.unannounced(),
        state.owed_shares(all_packs=True),  # the new head is about to name them
        state.owed_head_hashes(),
        {chunk: packs[place.pack].name for chunk, place in located.items()},
    )


def _journal(state: State, head: KnownHead, data: bytes) -> None:
    with state.transaction(durable=True):
        state.add_head(head, data)


async def _place(
    core: Core, head: KnownHead, data: bytes, embedded: bytes, packs: list[int]
) -> tuple[int, dict[str, str]]:
    """Send a head that is in the journal; acknowledge it or take it back."""
    name = _object(head)
    copies = await core.pool.put_copies(name.encode(), data)
    why = {store: str(error) for store, error in copies.failed.items()}
    if len(copies.kept) < core.head_floor:
        await _withdraw(core, head, name)
        reasons = "; ".join(f"{store}: {reason}" for store, reason in sorted(why.items()))
        raise BelowFloor(
            f"{len(copies.kept)} of {len(core.pool.names)} stores took the head, the write floor is {core.head_floor}"
            + (f" ({reasons})" if reasons else ""),
            hint="nothing was changed; bring stores back, or add some to the space, and write again",
        )
    await core.ledger.do(_acknowledge, head, embedded, packs, list(why), core)
    return len(copies.kept), why


def _acknowledge(state: State, head: KnownHead, embedded: bytes, packs: list[int], owed: list[str], core: Core) -> None:
    with state.transaction():
        remember_head(state, head, embedded, core)
        state.settle_head(head.name, ACKED)
        state.announce(packs)
        state.owe_head(head.name, owed)


def _refuse_if_few_answer(core: Core) -> None:
    """Refuse before anything is signed where too few stores would take a head: then nothing of it can be seen."""
    usable = [name for name in core.pool.names if core.pool.up(name)]
    if len(usable) < core.head_floor:
        reasons = "; ".join(f"{name}: {why}" for name in core.pool.names if (why := core.pool.why_down(name)))
        raise BelowFloor(
            f"{len(usable)} of {len(core.pool.names)} stores answer, the write floor is {core.head_floor} ({reasons})",
            hint="nothing was changed; bring stores back, or add some to the space, and write again",
        )


async def _withdraw(core: Core, head: KnownHead, name: HeadName) -> None:
    """Give a head up: delete it everywhere, later where a store does not answer, and end this writer."""
    left = []
    for store in core.pool.names:
        try:
            await core.pool.delete(store, name.encode())
        except RopewalkError:
            left.append(store)
    core.incarnation = os.urandom(16)
    await core.ledger.do(_withdrawn, head, left, core.incarnation)


def _withdrawn(state: State, head: KnownHead, left: list[str], incarnation: bytes) -> None:
    with state.transaction(durable=True):
        state.settle_head(head.name, WITHDRAWN)
        state.owe_head(head.name, left)
        state.begin_incarnation(incarnation)


async def settle_journal(core: Core) -> list[str]:
    """Send heads again whose fate a crash left open, and pay what is owed of others; notes of what is still open.

    The caller has the turn.
    """
    notes = []
    # Another process of this device may have given a head up since, and with it the writer that we were.
    incarnation, pending, owed = await core.ledger.do(_journalled)
    if incarnation is not None:
        core.incarnation = incarnation
    for head, data in pending:
        try:
            opened = open_head(data, _object(head), core.membership, core.keys)
        except Damaged as error:
            await _withdraw(core, head, _object(head))
            notes.append(f"a change that was under way at a crash is lost: its journal is damaged: {error}")
            continue
        named = {pack.name for pack in opened.steward.packs}
        waiting = [pack.id for pack in await core.ledger.do(State.unannounced) if pack.name in named]
        try:
            await _place(core, head, data, opened.embedded, waiting)
        except BelowFloor as error:
            notes.append(f"a change that was under way at a crash could not be finished: {error}")
    if pending:
        owed = await core.ledger.do(State.owed_heads)
    for name, store in owed:
        if core.pool.up(store):
            await _pay(core, name, store)
    return notes


def _journalled(state: State) -> tuple[bytes | None, list[tuple[KnownHead, bytes]], list[tuple[str, str]]]:
    return state.incarnation(), state.pending(), state.owed_heads()


async def _pay(core: Core, name: str, store: str) -> None:
    parsed = HeadName.decode(name)
    assert parsed is not None
    try:
        if await core.ledger.do(State.is_unacknowledged, name):
            await core.pool.delete(store, parsed.encode())
        else:
            data = await core.pool.get_any(parsed.encode(), lambda data: _checks(core, data, parsed))
            await core.pool.put(store, parsed.encode(), (data,))
    except RopewalkError:
        return  # still owed; the next look tries again
    await core.ledger.do(State.paid_head, name, store)


def _checks(core: Core, data: bytes, name: HeadName) -> bool:
    try:
        open_head(data, name, core.membership, core.keys)
    except RopewalkError:
        return False
    return True


def _object(head: KnownHead) -> HeadName:
    name = HeadName.decode(head.name)
    assert name is not None
    return name
