"""At hand: what is known of a space's stores without asking any: what they hold, what they are owed, how they answer.

Flow: ledger, a piece at a time -> AtHand -> promise; pool, AtHand -> StoreAtHand of each store -> pages
Never: asks a store, keeps others from the ledger for long, or holds more than sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ropewalk.spaces.core import Core
from ropewalk.spaces.pool.health import Seen
from ropewalk.spaces.promise import PackGroup
from ropewalk.spaces.state import QUARANTINED, State
from ropewalk.spaces.store import Room, Terms

__all__ = ["AtHand", "Held", "StoreAtHand", "at_hand", "stores_at_hand"]

AT_ONCE = 500  # packs that are looked at before others may use the ledger: some 10 ms


@dataclass(slots=True)
class Held:
    """What one store holds of a space, and lacks, as far as is known.

    Attributes:
        shares: How many.
        size: Bytes of their columns; with their trailers they are a little larger.
        damaged: Shares that were read and found wrong.
        owed: Copies of heads and records that it should have and has not.
    """

    shares: int = 0
    size: int = 0
    damaged: int = 0
    owed: int = 0


@dataclass(frozen=True, slots=True)
class AtHand:
    """What the ledger knows of the stores.

    Attributes:
        held: By store of the pool.
        groups: Packs by the stores that have their shares.
        heads: The sets of stores that have a copy of some head, or of some record.
        versions: How many heads are known.
        packs: How many are promised.
        owed, owed_heads, owed_records: What lacks: shares of packs, copies.
        damaged: Shares.
        quarantined: Changes that are kept and shown to nobody.
        entries: Not known here.
    """

    held: Mapping[str, Held]
    groups: Sequence[PackGroup]
    heads: Sequence[frozenset[str]]
    versions: int
    packs: int
    owed: int
    owed_heads: int
    owed_records: int
    damaged: int
    quarantined: int
    entries: int | None = None

    @property
    def stored(self) -> int:
        """Bytes of all shares."""
        return sum(one.size for one in self.held.values())


@dataclass(frozen=True, slots=True)
class StoreAtHand:
    """One store.

    Attributes:
        domains: By kind.
        standing: up, away, draining, full or read-only.
        why: What is to be said of that.
        draining: Whether it gets nothing new, whatever else is to be said of it.
        seen: How it answered lately.
        room: What it said last of its room.
        terms: On what terms it is used.
    """

    name: str
    domains: Mapping[str, str]
    standing: str
    why: str
    draining: bool
    seen: Seen
    room: Room | None
    terms: Terms
    held: Held


async def at_hand(core: Core) -> AtHand:
    """What the ledger knows."""
    names = list(core.pool.names)
    held = {name: Held() for name in names}
    sums = _Sums(held)
    last: int | None = 0
    while last is not None:
        last = await core.ledger.do(sums.more, last)
    return await core.ledger.do(_rest, sums, frozenset(names))


def stores_at_hand(core: Core, known: AtHand) -> list[StoreAtHand]:
    """Each store of the pool, in the order of the settings."""
    pool = core.pool
    return [
        StoreAtHand(
            one.name,
            one.labels,
            pool.standing(one.name),
            pool.why_down(one.name) or pool.terms(one.name).refused,
            one.name in pool.draining,
            pool.seen(one.name),
            pool.room(one.name),
            pool.terms(one.name),
            known.held.get(one.name) or Held(),
        )
        for one in pool.domains
    ]


class _Sums:
    """What packs come to, added up piece by piece."""

    def __init__(self, held: Mapping[str, Held]) -> None:
        self.held = held
        self.packs: Counter[tuple[frozenset[str], int]] = Counter()
        self.sizes: Counter[tuple[frozenset[str], int]] = Counter()
        self.damaged = 0

    def more(self, state: State, last: int) -> int | None:
        """Add some more; the number of the last of them, None once there are no more."""
        packs = state.packs_after(last, AT_ONCE)
        for pack in packs:
            if not pack.promised:
                continue
            for share in pack.shares:
                self.damaged += share.damaged
                if (one := self.held.get(share.store)) is not None and share.number < pack.n:
                    one.shares += 1
                    one.size += pack.column_length(share.number)
                    one.damaged += share.damaged
            # What lies in a store that is no longer of this space counts for nothing.
            key = frozenset(share.store for share in pack.good.values() if share.store in self.held), pack.k
            self.packs[key] += 1
            self.sizes[key] += sum(pack.lengths)
        return packs[-1].id if packs else None


def _rest(state: State, sums: _Sums, names: frozenset[str]) -> AtHand:
    lacking: dict[str, set[str]] = {}
    owed_heads, owed_records = state.owed_heads(), [(name, store) for name, store, _ in state.owed_records()]
    for name, store in [*owed_heads, *owed_records]:
        lacking.setdefault(name, set()).add(store)
        if (one := sums.held.get(store)) is not None:
            one.owed += 1
    judged = state.head_names()
    few = {name: stores for name, stores in state.sparse_heads().items() if name in judged}
    known = judged | state.record_names()
    heads = {names - stores for name, stores in lacking.items() if name in known}
    heads |= {(names & stores) - lacking.get(name, set()) for name, stores in few.items()}
    if known - lacking.keys() - few.keys():
        heads.add(names)
    return AtHand(
        sums.held,
        [PackGroup(stores, k, packs, sums.sizes[stores, k]) for (stores, k), packs in sums.packs.items()],
        list(heads),
        len(judged),
        sum(sums.packs.values()),
        sum(len(numbers) for _, numbers in state.owed_shares()),
        len(owed_heads),
        len(owed_records),
        sums.damaged,
        sum(head.state == QUARANTINED for head in state.set_aside()),
    )
