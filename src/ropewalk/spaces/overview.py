"""Overview: the stores of a space beside each other, and why the shares of a pack lie where they do.

Flow: survey, pool, one pack -> the plans that `Pool.put_shares` would follow now -> Overview, in values
Never: finds reasons of its own: they are those that placement gives for what it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ropewalk.errors import Missing
from ropewalk.spaces.core import Core
from ropewalk.spaces.pool.placement import Placement, Reason, slack
from ropewalk.spaces.pool.rooms import AWAY, DRAINING, FULL, READ_ONLY, UP
from ropewalk.spaces.state import KnownPack, State, spread
from ropewalk.spaces.store import Room
from ropewalk.spaces.survey import survey

__all__ = ["Kind", "Lies", "Overview", "StoreView", "UnknownPack", "overview"]

_NO_PACK = bytes(32)  # stands for one that is yet to be written
_STANDS = {
    DRAINING: "draining: it gets nothing new",
    FULL: "full: it had no room when it was last asked",
    READ_ONLY: "read-only: nothing is put into it",
}


class UnknownPack(Missing):
    """No pack, or more than one, starts with these digits."""

    code = "pool.unknown-pack"


@dataclass(frozen=True, slots=True)
class StoreView:
    """One store.

    Attributes:
        stored: Bytes of shares of this space, None where it does not answer.
        shares: How many of them.
        standing: up, away, draining, full or read-only.
        why: What is to be said of that.
    """

    name: str
    domains: Mapping[str, str]
    room: Room | None
    stored: int | None
    shares: int | None
    standing: str
    why: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind that the promise names, as it stands for the pack.

    Attributes:
        survive: How many values may be lost.
        most: Shares that these may hold together.
        held: Shares by value, the heaviest first; None for all that do not state it.
        slack: Shares that could be lost besides; 0 where the kind binds, below 0 where the promise does not hold.
    """

    kind: str
    survive: int
    most: int
    held: Sequence[tuple[str | None, int]]
    slack: int


@dataclass(frozen=True, slots=True)
class Lies:
    """One share of the pack and its store, or a store without one; and why."""

    share: int | None
    store: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What `overview` found.

    Attributes:
        pack: The pack that was looked at, None for one that is yet to be written.
        sure: Whether the reasons are all there is to say: placement has looked at every way.
    """

    stores: Sequence[StoreView]
    k: int
    n: int
    kinds: Sequence[Kind]
    pack: bytes | None
    shares: Sequence[Lies]
    sure: bool


async def overview(core: Core, prefix: str = "") -> Overview:
    """Look at every store, and at the newest pack or the one whose name starts with ``prefix``.

    Raises:
        UnknownPack: There is none, or more than one.
    """
    await core.pool.revive(len(core.pool.names))
    await core.pool.weigh()
    found = await survey(core)
    packs = await core.ledger.do(State.packs_called, prefix.lower())
    if prefix and len(packs) != 1:
        raise UnknownPack(f"{'several' if packs else 'no'} packs start with {prefix!r}")
    pack = packs[0] if packs else None
    stores = [
        StoreView(
            one.name,
            one.labels,
            core.pool.room(one.name),
            sum(found.shares[one.name].values()) if one.name in found.shares else None,
            len(found.shares[one.name]) if one.name in found.shares else None,
            core.pool.standing(one.name),
            core.pool.why_down(one.name) or core.pool.terms(one.name).refused,
        )
        for one in core.pool.domains
    ]
    policy = core.membership.policy
    k, n = (pack.k, pack.n) if pack is not None else (policy.k, policy.n)
    name, size = (pack.name, max(pack.lengths)) if pack is not None else (_NO_PACK, 0)
    anew = core.pool.plan(name, n, k, policy.survive, size=size)
    if pack is None:
        lies, now, lasting = dict(anew.where), anew, set(anew.where.values())
    else:
        good = pack.good
        lies = {number: share.store for number, share in good.items()}
        live = spread(share for share in good.values() if core.pool.up(share.store))
        now = core.pool.plan(name, n, k, policy.survive, {at: one.store for at, one in live.items()}, size)
        lasting = {share.store for share in good.values()}
    return Overview(
        stores,
        k,
        n,
        _kinds(core, lasting, k, n),
        pack.name if pack is not None else None,
        _why(core, pack, lies, now, anew),
        now.sure and anew.sure,
    )


def _kinds(core: Core, stores: set[str], k: int, n: int) -> list[Kind]:
    survive = core.membership.policy.survive
    domains = [one for one in core.pool.domains if one.name in stores]
    kinds = []
    for kind, left in slack(domains, k, survive).items():
        held = Counter(one.value(kind) for one in domains)
        kinds.append(Kind(kind, survive[kind], n - k, held.most_common(), left))
    return kinds


def _why(core: Core, pack: KnownPack | None, lies: Mapping[int, str], now: Placement, anew: Placement) -> list[Lies]:
    """Each share, and then each store that has none."""
    rows = []
    for number, store in sorted(lies.items()):
        rows.append(Lies(number, store, anew.why[store].words if pack is None else _kept(core, store, now, anew)))
    rows += [Lies(number, None, "owed: no store can take it now") for number in now.owed if number not in lies]
    holding = set(lies.values())
    rows += [Lies(None, name, _none(core, name, now)) for name in core.pool.names if name not in holding]
    return rows


def _kept(core: Core, store: str, now: Placement, anew: Placement) -> str:
    if core.pool.standing(store) == AWAY:
        return f"it lies there, and the store is away: {core.pool.why_down(store)}"
    if (why := now.why.get(store)) is not None and why.reason is Reason.MOVED:
        return why.words
    fresh = anew.why.get(store)
    if fresh is not None and fresh.reason is Reason.DRAWN:
        return fresh.words
    passed = fresh.words if fresh is not None else _STANDS.get(core.pool.standing(store), "it takes none so large")
    return f"kept where it was; were it placed now, it would not go there: {passed}"


def _none(core: Core, store: str, now: Placement) -> str:
    standing = core.pool.standing(store)
    if standing == AWAY:
        return f"away: {core.pool.why_down(store)}"
    if standing != UP:
        return _STANDS[standing]
    why = now.why.get(store)
    if why is None:
        return "it takes no objects so large"
    return "drawn by room for a share that is to be put, or to be moved" if why.reason is Reason.DRAWN else why.words
